//! One matrix of an int8 product, multiplied with a tile of rows at a time.

use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::DequantiseTile;
use crate::simd::tile::TileI8;
use core::ops::Range;

/// A tile: its number within the group of panels, its rows, and its panels.
pub(super) struct TileRows {
    pub nth: usize,
    pub rows: usize,
    pub panels: Range<usize>,
}

/// One matrix of an int8 product, restricted to a group of panels, and the rows that it is multiplied with.
pub(super) struct Int8Matrix<'a> {
    /// Rows of bytes, `pitch` apart.
    pub data: &'a [u8],
    pub pitch: usize,
    /// (scale, offset) of each row.
    pub params: &'a [[f32; 2]],
    /// The weights of the group's panels, `panel_bytes` each.
    pub weights: &'a [i8],
    pub panel_bytes: usize,
    /// Groups of four inputs.
    pub groups: usize,
    /// Scale of each of the group's outputs.
    pub scale: &'a [f32],
    /// Sum of the weights of each of the group's outputs.
    pub weight_sum: &'a [i32],
}

impl Int8Matrix<'_> {
    /// Writes the integer sums of a tile whose first input row is `from` to `sums`, and returns the (scale, offset) of its
    /// rows. The epilogue of an earlier tile, if one is `pending`, runs at the same time.
    ///
    /// # Safety
    /// The preconditions of [`DequantiseTile`] for `pending`, which reads other sums than `sums`. Rows `from..` exist for the
    /// whole tile, and are `4 · groups` bytes wide; `weights` and `weight_sum` are those of the tile's panels, `sums` holds a
    /// tile, and the tile is within the instruction set's shape.
    #[inline(always)]
    pub unsafe fn multiply(
        &self,
        isa: Isa,
        from: usize,
        t: &TileRows,
        sums: &mut [i32],
        pending: Option<DequantiseTile>,
    ) -> *const [f32; 2] {
        let shape = (t.rows, t.panels.len());
        let rows = (&self.data[from * self.pitch..], self.pitch);
        let mut tile =
            TileI8::new(shape, rows, (self.weights, self.panel_bytes), self.groups, self.weight_sum, sums);
        // One panel of the next group.
        let next = self.weights.len() + t.nth % t.panels.len() * self.panel_bytes;
        tile.prefetch = self.weights.as_ptr().wrapping_add(next);
        debug_assert!(self.params.len() >= from + t.rows, "every row has a scale and an offset");
        // SAFETY: the preconditions are this function's.
        unsafe {
            match pending {
                None => isa.tile_i8(t.rows, t.panels.len(), &tile),
                Some(pending) => isa.tile_i8_with_epilogue(t.rows, t.panels.len(), &tile, &pending),
            }
        };
        self.params[from..].as_ptr()
    }
}
