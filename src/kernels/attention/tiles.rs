//! Keys by whole blocks, and the tiles of sums that products with them leave.

use super::super::micro::TileI8;
use super::super::{Isa, LANES};
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

/// The spans of `t` keys.
pub(super) fn spans(t: usize) -> impl Iterator<Item = Span> {
    let (whole, rest) = (t / BLOCK, t % BLOCK / LANES);
    let spans = (0..whole).step_by(SPAN);
    let last = (rest > 0).then_some(Span { first: whole, blocks: 1, panels: rest });
    spans.map(move |first| Span { first, blocks: SPAN.min(whole - first), panels: BLOCK / LANES }).chain(last)
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
pub(super) unsafe fn multiply(isa: Isa, rows: usize, panels: usize, tile: TileI8) {
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
