//! Runs the network on one window of a picture after another and puts the class map together.
//!
//! In: a picture, and the views in which it is seen ([`Views`]). Out: the class map. Within a view, the logits of the windows that
//! cover a pixel are averaged. No map of logits of the whole picture ever exists: a pixel is decided once the last window that
//! contributes to it has computed the rows of logits that it needs ([`pixels`]); of earlier windows only the tiles that are still
//! needed are kept ([`kept`]). [`views`](crate::views) says which windows there are and in which order they run.
//!
//! With several views, the logits of each become probabilities. Their sum over the views needs a number for each pixel and class,
//! in memory of the caller: 16-bit fixed point, so that the sum does not depend on the order.

mod kept;
mod pixels;

use super::context::{Context, Planner};
use super::frame;
use super::results::PixelResults;
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Facts;
use crate::image::ImageView;
use crate::image::preprocess::InputWindow;
use crate::output::Output;
use crate::parallel::chunks::chunks;
use crate::views::{Grid, Strip, View, Views};
use kept::{Kept, KeptSize};
use pixels::WindowPixels;

/// The views of a picture, each with its windows and the width of its strips.
fn views_of(f: &Facts, views: &Views, picture: (usize, usize)) -> impl Iterator<Item = (View, Grid, usize)> {
    views.of_picture(f, picture).map(|view| {
        let grid = views.grid(f, &view);
        let width = kept::strip_width(f, views, &grid);
        (view, grid, width)
    })
}

/// The buffers that the views of the picture need.
fn kept_size(f: &Facts, views: &Views, picture: (usize, usize)) -> KeptSize {
    let sizes = views_of(f, views, picture).map(|(_, grid, width)| KeptSize::of(&grid, width));
    sizes.fold(KeptSize::default(), KeptSize::max)
}

/// The buffers besides those of a frame, for pictures of `picture` (width, height) pixels.
pub(crate) fn buffers(p: &mut Planner, views: &Views, picture: (usize, usize)) -> Result<(), Error> {
    for (buf, bytes) in kept_size(&p.facts, views, picture).bytes(&p.facts)? {
        p.layout.need(buf, bytes, phase::ALL);
    }
    p.need_f32_per_worker(Buf::MapScratch, pixels::scratch(&p.facts), phase::BANDS);
    Ok(())
}

/// Runs a picture in all views, to the class map of `output`.
pub(crate) fn run(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    views: &Views,
    output: &mut Output,
) -> Result<(), Error> {
    let (f, picture) = (cx.facts, (image.width(), image.height()));
    views.check(&f, picture)?;
    let size = kept_size(&f, views, picture);
    for (buf, needed) in size.bytes(&f)? {
        let found = cx.buffer_len(buf);
        if found < needed {
            return Err(Error::Buffer {
                what: "arena bytes for overlapping windows of this picture",
                needed,
                found,
            });
        }
    }
    let unit = views.are_several().then(|| 65535 / views.total_weight());
    if let (Some(_), Some(scores)) = (unit, &mut output.scores) {
        scores.fill(0);
    }
    let windows = views_of(&f, views, picture).map(|(_, grid, width)| windows(&grid, width));
    let total = windows.fold(0, usize::saturating_add);
    let mut done = 0;
    for (view, grid, width) in views_of(&f, views, picture) {
        let unit = unit.map(|unit| (unit * view.weight) as f32);
        for strip in grid.strips(width) {
            with_kept(cx, arena, (&grid, strip), size, |kept| kept.clear())?;
            for step in 0..grid.steps(strip) {
                let mut pixels = window_pixels((&view, &grid, strip), grid.window(strip, step), size, output);
                pixels.unit = unit;
                frame::segment(cx, arena, image, &input_window(&pixels), &mut pixels)?;
                with_kept(cx, arena, (&grid, strip), size, |kept| kept.release(step))?;
                done += 1;
                cx.window_done(done, total);
            }
        }
    }
    if unit.is_some() {
        decide_by_scores(cx, output);
    }
    Ok(())
}

/// The number of windows that run in a view whose strips are `width` wide.
fn windows(grid: &Grid, width: usize) -> usize {
    grid.strips(width).map(|strip| grid.steps(strip)).fold(0, usize::saturating_add)
}

/// The receiver of the logits of a window.
fn window_pixels<'a, 'o>(
    (view, grid, strip): (&'a View, &'a Grid, Strip),
    window: [usize; 2],
    size: KeptSize,
    output: &'a mut Output<'o>,
) -> WindowPixels<'a, 'o> {
    let columns = grid.axes[0].decided(window[0], output.size.0);
    let rows = grid.axes[1].decided(window[1], output.size.1);
    let rows = if grid.decides(strip, window) { rows } else { 0..0 };
    WindowPixels { view, grid, strip, size, window, columns, rows, output, unit: None }
}

/// What the network sees in a window.
fn input_window(pixels: &WindowPixels) -> InputWindow {
    let [left, top] = [0, 1].map(|axis| pixels.grid.axes[axis].start(pixels.window[axis]));
    InputWindow { resized: pixels.view.size, left, top, mirror: pixels.view.mirror }
}

/// Calls `then` with the kept logits.
fn with_kept(
    cx: &Context,
    arena: &mut [u8],
    strip: (&Grid, Strip),
    size: KeptSize,
    then: impl FnOnce(&mut Kept),
) -> Result<(), Error> {
    let [tiles, index] = cx.buffers(arena, [Buf::KeptTiles, Buf::KeptIndex])?;
    let (tiles, index) = (bytemuck::cast_slice_mut(tiles), bytemuck::cast_slice_mut(index));
    then(&mut Kept::new(&cx.facts, strip, size, tiles, index));
    Ok(())
}

/// Decides each pixel by its scores: the class with the highest, the lowest of several.
fn decide_by_scores(cx: &Context, output: &mut Output) {
    let ((width, height), classes) = (output.size, cx.facts.classes);
    // The results borrow the rest of the output.
    let Some(scores) = output.scores.take() else { return };
    let results = PixelResults::new(cx.isa, classes, output);
    chunks(cx.workers, &mut scores[..width * height * classes], width * classes, |y, scores| {
        for (x, scores) in scores.chunks(classes).enumerate() {
            // SAFETY: the pixels of row y belong to one task, which calls this once for each.
            unsafe { results.put_scores(y * width + x, scores) };
        }
    });
    output.scores = Some(scores);
}
