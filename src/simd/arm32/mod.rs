//! 32-bit Arm with NEON (Armv7-A: Cortex-A5 to A17, and 64-bit processors with a 32-bit system), on Linux with the hard-float
//! calling convention. [`detect`] asks the kernel at run time, because builds for these targets may not assume NEON.
//!
//! Stable Rust has neither intrinsics nor target features for it, so every instruction is inline assembly. Vector registers
//! cannot be operands either, so each assembly block reads and writes memory and contains its whole loop. [`tile_i8`] and
//! [`tile_f`] are the micro-kernels; [`lanes`] serves the row kernels, with [`fma`], [`epilogue`], [`softmax`] and
//! [`quantise`].
//!
//! NEON's arithmetic in f32 flushes subnormal numbers to zero, which VFP's scalar instructions do not. The result of a frame
//! must not depend on the instruction set, so f32 is computed with VFP, lane by lane, except where the flags show that nothing was
//! flushed. Integers are not affected.

pub(crate) mod asm;
pub(crate) mod detect;
pub(crate) mod epilogue;
pub(crate) mod fma;
pub(crate) mod lanes;
pub(crate) mod quantise;
pub(crate) mod softmax;
pub(crate) mod tile_f;
pub(crate) mod tile_i8;
