//! Pillow's nearest-pixel resize: one source pixel per output pixel, no filter weights.
//!
//! Source: Pillow, `src/libImaging/Geometry.c` (`ImagingScaleAffine`). It adds the step up from pixel to pixel in
//! double precision; this code accumulates the same rounding errors, so it picks the same pixels.

use super::part::Part;
use crate::image::view::ImageView;

/// The state of a nearest-pixel resize.
pub(super) struct Nearest<'s> {
    /// The source column of each output column.
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
    pub(super) fn new(src: (usize, usize), dst: (usize, usize), part: Part, words: &'s mut [i32]) -> Self {
        let columns = &mut words[..part.width];
        let (mut x, step) = start(src.0, dst.0, part.left);
        for column in columns.iter_mut() {
            *column = (x as usize).min(src.0 - 1) as i32;
            x += step;
        }
        let (y, step) = start(src.1, dst.1, part.top);
        Nearest { columns, y, step }
    }

    /// Writes the next output row to `out`, as packed RGB.
    pub(super) fn row(&mut self, view: &ImageView<'_>, out: &mut [u8]) {
        let row = view.row((self.y as usize).min(view.height() - 1));
        let (bytes, [r, g, b]) = (view.format().bytes(), view.format().offsets());
        for (out, &x) in out.chunks_exact_mut(3).zip(self.columns) {
            let pixel = &row[x as usize * bytes..][..bytes];
            out.copy_from_slice(&[pixel[r], pixel[g], pixel[b]]);
        }
        self.y += self.step;
    }
}

/// The position of output pixel `first` of an axis, and the step to the next one, in source pixels.
fn start(src: usize, dst: usize, first: usize) -> (f64, f64) {
    let step = src as f64 / dst as f64;
    ((0..first).fold(step * 0.5, |at, _| at + step), step)
}
