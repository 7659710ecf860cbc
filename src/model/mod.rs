//! The model as a sequence of steps: a picture in, a class map, or the features and the class of the picture out.
//!
//! The data flows through `input` (resize), [`backbone`] (patch embedding, transformer blocks, features) and [`head`] (neck,
//! pooling module, pyramid, classifier), once for a picture that is stretched to the input size. `mosaic` runs them for one window
//! after another and puts the class map together. Models without neck and head go from the backbone to [`pooled`]. A step reads and writes buffers of the arena and calls operators
//! ([`ops`](crate::ops)); none allocates. Each step is a file with two functions: `buffers` tells the [`Planner`] which buffers
//! the step needs, of which sizes and for how long, and `run` does the work. Both take the shapes from the same function, so
//! they cannot disagree. Functions that both call are not inlined: they run a few times per frame, and one copy keeps the
//! program small (`.ci/no-std` has the budget).

pub(crate) mod backbone;
mod context;
mod frame;
pub(crate) mod head;
mod input;
mod mosaic;
mod pooled;
mod results;

use crate::error::Error;
use crate::image::ImageView;
use crate::image::preprocess::InputWindow;
use crate::output::Output;
use crate::views::Views;
pub(crate) use context::{Context, Planner};
pub(crate) use frame::buffers;
pub(crate) use mosaic::{buffers as view_buffers, run as run_views};

/// Runs a picture in the given views, to the buffers of the output.
pub(crate) type RunFn = fn(&mut Context, &mut [u8], &ImageView, &Views, &mut Output) -> Result<(), Error>;

/// [`RunFn`] for a picture that is stretched to the input size and seen once.
pub(crate) fn run_whole(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    _: &Views,
    output: &mut Output,
) -> Result<(), Error> {
    let window = InputWindow::whole(&cx.facts, (image.width(), image.height()));
    frame::segment(cx, arena, image, &window, &mut head::ClassMapRows::new(&cx.facts, output))?;
    cx.window_done(1, 1);
    Ok(())
}

/// [`RunFn`] for a model that does not segment pictures.
pub(crate) fn run_pooled(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    _: &Views,
    output: &mut Output,
) -> Result<(), Error> {
    let window = InputWindow::whole(&cx.facts, (image.width(), image.height()));
    frame::backbone(cx, arena, image, &window)?;
    pooled::run(cx, arena, output)?;
    cx.window_done(1, 1);
    Ok(())
}
