//! One tap of a product in int8, for a tile at a time.

use super::Isa;
use super::epilogue::FinishI8;
use super::micro::TileI8;
use core::ops::Range;

/// A tile of a column: its number, rows and panels.
pub(super) struct Tile {
    pub nth: usize,
    pub rows: usize,
    pub panels: Range<usize>,
}

/// One tap of a column in int8: the rows with their (s, m), the weights of its panels, `wide` bytes each, and of their outputs
/// scales and the weights' sums.
pub(super) struct Int8<'a> {
    pub data: &'a [u8],
    pub pitch: usize,
    pub params: &'a [[f32; 2]],
    pub weights: &'a [i8],
    pub wide: usize,
    pub groups: usize,
    pub scale: *const f32,
    pub weight_sum: *const i32,
}

impl Int8<'_> {
    /// The integer sums of a tile whose first input row is `from`; returns its rows' (s, m). What is `waiting` is done meanwhile.
    ///
    /// # Safety
    /// As [`FinishI8`] says of what is waiting, with other sums; `data` has the tile's rows, each 4 · `groups` bytes; `weights` and
    /// `weight_sum` are of its panels; `sums` holds a tile; the counts are within the kernel's shape.
    #[inline(always)]
    pub unsafe fn multiply(
        &self,
        isa: Isa,
        from: usize,
        t: &Tile,
        sums: &mut [i32],
        waiting: Option<FinishI8>,
    ) -> *const [f32; 2] {
        let w = self.weights.as_ptr();
        let tile = TileI8 {
            a: self.data[from * self.pitch..].as_ptr(),
            pitch: self.pitch,
            w,
            panel: self.wide,
            groups: self.groups,
            sum: self.weight_sum,
            // One of the next column's panels.
            ahead: w.wrapping_add(self.weights.len() + t.nth % t.panels.len() * self.wide),
            out: sums.as_mut_ptr(),
        };
        // SAFETY: the caller's promise.
        unsafe {
            match waiting {
                None => isa.tile_i8(t.rows, t.panels.len(), &tile),
                Some(waiting) => isa.tile_i8_while(t.rows, t.panels.len(), &tile, &waiting),
            }
        };
        self.params[from..].as_ptr()
    }
}
