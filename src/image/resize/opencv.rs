//! OpenCV's `INTER_LINEAR` on bytes: two by two pixels at every scale, weights in 11-bit fixed point.
//!
//! Each source row is interpolated horizontally once, and the latest two are kept for the vertical step. Where both
//! sides are halved exactly, OpenCV takes the mean of four pixels instead, and so does this code.
//!
//! Source: OpenCV, `modules/imgproc/src/resize.cpp` (`HResizeLinear`, `VResizeLinear` for `uchar`, and the choice of
//! method in `hal::resize`).

use super::part::Part;
use super::pixels::{Pixels, by_channels};

/// The weight 1 in fixed point.
const ONE: f32 = 2048.0;

/// The state of a resize.
pub(super) struct OpenCv<'s> {
    /// Per output column: left and right source column, counted from the first that is read, and their weights.
    columns: &'s [i32],
    /// The upper and the lower source row after the horizontal pass: 19-bit values without their four lowest bits.
    rows: [&'s mut [i32]; 2],
    /// The source row that each of `rows` holds.
    held: [Option<usize>; 2],
    /// Source rows per output row.
    scale: f64,
    /// Whether both sides are halved exactly.
    halves: bool,
    /// If both sides are halved: the source column of the first output column, counted in the same way.
    left: usize,
}

impl<'s> OpenCv<'s> {
    /// Scratch size in 32-bit words; `None` on overflow.
    pub(super) fn words(width: usize, channels: usize) -> Option<usize> {
        width.checked_mul(4 + 2 * channels)
    }

    /// Computes the column weights into `words`, which holds at least [`OpenCv::words`].
    pub(super) fn new(
        src: (usize, usize),
        dst: (usize, usize),
        (part, first_column): (Part, usize),
        channels: usize,
        words: &'s mut [i32],
    ) -> Self {
        let halves = src == (2 * dst.0, 2 * dst.1);
        let width = if halves { 0 } else { part.width };
        let (columns, words) = words.split_at_mut(width * 4);
        let (upper, words) = words.split_at_mut(width * channels);
        let lower = &mut words[..width * channels];
        let (scale, last) = (ratio(src.0, dst.0), src.0 as i32 - 1);
        for (x, column) in (part.left..).zip(columns.chunks_exact_mut(4)) {
            let (mut left, mut fraction) = position(x, scale);
            if left < 0 || left >= last {
                (left, fraction) = (left.clamp(0, last), 0.0);
            }
            let [a, b] = weights(fraction);
            let [left, right] = [left, (left + 1).min(last)].map(|column| column - first_column as i32);
            column.copy_from_slice(&[left, right, a, b]);
        }
        let (scale, left) = (ratio(src.1, dst.1), if halves { 2 * part.left - first_column } else { 0 });
        OpenCv { columns, rows: [upper, lower], held: [None; 2], scale, halves, left }
    }

    /// Writes output row `y` to `out`. Rows must be asked for in order.
    pub(super) fn row(&mut self, pixels: Pixels, converted: &mut [u8], y: usize, out: &mut [u8]) {
        if self.halves {
            let (bytes, (a, b)) = (pixels.format().bytes(), converted.split_at_mut(converted.len() / 2));
            let rows = [pixels.row(2 * y, a), pixels.row(2 * y + 1, b)];
            let [upper, lower] = rows.map(|row| &row[bytes * self.left..]);
            return by_channels!(pixels, mean_of_four(upper, lower, bytes, out));
        }
        let (upper, fraction) = position(y, self.scale);
        let last = pixels.view.height() as i32 - 1;
        // Unlike columns, rows outside the picture are clamped without changing the weights.
        self.hold(pixels, converted, [upper, upper + 1].map(|row| row.clamp(0, last) as usize));
        let [a, b] = weights(fraction);
        let [upper, lower] = &self.rows;
        for (out, (&u, &l)) in out.iter_mut().zip(upper.iter().zip(lower.iter())) {
            *out = ((((a * u) >> 16) + ((b * l) >> 16) + 2) >> 2).clamp(0, 255) as u8;
        }
    }

    /// Makes `rows` hold these two source rows, after the horizontal pass.
    fn hold(&mut self, pixels: Pixels, converted: &mut [u8], needed: [usize; 2]) {
        // The lower row of the previous output row is often the upper row of this one.
        if self.held[0] != Some(needed[0]) && self.held[1] == Some(needed[0]) {
            self.rows.swap(0, 1);
            self.held.swap(0, 1);
        }
        for (slot, src) in needed.into_iter().enumerate() {
            if self.held[slot] != Some(src) {
                let (row, bytes) = (pixels.row(src, converted), pixels.format().bytes());
                by_channels!(pixels, resize_row(self.columns, row, bytes, self.rows[slot]));
                self.held[slot] = Some(src);
            }
        }
    }
}

/// Source samples per output sample, rounded as OpenCV rounds it.
fn ratio(src: usize, dst: usize) -> f64 {
    1.0 / (dst as f64 / src as f64)
}

/// The source sample before output `i`, and the fraction (0 to 1) from there to the next sample.
fn position(i: usize, scale: f64) -> (i32, f32) {
    let at = ((i as f64 + 0.5) * scale - 0.5) as f32;
    let floor = libm::floorf(at);
    (floor as i32, at - floor)
}

/// The two weights for a fraction, in units of 1/2048, rounded to nearest even.
fn weights(fraction: f32) -> [i32; 2] {
    [libm::rintf((1.0 - fraction) * ONE) as i32, libm::rintf(fraction * ONE) as i32]
}

/// Interpolates a source row of pixels of `bytes` bytes horizontally, without their four lowest bits.
fn resize_row<const N: usize>(
    offsets: [usize; N],
    columns: &[i32],
    row: &[u8],
    bytes: usize,
    out: &mut [i32],
) {
    for (out, column) in out.as_chunks_mut::<N>().0.iter_mut().zip(columns.as_chunks::<4>().0) {
        let left = &row[column[0] as usize * bytes..][..bytes];
        let right = &row[column[1] as usize * bytes..][..bytes];
        for (out, o) in out.iter_mut().zip(offsets) {
            *out = (i32::from(left[o]) * column[2] + i32::from(right[o]) * column[3]) >> 4;
        }
    }
}

/// Writes a row of a picture whose sides are both halved: `upper` and `lower` are the rows above each other, from the first column on
/// that is wanted, of pixels of `bytes` bytes.
fn mean_of_four<const N: usize>(
    offsets: [usize; N],
    upper: &[u8],
    lower: &[u8],
    bytes: usize,
    out: &mut [u8],
) {
    let pairs = upper.chunks_exact(2 * bytes).zip(lower.chunks_exact(2 * bytes));
    for (out, (upper, lower)) in out.as_chunks_mut::<N>().0.iter_mut().zip(pairs) {
        for (out, o) in out.iter_mut().zip(offsets) {
            let sum: u32 =
                [upper[o], upper[o + bytes], lower[o], lower[o + bytes]].map(u32::from).iter().sum();
            *out = ((sum + 2) >> 2) as u8;
        }
    }
}
