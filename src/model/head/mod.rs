//! Neck and head of UPerNet (Xiao et al. 2018, "Unified Perceptual Parsing for Scene Understanding"): four features in, rows
//! of logits out.
//!
//! The neck brings the features to four resolutions, levels 0 to 3: 4, 2, 1 and 1/2 times the patch grid. The pyramid
//! pooling module (PSP) runs on level 3. A feature pyramid (FPN) adds each coarser level to the next finer one and convolves
//! the sums. The FPN bottleneck, a 3x3 convolution over all four levels together, and the classifier give the logits.
//!
//! The coarse levels are computed as whole maps: level 3 with the pooling module ([`psp`]) and level 2 ([`level2`]). Everything
//! finer runs in bands of rows ([`schedule`]), so that no full-resolution map ever exists as a whole. Convolutions of up-sampled
//! maps are multiplied at the low resolution, and the products interpolated ([`products`]).

mod bands;
mod bottleneck;
mod conv;
mod fine_levels;
mod level2;
mod map;
mod products;
mod psp;
mod rings;
mod schedule;
mod sink;
mod work;

use super::context::{Context, Planner};
use crate::error::Error;
pub(super) use map::ClassMapRows;
pub(super) use rings::{BAND, LOGITS};
pub(super) use sink::{LogitsSink, RunLoop, SinkBuffers};

pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    psp::buffers(p)?;
    level2::buffers(p)?;
    bands::buffers(p)
}

/// From the features to rows of logits.
pub(super) fn run(cx: &mut Context, arena: &mut [u8], sink: &mut dyn LogitsSink) -> Result<(), Error> {
    psp::run(cx, arena)?;
    level2::run(cx, arena)?;
    schedule::run(cx, arena, sink)
}
