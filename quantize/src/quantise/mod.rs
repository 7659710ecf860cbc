//! Quantisation: folded matrices in, panels of f32, f16, int8 or int4 in the weight file's layout out.
//!
//! [`pack()`] lays the matrices out and measures how much of the weights was lost. Integer weights are rounded row by row to
//! a grid of the row's own ([`int8`], [`int4`]): to the nearest grid point, or with error compensation ([`gptq`]) where
//! samples of the layer's inputs are given.

mod gptq;
mod hessian;
mod int4;
mod int8;
mod pack;
mod panel_format;
mod panels;
mod round;
mod weight_error;

pub use gptq::GptqFeedback;
pub use pack::{Packed, pack};
