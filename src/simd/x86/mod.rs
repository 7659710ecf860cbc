//! x86-64: SSE4.1 ([`sse41`]), AVX2, with or without AVX-VNNI ([`avx2`], [`avx2_tile`]), AVX-512 with VNNI ([`avx512`]), AVX-512's fused
//! kernels ([`mod@fused`]), and the detection of all these ([`detect`]).

pub(crate) mod avx2;
pub(crate) mod avx2_tile;
pub(crate) mod avx512;
pub(crate) mod detect;
pub(crate) mod fused;
pub(crate) mod sse41;
mod sse41_fma;
pub(crate) mod sse41_tile;
mod yuv;
