//! Decides the pixels of a window: the last window that a pixel reads combines the logits of all windows that it reads.
//!
//! Both axes are sums with weights ([`Axis::source`]). For a block of pixels in a row of the class map, the rows of logits of each
//! window are summed first, into a few columns per window, and then, for each pixel, these columns. The logits of the window that
//! runs are in the head's ring, those of other windows in [`Kept`].
//!
//! [`Axis::source`]: crate::views::Axis::source

use super::kept::{Kept, KeptSize};
use crate::error::Error;
use crate::file::format::padded;
use crate::file::{Facts, format::LANES};
use crate::model::context::Context;
use crate::model::head::{BAND, LOGITS, LogitsSink, RunLoop, SinkBuffers};
use crate::model::results::PixelResults;
use crate::output::Output;
use crate::parallel::Loop;
use crate::parallel::chunks::{Shared, with_scratch};
use crate::simd::isa::Isa;
use crate::views::{Axis, Grid, Source, Strip, View};
use core::ops::Range;

/// The most pixels in a block.
const BLOCK: usize = 32;
/// The most columns of logits of a window that a block reads.
const COLUMNS: usize = 16;
/// The most windows along an axis that a pixel reads.
const OVERLAPS: usize = 3;
/// Numbers of the sources of a block of pixels in one window.
const SOURCES_LEN: usize = BLOCK * size_of::<Source>() / size_of::<f32>();

/// The scratch of each worker, in f32: the sources of a block of pixels and its columns of logits, for each window, and one pixel.
pub(super) fn scratch(f: &Facts) -> usize {
    OVERLAPS * SOURCES_LEN.next_multiple_of(LANES) + (OVERLAPS * COLUMNS + 1) * padded(f.classes)
}

/// Receives the logits of one window of a view.
pub(super) struct WindowPixels<'a, 'o> {
    pub view: &'a View,
    pub grid: &'a Grid,
    pub strip: Strip,
    pub size: KeptSize,
    /// Column and row of the window.
    pub window: [usize; 2],
    /// The columns of the class map that the window decides.
    pub columns: Range<usize>,
    /// The rows that it decides and has not decided yet.
    pub rows: Range<usize>,
    pub output: &'a mut Output<'o>,
    /// With several views: what a probability of 1 in this view adds to a score.
    pub unit: Option<f32>,
}

impl LogitsSink for WindowPixels<'_, '_> {
    fn rows(
        &mut self,
        cx: &mut Context,
        ready: usize,
        buffers: &mut SinkBuffers,
        run: &mut RunLoop,
    ) -> Result<(), Error> {
        let row_len = self.grid.axes[0].cells * padded(cx.facts.classes);
        let mut kept =
            Kept::new(&cx.facts, (self.grid, self.strip), self.size, buffers.kept_tiles, buffers.kept_index);
        let newest = &buffers.logits[(ready - BAND) % LOGITS * row_len..][..BAND * row_len];
        kept.store(cx.workers, self.window, ready / BAND - 1, newest);
        let (axis, height) = (&self.grid.axes[1], self.output.size.1);
        let first = self.rows.start;
        while !self.rows.is_empty()
            && axis.source(self.window[1], self.rows.start, height).terms().all(|(row, _)| row < ready)
        {
            self.rows.start += 1;
        }
        if first < self.rows.start {
            self.decide(cx, first..self.rows.start, buffers.logits, &kept, buffers.scratch);
        }
        // Storing and deciding are steps of their own, which have run.
        run(cx, Loop::NONE)
    }
}

/// Where the logits of pixels go.
enum Target<'a> {
    Results(PixelResults<'a>),
    /// Scores, `[pixels][classes]`, and what a probability of 1 adds to them.
    Scores(Shared<'a, u16>, f32),
}

impl WindowPixels<'_, '_> {
    /// Decides the pixels of some rows of the class map.
    fn decide(
        &mut self,
        cx: &Context,
        rows: Range<usize>,
        logits: &[f32],
        kept: &Kept,
        workers_scratch: &mut [f32],
    ) {
        let (width, height) = self.output.size;
        let (isa, classes) = (cx.isa, cx.facts.classes);
        let target = match (self.unit, self.output.scores.as_deref_mut()) {
            (Some(unit), Some(scores)) => Target::Scores(Shared::new(scores), unit),
            _ => Target::Results(PixelResults::new(isa, classes, self.output)),
        };
        let (columns, mirror) = (self.columns.clone(), self.view.mirror);
        let block = BLOCK.min(self.grid.axes[0].pixels_within(COLUMNS, width));
        let block_of = |i: usize| {
            let first = columns.start + i * block;
            first..(first + block).min(columns.end)
        };
        let inputs = Inputs {
            isa,
            classes,
            grid: self.grid,
            window: self.window,
            size: (width, height),
            logits,
            kept,
        };
        with_scratch(cx.workers, columns.len().div_ceil(block), workers_scratch, |i, scratch| {
            inputs.each_pixel(block_of(i), rows.clone(), scratch, |x, y, pixel| {
                let x = if mirror { width - 1 - x } else { x };
                // SAFETY: each pixel belongs to the columns of one task, and the task calls this once for it.
                unsafe { target.put((isa, classes), y * width + x, pixel) };
            });
        });
    }
}

impl Target<'_> {
    /// Takes the logits of pixel number `at`, which it may overwrite.
    ///
    /// # Safety
    /// No other thread accesses the results of this pixel.
    unsafe fn put(&self, (isa, classes): (Isa, usize), at: usize, logits: &mut [f32]) {
        match self {
            Target::Results(results) => {
                let class = isa.argmax_lerp(logits, logits, 0.0, classes);
                // SAFETY: the caller owns the results of this pixel.
                unsafe { results.put(at, class, logits, true) };
            }
            Target::Scores(scores, unit) => {
                let factor = unit / isa.softmax(logits, classes);
                // SAFETY: `slice` checks the range, and only this thread accesses the scores of this pixel.
                let scores = unsafe { scores.slice(at * classes, classes) };
                for (score, e) in scores.iter_mut().zip(logits) {
                    *score = score.saturating_add((*e * factor + 0.5) as u16);
                }
            }
        }
    }
}

/// What the pixels of a window are computed from.
struct Inputs<'a> {
    isa: Isa,
    classes: usize,
    grid: &'a Grid,
    window: [usize; 2],
    /// Width and height of the class map.
    size: (usize, usize),
    /// The ring of the window's logits.
    logits: &'a [f32],
    kept: &'a Kept<'a>,
}

impl Inputs<'_> {
    /// Computes the logits of a block of pixels, `columns` in each of `rows`, and calls `each(x, y, logits)`.
    fn each_pixel(
        &self,
        columns: Range<usize>,
        rows: Range<usize>,
        scratch: &mut [f32],
        each: impl Fn(usize, usize, &mut [f32]),
    ) {
        let pitch = padded(self.classes);
        let (sources, scratch) = scratch.split_at_mut(OVERLAPS * SOURCES_LEN.next_multiple_of(LANES));
        let (sums, scratch) = scratch.split_at_mut(OVERLAPS * COLUMNS * pitch);
        let pixel = &mut scratch[..pitch];
        let windows = self.windows(0, columns.clone());
        let mut used = [const { 0..0 }; OVERLAPS];
        for ((i, used), out) in windows.clone().zip(&mut used).zip(sources.chunks_exact_mut(SOURCES_LEN)) {
            *used = fill_sources(&self.grid.axes[0], i, columns.clone(), self.size.0, source_slice(out));
        }
        for y in rows {
            for ((i, used), sums) in windows.clone().zip(&used).zip(sums.chunks_exact_mut(COLUMNS * pitch)) {
                self.sum_rows(i, y, used.clone(), &mut sums[..used.len() * pitch]);
            }
            for (at, x) in columns.clone().enumerate() {
                pixel.fill(0.0);
                let of_windows = used
                    .iter()
                    .zip(sources.chunks_exact(SOURCES_LEN))
                    .zip(sums.chunks_exact(COLUMNS * pitch));
                for ((used, sources), sums) in of_windows.take(windows.len()) {
                    let source: &Source = &bytemuck::cast_slice(sources)[at];
                    for (column, weight) in source.terms() {
                        let sum = &sums[(column - used.start) * pitch..][..pitch];
                        self.isa.add_scaled(sum, weight, pixel);
                    }
                }
                each(x, y, pixel);
            }
        }
    }

    /// The windows along an axis that some pixels read, up to the window that runs.
    fn windows(&self, axis: usize, pixels: Range<usize>) -> Range<usize> {
        let size = [self.size.0, self.size.1][axis];
        self.grid.axes[axis].needed(pixels.start, size).start..self.window[axis] + 1
    }

    /// Sums the rows of logits that row `y` of the class map reads in the windows of column `i` of the grid, in some columns of
    /// logits, to `out`, `[columns][padded classes]`.
    fn sum_rows(&self, i: usize, y: usize, columns: Range<usize>, out: &mut [f32]) {
        let (axis, pitch) = (&self.grid.axes[1], padded(self.classes));
        let row_len = self.grid.axes[0].cells * pitch;
        out.fill(0.0);
        for j in self.windows(1, y..y + 1) {
            for (row, weight) in axis.source(j, y, self.size.1).terms() {
                if [i, j] == self.window {
                    let row =
                        &self.logits[row % LOGITS * row_len..][columns.start * pitch..columns.end * pitch];
                    self.isa.add_scaled(row, weight, out);
                } else {
                    self.kept.add_row([i, j], row, columns.clone(), weight, out);
                }
            }
        }
    }
}

fn source_slice(numbers: &mut [f32]) -> &mut [Source] {
    bytemuck::cast_slice_mut(numbers)
}

/// Writes the sources of some pixels of a class map of `size` pixels in window `i` of an axis. Returns the range of logits that they
/// read.
fn fill_sources(
    axis: &Axis,
    i: usize,
    pixels: Range<usize>,
    size: usize,
    out: &mut [Source],
) -> Range<usize> {
    let (mut first, mut end) = (usize::MAX, 0);
    for (at, source) in pixels.zip(out) {
        *source = axis.source(i, at, size);
        for (cell, _) in source.terms() {
            (first, end) = (first.min(cell), end.max(cell + 1));
        }
    }
    first.min(end)..end
}
