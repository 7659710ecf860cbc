//! The logits that later windows of a view need too, kept from window to window.
//!
//! They are kept in tiles of 16 x 4 pixels. A pixel's logits are 16-bit fixed-point numbers over the pixel's own range, so that the
//! error is at most 1/131070 of the difference between the largest and the smallest. An index holds, for each window, the tiles of
//! its logits. A tile is free again after the last window that reads it.

use crate::arena::Buf;
use crate::error::Error;
use crate::file::Facts;
use crate::file::format::padded;
use crate::parallel::Workers;
use crate::parallel::chunks::Shared;
use crate::views::{Grid, Strip, TILE, Views};
use core::ops::Range;

/// Numbers before the logits of a pixel: the bits of the smallest logit and of the step, f32, lower half first.
const HEADER: usize = 4;

/// The size of the buffers for some views of a picture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeptSize {
    pub tiles: usize,
    /// Entries of the index.
    entries: usize,
}

/// 16-bit numbers of a pixel.
fn pixel_len(f: &Facts) -> usize {
    HEADER + f.classes
}

/// 16-bit numbers of a tile.
fn tile_len(f: &Facts) -> usize {
    TILE[0] * TILE[1] * pixel_len(f)
}

/// The width of the strips of a view: the widest that needs no more than the given memory.
pub(super) fn strip_width(f: &Facts, views: &Views, grid: &Grid) -> usize {
    grid.strip_width(views.overlap_bytes() / (2 * tile_len(f)))
}

impl KeptSize {
    /// The size for one view whose strips are `width` wide.
    pub fn of(grid: &Grid, width: usize) -> Self {
        let slots = grid.strips(width).map(|strip| grid.slots(strip)).max().unwrap_or(0);
        let [columns, rows] = grid.tiles();
        KeptSize { tiles: grid.most_tiles(width), entries: slots * columns * rows }
    }

    /// The size for one view after another.
    pub fn max(self, other: Self) -> Self {
        KeptSize { tiles: self.tiles.max(other.tiles), entries: self.entries.max(other.entries) }
    }

    /// The sizes of the two buffers in bytes.
    pub fn bytes(self, f: &Facts) -> Result<[(Buf, usize); 2], Error> {
        let tiles = self.tiles.checked_mul(2 * tile_len(f)).ok_or(Error::TooLarge)?;
        let index = (self.tiles + self.entries) * size_of::<u32>();
        Ok([(Buf::KeptTiles, tiles), (Buf::KeptIndex, index)])
    }
}

/// The kept logits of a strip of windows.
pub(super) struct Kept<'a> {
    classes: usize,
    grid: &'a Grid,
    strip: Strip,
    /// `[tiles][4][16][HEADER + classes]`
    tiles: &'a mut [u16],
    /// For each tile, one more than the step until which it is kept; 0: the tile is free.
    until: &'a mut [u32],
    /// For each slot of a window and each of its tiles, `[slot][row][column]`: one more than the number of the kept tile.
    index: &'a mut [u32],
}

impl<'a> Kept<'a> {
    /// The view of the buffers, which hold `size`.
    pub fn new(
        f: &Facts,
        (grid, strip): (&'a Grid, Strip),
        size: KeptSize,
        tiles: &'a mut [u16],
        index: &'a mut [u32],
    ) -> Self {
        let (until, index) = index.split_at_mut(size.tiles);
        let tiles = &mut tiles[..size.tiles * tile_len(f)];
        Kept { classes: f.classes, grid, strip, tiles, until, index }
    }

    /// Frees all tiles.
    pub fn clear(&mut self) {
        self.until.fill(0);
        self.index.fill(0);
    }

    /// Frees the tiles that no window after `step` reads.
    pub fn release(&mut self, step: usize) {
        self.until.iter_mut().filter(|until| **until <= step as u32 + 1).for_each(|until| *until = 0);
    }

    /// The index of a tile, (column, row), of a window.
    fn entry(&self, window: [usize; 2], tile: [usize; 2]) -> usize {
        let [columns, rows] = self.grid.tiles();
        (self.grid.slot(self.strip, window) * rows + tile[1]) * columns + tile[0]
    }

    /// Keeps what later windows read of the four rows of logits in row `row` of the tiles of `window`.
    /// `logits` are these rows, `[4][width][padded classes]`.
    pub fn store(&mut self, workers: Workers, window: [usize; 2], row: usize, logits: &[f32]) {
        let mut stored = [(0, 0); 256 * 4 / TILE[0]];
        let mut count = 0;
        let mut free = 0..self.until.len();
        for column in 0..self.grid.tiles()[0] {
            let Some(until) = self.grid.kept_until(self.strip, window, [column, row]) else { continue };
            // The plan has counted the tiles: there is a free one.
            let Some(tile) = free.find(|&tile| self.until[tile] == 0) else { return };
            self.until[tile] = until as u32 + 1;
            let entry = self.entry(window, [column, row]);
            self.index[entry] = tile as u32 + 1;
            stored[count] = (column, tile);
            count += 1;
        }
        let (width, pitch, classes) = (self.grid.axes[0].cells, padded(self.classes), self.classes);
        let (pixel_len, tile_len) = (HEADER + classes, TILE[0] * TILE[1] * (HEADER + classes));
        let tiles = Shared::new(self.tiles);
        workers.run(count, &|i, _| {
            let (column, tile) = stored[i];
            // SAFETY: the tiles in `stored` differ, and each belongs to one task.
            let out = unsafe { tiles.slice(tile * tile_len, tile_len) };
            let columns = column * TILE[0]..width.min((column + 1) * TILE[0]);
            for (row, out) in logits.chunks(width * pitch).zip(out.chunks_mut(TILE[0] * pixel_len)) {
                let pixels = row[columns.start * pitch..columns.end * pitch].chunks(pitch);
                for (pixel, out) in pixels.zip(out.chunks_mut(pixel_len)) {
                    store_pixel(&pixel[..classes], out);
                }
            }
        });
    }

    /// Adds the logits of row `y` of a window in `columns`, times `weight`, to `out`, `[columns][padded classes]`.
    pub fn add_row(&self, window: [usize; 2], y: usize, columns: Range<usize>, weight: f32, out: &mut [f32]) {
        let (pitch, pixel_len) = (padded(self.classes), HEADER + self.classes);
        for (x, out) in columns.zip(out.chunks_mut(pitch)) {
            let entry = self.index[self.entry(window, [x / TILE[0], y / TILE[1]])];
            let tile = (entry as usize).wrapping_sub(1);
            let pixel = (tile * TILE[1] + y % TILE[1]) * TILE[0] + x % TILE[0];
            add_pixel(&self.tiles[pixel * pixel_len..][..pixel_len], weight, out);
        }
    }
}

/// Stores the logits of a pixel. The arithmetic is the same on every instruction set: it has no fused operations.
fn store_pixel(logits: &[f32], out: &mut [u16]) {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &x in logits {
        low = if x < low { x } else { low };
        high = if x > high { x } else { high };
    }
    let step = (high - low) / 65535.0;
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    let (header, out) = out.split_at_mut(HEADER);
    for (halves, x) in header.chunks_exact_mut(2).zip([low, step]) {
        halves.copy_from_slice(&[x.to_bits() as u16, (x.to_bits() >> 16) as u16]);
    }
    for (out, x) in out.iter_mut().zip(logits) {
        *out = ((x - low) * inverse + 0.5) as u16;
    }
}

/// Adds the logits of a pixel, times `weight`, to `out`.
fn add_pixel(pixel: &[u16], weight: f32, out: &mut [f32]) {
    let (header, pixel) = pixel.split_at(HEADER);
    let number = |i: usize| f32::from_bits(u32::from(header[i]) | u32::from(header[i + 1]) << 16);
    let (low, step) = (number(0) * weight, number(2) * weight);
    for (out, &q) in out.iter_mut().zip(pixel) {
        *out += f32::from(q) * step + low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_pixel_is_exact_to_a_part_in_130_000_of_its_range() {
        let logits: Vec<f32> = (0..150).map(|i| libm::sinf(i as f32 * 1.7) * 12.0 - 3.0).collect();
        let mut kept = [0; 154];
        store_pixel(&logits, &mut kept);
        let mut out = [1.0; 160];
        add_pixel(&kept, 0.5, &mut out);
        for (x, out) in logits.iter().zip(out) {
            assert!((out - 1.0 - 0.5 * x).abs() <= 0.5 * 24.0 / 131_000.0 + 1e-6, "{x} {out}");
        }
        assert_eq!(out[150..], [1.0; 10]);
        // A pixel of equal logits.
        store_pixel(&[2.5; 150], &mut kept);
        add_pixel(&kept, 1.0, &mut out[..150]);
        assert!(kept[HEADER..].iter().all(|&q| q == 0));
    }
}
