//! Matrix products and 3x3 convolutions: one loop over tiles, whatever the type of the weights and the instruction set.
//!
//! Activations are rows. A [`Segment`] is a run of consecutive output rows: all tokens, or one row of a feature map. An output
//! row is the sum, over the matrices of the layer that take part, of an input row times that matrix. One matrix is a linear
//! layer; nine are a 3x3 convolution, one per kernel position, whose input rows the segment names. The input of a
//! convolution has a blank pixel at both ends of each row, and kernel positions above or below the map are left out
//! ([`conv3x3`]). Nothing is unrolled into memory (no im2col).
//!
//! Loops, from the outside: tasks (panels of outputs by rows), groups of panels whose weights stay in the nearest caches
//! ([`column`]), tiles of rows, matrices. The micro-kernels below are those of [`tile`](crate::simd::tile).

mod column;
pub(crate) mod conv3x3;
mod matrix;
mod product;
mod run;

pub(crate) use product::{Gemm, OutputElement, Segment};
pub(crate) use run::unpacked_bytes;
