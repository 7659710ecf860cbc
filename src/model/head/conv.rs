//! The 3x3 convolutions at levels 0 to 2: a ring of map rows in, f32 rows out. A convolution runs directly, or by Winograd's
//! F(2x2, 3x3) or F(4x4, 3x3) if its weights are stored for that. Map rows have a blank pixel at both ends.

use super::rings::FINE_ROWS;
use super::work::Work;
use crate::error::Error;
use crate::file::format::{padded, winograd_points};
use crate::file::{Linear, LinearShape};
use crate::model::context::Context;
use crate::observe::Stage;
use crate::ops::gemm::conv3x3::conv_segment;
use crate::ops::gemm::{Gemm, PanelProduct, Segments};
use crate::ops::map_step::{Added, Bf16Ring, MapStep, Product, WorkerScratch};
use crate::ops::rows::{RowsMut, RowsShape, typed};
use crate::ops::winograd::{self, RowRing, WinogradConv};
use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::Activation;
use core::ops::Range;
use half::bf16;

/// The size and type of a ring of map rows that a 3x3 convolution reads.
#[derive(Clone, Copy)]
pub(super) struct ConvInputShape {
    rows: RowsShape,
    winograd: bool,
}

impl ConvInputShape {
    /// A ring of `slots` map rows of `width` pixels, in the form that `weights` reads.
    pub fn of(slots: usize, width: usize, weights: LinearShape) -> Self {
        let rows = RowsShape::of(slots * (width + 2), weights);
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
    /// Whether the convolution is direct.
    pub fn is_direct(&self) -> bool {
        matches!(self, ConvInput::Rows(_))
    }

    /// The ring of `slots` slots to which a step copies its rows `rows`, if it holds bfloat16. Otherwise [`store`](ConvInput::store)
    /// stores them after the step.
    pub fn bf16_ring(&mut self, slots: usize, rows: Range<usize>) -> Option<Bf16Ring<'_>> {
        match self {
            ConvInput::Rows(_) => None,
            ConvInput::Bf16(data) => Some(Bf16Ring { data, slots, rows }),
        }
    }

    /// Stores the map rows of `width` pixels in `x`, the first of which is row `y` of the map, in a ring of `slots` slots; unless
    /// the step that computed them has copied them ([`bf16_ring`](ConvInput::bf16_ring)).
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks to stop.
    pub fn store(
        &mut self,
        cx: &mut Context,
        stage: Stage,
        (y, slots, width): (usize, usize, usize),
        x: &[f32],
    ) -> Result<(), Error> {
        let ConvInput::Rows(rows) = self else { return Ok(()) };
        let n = cx.facts.head_channels;
        let store = rows.reborrow().store_map(cx.isa, x, (width, n, 1), move |i| (y + i) % slots);
        Work::new(0, store).run(cx, stage)
    }
}

/// What a convolution needs to compute at most `at_once` map rows of `width` pixels in one step: bytes of transformed tiles, and
/// f32 of scratch for each worker.
pub(super) fn scratch_sizes(weights: LinearShape, width: usize, at_once: usize) -> (usize, usize) {
    let Some(tile) = weights.winograd_tile() else { return (0, 0) };
    let tiles = width / tile * (at_once / tile);
    let rows = RowsShape { rows: tiles * winograd_points(tile), k: weights.k, int8: true };
    (rows.bytes(), winograd::scratch(tile, padded(weights.k)))
}

/// A 3x3 convolution of a map. By Winograd it is two steps, [`transform`](Conv::transform) and [`product`](Conv::product); a direct
/// one is the latter alone.
pub(super) struct Conv<'a> {
    pub isa: Isa,
    pub weights: &'a Linear<'a>,
    /// Width and height of the map in pixels.
    pub size: (usize, usize),
    /// Map rows that the input holds.
    pub slots: usize,
    pub activation: Activation,
    /// Whether the bias is added.
    pub bias: bool,
}

impl<'a> Conv<'a> {
    /// The transformed tiles of `rows` map rows, in the region `tiles`.
    fn tiles<'t>(&self, rows: usize, tiles: &'t mut [u8]) -> (usize, usize, RowsMut<'t>) {
        let tile = self.weights.winograd_tile().unwrap_or(2);
        let strips = rows / tile;
        let count = strips * (self.size.0 / tile) * winograd_points(tile);
        (tile, strips, RowsShape { rows: count, k: self.weights.k, int8: true }.over(tiles))
    }

    /// The tasks of the input transform of `rows` map rows from `first` on, which must be whole tiles, into `tiles`. A direct
    /// convolution has none.
    pub fn transform<'t>(
        &self,
        x: &'t ConvInput,
        (first, rows): (isize, usize),
        tiles: &'t mut [u8],
        scratch: WorkerScratch<'t>,
    ) -> Option<Work<impl Fn(usize, usize) + Sync + use<'t>>> {
        let ConvInput::Bf16(data) = x else { return None };
        let ring = RowRing { data, slots: self.slots, width: self.size.0, height: self.size.1 };
        let (tile, strips, tiles) = self.tiles(rows, tiles);
        let scratch = (scratch.workers, scratch.winograd);
        let (grid, k) = ((self.isa, tile), self.weights.k);
        Some(Work::new(0, winograd::transform_input(grid, ring, (first, strips), k, tiles, scratch)))
    }

    /// The products that compute `rows` map rows from `first` on, to `out`, and what follows: `added`, and a copy of rows to `copy_to`.
    /// `tiles` holds the transformed tiles of `x`, if there are any.
    /// At most [`MAX_SEGMENTS`](crate::ops::gemm::MAX_SEGMENTS) rows if the convolution is direct.
    pub fn product<'t>(
        &self,
        cx: &mut Context,
        (x, tiles): (&'t ConvInput, &'t mut [u8]),
        (first, rows): (isize, usize),
        (added, copy_to): (Added<'t>, Option<Bf16Ring<'t>>),
        out: &'t mut [f32],
        scratch: WorkerScratch<'t>,
    ) -> Work<impl Fn(usize, usize) + Sync + use<'t>>
    where
        'a: 't,
    {
        let (map, product) = (cx.upsample(self.size), self.convolution(x, (first, rows), tiles));
        let macs = cx.show_product(&product);
        let out = &mut out[..rows * map.width * map.channels];
        Work::new(macs, MapStep { product, added, copy_to, map, y0: first, out }.tasks(scratch))
    }

    /// The convolution at the start of a step that computes `rows` map rows from `first` on.
    fn convolution<'t>(
        &self,
        x: &'t ConvInput,
        (first, rows): (isize, usize),
        tiles: &'t mut [u8],
    ) -> Product<'t>
    where
        'a: 't,
    {
        let bias = if self.bias { self.weights.bias(0) } else { None };
        let (isa, weights, activation) = (self.isa, self.weights, self.activation);
        match x {
            ConvInput::Bf16(_) => {
                let (tile, strips, x) = self.tiles(rows, tiles);
                let (x, tiles) = (x.into_rows(), self.size.0 / tile);
                Product::Winograd(WinogradConv { isa, tile, weights, bias, activation, x, tiles, strips })
            }
            // Nine matrices, one per kernel position, summed in each matrix product.
            ConvInput::Rows(x) => {
                let w = self.size.0;
                let segment = |i| conv_segment(first as usize + i, self.size, self.slots, i * w);
                let gemm = Gemm { bias: self.bias, ..Gemm::new(weights, x.rows()).conv3x3() };
                let (gemm, segments) = (gemm.activation(activation), Segments::new((0..rows).map(segment)));
                Product::Gemm(PanelProduct { gemm, segments, len: w })
            }
        }
    }
}

/// The map rows that one step of a convolution computes: whole Winograd tiles, or any rows if it is direct.
pub(super) struct ConvRows {
    /// The number of the first row. If it is negative, the first rows lie above the map.
    pub first: isize,
    /// How many there are.
    pub count: usize,
    /// Those of them that are rows of the map.
    pub inside: Range<usize>,
}

impl ConvRows {
    /// The rows of the next step, after the `done` map rows computed so far. The caller needs the rows below `end`.
    pub fn next(weights: &Linear, done: usize, end: usize, height: usize) -> ConvRows {
        let (above, rows) = next_counts(weights, done, end, height);
        ConvRows {
            first: done as isize - above as isize,
            count: above + rows,
            inside: above..above + rows.min(height - done),
        }
    }

    /// The number of the first row that is a row of the map.
    pub fn first_inside(&self) -> usize {
        (self.first + self.inside.start as isize) as usize
    }

    /// The rows of `out`, the output of the step, that are rows of the map.
    pub fn rows_of<'o>(&self, row_len: usize, out: &'o [f32]) -> &'o [f32] {
        &out[self.inside.start * row_len..self.inside.end * row_len]
    }

    /// The first row and the number of rows.
    pub fn span(&self) -> (isize, usize) {
        (self.first, self.count)
    }
}

/// The rows of the next step of a convolution: how many lie above the map, and how many in the map or below it.
///
/// With Winograd tiles of 4x4 a step computes four rows, and the first one begins three rows above the map
/// ([`schedule`](super::schedule) explains the shift). Otherwise it computes an even number of rows, at most [`FINE_ROWS`]; only
/// the last step of a map may compute an odd number.
fn next_counts(weights: &Linear, done: usize, end: usize, height: usize) -> (usize, usize) {
    match (weights.winograd_tile(), done) {
        (Some(4), 0) => (3, 1),
        (Some(4), _) => (0, 4),
        _ => (0, (end.next_multiple_of(2).min(height) - done).min(FINE_ROWS)),
    }
}
