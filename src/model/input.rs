//! The first step: converts the picture, of any format and size, to bytes of the network's input size, RGB for most models.

use super::context::{Context, Planner};
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::image::ImageView;
use crate::image::preprocess::{self, InputWindow};
use crate::observe::Stage;

pub(super) fn buffers(p: &mut Planner) {
    let f = &p.facts;
    p.layout.need(Buf::Pixels, f.width * f.height * f.picture_channels, phase::RESIZE | phase::EMBED);
    p.layout.need(Buf::ResizeScratch, p.resize_scratch, phase::RESIZE);
}

/// Resizes a picture and cuts `window` from it, to [`Buf::Pixels`], bytes `[height][width][channels]`.
pub(super) fn run(
    cx: &mut Context,
    arena: &mut [u8],
    image: &ImageView,
    window: &InputWindow,
) -> Result<(), Error> {
    let [pixels, scratch] = cx.buffers(arena, [Buf::Pixels, Buf::ResizeScratch])?;
    let isa = cx.isa;
    preprocess::run(&cx.facts, image, window, &|row, out| isa.yuv_row(row, out), pixels, scratch)?;
    cx.done(Stage::Resize)
}
