//! The 3x3 convolutions at levels 0 to 2: a ring of map rows in, f32 rows out. A convolution runs directly, or by Winograd's
//! F(2x2, 3x3) or F(4x4, 3x3) if its weights are stored for that. Map rows have a blank pixel at both ends.

use super::rings::FINE_ROWS;
use crate::file::format::{padded, winograd_points};
use crate::file::{Linear, LinearShape};
use crate::model::context::Context;
use crate::ops::gemm::conv3x3::{bordered, conv_segment};
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::rows::{RowsMut, RowsShape, typed};
use crate::ops::winograd::{self, RowRing, WinogradConv};
use crate::parallel::chunks::chunks;
use crate::simd::kernels::epilogue::Activation;
use half::bf16;

/// The most map rows that one matrix product of a direct convolution computes, one segment each.
const DIRECT_ROWS: usize = 8;

/// The size and type of a ring of map rows that a 3x3 convolution reads.
#[derive(Clone, Copy)]
pub(super) struct ConvInputShape {
    rows: RowsShape,
    winograd: bool,
}

impl ConvInputShape {
    /// `ring` map rows of `width` pixels, in the form that `weights` reads.
    pub fn of(ring: usize, width: usize, weights: LinearShape) -> Self {
        let rows = RowsShape::of(ring * (width + 2), weights);
        ConvInputShape { rows, winograd: weights.winograd_tile().is_some() }
    }

    /// Size of the ring in bytes, a multiple of 64.
    pub fn bytes(self) -> usize {
        match self.winograd {
            true => (self.rows.rows * padded(self.rows.k) * size_of::<bf16>()).next_multiple_of(64),
            false => self.rows.bytes(),
        }
    }

    /// Places the ring in a region of the arena of at least [`ConvInputShape::bytes`].
    pub fn over(self, region: &mut [u8]) -> ConvInput<'_> {
        match self.winograd {
            true => ConvInput::Bf16(typed(region, self.rows.rows * padded(self.rows.k))),
            false => ConvInput::Rows(self.rows.over(region)),
        }
    }
}

/// A ring of map rows in the form that the convolution reads: f32 or quantised rows for a direct one, bfloat16 for Winograd,
/// which quantises after its input transform. (f16 could overflow, and the rounding of bfloat16 is small next to that of int8.)
pub(super) enum ConvInput<'a> {
    Rows(RowsMut<'a>),
    Bf16(&'a mut [bf16]),
}

impl ConvInput<'_> {
    /// Stores a map row of `width` pixels, f32, in slot `slot` of the ring.
    pub fn store(&mut self, cx: &Context, slot: usize, width: usize, row: &[f32]) {
        match self {
            ConvInput::Rows(rows) => store_bordered(cx, rows, (slot, width), row, cx.facts.head_channels),
            ConvInput::Bf16(data) => {
                let c = cx.head_pitch();
                let (first, isa) = (bordered(slot, width) * c, cx.isa);
                data[first - c..first].fill(bf16::ZERO);
                chunks(cx.workers, &mut data[first..][..width * c], 16 * c, |i, out| {
                    isa.to_bf16(&row[i * 16 * c..][..out.len()], out);
                });
                data[first + width * c..][..c].fill(bf16::ZERO);
            }
        }
    }
}

/// Stores a map row of `width` pixels of `n` channels, f32, in slot `slot`, with a blank pixel at both ends.
pub(super) fn store_bordered(
    cx: &Context,
    rows: &mut RowsMut,
    (slot, width): (usize, usize),
    row: &[f32],
    n: usize,
) {
    let first = bordered(slot, width);
    rows.blank(first - 1);
    rows.store(cx.workers, cx.isa, first, row, n);
    rows.blank(first + width);
}

/// Scratch of the convolutions. Nothing in it outlives a step.
pub(super) struct ConvScratch<'a> {
    /// Rows of transformed Winograd tiles ([`Buf::TransientRows`](crate::arena::Buf::TransientRows)); other steps use the region
    /// for other rows.
    pub rows: &'a mut [u8],
    /// Scratch of each worker for Winograd.
    pub workers: &'a mut [f32],
}

/// What a convolution needs of [`ConvScratch`] to compute at most `at_once` map rows of `width` pixels in one call: bytes of
/// `rows`, and f32 of `workers` for each worker.
pub(super) fn scratch_sizes(weights: LinearShape, width: usize, at_once: usize) -> (usize, usize) {
    let Some(tile) = weights.winograd_tile() else { return (0, 0) };
    let tiles = width / tile * winograd::strips_at_once(width / tile, at_once / tile);
    let rows = RowsShape { rows: tiles * winograd_points(tile), k: weights.k, int8: true };
    (rows.bytes(), winograd::scratch(tile, padded(weights.k)))
}

/// A 3x3 convolution of a map.
pub(super) struct Conv<'a> {
    pub weights: &'a Linear<'a>,
    pub x: &'a ConvInput<'a>,
    /// Width and height of the map in pixels.
    pub size: (usize, usize),
    /// Map rows that `x` holds.
    pub ring: usize,
    pub activation: Activation,
    /// Whether the bias is added.
    pub bias: bool,
}

impl Conv<'_> {
    /// Computes map rows from `first` on, as many as `out` holds, which must be whole tiles. Rows outside the map are
    /// unspecified.
    pub fn run(&self, cx: &mut Context, first: isize, scratch: &mut ConvScratch, out: &mut [f32]) {
        match self.x {
            ConvInput::Bf16(x) => self.winograd(cx, x, first, scratch, out),
            ConvInput::Rows(x) => self.direct(cx, x, first, out),
        }
    }

    /// The direct convolution: nine matrices, one per kernel position, summed in each matrix product.
    fn direct(&self, cx: &mut Context, x: &RowsMut, first: isize, out: &mut [f32]) {
        let w = self.size.0;
        for (i, out) in out.chunks_mut(DIRECT_ROWS * w * cx.head_pitch()).enumerate() {
            let first = first as usize + i * DIRECT_ROWS;
            let segments: [Segment; DIRECT_ROWS] =
                core::array::from_fn(|i| conv_segment(first + i, self.size, self.ring, i * w));
            let rows = out.len() / (w * cx.head_pitch());
            let gemm = Gemm { bias: self.bias, ..Gemm::new(self.weights, x.rows()).conv3x3() };
            cx.gemm(gemm.activation(self.activation), &segments[..rows], w, out);
        }
    }

    /// The convolution by Winograd, a few strips of tiles at a time: input transform, products, output transform.
    fn winograd(
        &self,
        cx: &mut Context,
        x: &[bf16],
        first: isize,
        scratch: &mut ConvScratch,
        out: &mut [f32],
    ) {
        let ((width, height), k, c) = (self.size, self.weights.k, cx.head_pitch());
        let ring = RowRing { data: x, ring: self.ring, width, height };
        let tile = self.weights.winograd_tile().unwrap_or(2);
        let (tiles, points, strip_len) = (width / tile, winograd_points(tile), tile * width * c);
        let at_once = winograd::strips_at_once(tiles, out.len() / strip_len);
        for (i, out) in out.chunks_mut(at_once * strip_len).enumerate() {
            let (first, strips) = (first + (i * at_once * tile) as isize, out.len() / strip_len);
            let pixels = strips * tiles * points;
            let mut rows = RowsShape { rows: pixels, k, int8: true }.over(scratch.rows);
            winograd::transform_input(
                (cx.isa, cx.workers),
                tile,
                &ring,
                (first, strips),
                k,
                &mut rows,
                scratch.workers,
            );
            cx.macs += (pixels * k * self.weights.n) as u64;
            let bias = if self.bias { self.weights.bias(0) } else { None };
            let (isa, weights, activation) = (cx.isa, self.weights, self.activation);
            WinogradConv { isa, tile, weights, bias, activation, x: rows.rows(), tiles, strips }.run(
                cx.workers,
                out,
                scratch.workers,
            );
        }
    }
}

/// Computes the next strip of a convolution, which begins after the `done` map rows computed so far, into `buffer`. The caller
/// needs the rows below `end`. Advances `done` and returns the new rows inside the map, some of which may lie beyond `end`.
pub(super) fn next_rows<'b>(
    cx: &mut Context,
    conv: &Conv,
    end: usize,
    done: &mut usize,
    scratch: &mut ConvScratch,
    buffer: &'b mut [f32],
) -> &'b [f32] {
    let ((w, h), first) = (conv.size, *done);
    let row_len = w * cx.head_pitch();
    let (above, rows) = strip(conv.weights, first, end, h);
    let out = &mut buffer[..(above + rows) * row_len];
    conv.run(cx, first as isize - above as isize, scratch, out);
    let rows = rows.min(h - first);
    *done += rows;
    &out[above * row_len..][..rows * row_len]
}

/// The next strip of a convolution: how many of its rows lie above the map, and how many in the map or below it.
///
/// With Winograd tiles of 4x4 a strip has four rows, and the first strip begins three rows above the map
/// ([`schedule`](super::schedule) explains the shift). Otherwise a strip has an even number of rows, at most [`FINE_ROWS`]; only
/// the last strip of a map may have an odd number.
fn strip(weights: &Linear, done: usize, end: usize, height: usize) -> (usize, usize) {
    match (weights.winograd_tile(), done) {
        (Some(4), 0) => (3, 1),
        (Some(4), _) => (0, 4),
        _ => (0, (end.next_multiple_of(2).min(height) - done).min(FINE_ROWS)),
    }
}
