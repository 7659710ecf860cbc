//! Pillow's nearest-pixel resize: one source pixel per output pixel, no filter weights.
//!
//! Source: Pillow, `src/libImaging/Geometry.c` (`ImagingScaleAffine`). It adds the step up from pixel to pixel in
//! double precision; this code accumulates the same rounding errors, so it picks the same pixels.

use super::part::Part;
use super::pixels::{Pixels, by_channels};

/// The state of a nearest-pixel resize.
pub(super) struct Nearest<'s> {
    /// The source column of each output column, counted from the first that is read.
    columns: &'s [i32],
    /// The vertical position of the next output row, in source rows.
    y: f64,
    step: f64,
}

impl<'s> Nearest<'s> {
    /// Scratch size in 32-bit words; `None` on overflow.
    pub(super) fn words(width: usize) -> Option<usize> {
        Some(width)
    }

    /// Computes the source columns into `words`, which holds at least [`Nearest::words`].
    pub(super) fn new(
        src: (usize, usize),
        dst: (usize, usize),
        part: Part,
        first_column: usize,
        words: &'s mut [i32],
    ) -> Self {
        let columns = &mut words[..part.width];
        let (mut x, step) = start(src.0, dst.0, part.left);
        for column in columns.iter_mut() {
            *column = ((x as usize).min(src.0 - 1) - first_column) as i32;
            x += step;
        }
        let (y, step) = start(src.1, dst.1, part.top);
        Nearest { columns, y, step }
    }

    /// Writes the next output row to `out`.
    pub(super) fn row(&mut self, pixels: Pixels, converted: &mut [u8], out: &mut [u8]) {
        let row = pixels.row((self.y as usize).min(pixels.view.height() - 1), converted);
        by_channels!(pixels, pick(row, pixels.format().bytes(), self.columns, out));
        self.y += self.step;
    }
}

/// Copies the pixels of some columns of a row of pixels of `bytes` bytes.
fn pick<const N: usize>(offsets: [usize; N], row: &[u8], bytes: usize, columns: &[i32], out: &mut [u8]) {
    for (out, &x) in out.as_chunks_mut::<N>().0.iter_mut().zip(columns) {
        let pixel = &row[x as usize * bytes..][..bytes];
        *out = offsets.map(|o| pixel[o]);
    }
}

/// The position of output pixel `first` of an axis, and the step to the next one, in source pixels.
fn start(src: usize, dst: usize, first: usize) -> (f64, f64) {
    let step = src as f64 / dst as f64;
    ((0..first).fold(step * 0.5, |at, _| at + step), step)
}
