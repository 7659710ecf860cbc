//! What is written for each pixel of the class map: the class or its label, the confidence, and the most likely classes at points.

use crate::output::{ClassMap, ClassMapMut, Output, Ranked, rank};
use crate::parallel::chunks::Shared;
use crate::simd::isa::Isa;

/// Writes the results of pixels, of several at the same time.
pub(super) struct PixelResults<'a> {
    isa: Isa,
    classes: usize,
    width: usize,
    map: Map<'a>,
    confidence: Option<Shared<'a, u8>>,
    min_confidence: u8,
    /// What the map holds instead of each class; empty: the classes.
    labels: &'a [u16],
    points: Option<(&'a [[usize; 2]], Shared<'a, Ranked>)>,
    /// Whether more than the class of each pixel is wanted.
    wants_probabilities: bool,
}

enum Map<'a> {
    None,
    U8(Shared<'a, u8>),
    U16(Shared<'a, u16>),
}

/// The numbers of a run of pixels. A trait and not a closure, which is not inlined into the loops over both types of maps.
pub(super) trait Numbers: Copy {
    /// The number of pixel `i` of the run.
    fn at(self, i: usize) -> u16;
}

/// The same number for all pixels.
impl Numbers for u16 {
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

impl<C: Numbers> Numbers for Labelled<'_, C> {
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
        let wants_probabilities =
            output.confidence.is_some() || output.min_confidence > 0 || output.points.is_some();
        let points = output.points.as_mut().map(|points| {
            let (at, ranked) = points.parts();
            (at, Shared::new(ranked))
        });
        PixelResults {
            isa,
            classes,
            width: output.size.0,
            map,
            confidence: output.confidence.as_deref_mut().map(Shared::new),
            min_confidence: output.min_confidence,
            labels: output.labels,
            points,
            wants_probabilities,
        }
    }

    /// Whether more than the class of each pixel is wanted.
    pub fn want_probabilities(&self) -> bool {
        self.wants_probabilities
    }

    /// Writes the classes of `count` pixels from pixel `start` on, where nothing else is wanted.
    ///
    /// # Safety
    /// No other thread accesses the results of these pixels.
    #[inline(always)]
    pub unsafe fn put_classes(&self, start: usize, count: usize, classes: impl Numbers) {
        // SAFETY: the requirement is the same.
        unsafe { self.put_numbers(start, count, Labelled { labels: self.labels, classes }) };
    }

    /// Writes numbers to the class map. Of [`ClassMap::UNKNOWN`] a map of bytes gets the lower half, 255.
    ///
    /// # Safety
    /// No other thread accesses the results of these pixels.
    #[inline(always)]
    unsafe fn put_numbers(&self, start: usize, count: usize, numbers: impl Numbers) {
        // SAFETY: `slice` checks the range; only this thread accesses the results of these pixels.
        unsafe {
            match &self.map {
                Map::None => {}
                Map::U8(map) => {
                    for (i, out) in map.slice(start, count).iter_mut().enumerate() {
                        *out = numbers.at(i) as u8;
                    }
                }
                Map::U16(map) => {
                    for (i, out) in map.slice(start, count).iter_mut().enumerate() {
                        *out = numbers.at(i);
                    }
                }
            }
        }
    }

    /// Writes the results of pixel `at` (row · width + column). `class` has the largest logit; `logits` is a padded row of all logits of
    /// the pixel, which may be overwritten.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    pub unsafe fn put(&self, at: usize, class: u16, logits: &mut [f32]) {
        if !self.wants_probabilities {
            // SAFETY: the requirement is the same.
            return unsafe { self.put_classes(at, 1, class) };
        }
        let total = self.isa.softmax(logits, self.classes);
        let weights = &logits[..self.classes];
        // The weight of the largest logit is e^0 = 1. `as` turns NaN to 0.
        let confidence = (255.0 / total + 0.5) as u8;
        // SAFETY: the requirement is the same.
        unsafe { self.put_all(at, class, confidence, total, weights.iter().copied()) };
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
        let confidence = ((u32::from(most) + 128) / 257) as u8;
        // SAFETY: the requirement is the same.
        unsafe { self.put_all(at, class, confidence, 65535.0, scores.iter().map(|&score| score.into())) };
    }

    /// Writes everything that is wanted of a pixel.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    unsafe fn put_all(
        &self,
        at: usize,
        class: u16,
        confidence: u8,
        total: f32,
        weights: impl Iterator<Item = f32> + Clone,
    ) {
        // SAFETY: only this thread accesses the results of this pixel.
        unsafe {
            if let Some(out) = &self.confidence {
                out.slice(at, 1)[0] = confidence;
            }
            if confidence < self.min_confidence {
                self.put_numbers(at, 1, ClassMap::UNKNOWN);
            } else {
                self.put_classes(at, 1, class);
            }
        }
        let Some((points, ranked)) = &self.points else { return };
        let places = ranked.len() / points.len();
        for (i, _) in points.iter().enumerate().filter(|(_, point)| point[1] * self.width + point[0] == at) {
            // SAFETY: the places of a point are results of its pixel.
            rank(weights.clone(), total, unsafe { ranked.slice(i * places, places) });
        }
    }
}
