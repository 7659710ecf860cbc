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
}

enum Map<'a> {
    None,
    U8(Shared<'a, u8>),
    U16(Shared<'a, u16>),
}

impl<'a> PixelResults<'a> {
    /// The pixels' results of `output`, which [`Output::check`] has accepted.
    pub fn new(isa: Isa, classes: usize, output: &'a mut Output) -> Self {
        let map = match &mut output.map {
            None => Map::None,
            Some(ClassMapMut::U8(map)) => Map::U8(Shared::new(map)),
            Some(ClassMapMut::U16(map)) => Map::U16(Shared::new(map)),
        };
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
        }
    }

    /// Writes the results of pixel `at` (row · width + column). `class` has the largest logit; `logits` returns a padded row of all
    /// logits of the pixel, which may be overwritten.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    #[inline]
    pub unsafe fn put<'s>(&self, at: usize, class: u16, logits: impl FnOnce() -> &'s mut [f32]) {
        if self.confidence.is_none() && self.min_confidence == 0 && self.points.is_none() {
            // SAFETY: the requirement is the same.
            return unsafe { self.put_class(at, class) };
        }
        let weights = logits();
        let total = self.isa.softmax(weights, self.classes);
        let weights = &weights[..self.classes];
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
                self.write(at, ClassMap::UNKNOWN);
            } else {
                self.put_class(at, class);
            }
        }
        let Some((points, ranked)) = &self.points else { return };
        let places = ranked.len() / points.len();
        for (i, _) in points.iter().enumerate().filter(|(_, point)| point[1] * self.width + point[0] == at) {
            // SAFETY: the places of a point are results of its pixel.
            rank(weights.clone(), total, unsafe { ranked.slice(i * places, places) });
        }
    }

    /// Writes the class of a pixel, or its label.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    #[inline]
    unsafe fn put_class(&self, at: usize, class: u16) {
        let number = self.labels.get(usize::from(class)).copied().unwrap_or(class);
        // SAFETY: the requirement is the same.
        unsafe { self.write(at, number) };
    }

    /// Writes a number to the class map. Of [`ClassMap::UNKNOWN`] a map of bytes gets the lower half, 255.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    #[inline]
    unsafe fn write(&self, at: usize, number: u16) {
        // SAFETY: `slice` checks the range; only this thread accesses the results of this pixel.
        unsafe {
            match &self.map {
                Map::None => {}
                Map::U8(map) => map.slice(at, 1)[0] = number as u8,
                Map::U16(map) => map.slice(at, 1)[0] = number,
            }
        }
    }
}
