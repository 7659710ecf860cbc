//! Operators over slices: threaded, independent of the instruction set.
//!
//! Matrix products and 3x3 convolutions ([`gemm`], [`winograd`]), bilinear up-sampling ([`upsample`]) and attention
//! ([`attention`]) on rows of activations ([`rows`]). Each splits its outputs among workers, never the sums, so that results
//! do not depend on the number of threads.

pub(crate) mod attention;
pub(crate) mod gemm;
pub(crate) mod rows;
pub(crate) mod upsample;
pub(crate) mod winograd;
