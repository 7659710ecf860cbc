//! The most probable classes of a picture.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The classes with the `top` largest logits as `beitle.Prediction`, the largest first; of equal ones the lower number. Their
/// probabilities are the softmax of the logits, which are finite.
pub fn largest<'py>(
    logits: &[f32],
    top: usize,
    names: &Bound<'py, PyTuple>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| f64::from(logit - largest).exp();
    let total: f64 = logits.iter().map(|logit| weight(*logit)).sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
    let class = names.py().import("beitle._types")?.getattr("Prediction")?;
    let prediction = |id: usize| class.call1((id, names.get_item(id)?, weight(logits[id]) / total));
    order.into_iter().take(top).map(prediction).collect()
}
