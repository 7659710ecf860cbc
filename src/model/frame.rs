//! One frame: all steps in order, first for planning, then for running.

use super::backbone::{attention, embed, features, mlp};
use super::context::{Context, Planner};
use super::head::{self, LogitsSink};
use super::input;
use crate::error::Error;
use crate::image::ImageView;
use crate::image::preprocess::InputWindow;

/// Collects the buffers of all steps.
pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    input::buffers(p);
    embed::buffers(p)?;
    for block in 0..p.facts.blocks {
        attention::buffers(p, block)?;
        mlp::buffers(p, block)?;
    }
    features::buffers(p)?;
    head::buffers(p)
}

/// Runs all steps on one window of a picture. The logits go to `sink`, row by row.
pub(super) fn run(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    window: &InputWindow,
    sink: &mut dyn LogitsSink,
) -> Result<(), Error> {
    input::run(cx, arena, image, window)?;
    embed::run(cx, arena)?;
    features::store(cx, arena, 0)?;
    for block in 0..cx.facts.blocks {
        attention::run(cx, arena, block)?;
        mlp::run(cx, arena, block)?;
        features::show_stream(cx, arena, block + 1)?;
        features::store(cx, arena, block + 1)?;
    }
    head::run(cx, arena, sink)
}
