//! The row kernels: all operations on rows and tiles of numbers except matrix multiplication.
//!
//! Each kernel is one function, generic over the lanes, and [`mod@super::dispatch`] makes it a method of
//! [`Isa`](super::isa::Isa). Rows are padded to whole vectors ([`padded`](crate::file::format::padded)); the padding is zero and
//! stays zero.
//!
//! | module | kernels |
//! | --- | --- |
//! | [`rows`] | layer norm, quantisation, softmax, argmax and other operations on single rows |
//! | [`epilogue`] | the last step of a GEMM tile: dequantise, bias, activation, store |
//! | [`attention`] | int8 attention: quantise q, k and v; softmax; accumulate P·V |
//! | [`winograd`] | Winograd transforms, and quantisation with error diffusion |
//! | [`interpolate`] | bilinear interpolation, vertical and horizontal |
//! | [`int4`] | unpacking of 4-bit weights |
//! | [`yuv`] | rows of YUV to RGB |

pub(crate) mod attention;
pub(crate) mod epilogue;
pub(crate) mod int4;
pub(crate) mod interpolate;
pub(crate) mod rows;
pub(crate) mod winograd;
pub(crate) mod yuv;
