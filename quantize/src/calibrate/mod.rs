//! Calibration: a converted model and some pictures in, samples of every layer's inputs out.
//!
//! The half-precision model runs over a handful of pictures ([`Pictures`], [`Runner`]); an observer keeps a scattered subset
//! of the rows that each layer reads ([`collect`]). Rounding uses them to weigh errors by what a layer really sees.

mod collect;
mod pictures;
mod runner;
mod samples;
mod tiles;

pub use collect::LayerInputs;
pub use pictures::Pictures;
pub use runner::Runner;
pub use samples::Samples;
#[cfg(test)]
pub(crate) use samples::correlated_samples;
