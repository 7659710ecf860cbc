//! The products of a small map with the nine taps of a 3x3 convolution, waiting in memory to be interpolated and added.

use super::{Call, Context};
use crate::activations::{RowsMut, typed};
use crate::kernels::gemm::{Number, Segment};
use crate::kernels::interpolate::{Pixels, Small};
use crate::weights::Linear;
use half::bf16;

/// A ring of lines of products, `[ring][width][9][channels]`: bfloat16 where integers were multiplied, whose noise is greater
/// than what bfloat16 rounds away.
pub(super) enum Products<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

/// Bytes of `pixels` pixels' products with `weights` over `c` padded channels.
pub(crate) fn products_bytes(weights: &Linear, pixels: usize, c: usize) -> usize {
    9 * pixels * c * if weights.is_int8() { size_of::<bf16>() } else { size_of::<f32>() }
}

impl<'a> Products<'a> {
    /// Lays them over a region of the arena of at least [`products_bytes`].
    pub fn new(region: &'a mut [u8], weights: &Linear, pixels: usize, c: usize) -> Self {
        match weights.is_int8() {
            true => Products::Bf16(typed(region, 9 * pixels * c)),
            false => Products::F32(typed(region, 9 * pixels * c)),
        }
    }

    /// Makes lines of `count` rows each: from a segment's `to` on.
    pub fn make(
        &mut self,
        cx: &mut Context,
        weights: &Linear,
        rows: &RowsMut,
        lines: &[Segment],
        count: usize,
    ) {
        match self {
            Products::F32(out) => nine(cx, weights, rows, lines, count, out),
            Products::Bf16(out) => nine(cx, weights, rows, lines, count, out),
        }
    }

    /// As a map of `size` to be interpolated, of which `ring` lines are there.
    pub fn map(&self, ring: usize, (width, height): (usize, usize)) -> Small<'_> {
        let data = match self {
            Products::F32(data) => Pixels::F32(data),
            Products::Bf16(data) => Pixels::Bf16(data),
        };
        Small { data, ring, width, height, taps: 9 }
    }
}

fn nine<T: Number>(
    cx: &mut Context,
    weights: &Linear,
    rows: &RowsMut,
    lines: &[Segment],
    count: usize,
    out: &mut [T],
) {
    let c = cx.pitch();
    for tap in 0..9 {
        let call = Call { step: 9, ..Call::new(weights, rows.rows()).tap(tap).bare() };
        cx.product(call, lines, count, &mut out[tap * c..]);
    }
}
