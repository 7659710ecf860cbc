//! Bilinear up-sampling of maps by lines (`align_corners = false`), alone or with the nine taps of a 3x3 convolution.
//!
//! A 3x3 convolution of an up-sampled map never runs at full resolution: channel mixing commutes with interpolation, so
//! the map is multiplied by all nine taps where it is small, and the products are interpolated and added, shifted:
//! out(y, x) += Σ_dy,dx U(P_dy,dx)(y + dy, x + dx). Zero padding acts after interpolation: a shifted read outside the
//! large map adds nothing.

use super::Isa;
use super::rows::Along;
use super::split::{Shared, with_scratch};
use crate::parallel::Parallel;
use half::bf16;

/// Channels that one task takes, for all lines of a call: what it reads of the small maps then stays in a core's
/// second-level cache from one line to the next.
const CHANNELS: usize = 64;

/// Where a pixel of the large axis reads the small one: between `low` and `high`, `weight` of the latter.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub low: usize,
    pub high: usize,
    pub weight: f32,
}

/// PyTorch's `upsample_bilinear2d` with `align_corners = false`, in f32 as there.
pub(crate) fn position(at: usize, small: usize, large: usize) -> Position {
    let x = (small as f32 / large as f32) * (at as f32 + 0.5) - 0.5;
    let x = if x > 0.0 { x } else { 0.0 };
    let low = (x as usize).min(small - 1);
    Position { low, high: (low + 1).min(small - 1), weight: x - low as f32 }
}

/// Numbers of a small map.
#[derive(Clone, Copy)]
pub(crate) enum Pixels<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

/// A small map, or the products of one with nine taps, of which some lines are in memory.
#[derive(Clone, Copy)]
pub(crate) struct Small<'a> {
    /// `[ring][width][taps][channels]`; line y is at y % ring.
    pub data: Pixels<'a>,
    pub ring: usize,
    pub width: usize,
    pub height: usize,
    /// 1 or 9.
    pub taps: usize,
}

/// Numbers of scratch that a worker needs for small maps up to `width` wide.
pub(crate) fn scratch(width: usize, channels: usize) -> usize {
    3 * width * channels.min(CHANNELS)
}

/// Adds small maps to lines `y0..` of a map of `width` x `height` in `out`, `[lines][width][channels]`.
#[derive(Clone, Copy)]
pub(crate) struct Upsample<'a> {
    pub isa: Isa,
    pub par: &'a dyn Parallel,
    pub width: usize,
    pub height: usize,
    /// Padded.
    pub channels: usize,
}

impl Upsample<'_> {
    /// `scratch`: [`scratch`] numbers for each worker.
    pub fn add(&self, small: &[Small], y0: usize, out: &mut [f32], scratch: &mut [f32]) {
        let lines = out.len() / (self.width * self.channels);
        let blocks = self.channels.div_ceil(CHANNELS);
        let out = Shared::new(out);
        with_scratch(self.par, blocks, scratch, |block, scratch| {
            let first = block * CHANNELS;
            let count = CHANNELS.min(self.channels - first);
            for line in 0..lines {
                for map in small {
                    self.add_line(map, (y0 + line, line), first, count, &out, scratch);
                }
            }
        });
    }

    /// Channels `first..first + count` of line `y`, which is line `line` of `out`.
    fn add_line(
        &self,
        map: &Small,
        (y, line): (usize, usize),
        first: usize,
        count: usize,
        out: &Shared<f32>,
        scratch: &mut [f32],
    ) {
        let pixel = map.taps * self.channels;
        let shifts = if map.taps == 9 { 3 } else { 1 };
        // Down the columns first: for each horizontal shift, the sum over the vertical ones.
        let columns = &mut scratch[..shifts * map.width * count];
        columns.fill(0.0);
        for dy in 0..shifts {
            let Some(y) = (y + dy).checked_sub(shifts / 2).filter(|&y| y < self.height) else { continue };
            let p = position(y, map.height, self.height);
            for dx in 0..shifts {
                let tap = (dy * shifts + dx) * self.channels + first;
                let [low, high] = [p.low, p.high].map(|y| y % map.ring * map.width * pixel + tap);
                let sums = &mut columns[dx * map.width * count..][..map.width * count];
                match map.data {
                    Pixels::F32(x) => {
                        self.isa.add_columns(&x[low..], &x[high..], pixel, p.weight, count, sums)
                    }
                    Pixels::Bf16(x) => {
                        self.isa.add_columns_bf16(&x[low..], &x[high..], pixel, p.weight, count, sums)
                    }
                }
            }
        }
        // Then along the line.
        for (dx, columns) in columns.chunks(map.width * count).enumerate() {
            let start = line * self.width * self.channels + first;
            let len = (self.width - 1) * self.channels + count;
            // SAFETY: no other task touches channels first..first + count of any line, and the kernel touches no other.
            let out = unsafe { out.at(start) };
            let along = Along {
                columns,
                small: map.width,
                large: self.width,
                shift: dx as isize - shifts as isize / 2,
            };
            // SAFETY: `out` has `len` numbers from there: the map holds this line.
            unsafe { self.isa.add_along(&along, count, out, self.channels, len) };
        }
    }
}
