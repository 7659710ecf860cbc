//! The 3x3 convolutions at levels 0 to 2: a ring of map rows in, f32 rows out. A convolution runs directly, or by Winograd's
//! F(2x2, 3x3) or F(4x4, 3x3) if its weights are stored for that. Map rows have a blank pixel at both ends.

use super::rings::FINE_ROWS;
use crate::file::format::{padded, winograd_points};
use crate::file::{Linear, LinearShape};
use crate::model::context::{Context, HeadScratch, WorkerScratch};
use crate::ops::gemm::conv3x3::conv_segment;
use crate::ops::gemm::{Gemm, PanelProduct, Segment};
use crate::ops::map_step::{Added, Bf16Ring, MapStep, Product};
use crate::ops::rows::{RowsMut, RowsShape, typed};
use crate::ops::winograd::{self, RowRing, WinogradConv};
use crate::simd::kernels::epilogue::Activation;
use core::ops::Range;
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
    /// Where a step copies its rows `rows` to, if it can: to a ring of `ring` slots. Otherwise [`store`](ConvInput::store) stores
    /// them after the step.
    pub fn ring(&mut self, ring: usize, rows: Range<usize>) -> Option<Bf16Ring<'_>> {
        match self {
            ConvInput::Rows(_) => None,
            ConvInput::Bf16(data) => Some(Bf16Ring { data, ring, rows }),
        }
    }

    /// Stores the map rows of `width` pixels in `x`, the first of which is row `y` of the map, in a ring of `ring` slots; unless
    /// the step that computed them has copied them ([`ring`](ConvInput::ring)).
    pub fn store(&mut self, cx: &Context, (y, ring, width): (usize, usize, usize), x: &[f32]) {
        if let ConvInput::Rows(rows) = self {
            let n = cx.facts.head_channels;
            rows.store_map(cx.workers, cx.isa, x, (width, n, 1), |i| (y + i) % ring);
        }
    }
}

/// What a convolution needs of [`HeadScratch`] to compute at most `at_once` map rows of `width` pixels in one step: bytes of
/// `rows`, and f32 of `winograd` for each worker.
pub(super) fn scratch_sizes(weights: LinearShape, width: usize, at_once: usize) -> (usize, usize) {
    let Some(tile) = weights.winograd_tile() else { return (0, 0) };
    let tiles = width / tile * (at_once / tile);
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
    /// Computes map rows from `first` on, as many as `out` holds, which must be whole tiles, then adds `added` and copies rows to
    /// `ring`. Rows outside the map are unspecified. There may be more than [`DIRECT_ROWS`] rows only if nothing is added and
    /// nothing copied.
    pub fn run(
        &self,
        cx: &mut Context,
        first: isize,
        scratch: &mut HeadScratch,
        out: &mut [f32],
        (added, ring): (Added, Option<Bf16Ring>),
    ) {
        let map = cx.upsample(self.size);
        match self.x {
            ConvInput::Bf16(x) => {
                let conv = self.winograd(cx, x, (first, out.len()), scratch.rows, scratch.workers.winograd);
                let step = MapStep { product: Product::Winograd(conv), added, ring, map, y0: first, out };
                cx.map_step(step, &mut scratch.workers);
            }
            ConvInput::Rows(x) => self.direct(cx, x, first, &mut scratch.workers, out, (added, ring)),
        }
    }

    /// The direct convolution: nine matrices, one per kernel position, summed in each matrix product.
    fn direct(
        &self,
        cx: &mut Context,
        x: &RowsMut,
        first: isize,
        scratch: &mut WorkerScratch,
        out: &mut [f32],
        (added, mut ring): (Added, Option<Bf16Ring>),
    ) {
        let (w, map) = (self.size.0, cx.upsample(self.size));
        for (i, out) in out.chunks_mut(DIRECT_ROWS * w * map.channels).enumerate() {
            let first = first as usize + i * DIRECT_ROWS;
            let segments: [Segment; DIRECT_ROWS] =
                core::array::from_fn(|i| conv_segment(first + i, self.size, self.ring, i * w));
            let segments = &segments[..out.len() / (w * map.channels)];
            let gemm = Gemm { bias: self.bias, ..Gemm::new(self.weights, x.rows()).conv3x3() };
            let product =
                Product::Gemm(PanelProduct { gemm: gemm.activation(self.activation), segments, len: w });
            cx.map_step(MapStep { product, added, ring: ring.take(), map, y0: first as isize, out }, scratch);
        }
    }

    /// The convolution by Winograd: transforms the input of the rows that `len` numbers of output hold.
    fn winograd<'b>(
        &'b self,
        cx: &Context,
        x: &[bf16],
        (first, len): (isize, usize),
        rows: &'b mut [u8],
        scratch: &mut [f32],
    ) -> WinogradConv<'b> {
        let ((width, height), k) = (self.size, self.weights.k);
        let ring = RowRing { data: x, ring: self.ring, width, height };
        let tile = self.weights.winograd_tile().unwrap_or(2);
        let (tiles, strips) = (width / tile, len / (tile * width * cx.head_pitch()));
        let mut rows = RowsShape { rows: strips * tiles * winograd_points(tile), k, int8: true }.over(rows);
        let isa = cx.isa;
        winograd::transform_input((isa, cx.workers), tile, &ring, (first, strips), k, &mut rows, scratch);
        let bias = if self.bias { self.weights.bias(0) } else { None };
        let (weights, activation) = (self.weights, self.activation);
        WinogradConv { isa, tile, weights, bias, activation, x: rows.into_rows(), tiles, strips }
    }
}

/// The rows that the next strip of a convolution computes.
pub(super) struct Strip {
    /// The map row of the first one. If it is negative, the strip begins above the map.
    pub first: isize,
    /// How many there are.
    pub rows: usize,
    /// Those of them that are rows of the map.
    pub inside: Range<usize>,
}

impl Strip {
    /// The strip that begins after the `done` map rows computed so far. The caller needs the rows below `end`.
    pub fn next(weights: &Linear, done: usize, end: usize, height: usize) -> Strip {
        let (above, rows) = strip(weights, done, end, height);
        Strip {
            first: done as isize - above as isize,
            rows: above + rows,
            inside: above..above + rows.min(height - done),
        }
    }
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
