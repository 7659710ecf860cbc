//! The products of a small map with the nine taps of a 3x3 convolution, waiting in memory to be interpolated and added.

use super::{Call, Context};
use crate::activations::{RowsMut, typed};
use crate::format::LANES;
use crate::kernels::gemm::{Number, Segment};
use crate::kernels::interpolate::{Pixels, Tapped};
use crate::weights::Linear;
use half::bf16;

/// A ring of lines of products, `[ring][panel][dy][width][dx][16]`, as interpolation reads them: bfloat16 where integers were
/// multiplied, whose noise is greater than what bfloat16 rounds away.
pub(super) enum Products<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

/// Bytes of `pixels` pixels' products with `weights` over `c` padded channels.
pub(crate) fn products_bytes(weights: &Linear, pixels: usize, c: usize) -> usize {
    9 * pixels * c * if weights.is_int8() { size_of::<bf16>() } else { size_of::<f32>() }
}

/// A line of a map: its first row, and its place in the ring.
pub(super) type Line = (usize, usize);

/// The most lines that are multiplied together.
const MAX_LINES: usize = 8;

impl<'a> Products<'a> {
    /// Lays them over a region of the arena of at least [`products_bytes`].
    pub fn new(region: &'a mut [u8], weights: &Linear, pixels: usize, c: usize) -> Self {
        match weights.is_int8() {
            true => Products::Bf16(typed(region, 9 * pixels * c)),
            false => Products::F32(typed(region, 9 * pixels * c)),
        }
    }

    /// Makes lines of `width` rows each, at most eight, in the order of the ring: the weights are read once for all.
    pub fn make(
        &mut self,
        cx: &mut Context,
        weights: &Linear,
        rows: &RowsMut,
        lines: impl Iterator<Item = Line>,
        width: usize,
    ) {
        let mut segments = [Segment::line(0, 0); MAX_LINES];
        let mut count = 0;
        for (row, slot) in lines {
            segments[count] = Segment::line(row, slot * 9 * width * weights.panel_count());
            count += 1;
        }
        match self {
            Products::F32(out) => nine(cx, weights, rows, &segments[..count], width, out),
            Products::Bf16(out) => nine(cx, weights, rows, &segments[..count], width, out),
        }
    }

    /// As a map of `size` to be interpolated, of which `ring` lines are there.
    pub fn map(&self, ring: usize, (width, height): (usize, usize)) -> Tapped<'_> {
        let data = match self {
            Products::F32(data) => Pixels::F32(data),
            Products::Bf16(data) => Pixels::Bf16(data),
        };
        Tapped { data, ring, width, height }
    }
}

fn nine<T: Number>(
    cx: &mut Context,
    weights: &Linear,
    rows: &RowsMut,
    lines: &[Segment],
    width: usize,
    out: &mut [T],
) {
    for tap in 0..9 {
        let layout =
            Call { step: 3, pitch: LANES, panel: 9 * width * LANES, ..Call::new(weights, rows.rows()) };
        let first = tap / 3 * width * 3 + tap % 3;
        cx.product(layout.tap(tap).bare(), lines, width, &mut out[first * LANES..]);
    }
}
