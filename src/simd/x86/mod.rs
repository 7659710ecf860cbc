//! x86-64: AVX2 (with or without AVX-VNNI) and AVX-512 with VNNI.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod fused;
