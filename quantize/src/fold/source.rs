//! Where folding reads from: the checkpoint's tensors with the shapes that the spec implies.

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::spec::Spec;

/// Reads tensors of a checkpoint and folds them into the tensors of the weight file.
pub struct Fold<'a> {
    /// The checkpoint.
    pub checkpoint: &'a Checkpoint,
    /// The facts of the conversion.
    pub spec: &'a Spec,
}

impl Fold<'_> {
    /// A tensor, which must have this shape.
    pub(super) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        self.checkpoint.read(name, shape)
    }

    /// A vector of length `n`.
    pub(super) fn vector(&self, name: &str, n: usize) -> Result<Vec<f64>, Error> {
        Ok(self.read(name, &[n])?.into_iter().map(f64::from).collect())
    }

    /// A vector of length `n`, or ones if the checkpoint does not have it: models may be trained without layer scale.
    pub(super) fn vector_or_ones(&self, name: &str, n: usize) -> Result<Vec<f64>, Error> {
        if self.checkpoint.shape(name).is_some() { self.vector(name, n) } else { Ok(vec![1.0; n]) }
    }

    /// Size of these tensors in the checkpoint, in bytes.
    pub(super) fn bytes(&self, names: &[&str]) -> u64 {
        names.iter().map(|n| self.checkpoint.source_bytes(n)).sum()
    }
}
