//! One frame: all steps in order, first for planning, then for running.

use super::backbone::{attention, embed, features, token_layers};
use super::context::{Context, Planner};
use super::head::{self, LogitsSink};
use super::{input, pooled};
use crate::error::Error;
use crate::file::format::Task;
use crate::image::ImageView;
use crate::image::preprocess::InputWindow;

/// Collects the buffers of all steps.
pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    input::buffers(p);
    embed::buffers(p)?;
    for block in 0..p.facts.blocks {
        attention::buffers(p, block)?;
    }
    token_layers::buffers(p)?;
    if p.facts.task != Task::Segmentation {
        return pooled::buffers(p);
    }
    features::buffers(p)?;
    head::buffers(p)
}

/// Segments one window of a picture. The logits go to `sink`, row by row.
pub(super) fn segment(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    window: &InputWindow,
    sink: &mut dyn LogitsSink,
) -> Result<(), Error> {
    backbone(cx, arena, image, window)?;
    head::run(cx, arena, sink)
}

/// From one window of a picture to the residual stream after the last block, and to the features that the neck reads.
pub(super) fn backbone(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    window: &InputWindow,
) -> Result<(), Error> {
    input::run(cx, arena, image, window)?;
    embed::run(cx, arena)?;
    token_layers::run(cx, arena, 0)?;
    for block in 0..cx.facts.blocks {
        attention::run(cx, arena, block)?;
        token_layers::run(cx, arena, block + 1)?;
    }
    Ok(())
}
