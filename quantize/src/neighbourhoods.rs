//! What Winograd's matrices read: transformed pixels, sampled from the lines that pass by.

use crate::calibrate::{Samples, Scatter};
use crate::winograd;
use beitle::format::winograd_taps;
use half::bf16;
use std::collections::VecDeque;

/// Samples of every position of one convolution's tiles.
pub(crate) struct Neighbourhoods {
    /// Outputs along a side of a tile.
    tile: usize,
    /// The last lines, as many as a tile reads.
    lines: VecDeque<Vec<f32>>,
    seen: Scatter,
    /// For each position.
    pub samples: Vec<Samples>,
}

impl Neighbourhoods {
    pub fn new(tile: usize) -> Neighbourhoods {
        let samples = (0..winograd_taps(tile)).map(|_| Samples::default()).collect();
        Neighbourhoods { tile, lines: VecDeque::new(), seen: Scatter::default(), samples }
    }

    /// Another picture begins.
    pub fn restart(&mut self) {
        self.lines.clear();
    }

    /// A line of pixels, `pitch` numbers apart, of which `width` count. One tile in `one_in` is kept.
    pub fn line(&mut self, rows: &[f32], width: usize, pitch: usize, one_in: u32) {
        let side = self.tile + 2;
        if self.lines.len() == side {
            self.lines.pop_front();
        }
        self.lines.push_back(rows.chunks(pitch).flat_map(|row| &row[..width]).copied().collect());
        if self.lines.len() < side {
            return;
        }
        let pixels = rows.len() / pitch;
        for x in 0..(pixels + 1).saturating_sub(side) {
            if self.seen.keeps(one_in) {
                self.keep(x, width);
            }
        }
    }

    /// The tile whose first pixel is number x of each line.
    fn keep(&mut self, x: usize, width: usize) {
        let side = self.tile + 2;
        for samples in &mut self.samples {
            samples.k = width;
        }
        for channel in 0..width {
            let at = |p: usize| f64::from(self.lines[p / side][(x + p % side) * width + channel]);
            for (samples, v) in self.samples.iter_mut().zip(winograd::input(self.tile, at)) {
                samples.rows.push(bf16::from_f32(v));
            }
        }
    }
}
