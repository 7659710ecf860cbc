//! Blocks' weighted sums of the values together.

use super::blocks::{BlockSums, SPAN};
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};

dispatch! {
    unsafe fn accumulate_blocks(t: &AccumulateBlocks);
}

/// Blocks' weighted sums of the values join those before them: acc_ij += factor_i · Σ p·v, with the 128 · Σ v that the integer
/// tiles leave out put back.
pub(crate) struct AccumulateBlocks {
    /// Of each block `rows` x 16 · `panels`.
    pub sums: BlockSums,
    pub blocks: usize,
    pub rows: usize,
    pub panels: usize,
    /// Of each column, in each block; blocks `sum_pitch` apart.
    pub weight_sum: *const i32,
    pub sum_pitch: usize,
    /// Of each row and block, rows `factor_pitch` apart.
    pub factor: *const f32,
    pub factor_pitch: usize,
    /// Whether nothing was joined before: what is in `acc` does not count.
    pub first: bool,
    /// `rows` x 16 · `panels`.
    pub acc: *mut f32,
}

/// # Safety
/// The pointers of [`AccumulateBlocks`] cover what their comments say.
#[inline(always)]
unsafe fn accumulate_blocks<L: Lanes>(l: L, t: &AccumulateBlocks) {
    let whole = t.blocks / SPAN * SPAN;
    for r in (0..t.rows).step_by(2) {
        // SAFETY: the caller's promise.
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

/// # Safety
/// As [`accumulate_blocks`]; rows and blocks from the given ones on exist.
#[inline(always)]
unsafe fn accumulate_rows<L: Lanes, const ROWS: usize, const BLOCKS: usize>(
    l: L,
    t: &AccumulateBlocks,
    row: usize,
    block: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let factor = t.factor.add(row * t.factor_pitch + block);
        for p in 0..t.panels {
            let at = t.acc.add((row * t.panels + p) * LANES);
            let mut acc = [l.splat(0.0); ROWS];
            if !t.first || block > 0 {
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = l.load_at(at.add(r * t.panels * LANES));
                }
            }
            for b in 0..BLOCKS {
                let back = l.load_i32_at(t.weight_sum.add((block + b) * t.sum_pitch + p * LANES));
                for (r, acc) in acc.iter_mut().enumerate() {
                    let sum = l.add_i32(l.load_i32_at(t.sums.of(block + b, row + r, p)), back);
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
    /// block, row and column. `weight_sum` comes with the distance between blocks, `factor` with the distance between rows.
    #[inline(always)]
    pub fn new(
        (blocks, rows, panels): (usize, usize, usize),
        sums: BlockSums,
        (weight_sum, sum_pitch): (&[i32], usize),
        (factor, factor_pitch): (&[f32], usize),
        first: bool,
        acc: &mut [f32],
    ) -> AccumulateBlocks {
        let columns = panels * LANES;
        debug_assert!(blocks > 0 && rows > 0, "the blocks must exist");
        debug_assert!(
            weight_sum.len() >= (blocks - 1) * sum_pitch + columns,
            "every column must have a sum in every block"
        );
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
            weight_sum: weight_sum.as_ptr(),
            sum_pitch,
            factor: factor.as_ptr(),
            factor_pitch,
            first,
            acc: acc.as_mut_ptr(),
        }
    }
}
