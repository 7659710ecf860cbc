//! What is written for each pixel of the class map: its class or label, its confidence, and the most likely classes at points.
//!
//! "The results of a pixel" are its value in the map, its confidence, and the places of the points that lie on it. Tasks that run at the
//! same time write those of different pixels.

use crate::output::{ClassMap, ClassMapMut, Output, Points, Ranked, rank};
use crate::parallel::chunks::Shared;
use crate::simd::isa::Isa;

/// Writes the results of pixels; several threads may use it, each for pixels of its own.
pub(super) struct PixelResults<'a> {
    isa: Isa,
    classes: usize,
    width: usize,
    map: Map<'a>,
    confidence: Option<Shared<'a, u8>>,
    min_confidence: u8,
    /// What the map holds instead of each class; empty: the classes.
    labels: &'a [u16],
    /// Column and row of each point.
    points: &'a [[usize; 2]],
    /// As many places for each point.
    ranked: Shared<'a, Ranked>,
}

enum Map<'a> {
    None,
    U8(Shared<'a, u8>),
    U16(Shared<'a, u16>),
}

/// The values of a run of pixels in the map. A trait and not a closure, which is not inlined into the loops over both types of maps.
pub(super) trait MapValues: Copy {
    /// The value of pixel `i` of the run.
    fn at(self, i: usize) -> u16;
}

/// The same value for all pixels.
impl MapValues for u16 {
    #[inline(always)]
    fn at(self, _: usize) -> u16 {
        self
    }
}

/// The labels of classes, or the classes if there are no labels.
#[derive(Clone, Copy)]
struct Labelled<'a, C> {
    labels: &'a [u16],
    classes: C,
}

impl<C: MapValues> MapValues for Labelled<'_, C> {
    #[inline(always)]
    fn at(self, i: usize) -> u16 {
        let class = self.classes.at(i);
        self.labels.get(usize::from(class)).copied().unwrap_or(class)
    }
}

impl<'a> PixelResults<'a> {
    /// The pixels' results of `output`, which [`Output::check`] has accepted.
    pub fn new(isa: Isa, classes: usize, output: &'a mut Output) -> Self {
        let map = match &mut output.map {
            None => Map::None,
            Some(ClassMapMut::U8(map)) => Map::U8(Shared::new(map)),
            Some(ClassMapMut::U16(map)) => Map::U16(Shared::new(map)),
        };
        let (points, ranked) = output.points.as_mut().map_or((&[][..], &mut [][..]), Points::parts);
        PixelResults {
            isa,
            classes,
            width: output.size.0,
            map,
            confidence: output.confidence.as_deref_mut().map(Shared::new),
            min_confidence: output.min_confidence,
            labels: output.labels,
            points,
            ranked: Shared::new(ranked),
        }
    }

    /// Whether confidences are wanted, or needed to find unknown pixels.
    pub fn need_probabilities(&self) -> bool {
        self.confidence.is_some() || self.min_confidence > 0
    }

    /// The columns of the points in row `y`.
    pub fn points_in_row(&self, y: usize) -> impl Iterator<Item = usize> {
        self.points.iter().filter(move |point| point[1] == y).map(|point| point[0])
    }

    /// Writes the classes of `count` pixels from pixel `start` on.
    ///
    /// # Safety
    /// No other thread accesses the results of these pixels.
    #[inline(always)]
    pub unsafe fn put_classes(&self, start: usize, count: usize, classes: impl MapValues) {
        // SAFETY: the caller owns the results of these pixels.
        unsafe { self.put_values(start, count, Labelled { labels: self.labels, classes }) };
    }

    /// Writes values to the class map. A map of bytes stores the low byte, of [`ClassMap::UNKNOWN`] 255.
    ///
    /// # Safety
    /// No other thread accesses the results of these pixels.
    #[inline(always)]
    unsafe fn put_values(&self, start: usize, count: usize, values: impl MapValues) {
        // SAFETY: `slice` checks the range; the caller owns the results of these pixels.
        unsafe {
            match &self.map {
                Map::None => {}
                Map::U8(map) => {
                    for (i, out) in map.slice(start, count).iter_mut().enumerate() {
                        *out = values.at(i) as u8;
                    }
                }
                Map::U16(map) => {
                    for (i, out) in map.slice(start, count).iter_mut().enumerate() {
                        *out = values.at(i);
                    }
                }
            }
        }
    }

    /// Writes the results of pixel `at` (row · width + column); those of points only `with_points`. `class` has the largest logit; `logits` is
    /// a padded row of all logits of the pixel, which may be overwritten.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    pub unsafe fn put(&self, at: usize, class: u16, logits: &mut [f32], with_points: bool) {
        let with_points = with_points && self.points_at(at).next().is_some();
        if !self.need_probabilities() && !with_points {
            // SAFETY: the caller owns the results of this pixel.
            return unsafe { self.put_classes(at, 1, class) };
        }
        let total = self.isa.softmax(logits, self.classes);
        let weights = &logits[..self.classes];
        // The weight of the largest logit is e^0 = 1. `as` turns NaN to 0.
        let confidence = (255.0 / total + 0.5) as u8;
        // SAFETY: the caller owns the results of this pixel.
        unsafe {
            self.put_class(at, class, confidence);
            if with_points {
                self.put_points(at, total, weights.iter().copied());
            }
        }
    }

    /// As [`put`](PixelResults::put), for a pixel of several views: `scores` are the probabilities of all classes, in units of 1/65535.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    pub unsafe fn put_scores(&self, at: usize, scores: &[u16]) {
        let (mut class, mut most) = (0, 0);
        for (i, &score) in scores.iter().enumerate() {
            if score > most {
                (class, most) = (i as u16, score);
            }
        }
        // SAFETY: the caller owns the results of this pixel.
        unsafe {
            self.put_class(at, class, ((u32::from(most) + 128) / 257) as u8);
            self.put_points(at, 65535.0, scores.iter().map(|&score| score.into()));
        }
    }

    /// Writes the confidence of a pixel and, as far as it suffices, the class.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    unsafe fn put_class(&self, at: usize, class: u16, confidence: u8) {
        // SAFETY: `slice` checks the range; the caller owns the results of this pixel.
        unsafe {
            if let Some(out) = &self.confidence {
                out.slice(at, 1)[0] = confidence;
            }
            if confidence < self.min_confidence {
                self.put_values(at, 1, ClassMap::UNKNOWN);
            } else {
                self.put_classes(at, 1, class);
            }
        }
    }

    /// The points on a pixel, by number.
    fn points_at(&self, at: usize) -> impl Iterator<Item = usize> {
        let is_here = move |point: &[usize; 2]| point[1] * self.width + point[0] == at;
        self.points.iter().enumerate().filter(move |(_, point)| is_here(point)).map(|(i, _)| i)
    }

    /// Writes the most likely classes of the points on a pixel, from the classes' shares of `total`.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    unsafe fn put_points(&self, at: usize, total: f32, weights: impl Iterator<Item = f32> + Clone) {
        for i in self.points_at(at) {
            let places = self.ranked.len() / self.points.len();
            // SAFETY: the places of a point are results of its pixel, which the caller owns.
            rank(weights.clone(), total, unsafe { self.ranked.slice(i * places, places) });
        }
    }
}
