//! The processor's vectors: instruction sets behind one contract.
//!
//! All f32 code is written once over [`lanes::Lanes`], a vector of 16 lanes ([`math`], [`kernels`]), and compiled for each
//! instruction set ([`mod@dispatch`]). Matrix products are micro-kernels, one per instruction set, behind the contracts in
//! [`tile`]. [`portable`] defines what every other instruction set computes, to the last bit. [`isa::Isa`] chooses: callers
//! above this module see its methods and no instruction set.
//!
//! Source of the design: rten's and memchr's vector modules; "one contract, one file per instruction set" is XNNPACK's.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub(crate) mod arm;
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
