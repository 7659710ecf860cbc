//! Keys by whole blocks, and the tiles of sums that products with them leave.

use super::super::micro::TileI8;
use super::super::{Isa, LANES};
use super::blend::Blend;
use super::softmax::Weights;
use super::{BLOCK, SPAN, TILE};
use core::ops::Range;

/// Whole blocks that are taken together, or the part of a block at the end.
pub(super) struct Span {
    /// The first block.
    pub first: usize,
    pub blocks: usize,
    /// Of each block.
    pub panels: usize,
}

impl Span {
    pub fn keys(&self) -> Range<usize> {
        let start = self.first * BLOCK;
        start..start + self.blocks * self.panels * LANES
    }
}

/// The spans of `t` keys: whole blocks of patches, at most so many together, then the block or the part of one that holds the class
/// token's key or keys that do not exist.
pub(super) fn spans(t: usize, patches: usize, most: usize) -> impl Iterator<Item = Span> {
    let (whole, rest) = (patches / BLOCK, t - patches / BLOCK * BLOCK);
    let spans = (0..whole).step_by(most);
    let last = Span { first: whole, blocks: 1, panels: rest / LANES };
    spans
        .map(move |first| Span { first, blocks: most.min(whole - first), panels: BLOCK / LANES })
        .chain([last])
}

/// Sums of a tile of queries and blocks of columns.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    pub at: *mut i32,
    /// From one row to the next, and from one panel.
    pub row: usize,
    pub panel: usize,
}

impl Sums {
    /// As [`multiply`] leaves them.
    pub fn new(isa: Isa, sums: &mut [i32], rows: usize, panels: usize) -> Sums {
        let at = sums.as_mut_ptr();
        match isa.shape_block().panels >= panels {
            true => Sums { at, row: panels * LANES, panel: LANES },
            false => Sums { at, row: LANES, panel: rows * LANES },
        }
    }

    /// The sixteen of row `r`, panel `p` of block `b`.
    ///
    /// # Safety
    /// They exist.
    #[inline(always)]
    pub unsafe fn of(self, b: usize, r: usize, p: usize) -> *mut i32 {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(b * TILE + r * self.row + p * self.panel) }
    }
}

/// A product with as many panels at a time as the instruction set takes.
///
/// # Safety
/// As [`TileI8`] asks, for `rows` of at most [`Isa::shape_block`] and `panels` of at most a block.
unsafe fn multiply(isa: Isa, rows: usize, panels: usize, tile: TileI8) {
    if isa.shape_block().panels >= panels {
        // SAFETY: the caller's promise.
        return unsafe { isa.tile_i8(rows, panels, &tile) };
    }
    for p in 0..panels {
        // SAFETY: the caller's promise, panel by panel.
        unsafe {
            let (w, sum) = (tile.w.add(p * tile.panel), tile.sum.add(p * LANES));
            isa.tile_i8(rows, 1, &TileI8 { w, sum, out: tile.out.add(p * rows * LANES), ..tile });
        }
    }
}

/// Products of so many blocks, at most a span. `tile` is the first block's; the next one's rows, weights and sums lie `step` further.
///
/// # Safety
/// As [`multiply`], block by block; there is room for a tile for each block of a span.
unsafe fn multiply_blocks(
    isa: Isa,
    (rows, panels): (usize, usize),
    blocks: usize,
    tile: &TileI8,
    step: [usize; 3],
) {
    assert!(blocks <= SPAN, "the scratch holds the sums of a span");
    for b in 0..blocks {
        // SAFETY: the caller's promise.
        unsafe {
            let [a, w, sum] = step.map(|step| b * step);
            let (a, w, sum) = (tile.a.add(a), tile.w.add(w), tile.sum.add(sum));
            multiply(isa, rows, panels, TileI8 { a, w, sum, out: tile.out.add(b * TILE), ..*tile });
        }
    }
}

/// Queries with the keys of some blocks: their products, then their weights. `tile` is the first block's.
///
/// # Safety
/// As [`TileI8`] asks of every block, and [`Weights`]; several blocks are whole ones, at most [`Isa::span`].
pub(super) unsafe fn weigh(isa: Isa, tile: &TileI8, weights: &Weights) {
    // SAFETY: the caller's promise.
    unsafe {
        if weights.panels == BLOCK / LANES
            && let Some(both) = isa.weigh()
        {
            return both(tile, weights);
        }
        let step = [0, BLOCK / LANES * tile.panel, BLOCK];
        multiply_blocks(isa, (weights.rows, weights.panels), weights.blocks, tile, step);
        isa.block_weights(weights);
    }
}

/// Weights with the values of some blocks: their products, then these in proportion. `tile` is the first block's.
///
/// # Safety
/// As [`TileI8`] asks of every block, and [`Blend`]; several blocks are whole ones, at most [`Isa::span`], or [`SPAN`] where
/// there are fewer panels of values than a block has.
pub(super) unsafe fn mix(isa: Isa, tile: &TileI8, blend: &Blend) {
    // SAFETY: the caller's promise.
    unsafe {
        if blend.panels == BLOCK / LANES
            && let Some(both) = isa.mix()
        {
            return both(tile, blend);
        }
        let step = [BLOCK, BLOCK * LANES, blend.sum_pitch];
        multiply_blocks(isa, (blend.rows, blend.panels), blend.blocks, tile, step);
        isa.blend(blend);
    }
}
