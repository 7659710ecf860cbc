//! Accumulates P·V over blocks of keys: acc_ij += Σ_b factor_ib · Σ_k p_ik · v_kj.
//!
//! The probabilities p of a block are bytes relative to the block's maximum; factor_ib rescales them to the row's maximum.
//! The int8 micro-kernel computes the sums Σ p · v of a block, which are converted and accumulated in f32 with one fused
//! multiply-add per block, blocks ascending.

use super::blocks::{BlockSums, SPAN};
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};

dispatch! {
    unsafe fn accumulate_blocks(t: &AccumulateBlocks);
}

/// The operands of [`accumulate_blocks`].
///
/// Preconditions: the pointers are valid for the shapes below.
pub(crate) struct AccumulateBlocks {
    /// Sums Σ p · v of each block, `rows` by 16 · `panels`.
    pub sums: BlockSums,
    pub blocks: usize,
    /// Queries.
    pub rows: usize,
    /// Panels of 16 columns of v.
    pub panels: usize,
    /// Factor of each query and block, `[rows][blocks]`.
    pub factor: *const f32,
    /// Elements from one row of factors to the next.
    pub factor_pitch: usize,
    /// Whether the first block overwrites `acc` instead of adding to it.
    pub overwrite: bool,
    /// The accumulated outputs, `[rows][panels][16]`.
    pub acc: *mut f32,
}

/// Accumulates the blocks, two rows by [`SPAN`] blocks at a time.
///
/// # Safety
/// The preconditions of [`AccumulateBlocks`].
#[inline(always)]
unsafe fn accumulate_blocks<L: Lanes>(l: L, t: &AccumulateBlocks) {
    let whole = t.blocks / SPAN * SPAN;
    for r in (0..t.rows).step_by(2) {
        // SAFETY: rows below `t.rows` and blocks below `t.blocks` exist, by the preconditions of `AccumulateBlocks`.
        unsafe {
            for b in (0..whole).step_by(SPAN) {
                match t.rows - r {
                    1 => accumulate_rows::<L, 1, SPAN>(l, t, r, b),
                    _ => accumulate_rows::<L, 2, SPAN>(l, t, r, b),
                }
            }
            for b in whole..t.blocks {
                for r in r..t.rows.min(r + 2) {
                    accumulate_rows::<L, 1, 1>(l, t, r, b);
                }
            }
        }
    }
}

/// Accumulates `BLOCKS` blocks for `ROWS` rows, from `block` and `row` on.
///
/// # Safety
/// The preconditions of [`AccumulateBlocks`]; those rows and blocks exist.
#[inline(always)]
unsafe fn accumulate_rows<L: Lanes, const ROWS: usize, const BLOCKS: usize>(
    l: L,
    t: &AccumulateBlocks,
    row: usize,
    block: usize,
) {
    // SAFETY: the preconditions of `AccumulateBlocks` cover these rows and blocks.
    unsafe {
        let factor = t.factor.add(row * t.factor_pitch + block);
        for p in 0..t.panels {
            let at = t.acc.add((row * t.panels + p) * LANES);
            let mut acc = [l.splat(0.0); ROWS];
            if !t.overwrite || block > 0 {
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = l.load_at(at.add(r * t.panels * LANES));
                }
            }
            for b in 0..BLOCKS {
                for (r, acc) in acc.iter_mut().enumerate() {
                    let sum = l.load_i32_at(t.sums.of(block + b, row + r, p));
                    *acc = l.fma(l.to_f32(sum), l.splat(*factor.add(r * t.factor_pitch + b)), *acc);
                }
            }
            for (r, acc) in acc.into_iter().enumerate() {
                l.store_at(acc, at.add(r * t.panels * LANES));
            }
        }
    }
}

impl AccumulateBlocks {
    /// The accumulation of `blocks` blocks into a tile of `rows` rows and `panels` panels, over slices that start at the first
    /// block, row and column.
    #[inline(always)]
    pub fn new(
        (blocks, rows, panels): (usize, usize, usize),
        sums: BlockSums,
        (factor, factor_pitch): (&[f32], usize),
        overwrite: bool,
        acc: &mut [f32],
    ) -> AccumulateBlocks {
        let columns = panels * LANES;
        debug_assert!(blocks > 0 && rows > 0, "the blocks must exist");
        debug_assert!(
            factor.len() >= (rows - 1) * factor_pitch + blocks,
            "every row must have a factor in every block"
        );
        debug_assert!(acc.len() >= rows * columns, "the accumulators must hold the tile");
        AccumulateBlocks {
            sums,
            blocks,
            rows,
            panels,
            factor: factor.as_ptr(),
            factor_pitch,
            overwrite,
            acc: acc.as_mut_ptr(),
        }
    }
}
