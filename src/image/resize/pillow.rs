//! Pillow's resampling: a horizontal and a vertical pass with bytes between them; and its nearest pixel.
//!
//! Source: Pillow 13, `src/libImaging/Resample.c` (`ImagingResampleInner`, the 8-bit passes) and `Geometry.c`
//! (`ImagingScaleAffine`). A pass along an axis whose length stays the same is left out. The horizontal pass comes
//! first, unless the picture loses more than twice as many rows as columns: Pillow before 13 knows no such exception,
//! and then differs by one step of brightness here and there.

use super::filter::{Axis, Filter, PRECISION};
use crate::image::view::ImageView;

/// Bytes summed at once in the vertical pass: small enough to stay in registers.
const BLOCK: usize = 32;
/// One half in a weight's units.
const HALF: i32 = 1 << (PRECISION - 1);

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The state of a resize with one of Pillow's kernels.
pub(super) struct Pillow<'s> {
    across: Option<Table<'s>>,
    down: Option<Down<'s>>,
}

/// The horizontal pass: for every column its first source column, its number of weights, its weights.
struct Table<'s> {
    taps: usize,
    bounds: &'s [i32],
    weights: &'s [i32],
}

/// The vertical pass.
struct Down<'s> {
    axis: Axis,
    weights: &'s mut [i32],
    /// What it reads or writes: the rows out of the horizontal pass, or one row to go into it.
    store: Store<'s>,
}

enum Store<'s> {
    /// The vertical pass comes first; one row out of it, in the picture's format.
    Row(&'s mut [u8]),
    /// The last rows out of the horizontal pass, row `y` in slot `y % taps`; `next` has not been there yet.
    Ring { rows: &'s mut [u8], next: usize },
}

/// Whether the vertical pass comes first.
fn vertical_first(src_w: usize, src_h: usize, dst_w: usize, dst_h: usize) -> bool {
    let lost = |src: usize, dst: usize| src as i64 - dst as i64;
    src_w != dst_w && src_h > dst_h && lost(src_h, dst_h) > 2 * lost(src_w, dst_w)
}

impl<'s> Pillow<'s> {
    /// Words of scratch memory, enough for every smaller picture too.
    pub(super) fn words(
        src_w: usize,
        src_h: usize,
        dst_w: usize,
        dst_h: usize,
        filter: Filter,
    ) -> Option<usize> {
        let across = dst_w.checked_mul(Axis::new(filter, src_w, dst_w).taps() + 2)?;
        let taps = Axis::new(filter, src_h, dst_h).taps();
        // A row of the picture (a pixel has four bytes at most) or a ring.
        let store = (dst_w * 3).checked_mul(taps)?.div_ceil(4).max(src_w);
        across.checked_add(taps)?.checked_add(store)
    }

    /// Computes the horizontal weights into `words`, of which there are at least [`Pillow::words`].
    pub(super) fn new(
        src_w: usize,
        src_h: usize,
        dst_w: usize,
        dst_h: usize,
        filter: Filter,
        mut words: &'s mut [i32],
    ) -> Self {
        let mut take = |n: usize| {
            let (head, tail) = core::mem::take(&mut words).split_at_mut(n);
            words = tail;
            head
        };
        let across = (src_w != dst_w).then(|| {
            let axis = Axis::new(filter, src_w, dst_w);
            let taps = axis.taps();
            let (bounds, weights) = (take(dst_w * 2), take(dst_w * taps));
            for (x, (bound, w)) in bounds.chunks_exact_mut(2).zip(weights.chunks_exact_mut(taps)).enumerate()
            {
                let (first, n) = axis.weights(x, w);
                bound.copy_from_slice(&[first as i32, n as i32]);
            }
            Table { taps, bounds, weights }
        });
        let down = (src_h != dst_h).then(|| {
            let axis = Axis::new(filter, src_h, dst_h);
            let taps = axis.taps();
            let weights = take(taps);
            let store = if vertical_first(src_w, src_h, dst_w, dst_h) {
                Store::Row(bytemuck::cast_slice_mut(take(src_w)))
            } else {
                let words = (dst_w * 3 * taps).div_ceil(4);
                Store::Ring { rows: bytemuck::cast_slice_mut(take(words)), next: 0 }
            };
            Down { axis, weights, store }
        });
        Pillow { across, down }
    }

    /// Row `y` of the result; rows must be asked for in order.
    pub(super) fn row(&mut self, view: &ImageView<'_>, y: usize, out: &mut [u8]) {
        let across = self.across.as_ref();
        let Some(Down { axis, weights, store }) = &mut self.down else {
            return resize_row(across, view, view.row(y), out);
        };
        let taps = weights.len();
        let (first, n) = axis.weights(y, weights);
        match store {
            Store::Row(row) => {
                let row = &mut row[..view.width() * view.format().bytes()];
                sum_rows(|t| view.row(first + t), &weights[..n], row);
                resize_row(across, view, row, out);
            }
            Store::Ring { rows, next } => {
                let bytes = out.len();
                for src in first.max(*next)..first + n {
                    resize_row(across, view, view.row(src), &mut rows[src % taps * bytes..][..bytes]);
                }
                *next = (first + n).max(*next);
                sum_rows(|t| &rows[(first + t) % taps * bytes..][..bytes], &weights[..n], out);
            }
        }
    }
}

/// A row in the picture's format as RGB at the result's width.
fn resize_row(across: Option<&Table<'_>>, view: &ImageView<'_>, row: &[u8], out: &mut [u8]) {
    let order = view.format().offsets();
    match (across, view.format().bytes()) {
        (None, bytes) => {
            for (out, pixel) in out.chunks_exact_mut(3).zip(row.chunks_exact(bytes)) {
                out.copy_from_slice(&order.map(|o| pixel[o]));
            }
        }
        (Some(table), 1) => table.resize::<1>(row, order, out),
        (Some(table), 3) => table.resize::<3>(row, order, out),
        (Some(table), _) => table.resize::<4>(row, order, out),
    }
}

impl Table<'_> {
    /// One row of pixels, `STEP` bytes each, to RGB at the table's width.
    fn resize<const STEP: usize>(&self, row: &[u8], order: [usize; 3], out: &mut [u8]) {
        let columns = self.bounds.chunks_exact(2).zip(self.weights.chunks_exact(self.taps));
        for (out, (bound, weights)) in out.chunks_exact_mut(3).zip(columns) {
            let (first, n) = (bound[0] as usize, bound[1] as usize);
            let mut sums = [HALF; STEP];
            let pixels = row[first * STEP..][..n * STEP].chunks_exact(STEP);
            for (pixel, &w) in pixels.zip(&weights[..n]) {
                for (sum, &p) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(p) * w;
                }
            }
            for (out, o) in out.iter_mut().zip(order) {
                *out = clip(sums[o]);
            }
        }
    }
}

/// The weighted sum of as many rows as there are weights.
fn sum_rows<'r>(row: impl Fn(usize) -> &'r [u8], weights: &[i32], out: &mut [u8]) {
    let whole = out.len() / BLOCK * BLOCK;
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for (i, block) in blocks.iter_mut().enumerate() {
        sum_block(&row, weights, i * BLOCK, block);
    }
    sum_block(&row, weights, whole, rest);
}

/// The same of at most a block of each row, from byte `at`. Inlined, so that whole blocks are vectors.
#[inline(always)]
fn sum_block<'r>(row: &impl Fn(usize) -> &'r [u8], weights: &[i32], at: usize, out: &mut [u8]) {
    let mut sums = [HALF; BLOCK];
    for (t, &w) in weights.iter().enumerate() {
        for (sum, &p) in sums.iter_mut().zip(&row(t)[at..][..out.len()]) {
            *sum += i32::from(p) * w;
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = clip(sum);
    }
}

/// The state of a nearest-pixel resize.
pub(super) struct Nearest<'s> {
    columns: &'s [i32],
    y: f64,
    step: f64,
}

impl<'s> Nearest<'s> {
    /// Words of scratch memory.
    pub(super) fn words(dst_w: usize) -> Option<usize> {
        Some(dst_w)
    }

    /// Computes the columns into `words`, of which there are at least [`Nearest::words`].
    pub(super) fn new(src_w: usize, src_h: usize, dst_w: usize, dst_h: usize, words: &'s mut [i32]) -> Self {
        let columns = &mut words[..dst_w];
        let step = src_w as f64 / dst_w as f64;
        let mut x = step * 0.5;
        for column in columns.iter_mut() {
            *column = (x as usize).min(src_w - 1) as i32;
            // Summed as Pillow does, rounding errors included.
            x += step;
        }
        let step = src_h as f64 / dst_h as f64;
        Nearest { columns, y: step * 0.5, step }
    }

    /// The next row of the result.
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
