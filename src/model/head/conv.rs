//! The 3x3 convolutions of the finer levels, on rings of lines with blank borders: direct, or by Winograd's F(2x2, 3x3) or
//! F(4x4, 3x3).

use super::top::store_bordered;
use super::{Call, Context, bordered, conv_segment};
use crate::activations::{RowsMut, rows_bytes, typed};
use crate::format::{padded, winograd_taps};
use crate::kernels::epilogue::Activation;
use crate::kernels::gemm::Segment;
use crate::kernels::split::chunks;
use crate::kernels::winograd;
use crate::weights::Linear;
use half::bf16;

/// Lines that one call makes directly.
const TOGETHER: usize = 8;

/// A ring of lines as the convolution that reads them wants them: rows, or bfloat16 where they are quantised only once
/// transformed. (Half precision could overflow; what bfloat16 rounds away is far below what int8 does.)
pub(super) enum Lines<'a> {
    Rows(RowsMut<'a>),
    Bf16(&'a mut [bf16]),
}

/// Bytes of `count` lines of `width` pixels of `n` numbers that `weights` reads.
pub(crate) fn lines_bytes(weights: &Linear, count: usize, width: usize, n: usize) -> usize {
    let pixels = count * (width + 2);
    match weights.winograd_tile().is_some() {
        true => (pixels * padded(n) * size_of::<bf16>()).next_multiple_of(64),
        false => rows_bytes(pixels, n, weights.is_int8()),
    }
}

impl<'a> Lines<'a> {
    /// Lays them over a region of the arena of at least [`lines_bytes`].
    pub fn new(region: &'a mut [u8], weights: &Linear, count: usize, width: usize, n: usize) -> Self {
        let pixels = count * (width + 2);
        match weights.winograd_tile().is_some() {
            true => Lines::Bf16(typed(region, pixels * padded(n))),
            false => Lines::Rows(RowsMut::new(region, pixels, n, weights.is_int8())),
        }
    }

    /// Stores a line of pixels between two blank ones.
    pub fn store(&mut self, cx: &Context, slot: usize, width: usize, line: &[f32]) {
        match self {
            Lines::Rows(rows) => store_bordered(cx, rows, slot, width, line),
            Lines::Bf16(data) => {
                let c = cx.pitch();
                let (first, isa) = (bordered(slot, width) * c, cx.isa);
                data[first - c..first].fill(bf16::ZERO);
                chunks(cx.par, &mut data[first..][..width * c], 16 * c, |i, out| {
                    isa.to_bf16(&line[i * 16 * c..][..out.len()], out);
                });
                data[first + width * c..][..c].fill(bf16::ZERO);
            }
        }
    }
}

/// Working memory that no later step reads: a region for rows (Winograd's transformed pixels among them), and each worker's
/// scratch for Winograd.
pub(super) struct Passing<'a> {
    pub rows: &'a mut [u8],
    pub scratch: &'a mut [f32],
}

/// One convolution: its weights, the lines it reads, `ring` of them in memory.
pub(super) struct Conv<'a> {
    pub weights: &'a Linear<'a>,
    pub x: &'a Lines<'a>,
    /// Of the map.
    pub size: (usize, usize),
    pub ring: usize,
    pub activation: Activation,
    /// Whether the bias is added here.
    pub bias: bool,
}

impl Conv<'_> {
    /// Lines `first..` of the map, as many as `out` holds, whole tiles; what it makes of lines outside the map means nothing.
    pub fn run(&self, cx: &mut Context, first: isize, passing: &mut Passing, out: &mut [f32]) {
        match self.x {
            Lines::Bf16(x) => self.winograd(cx, x, first, passing, out),
            Lines::Rows(x) => self.direct(cx, x, first, out),
        }
    }

    fn direct(&self, cx: &mut Context, x: &RowsMut, first: isize, out: &mut [f32]) {
        let w = self.size.0;
        // Some lines a call: a segment each.
        for (i, out) in out.chunks_mut(TOGETHER * w * cx.pitch()).enumerate() {
            let first = first as usize + i * TOGETHER;
            let segments: [Segment; TOGETHER] =
                core::array::from_fn(|i| conv_segment(first + i, self.size, self.ring, i * w));
            let lines = out.len() / (w * cx.pitch());
            let call = Call { bias: self.bias, ..Call::new(self.weights, x.rows()).conv() };
            cx.product(call.activation(self.activation), &segments[..lines], w, out);
        }
    }

    fn winograd(&self, cx: &mut Context, x: &[bf16], first: isize, t: &mut Passing, out: &mut [f32]) {
        let ((width, height), n, c) = (self.size, cx.facts.channels, cx.pitch());
        let lines = winograd::Lines { data: x, ring: self.ring, width, height };
        let tile = self.weights.winograd_tile().unwrap_or(2);
        let (tiles, positions, strip) = (width / tile, winograd_taps(tile), tile * width * c);
        let together = winograd::strips(tiles, out.len() / strip);
        for (i, out) in out.chunks_mut(together * strip).enumerate() {
            let (first, strips) = (first + (i * together * tile) as isize, out.len() / strip);
            let pixels = strips * tiles * positions;
            let mut rows = RowsMut::new(t.rows, pixels, n, true);
            winograd::transform((cx.isa, cx.par), tile, &lines, (first, strips), n, &mut rows, t.scratch);
            cx.macs += (pixels * n * self.weights.n) as u64;
            let bias = self.bias.then(|| self.weights.bias(0)).flatten();
            let (isa, weights, activation) = (cx.isa, self.weights, self.activation);
            winograd::Convolution { isa, tile, weights, bias, activation, x: rows.rows(), tiles, strips }
                .run(cx.par, out, t.scratch);
        }
    }
}
