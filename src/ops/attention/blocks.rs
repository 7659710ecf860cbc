//! Blocks of 64 keys: how the keys are divided into spans of blocks, and the two products of a tile of queries with a span.
//!
//! A *span* is a run of whole blocks that are processed together, or the last block alone, which may be shorter. Where the
//! instruction set has a function that fuses a product with the step after it, that function processes whole blocks; otherwise
//! the integer sums of a span go through scratch memory.

use crate::simd::isa::Isa;
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::{BLOCK, BlockSums, SPAN, TILE};
use crate::simd::kernels::attention::softmax::SoftmaxBlocks;
use crate::simd::lanes::LANES;
use crate::simd::tile::TileI8;
use core::ops::Range;

/// A run of blocks of keys.
pub(super) struct Span {
    /// The first block.
    pub first: usize,
    /// The number of blocks.
    pub blocks: usize,
    /// The number of panels of 16 keys in each block; fewer than 4 only in the last block.
    pub panels: usize,
}

impl Span {
    pub fn keys(&self) -> Range<usize> {
        let start = self.first * BLOCK;
        start..start + self.blocks * self.panels * LANES
    }
}

/// The spans of `t` keys, which are whole panels: whole blocks of patches, at most `limit` in a span, then the block with the
/// class token's key and any keys that do not exist.
pub(super) fn spans(t: usize, patches: usize, limit: usize) -> impl Iterator<Item = Span> {
    let (whole, rest) = (patches / BLOCK, t - patches / BLOCK * BLOCK);
    let spans = (0..whole).step_by(limit);
    let last = Span { first: whole, blocks: 1, panels: rest / LANES };
    spans
        .map(move |first| Span { first, blocks: limit.min(whole - first), panels: BLOCK / LANES })
        .chain([last])
}

/// The most blocks in a span of whole blocks. Fused functions have no limit; otherwise the scratch holds [`SPAN`] blocks.
pub(super) fn max_span(isa: Isa) -> usize {
    if isa.fused_pv().is_some() { usize::MAX } else { SPAN }
}

/// Whether a product with `panels` panels stores its sums row by row, because all panels fit one tile. Otherwise it stores one
/// panel after the other ([`BlockSums::new`](crate::simd::kernels::attention::blocks::BlockSums::new)).
pub(super) fn by_rows(isa: Isa, panels: usize) -> bool {
    isa.shape_attention().panels >= panels
}

/// Whether Q·Kᵀ of a span is one call of the micro-kernel: whether all its panels fit one tile.
fn in_one_tile(isa: Isa, span: &Span) -> bool {
    isa.shape_attention().panels >= span.blocks * span.panels
}

/// Where Q·Kᵀ of `rows` queries with a span leaves its sums, from `start` on.
pub(super) fn qk_sums(isa: Isa, rows: usize, span: &Span, start: *mut i32) -> BlockSums {
    match in_one_tile(isa, span) {
        true => BlockSums::of_one_tile(start, span.blocks, span.panels),
        false => BlockSums::new(start, rows, span.panels, by_rows(isa, span.panels)),
    }
}

/// Multiplies a tile with `panels` panels: in one call of the micro-kernel, or panel by panel.
///
/// # Safety
/// The preconditions of [`TileI8`], with `rows` at most those of [`Isa::shape_attention`] and `panels` at most a block's.
unsafe fn multiply(isa: Isa, rows: usize, panels: usize, tile: TileI8) {
    if isa.shape_attention().panels >= panels {
        // SAFETY: the tile satisfies `TileI8`, by this function's precondition, and fits the shape, as just compared.
        return unsafe { isa.tile_i8(rows, panels, &tile) };
    }
    for p in 0..panels {
        // SAFETY: panel p of a tile that satisfies `TileI8` is a tile that does so too; its sums take `rows · 16` numbers of
        // the tile's `rows · panels · 16`.
        unsafe {
            let (w, w_sum) = (tile.w.add(p * tile.panel_pitch), tile.w_sum.add(p * LANES));
            isa.tile_i8(rows, 1, &TileI8 { w, w_sum, out: tile.out.add(p * rows * LANES), ..tile });
        }
    }
}

/// The products of `blocks` blocks, at most [`SPAN`]. `tile` describes the first block; `step` is the distance to the next
/// block in (activations, weights, sums of weights). The output tiles are [`TILE`] apart.
///
/// # Safety
/// The preconditions of [`multiply`] for every block; the output has room for [`SPAN`] tiles.
unsafe fn multiply_blocks(
    isa: Isa,
    (rows, panels): (usize, usize),
    blocks: usize,
    tile: &TileI8,
    step: [usize; 3],
) {
    assert!(blocks <= SPAN, "the scratch holds the sums of a span");
    for b in 0..blocks {
        // SAFETY: every block satisfies the preconditions of `multiply`, by this function's preconditions; its output is one of
        // the `SPAN` tiles, as asserted.
        unsafe {
            let [a, w, sum] = step.map(|step| b * step);
            let (a, w, w_sum) = (tile.a.add(a), tile.w.add(w), tile.w_sum.add(sum));
            multiply(isa, rows, panels, TileI8 { a, w, w_sum, out: tile.out.add(b * TILE), ..*tile });
        }
    }
}

/// Q·Kᵀ of a tile of queries with a span of blocks, then its softmax. `tile` describes the first block; the sums are those of
/// [`qk_sums`].
///
/// # Safety
/// - The preconditions of [`TileI8`] for every block, and those of [`SoftmaxBlocks`].
/// - If there are several blocks, they are whole, and at most [`max_span`].
/// - `tile.out` has room for [`SPAN`] tiles.
pub(super) unsafe fn qk_softmax(isa: Isa, tile: &TileI8, span: &Span, softmax: &SoftmaxBlocks) {
    if softmax.panels == BLOCK / LANES
        && let Some(fused) = isa.fused_qk_softmax()
    {
        // SAFETY: this function's preconditions are those of the fused function.
        return unsafe { fused(tile, softmax) };
    }
    let step = [0, BLOCK / LANES * tile.panel_pitch, BLOCK];
    // SAFETY: this function's preconditions include those of both calls.
    unsafe {
        match in_one_tile(isa, span) {
            true => isa.tile_i8(softmax.rows, span.blocks * span.panels, tile),
            false => multiply_blocks(isa, (softmax.rows, softmax.panels), softmax.blocks, tile, step),
        }
        isa.softmax_blocks(softmax);
    }
}

/// P·V of a tile of queries with a span of blocks, then its accumulation in the output. `tile` describes the first block;
/// `sum_pitch` is the distance to the sums of weights of the next block.
///
/// # Safety
/// - The preconditions of [`TileI8`] for every block, and those of [`AccumulateBlocks`].
/// - If there are several blocks, they are whole, and at most [`max_span`], or [`SPAN`] if there are fewer than [`BLOCK`] columns
///   of V.
/// - `tile.out` has room for [`SPAN`] tiles.
pub(super) unsafe fn pv(isa: Isa, tile: &TileI8, sum_pitch: usize, accumulate: &AccumulateBlocks) {
    if accumulate.panels == BLOCK / LANES
        && let Some(fused) = isa.fused_pv()
    {
        // SAFETY: this function's preconditions are those of the fused function.
        return unsafe { fused(tile, accumulate) };
    }
    let step = [BLOCK, BLOCK * LANES, sum_pitch];
    // SAFETY: this function's preconditions include those of both calls.
    unsafe {
        multiply_blocks(isa, (accumulate.rows, accumulate.panels), accumulate.blocks, tile, step);
        isa.accumulate_blocks(accumulate);
    }
}
