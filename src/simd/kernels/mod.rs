//! The row kernels: everything that is done to rows and tiles of numbers besides multiplying matrices.
//!
//! Each is one function over any lanes, declared beside itself with [`dispatch!`](super::dispatch), which makes it a method
//! of [`Isa`](super::isa::Isa). Rows are padded to whole vectors ([`padded`](crate::file::format::padded)); the padding is
//! zero and stays zero.

pub(crate) mod attention;
pub(crate) mod epilogue;
pub(crate) mod int4;
pub(crate) mod interpolate;
pub(crate) mod rows;
pub(crate) mod winograd;
