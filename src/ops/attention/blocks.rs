//! Keys by whole blocks, and the tiles of sums that products with them leave.

use crate::simd::isa::Isa;
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::{BLOCK, SPAN, TILE};
use crate::simd::kernels::attention::softmax::SoftmaxBlocks;
use crate::simd::lanes::LANES;
use crate::simd::tile::TileI8;
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

/// Whether products with `panels` panels leave their sums row by row ([`BlockSums::new`]): all panels fit one tile.
pub(super) fn by_rows(isa: Isa, panels: usize) -> bool {
    isa.shape_block().panels >= panels
}

/// The most whole blocks that are processed together.
pub(super) fn span(isa: Isa) -> usize {
    if isa.fused_pv().is_some() { usize::MAX } else { SPAN }
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
            let (w, w_sum) = (tile.w.add(p * tile.panel_pitch), tile.w_sum.add(p * LANES));
            isa.tile_i8(rows, 1, &TileI8 { w, w_sum, out: tile.out.add(p * rows * LANES), ..tile });
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
            let (a, w, w_sum) = (tile.a.add(a), tile.w.add(w), tile.w_sum.add(sum));
            multiply(isa, rows, panels, TileI8 { a, w, w_sum, out: tile.out.add(b * TILE), ..*tile });
        }
    }
}

/// QueryTile with the keys of some blocks: their products, then their weights. `tile` is the first block's.
///
/// # Safety
/// As [`TileI8`] asks of every block, and [`SoftmaxBlocks`]; several blocks are whole ones, at most [`span`].
pub(super) unsafe fn qk_softmax(isa: Isa, tile: &TileI8, weights: &SoftmaxBlocks) {
    // SAFETY: the caller's promise.
    unsafe {
        if weights.panels == BLOCK / LANES
            && let Some(both) = isa.fused_qk_softmax()
        {
            return both(tile, weights);
        }
        let step = [0, BLOCK / LANES * tile.panel_pitch, BLOCK];
        multiply_blocks(isa, (weights.rows, weights.panels), weights.blocks, tile, step);
        isa.softmax_blocks(weights);
    }
}

/// Weights with the values of some blocks: their products, then these in proportion. `tile` is the first block's.
///
/// # Safety
/// As [`TileI8`] asks of every block, and [`AccumulateBlocks`]; several blocks are whole ones, at most [`span`], or [`SPAN`] where
/// there are fewer panels of values than a block has.
pub(super) unsafe fn pv(isa: Isa, tile: &TileI8, accumulate_blocks: &AccumulateBlocks) {
    // SAFETY: the caller's promise.
    unsafe {
        if accumulate_blocks.panels == BLOCK / LANES
            && let Some(both) = isa.fused_pv()
        {
            return both(tile, accumulate_blocks);
        }
        let step = [BLOCK, BLOCK * LANES, accumulate_blocks.sum_pitch];
        multiply_blocks(
            isa,
            (accumulate_blocks.rows, accumulate_blocks.panels),
            accumulate_blocks.blocks,
            tile,
            step,
        );
        isa.accumulate_blocks(accumulate_blocks);
    }
}
