//! Blocks of keys: their size, and the layout of the sums that int8 products of a tile of queries with them leave.
//!
//! A tile of queries times a block is at most [`MAX_ROWS`] by [`BLOCK`] sums. Micro-kernels that take all panels of several blocks
//! at once leave row-major sums, `[rows][blocks][panels][16]`; those that take the panels of one block leave
//! `[blocks][rows][panels][16]`; the others are called once per panel and leave `[blocks][panels][rows][16]`. [`BlockSums`]
//! describes each, so that the softmax and the accumulation read the sums where the product left them.

use crate::simd::lanes::LANES;
use crate::simd::tile::MAX_ROWS;

/// Keys in a block.
pub(crate) const BLOCK: usize = 64;
/// Blocks that are processed together where kernels are not fused: enough independent work to hide latencies.
pub(crate) const SPAN: usize = 4;
/// Elements reserved for the sums of a tile of queries with a block.
pub(crate) const TILE: usize = MAX_ROWS * BLOCK;

/// The sums of the int8 products of a tile of queries with some blocks.
#[derive(Clone, Copy)]
pub(crate) struct BlockSums {
    /// The first sum of the first block.
    pub start: *mut i32,
    /// Elements from one row to the next.
    pub row_pitch: usize,
    /// Elements from one panel of 16 columns to the next.
    pub panel_pitch: usize,
    /// Elements from one block to the next.
    pub block_pitch: usize,
}

impl BlockSums {
    /// The sixteen sums of block `b`, row `r` and panel `p`.
    ///
    /// # Safety
    /// Block, row and panel lie inside the allocation behind `start`.
    #[inline(always)]
    pub unsafe fn of(self, b: usize, r: usize, p: usize) -> *mut i32 {
        // SAFETY: inside the allocation, by this function's precondition.
        unsafe { self.start.add(b * self.block_pitch + r * self.row_pitch + p * self.panel_pitch) }
    }

    /// Sums at `start` of tiles of `rows` by 16 · `panels`, [`TILE`] apart: `[rows][panels][16]` if `row_major`, otherwise
    /// `[panels][rows][16]`.
    pub fn new(start: *mut i32, rows: usize, panels: usize, row_major: bool) -> BlockSums {
        match row_major {
            true => BlockSums { start, row_pitch: panels * LANES, panel_pitch: LANES, block_pitch: TILE },
            false => BlockSums { start, row_pitch: LANES, panel_pitch: rows * LANES, block_pitch: TILE },
        }
    }

    /// Sums at `start` of one tile of all `blocks`: `[rows][blocks][panels][16]`.
    pub fn of_one_tile(start: *mut i32, blocks: usize, panels: usize) -> BlockSums {
        let block_pitch = panels * LANES;
        BlockSums { start, row_pitch: blocks * block_pitch, panel_pitch: LANES, block_pitch }
    }
}
