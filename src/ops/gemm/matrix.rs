//! One int8 matrix of a product times a tile of rows: integer sums, before the epilogue.

use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::DequantiseTile;
use crate::simd::tile::TileI8;
use core::ops::Range;

/// One tile of a task.
pub(super) struct TileRows {
    /// The tile's number within the task's rows.
    pub index: usize,
    /// The number of rows.
    pub rows: usize,
    pub panels: Range<usize>,
}

/// One int8 matrix, restricted to a group of panels, and the rows that it is multiplied with.
pub(super) struct Int8Matrix<'a> {
    /// Rows of activation bytes.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// (scale, offset) of each row.
    pub params: &'a [[f32; 2]],
    /// The weights of the group's panels, each `[groups][16 outputs][4 inputs]`.
    pub weights: &'a [i8],
    /// Bytes of a panel.
    pub panel_bytes: usize,
    /// The number of groups of four inputs.
    pub groups: usize,
    /// Scale of each of the group's outputs.
    pub scale: &'a [f32],
    /// Σ w of each of the group's outputs.
    pub weight_sum: &'a [i32],
}

impl<'a> Int8Matrix<'a> {
    /// Writes the integer sums of a tile to `sums` and returns the (scale, offset) of its rows. The first input row is `from`.
    /// If the epilogue of an earlier tile is `pending`, it runs too, interleaved with the product where the instruction set
    /// can do so.
    ///
    /// # Safety
    /// - The preconditions of [`DequantiseTile`] hold for `pending`, which does not read `sums`.
    /// - `data` holds the tile's rows from `from` on, each at least `4 · groups` bytes wide.
    /// - `weights` and `weight_sum` belong to the tile's panels, and `sums` holds a tile.
    /// - The tile is at most [`Isa::shape_i8`].
    #[inline(always)]
    pub unsafe fn multiply(
        &self,
        isa: Isa,
        from: usize,
        t: &TileRows,
        sums: &mut [i32],
        pending: Option<DequantiseTile>,
    ) -> &'a [[f32; 2]] {
        let shape = (t.rows, t.panels.len());
        let rows = (&self.data[from * self.pitch..], self.pitch);
        let mut tile =
            TileI8::new(shape, rows, (self.weights, self.panel_bytes), self.groups, self.weight_sum, sums);
        // Each tile prefetches one panel of the next group of panels.
        let next = self.weights.len() + t.index % t.panels.len() * self.panel_bytes;
        tile.prefetch = self.weights.as_ptr().wrapping_add(next);
        // SAFETY: `TileI8::new` received the rows, panels and sums that this function's preconditions name, and `pending`
        // satisfies its own.
        unsafe {
            match pending {
                None => isa.tile_i8(t.rows, t.panels.len(), &tile),
                Some(pending) => isa.tile_i8_with_epilogue(t.rows, t.panels.len(), &tile, &pending),
            }
        };
        &self.params[from..]
    }
}
