//! x86-64: AVX2, with or without AVX-VNNI ([`avx2`]), AVX-512 with VNNI ([`avx512`]), AVX-512's fused kernels
//! ([`mod@fused`]), and the detection of all these ([`detect`]).

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod detect;
pub(crate) mod fused;
mod yuv;
