//! The result of folding.

/// A linear tensor of the weight file: matrices `[matrices][n][k]` and biases `[bias_rows][n]`, both row-major, as the file
/// format defines them for the tensor's role.
pub struct Folded {
    /// The matrices.
    pub weights: Vec<f32>,
    /// The biases; empty for roles without any.
    pub bias: Vec<f32>,
    /// Size in the checkpoint, in bytes, of the tensors it was made from.
    pub source_bytes: u64,
}

impl Folded {
    /// Divides the matrices' columns by the factors that the layer before multiplies its outputs with. There are as many
    /// factors as columns.
    pub(super) fn divide_columns(mut self, factors: &[f64]) -> Folded {
        for row in self.weights.chunks_mut(factors.len()) {
            row.iter_mut().zip(factors).for_each(|(w, factor)| *w = (f64::from(*w) / factor) as f32);
        }
        self
    }
}

/// Rounds to f32.
pub(super) fn narrow(v: Vec<f64>) -> Vec<f32> {
    v.into_iter().map(|x| x as f32).collect()
}
