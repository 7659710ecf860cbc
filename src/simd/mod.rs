//! SIMD kernels: every instruction set behind one contract.
//!
//! Row kernels ([`kernels`], [`math`]) are written once over [`lanes::Lanes`], a vector of 16 lanes, and compiled for each
//! instruction set by [`mod@dispatch`]. GEMM micro-kernels are written for each instruction set, behind the contracts of
//! [`tile`]. [`portable`] is the reference: every instruction set computes the same bits. Callers hold an [`isa::Isa`], whose
//! methods are the kernels, and do not see the instruction set.
//!
//! Source of the design: the vector modules of rten and memchr, and XNNPACK's one file of micro-kernels per instruction set.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub(crate) mod arm;
#[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
pub(crate) mod arm32;
pub(crate) mod dispatch;
pub(crate) mod fused;
pub(crate) mod isa;
pub(crate) mod kernels;
pub(crate) mod lanes;
pub(crate) mod math;
#[cfg(feature = "peak")]
mod peak;
pub(crate) mod portable;
pub(crate) mod tile;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;
