//! Pillow's nearest-pixel resize: one source pixel per output pixel, no filter weights.
//!
//! Source: Pillow, `src/libImaging/Geometry.c` (`ImagingScaleAffine`). It adds the step up from pixel to pixel in
//! double precision; this code accumulates the same rounding errors, so it picks the same pixels.

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
    pub(super) fn words(dst_w: usize) -> Option<usize> {
        Some(dst_w)
    }

    /// Computes the source columns into `words`, which holds at least [`Nearest::words`].
    pub(super) fn new(src_w: usize, src_h: usize, dst_w: usize, dst_h: usize, words: &'s mut [i32]) -> Self {
        let columns = &mut words[..dst_w];
        let step = src_w as f64 / dst_w as f64;
        let mut x = step * 0.5;
        for column in columns.iter_mut() {
            *column = (x as usize).min(src_w - 1) as i32;
            x += step;
        }
        let step = src_h as f64 / dst_h as f64;
        Nearest { columns, y: step * 0.5, step }
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
