//! x86-64: AVX2, with or without AVX-VNNI ([`avx2`]), AVX-512 with VNNI ([`avx512`]), and AVX-512's fused kernels
//! ([`mod@fused`]).

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod fused;
mod yuv;
