//! The four features that the neck reads: the patches of the residual stream after certain blocks (`Facts::feature_blocks`).
//!
//! Features 0 to 2 are stored as rows for the layer that reads them. Feature 3 comes after the last block and stays in the
//! stream.

use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Model;
use crate::file::format::{Role, Task};
use crate::model::context::{Context, Planner};
use crate::observe::Stage;
use crate::ops::rows::{RowsShape, SharedRows};
use core::ops::Range;

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

/// The features that are taken after some number of blocks, to be stored by tasks that each have some tokens.
pub(super) struct Features<'a>([Option<SharedRows<'a>>; 3]);

impl<'a> Features<'a> {
    /// The features that are taken after `blocks` blocks. `buffers` are those of features 0 to 2.
    pub fn new(model: &Model, blocks: usize, buffers: &'a mut [&mut [u8]; 3]) -> Result<Self, Error> {
        let f = model.facts();
        let mut features = [const { None }; 3];
        for (i, (feature, buffer)) in features.iter_mut().zip(buffers).enumerate() {
            if f.task == Task::Segmentation && f.feature_blocks[i] == blocks {
                *feature = Some(shape(model, i)?.over(buffer).into_shared());
            }
        }
        Ok(Features(features))
    }

    /// Stores the tokens `chunk`, which are `x`.
    ///
    /// # Safety
    /// Nothing else accesses these rows of the features.
    pub unsafe fn store(&self, cx: &mut Context, chunk: Range<usize>, x: &[f32]) -> Result<(), Error> {
        // The class token, which comes last, is no part of a feature.
        let patches = chunk.end.min(cx.facts.patches()) - chunk.start;
        for rows in self.0.iter().flatten() {
            // SAFETY: by this function's precondition.
            let mut rows = unsafe { rows.rows(chunk.start, patches) };
            cx.store(&mut rows, 0, &x[..patches * cx.pitch()]);
            cx.done(Stage::Features)?;
        }
        Ok(())
    }
}
