//! One frame: all steps in order, first for planning, then for running.

use super::backbone::{attention, embed, features, mlp};
use super::context::{Context, Planner};
use super::head;
use super::input;
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::image::ImageView;
use crate::output::Output;

/// Collects the buffers of all steps and places them in the arena.
pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    input::buffers(p);
    embed::buffers(p)?;
    for block in 0..p.facts.blocks {
        attention::buffers(p, block)?;
        mlp::buffers(p, block)?;
    }
    features::buffers(p)?;
    head::buffers(p)?;
    p.layout.place();
    let unpacked = p.unpacked_bytes()?;
    p.layout.append(Buf::UnpackedWeights, unpacked, phase::BACKBONE | phase::HEAD);
    Ok(())
}

/// Runs all steps, from a picture to the class map and logits of `output`.
pub(crate) fn run(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    output: &mut Output,
) -> Result<(), Error> {
    input::run(cx, arena, image)?;
    embed::run(cx, arena)?;
    features::store(cx, arena, 0)?;
    for block in 0..cx.facts.blocks {
        attention::run(cx, arena, block)?;
        mlp::run(cx, arena, block)?;
        features::show_stream(cx, arena, block + 1)?;
        features::store(cx, arena, block + 1)?;
    }
    head::run(cx, arena, output)
}
