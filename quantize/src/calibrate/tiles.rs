//! Samples for Winograd convolutions, whose matrices read transformed input tiles rather than pixels.

use super::samples::{RowSampler, Samples};
use crate::winograd;
use beitle::file::format::winograd_points;
use half::bf16;
use std::collections::VecDeque;

/// Samples of every Winograd point of one convolution, taken while the rows of its input map pass by.
pub(super) struct TileSampler {
    /// Side of an output tile.
    tile: usize,
    /// The last rows of the map, at most as many as an input tile has.
    rows: VecDeque<Vec<f32>>,
    sampler: RowSampler,
    /// One element for each Winograd point.
    pub(super) samples: Vec<Samples>,
}

impl TileSampler {
    pub(super) fn new(tile: usize) -> TileSampler {
        let samples = (0..winograd_points(tile)).map(|_| Samples::default()).collect();
        TileSampler { tile, rows: VecDeque::new(), sampler: RowSampler::default(), samples }
    }

    /// Starts a new picture.
    pub(super) fn restart(&mut self) {
        self.rows.clear();
    }

    /// Adds the next row of the map: pixels of `width` channels, `pitch` numbers apart. About one tile in `one_in` of those
    /// that end at this row is kept.
    pub(super) fn push_row(&mut self, pixels: &[f32], width: usize, pitch: usize, one_in: u32) {
        let side = self.tile + 2;
        if self.rows.len() == side {
            self.rows.pop_front();
        }
        self.rows.push_back(pixels.chunks(pitch).flat_map(|pixel| &pixel[..width]).copied().collect());
        if self.rows.len() < side {
            return;
        }
        let count = pixels.len() / pitch;
        for x in 0..(count + 1).saturating_sub(side) {
            if self.sampler.keeps(one_in) {
                self.keep(x, width);
            }
        }
    }

    /// Keeps the tile that starts at pixel `x` of the rows.
    fn keep(&mut self, x: usize, width: usize) {
        let side = self.tile + 2;
        for samples in &mut self.samples {
            samples.k = width;
        }
        for channel in 0..width {
            let pixel = |p: usize| f64::from(self.rows[p / side][(x + p % side) * width + channel]);
            let transformed = winograd::input_transform(self.tile, pixel);
            for (samples, v) in self.samples.iter_mut().zip(transformed) {
                samples.rows.push(bf16::from_f32(v));
            }
        }
    }
}
