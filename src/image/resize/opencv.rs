//! OpenCV's `INTER_LINEAR` on bytes: two by two pixels in 11-bit fixed point, whatever the scale.
//!
//! Source: OpenCV, `modules/imgproc/src/resize.cpp` (`HResizeLinear`, `VResizeLinear` for `uchar`, and the choice of
//! method in `hal::resize`: halving both sides exactly is the mean of four pixels).

use crate::image::view::ImageView;

/// One in a weight's units.
const ONE: f32 = 2048.0;

/// The state of a resize.
pub(super) struct OpenCv<'s> {
    /// For every column: left column, right column, their weights.
    columns: &'s [i32],
    /// Two rows out of the horizontal pass, four bits short of 19.
    rows: [&'s mut [i32]; 2],
    /// The source rows they come from.
    held: [Option<usize>; 2],
    scale: f64,
    halves: bool,
}

impl<'s> OpenCv<'s> {
    /// Words of scratch memory.
    pub(super) fn words(dst_w: usize) -> Option<usize> {
        dst_w.checked_mul(4 + 2 * 3)
    }

    /// Computes the columns into `words`, of which there are at least [`OpenCv::words`].
    pub(super) fn new(src_w: usize, src_h: usize, dst_w: usize, dst_h: usize, words: &'s mut [i32]) -> Self {
        let halves = src_w == 2 * dst_w && src_h == 2 * dst_h;
        let width = if halves { 0 } else { dst_w };
        let (columns, words) = words.split_at_mut(width * 4);
        let (top, words) = words.split_at_mut(width * 3);
        let bottom = &mut words[..width * 3];
        let scale = ratio(src_w, dst_w);
        for (x, column) in columns.chunks_exact_mut(4).enumerate() {
            let (mut left, mut f) = position(x, scale);
            if left < 0 || left as usize >= src_w - 1 {
                (left, f) = (left.clamp(0, src_w as i32 - 1), 0.0);
            }
            let [a, b] = weights(f);
            column.copy_from_slice(&[left, (left + 1).min(src_w as i32 - 1), a, b]);
        }
        OpenCv { columns, rows: [top, bottom], held: [None; 2], scale: ratio(src_h, dst_h), halves }
    }

    /// Row `y` of the result; rows must be asked for in order.
    pub(super) fn row(&mut self, view: &ImageView<'_>, y: usize, out: &mut [u8]) {
        if self.halves {
            return mean_of_four(view, y, out);
        }
        let (top, f) = position(y, self.scale);
        let last = view.height() as i32 - 1;
        // Rows are clamped to the picture, but not their weights.
        let (top, bottom) = (top.clamp(0, last) as usize, (top + 1).clamp(0, last) as usize);
        if self.held[0] != Some(top) && self.held[1] == Some(top) {
            self.rows.swap(0, 1);
            self.held.swap(0, 1);
        }
        for (slot, src) in [top, bottom].into_iter().enumerate() {
            if self.held[slot] != Some(src) {
                resize_row(self.columns, view, src, self.rows[slot]);
                self.held[slot] = Some(src);
            }
        }
        let [a, b] = weights(f);
        let [top, bottom] = &self.rows;
        for (out, (&t, &u)) in out.iter_mut().zip(top.iter().zip(bottom.iter())) {
            *out = ((((a * t) >> 16) + ((b * u) >> 16) + 2) >> 2).clamp(0, 255) as u8;
        }
    }
}

/// Source samples per sample of the result, rounded as OpenCV rounds it.
fn ratio(src: usize, dst: usize) -> f64 {
    1.0 / (dst as f64 / src as f64)
}

/// The sample before result `i` and how far behind it the result lies (0 to 1).
fn position(i: usize, scale: f64) -> (i32, f32) {
    let at = ((i as f64 + 0.5) * scale - 0.5) as f32;
    let floor = libm::floorf(at);
    (floor as i32, at - floor)
}

/// The two weights for a distance, in units of 1/2048, rounded to even.
fn weights(f: f32) -> [i32; 2] {
    [libm::rintf((1.0 - f) * ONE) as i32, libm::rintf(f * ONE) as i32]
}

/// Source row `y` at the result's width, without its four lowest bits.
fn resize_row(columns: &[i32], view: &ImageView<'_>, y: usize, out: &mut [i32]) {
    let (row, bytes, order) = (view.row(y), view.format().bytes(), view.format().offsets());
    for (out, column) in out.chunks_exact_mut(3).zip(columns.chunks_exact(4)) {
        let left = &row[column[0] as usize * bytes..][..bytes];
        let right = &row[column[1] as usize * bytes..][..bytes];
        for (out, o) in out.iter_mut().zip(order) {
            *out = (i32::from(left[o]) * column[2] + i32::from(right[o]) * column[3]) >> 4;
        }
    }
}

/// Row `y` of a picture of half the size.
fn mean_of_four(view: &ImageView<'_>, y: usize, out: &mut [u8]) {
    let (bytes, order) = (view.format().bytes(), view.format().offsets());
    let (top, bottom) = (view.row(2 * y), view.row(2 * y + 1));
    let pairs = top.chunks_exact(2 * bytes).zip(bottom.chunks_exact(2 * bytes));
    for (out, (top, bottom)) in out.chunks_exact_mut(3).zip(pairs) {
        for (out, o) in out.iter_mut().zip(order) {
            let sum: u32 = [top[o], top[o + bytes], bottom[o], bottom[o + bytes]].map(u32::from).iter().sum();
            *out = ((sum + 2) >> 2) as u8;
        }
    }
}
