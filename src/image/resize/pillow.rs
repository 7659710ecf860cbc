//! Pillow's resampling: a horizontal and a vertical pass, each with fixed-point weights, bytes in between.
//!
//! The horizontal pass comes first: each source row is resized once, when the first output row needs it, and kept in
//! a row ring for as long as the vertical window can reach it. If the picture loses more than twice as many rows as
//! columns, the vertical pass comes first and needs one row in between. A pass along an axis whose length does not
//! change is skipped.
//!
//! Source: Pillow 13, `src/libImaging/Resample.c` (`ImagingResampleInner` and the 8-bit passes). Older versions
//! always start with the horizontal pass; for pictures that lose so many rows, some of their bytes differ by one.

use super::axis::{Axis, PRECISION};
use super::filter::Filter;
use super::part::Part;
use super::pixels::{MAX_BLOCK, Pixels};
use core::ops::Range;

/// Bytes summed at a time in the vertical pass; the sums of a block stay in registers.
const BLOCK: usize = 32;
/// One half in units of `2^-PRECISION`. Sums start with it, so that shifting rounds to nearest.
const HALF: i32 = 1 << (PRECISION - 1);

/// A sum of weighted bytes as a byte.
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The state of a resize with one of Pillow's filters. A pass is `None` if its axis keeps its length.
pub(super) struct Pillow<'s> {
    horizontal: Option<Horizontal<'s>>,
    vertical: Option<Vertical<'s>>,
    /// The first output column, if there is no horizontal pass: its place among the source columns that are read.
    left: usize,
}

/// The horizontal pass, with the weights of all columns.
struct Horizontal<'s> {
    max_weights: usize,
    /// Per output column, the first source column, counted from the first that is read, and the number of weights.
    bounds: &'s [i32],
    /// Per output column, room for `max_weights` weights.
    weights: &'s [i32],
}

/// The vertical pass. The weights of an output row are computed when the row is due.
struct Vertical<'s> {
    axis: Axis,
    weights: &'s mut [i32],
    store: Store<'s>,
}

/// The bytes between the two passes.
enum Store<'s> {
    /// Vertical pass first: one row after it, in the row format, of the columns that are read.
    Row(&'s mut [u8]),
    /// Horizontal pass first: the latest rows after it, row `y` in slot `y % max_weights`. `next` is the first source
    /// row that the horizontal pass has not seen.
    Ring { rows: &'s mut [u8], next: usize },
}

/// Whether the vertical pass comes first.
fn vertical_first(src: (usize, usize), dst: (usize, usize)) -> bool {
    let lost = |src: usize, dst: usize| src as i64 - dst as i64;
    src.0 != dst.0 && src.1 > dst.1 && lost(src.1, dst.1) > 2 * lost(src.0, dst.0)
}

/// Takes the first `n` words from `words`.
fn take<'s>(words: &mut &'s mut [i32], n: usize) -> &'s mut [i32] {
    let (head, tail) = core::mem::take(words).split_at_mut(n);
    *words = tail;
    head
}

impl<'s> Pillow<'s> {
    /// Scratch size in 32-bit words for a part of `width` columns, for which at most `columns` of the source are read; enough for every
    /// smaller source too. `None` on overflow.
    pub(super) fn words(
        src: (usize, usize),
        dst: (usize, usize),
        (width, columns): (usize, usize),
        channels: usize,
        filter: Filter,
    ) -> Option<usize> {
        let horizontal = width.checked_mul(Axis::new(filter, src.0, dst.0).max_weights() + 2)?;
        let max_weights = Axis::new(filter, src.1, dst.1).max_weights();
        // Either a ring, or one row of the picture with at most four bytes per pixel.
        let store = (width * channels).checked_mul(max_weights)?.div_ceil(4).max(columns);
        horizontal.checked_add(max_weights)?.checked_add(store)
    }

    /// Computes the horizontal weights into `words`, which holds at least [`Pillow::words`].
    pub(super) fn new(
        src: (usize, usize),
        dst: (usize, usize),
        (part, columns): (Part, &Range<usize>),
        channels: usize,
        filter: Filter,
        mut words: &'s mut [i32],
    ) -> Self {
        let horizontal = (src.0 != dst.0)
            .then(|| Horizontal::new(Axis::new(filter, src.0, dst.0), (part, columns.start), &mut words));
        let vertical = (src.1 != dst.1).then(|| {
            let axis = Axis::new(filter, src.1, dst.1);
            let weights = take(&mut words, axis.max_weights());
            let store = if vertical_first(src, dst) {
                Store::Row(bytemuck::cast_slice_mut(take(&mut words, columns.len())))
            } else {
                let ring = (part.width * channels * axis.max_weights()).div_ceil(4);
                Store::Ring { rows: bytemuck::cast_slice_mut(take(&mut words, ring)), next: 0 }
            };
            Vertical { axis, weights, store }
        });
        let left = if horizontal.is_none() { part.left - columns.start } else { 0 };
        Pillow { horizontal, vertical, left }
    }

    /// Writes output row `y` to `out`. Rows must be asked for in order.
    pub(super) fn row(&mut self, pixels: Pixels, converted: &mut [u8], y: usize, out: &mut [u8]) {
        let (horizontal, left) = (self.horizontal.as_ref(), self.left);
        let Some(Vertical { axis, weights, store }) = &mut self.vertical else {
            return resize_row(horizontal, (pixels, left), pixels.row(y, converted), out);
        };
        let slots = weights.len();
        let (first, count) = axis.weights(y, weights);
        match store {
            Store::Row(row) => {
                let (first_column, end) = pixels.columns;
                let row = &mut row[..(end - first_column) * pixels.format().bytes()];
                if pixels.view.is_direct() {
                    sum_rows(|i| pixels.row(first + i, &mut []), &weights[..count], row);
                } else {
                    sum_converted_rows(pixels, first, &weights[..count], row);
                }
                resize_row(horizontal, (pixels, left), row, out);
            }
            Store::Ring { rows, next } => {
                let bytes = out.len();
                for src in first.max(*next)..first + count {
                    let slot = &mut rows[src % slots * bytes..][..bytes];
                    resize_row(horizontal, (pixels, left), pixels.row(src, converted), slot);
                }
                *next = (first + count).max(*next);
                sum_rows(|i| &rows[(first + i) % slots * bytes..][..bytes], &weights[..count], out);
            }
        }
    }
}

/// Converts a row in the picture's pixel format to the wanted channels, through the horizontal pass if there is one, else from column
/// `left` on.
fn resize_row(
    horizontal: Option<&Horizontal<'_>>,
    (pixels, left): (Pixels, usize),
    row: &[u8],
    out: &mut [u8],
) {
    let Some(pass) = horizontal else { return pixels.copy(row, left, out) };
    let format = pixels.format();
    match (pixels.channels, format.bytes()) {
        (3, 1) => pass.run::<1, 3>(row, format.offsets(), out),
        (3, 3) => pass.run::<3, 3>(row, format.offsets(), out),
        (3, _) => pass.run::<4, 3>(row, format.offsets(), out),
        (1, _) => pass.run::<1, 1>(row, [0], out),
        (2, _) => pass.run::<2, 2>(row, [0, 1], out),
        (_, _) => pass.run::<4, 4>(row, format.channel_offsets(), out),
    }
}

impl<'s> Horizontal<'s> {
    /// Computes the weights of the columns of `part` into memory taken from `words`.
    fn new(axis: Axis, (part, first_column): (Part, usize), words: &mut &'s mut [i32]) -> Self {
        let max_weights = axis.max_weights();
        let (bounds, weights) = (take(words, part.width * 2), take(words, part.width * max_weights));
        let columns = bounds.chunks_exact_mut(2).zip(weights.chunks_exact_mut(max_weights));
        for (x, (bound, weights)) in (part.left..).zip(columns) {
            let (first, count) = axis.weights(x, weights);
            bound.copy_from_slice(&[(first - first_column) as i32, count as i32]);
        }
        Horizontal { max_weights, bounds, weights }
    }

    /// Resizes a row of pixels, `STEP` bytes each, to `N` bytes each.
    fn run<const STEP: usize, const N: usize>(&self, row: &[u8], offsets: [usize; N], out: &mut [u8]) {
        let columns = self.bounds.chunks_exact(2).zip(self.weights.chunks_exact(self.max_weights));
        for (out, (bound, weights)) in out.chunks_exact_mut(N).zip(columns) {
            let (first, count) = (bound[0] as usize, bound[1] as usize);
            let mut sums = [HALF; STEP];
            let pixels = row[first * STEP..][..count * STEP].as_chunks::<STEP>().0;
            for (pixel, &weight) in pixels.iter().zip(&weights[..count]) {
                for (sum, &p) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(p) * weight;
                }
            }
            for (out, o) in out.iter_mut().zip(offsets) {
                *out = to_byte(sums[o]);
            }
        }
    }
}

/// [`sum_rows`] for rows that are converted a few pixels at a time, from row `first` on: each is converted again for every output row
/// that it contributes to, so that none has to be kept.
fn sum_converted_rows(pixels: Pixels, first: usize, weights: &[i32], out: &mut [u8]) {
    pixels.each_block(|at, read| {
        let (mut bytes, mut sums) = ([0; MAX_BLOCK], [HALF; MAX_BLOCK]);
        let bytes = &mut bytes[..at.len()];
        for (y, &weight) in (first..).zip(weights) {
            read(y, bytes);
            sums.iter_mut().zip(&*bytes).for_each(|(sum, &p)| *sum += i32::from(p) * weight);
        }
        out[at].iter_mut().zip(sums).for_each(|(out, sum)| *out = to_byte(sum));
    });
}

/// Writes the weighted sum of rows to `out`. `row(i)` belongs to weight `i` and is at least as long as `out`.
fn sum_rows<'r>(row: impl Fn(usize) -> &'r [u8], weights: &[i32], out: &mut [u8]) {
    let whole = out.len() / BLOCK * BLOCK;
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    for (i, block) in blocks.iter_mut().enumerate() {
        sum_block(&row, weights, i * BLOCK, block);
    }
    sum_block(&row, weights, whole, rest);
}

/// [`sum_rows`] for at most [`BLOCK`] bytes, from byte `at` of each row. Inlining makes the length of a whole block a
/// constant, so the compiler vectorises it.
#[inline(always)]
fn sum_block<'r>(row: &impl Fn(usize) -> &'r [u8], weights: &[i32], at: usize, out: &mut [u8]) {
    let mut sums = [HALF; BLOCK];
    for (i, &weight) in weights.iter().enumerate() {
        for (sum, &p) in sums.iter_mut().zip(&row(i)[at..][..out.len()]) {
            *sum += i32::from(p) * weight;
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = to_byte(sum);
    }
}
