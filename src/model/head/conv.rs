//! The 3x3 convolutions of levels 0 to 2, over rings of rows with blank borders: direct, or by Winograd's F(2x2, 3x3) or
//! F(4x4, 3x3).

use super::rings::FINE_ROWS;
use crate::file::Linear;
use crate::file::format::{padded, winograd_points};
use crate::model::context::Context;
use crate::ops::gemm::conv3x3::{bordered, conv_segment};
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::rows::{RowsMut, RowsShape, typed};
use crate::ops::winograd::{self, RowRing, WinogradConv};
use crate::parallel::chunks::chunks;
use crate::simd::kernels::epilogue::Activation;
use half::bf16;

/// Rows that one product computes directly, a segment each.
const DIRECT_ROWS: usize = 8;

/// The size and type of a ring of rows that a 3x3 convolution reads.
#[derive(Clone, Copy)]
pub(super) struct ConvInputShape {
    rows: RowsShape,
    winograd: bool,
}

impl ConvInputShape {
    /// `ring` rows of `width` pixels between blank ones, as `weights` reads them.
    pub fn of(ring: usize, width: usize, weights: &Linear) -> Self {
        let rows = RowsShape::of(ring * (width + 2), weights);
        ConvInputShape { rows, winograd: weights.winograd_tile().is_some() }
    }

    pub fn bytes(self) -> usize {
        match self.winograd {
            true => (self.rows.rows * padded(self.rows.k) * size_of::<bf16>()).next_multiple_of(64),
            false => self.rows.bytes(),
        }
    }

    /// Lays the ring over a region of the arena of at least [`ConvInputShape::bytes`].
    pub fn over(self, region: &mut [u8]) -> ConvInput<'_> {
        match self.winograd {
            true => ConvInput::Bf16(typed(region, self.rows.rows * padded(self.rows.k))),
            false => ConvInput::Rows(self.rows.over(region)),
        }
    }
}

/// A ring of rows as the convolution that reads them wants them: quantised (or f32) rows, or bfloat16 for Winograd, which
/// quantises after its transform. (Half precision could overflow; bfloat16 rounds away far less than int8 does.)
pub(super) enum ConvInput<'a> {
    Rows(RowsMut<'a>),
    Bf16(&'a mut [bf16]),
}

impl ConvInput<'_> {
    /// Stores a row of `width` pixels, f32, between two blank ones.
    pub fn store(&mut self, cx: &Context, slot: usize, width: usize, row: &[f32]) {
        match self {
            ConvInput::Rows(rows) => store_bordered(cx, rows, slot, width, row),
            ConvInput::Bf16(data) => {
                let c = cx.pitch();
                let (first, isa) = (bordered(slot, width) * c, cx.isa);
                data[first - c..first].fill(bf16::ZERO);
                chunks(cx.par, &mut data[first..][..width * c], 16 * c, |i, out| {
                    isa.to_bf16(&row[i * 16 * c..][..out.len()], out);
                });
                data[first + width * c..][..c].fill(bf16::ZERO);
            }
        }
    }
}

/// Stores a row of `width` pixels, f32, between two blank ones.
pub(super) fn store_bordered(cx: &Context, rows: &mut RowsMut, slot: usize, width: usize, row: &[f32]) {
    let first = bordered(slot, width);
    rows.blank(first - 1);
    cx.store(rows, first, row);
    rows.blank(first + width);
}

/// Scratch of the convolutions, which no later step reads.
pub(super) struct ConvScratch<'a> {
    /// Rows of transformed tiles; other steps use the same region for rows of their own.
    pub rows: &'a mut [u8],
    /// Each worker's scratch for Winograd.
    pub workers: &'a mut [f32],
}

/// Bytes of [`ConvScratch::rows`], and numbers of [`ConvScratch::workers`] for each worker, of a convolution that computes at
/// most `at_once` rows of `width` pixels in one call.
pub(super) fn scratch_sizes(weights: &Linear, width: usize, at_once: usize) -> (usize, usize) {
    let Some(tile) = weights.winograd_tile() else { return (0, 0) };
    let tiles = width / tile * winograd::strips_at_once(width / tile, at_once / tile);
    let rows = RowsShape { rows: tiles * winograd_points(tile), k: weights.k, int8: true };
    (rows.bytes(), winograd::scratch(tile, padded(weights.k)))
}

/// One convolution.
pub(super) struct Conv<'a> {
    pub weights: &'a Linear<'a>,
    pub x: &'a ConvInput<'a>,
    /// Width and height of the map.
    pub size: (usize, usize),
    /// Rows of the map that `x` holds.
    pub ring: usize,
    pub activation: Activation,
    /// Whether the bias is added.
    pub bias: bool,
}

impl Conv<'_> {
    /// Computes rows `first..` of the map, as many as `out` holds: whole tiles. Rows outside the map are unspecified.
    pub fn run(&self, cx: &mut Context, first: isize, scratch: &mut ConvScratch, out: &mut [f32]) {
        match self.x {
            ConvInput::Bf16(x) => self.winograd(cx, x, first, scratch, out),
            ConvInput::Rows(x) => self.direct(cx, x, first, out),
        }
    }

    fn direct(&self, cx: &mut Context, x: &RowsMut, first: isize, out: &mut [f32]) {
        let w = self.size.0;
        for (i, out) in out.chunks_mut(DIRECT_ROWS * w * cx.pitch()).enumerate() {
            let first = first as usize + i * DIRECT_ROWS;
            let segments: [Segment; DIRECT_ROWS] =
                core::array::from_fn(|i| conv_segment(first + i, self.size, self.ring, i * w));
            let rows = out.len() / (w * cx.pitch());
            let gemm = Gemm { bias: self.bias, ..Gemm::new(self.weights, x.rows()).conv3x3() };
            cx.gemm(gemm.activation(self.activation), &segments[..rows], w, out);
        }
    }

    fn winograd(&self, cx: &mut Context, x: &[bf16], first: isize, t: &mut ConvScratch, out: &mut [f32]) {
        let ((width, height), k, c) = (self.size, self.weights.k, cx.pitch());
        let ring = RowRing { data: x, ring: self.ring, width, height };
        let tile = self.weights.winograd_tile().unwrap_or(2);
        let (tiles, points, strip) = (width / tile, winograd_points(tile), tile * width * c);
        let at_once = winograd::strips_at_once(tiles, out.len() / strip);
        for (i, out) in out.chunks_mut(at_once * strip).enumerate() {
            let (first, strips) = (first + (i * at_once * tile) as isize, out.len() / strip);
            let pixels = strips * tiles * points;
            let mut rows = RowsShape { rows: pixels, k, int8: true }.over(t.rows);
            winograd::transform_input(
                (cx.isa, cx.par),
                tile,
                &ring,
                (first, strips),
                k,
                &mut rows,
                t.workers,
            );
            cx.macs += (pixels * k * self.weights.n) as u64;
            let bias = if self.bias { self.weights.bias(0) } else { None };
            let (isa, weights, activation) = (cx.isa, self.weights, self.activation);
            WinogradConv { isa, tile, weights, bias, activation, x: rows.rows(), tiles, strips }
                .run(cx.par, out, t.workers);
        }
    }
}

/// The next rows of a level's 3x3 convolution in `buffer`, given that `done` are computed and rows up to `end` are needed.
/// Returns the rows inside the map; some may lie behind `end`.
pub(super) fn next_rows<'b>(
    cx: &mut Context,
    conv: &Conv,
    end: usize,
    done: &mut usize,
    scratch: &mut ConvScratch,
    buffer: &'b mut [f32],
) -> &'b [f32] {
    let ((w, h), first) = (conv.size, *done);
    let row = w * cx.pitch();
    let (above, rows) = strip(conv.weights, first, end, h);
    let out = &mut buffer[..(above + rows) * row];
    conv.run(cx, first as isize - above as isize, scratch, out);
    let rows = rows.min(h - first);
    *done += rows;
    &out[above * row..][..rows * row]
}

/// The strip that a 3x3 convolution computes next: how many of its rows lie above the map, and how many in it or below.
///
/// Tiles of 4x4 make one strip of four rows; the first one begins three rows above the map. All others make pairs of rows, at
/// most [`FINE_ROWS`].
fn strip(weights: &Linear, done: usize, end: usize, height: usize) -> (usize, usize) {
    match (weights.winograd_tile(), done) {
        (Some(4), 0) => (3, 1),
        (Some(4), _) => (0, 4),
        _ => (0, (end.next_multiple_of(2).min(height) - done).min(FINE_ROWS)),
    }
}
