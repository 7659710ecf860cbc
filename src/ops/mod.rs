//! Operators: threaded, independent of the instruction set, slices in and out.
//!
//! - [`gemm`]: matrix products and direct 3x3 convolutions;
//! - [`winograd`]: 3x3 convolutions by Winograd's algorithm;
//! - [`upsample`]: bilinear up-sampling, alone or fused with a 3x3 convolution;
//! - [`map_step`]: a convolution and what follows it, for rows of a map of the head;
//! - [`row_chains`]: two operators on the same rows;
//! - [`attention`]: softmax(Q·Kᵀ + bias) · V of one head;
//! - [`rows`]: rows of activations in the type that the next layer reads.
//!
//! Each operator splits its outputs among tasks, never a sum, so results do not depend on the number of threads.

pub(crate) mod attention;
pub(crate) mod gemm;
pub(crate) mod map_step;
pub(crate) mod row_chains;
pub(crate) mod rows;
pub(crate) mod upsample;
pub(crate) mod winograd;
