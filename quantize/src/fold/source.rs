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

    /// Size of these tensors in the checkpoint, in bytes.
    pub(super) fn bytes(&self, names: &[&str]) -> u64 {
        names.iter().map(|n| self.checkpoint.source_bytes(n)).sum()
    }
}
