//! Blocks of keys, and the integer sums of a tile of queries with them.

use crate::simd::lanes::LANES;
use crate::simd::tile::MAX_ROWS;

/// Keys in a block.
pub(crate) const BLOCK: usize = 64;
/// Blocks that are processed together: enough that no step waits for the result of the one before.
pub(crate) const SPAN: usize = 4;
/// The most numbers in a tile of queries by the keys of a block.
pub(crate) const TILE: usize = MAX_ROWS * BLOCK;

/// Integer sums of a tile of queries with blocks of columns, in the layout that the product left them in.
#[derive(Clone, Copy)]
pub(crate) struct BlockSums {
    /// The first sum; blocks are [`TILE`] apart.
    pub at: *mut i32,
    /// From one row to the next.
    pub row: usize,
    /// From one panel of 16 columns to the next.
    pub panel: usize,
}

impl BlockSums {
    /// The sums of row `r` and panel `p` of block `b`: sixteen.
    ///
    /// # Safety
    /// Block, row and panel lie inside the allocation behind `at`.
    #[inline(always)]
    pub unsafe fn of(self, b: usize, r: usize, p: usize) -> *mut i32 {
        // SAFETY: inside the allocation, by this function's precondition.
        unsafe { self.at.add(b * TILE + r * self.row + p * self.panel) }
    }

    /// Sums at `at`, whose tiles have `rows` rows of `panels` panels: row by row, or one panel's rows after the other.
    pub fn new(at: *mut i32, rows: usize, panels: usize, by_rows: bool) -> BlockSums {
        match by_rows {
            true => BlockSums { at, row: panels * LANES, panel: LANES },
            false => BlockSums { at, row: LANES, panel: rows * LANES },
        }
    }
}
