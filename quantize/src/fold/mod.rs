//! Exact rewrites: a checkpoint's tensors in, the matrices and biases that the engine runs out.
//!
//! Layers that are linear are folded into their neighbours: input normalisation into the patch embedding, LayerNorm's gain
//! and bias into the layer after it, layer scale and BatchNorm into the layer before them, a 1x1 lateral into the
//! deconvolution before it. Position tables are resampled to the input size. Outliers among the channels between two layers
//! are scaled down in the first layer and up in the second ([`outliers`]). Everything is computed in f64; apart from the
//! rounding to f32 the folded model computes the same function.

mod backbone;
mod convolutions;
mod folded;
mod outliers;
mod pooled;
mod positions;
mod resample;
mod roles;
mod source;

pub use folded::Folded;
pub use source::Fold;
