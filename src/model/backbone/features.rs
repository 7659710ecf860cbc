//! The four features that the neck reads: the patches of the residual stream after certain blocks (`Facts::feature_blocks`).
//!
//! Features 0 to 2 are stored as rows for the layer that reads them. Feature 3 comes after the last block and stays in the
//! stream.

use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Model;
use crate::file::format::{Role, Task};
use crate::model::context::{Context, Planner};
use crate::observe::{Stage, TensorName};
use crate::ops::rows::{RowsShape, typed};

/// For each stored feature: its buffer, the layer that reads it, and the phases in which it is alive.
const STORED: [(Buf, Role, u8); 3] = [
    (Buf::Feature0, Role::Deconv0, phase::BACKBONE | phase::HEAD),
    (Buf::Feature1, Role::DeconvLateral1, phase::BACKBONE | phase::HEAD),
    (Buf::Feature2, Role::Lateral2, phase::BACKBONE | phase::COARSE),
];

/// Feature 0, 1 or 2 as rows, one per patch.
#[inline(never)]
pub(crate) fn shape(model: &Model, feature: usize) -> Result<RowsShape, Error> {
    Ok(RowsShape::of(model.facts().patches(), model.linear_shape(STORED[feature].1, 0)?))
}

pub(crate) fn buffers(p: &mut Planner) -> Result<(), Error> {
    for (feature, (buf, _, phases)) in STORED.into_iter().enumerate() {
        p.layout.need(buf, shape(p.model, feature)?.bytes(), phases);
    }
    Ok(())
}

/// Stores the features that the neck reads and that are taken after `blocks` blocks, if any.
pub(crate) fn store(cx: &mut Context, arena: &mut [u8], blocks: usize) -> Result<(), Error> {
    for (feature, (buf, ..)) in STORED.into_iter().enumerate() {
        if cx.facts.task == Task::Segmentation && cx.facts.feature_blocks[feature] == blocks {
            let [stream, rows] = cx.buffers(arena, [Buf::Stream, buf])?;
            let mut rows = shape(cx.model, feature)?.over(rows);
            cx.store(&mut rows, 0, typed(stream, cx.facts.patches() * cx.pitch()));
            cx.done(Stage::Features)?;
        }
    }
    Ok(())
}

/// Shows the residual stream after `blocks` blocks to the observer.
pub(crate) fn show_stream(cx: &mut Context, arena: &mut [u8], blocks: usize) -> Result<(), Error> {
    let [stream] = cx.buffers(arena, [Buf::Stream])?;
    let x = typed::<f32>(stream, cx.facts.tokens() * cx.pitch());
    cx.show(TensorName::Stream(blocks), x);
    Ok(())
}
