//! Matrix products and direct 3x3 convolutions: out = activation(Σ_m W_m · x_m + bias), in one loop for every weight type and
//! instruction set.
//!
//! In: activations as [`Rows`](crate::ops::rows::Rows), one row per token or pixel, and a
//! [`Linear`](crate::file::Linear) layer of one or more matrices, each stored in panels of 16 outputs. Out: rows of f32 or
//! bfloat16 with the padded number of outputs.
//!
//! A [`Segment`] is a run of consecutive output rows: all tokens, or one row of a feature map. Each of its output rows is the
//! sum, over the matrices that take part, of an input row times that matrix. A linear layer has one matrix. A 3x3 convolution
//! has nine, one per kernel position (ky, kx), and the segment names the input rows of each ([`conv3x3`]): no im2col copy is
//! made.
//!
//! Loops, from the outside in: tasks (panels by rows, [`run`]), groups of panels whose weights stay in the nearest caches
//! ([`group`]), tiles of rows, matrices ([`matrix`]). The micro-kernels are in [`tile`](crate::simd::tile). Compare
//! Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"; here K is not blocked, a tile stays in
//! registers along the whole of it.

pub(crate) mod conv3x3;
mod group;
mod matrix;
mod product;
mod run;

pub(crate) use product::{Gemm, MAX_SEGMENTS, Segment, Segments};
pub(crate) use run::{Outputs, PanelProduct, unpacked_bytes};
