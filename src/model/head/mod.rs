//! Neck and head: the feature pyramid, the pooling module (PSP) and UPerNet's fusion, down to the class map.
//!
//! The coarse levels are whole maps: level 3 with the pooling module ([`psp`]) and level 2 ([`level2`]). The fine levels and
//! the fusion run in bands of rows ([`schedule`]): nothing at full resolution is ever whole.

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

use super::context::{Context, Planner};
use crate::error::Error;
use crate::output::Output;

pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    psp::buffers(p)?;
    level2::buffers(p)?;
    bands::buffers(p)
}

/// From the features to the class map.
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], output: &mut Output) -> Result<(), Error> {
    psp::run(cx, arena)?;
    level2::run(cx, arena)?;
    schedule::run(cx, arena, output)
}
