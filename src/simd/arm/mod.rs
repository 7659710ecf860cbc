//! 64-bit Arm: the lanes ([`neon`]) and the floating-point tile ([`tile_f`]) of every Armv8 processor, and three int8 tiles:
//! plain NEON ([`tile_i8`], Armv8.0), dot products ([`mod@dotprod`], Armv8.2) and matrix products ([`mod@i8mm`], Armv8.6). [`detect`] says which of these a processor has.
//!
//! All int8 tiles multiply signed bytes, so activations are stored XORed with 128: q ^ 128, as i8, is q − 128.
//!
//! Loops are written in assembly where the compiler would move accumulators to memory, schedule badly for in-order cores, or
//! where intrinsics are not stable. They have been tested in emulation and by static cycle estimates, not timed on hardware.

pub(crate) mod detect;
pub(crate) mod dotprod;
pub(crate) mod i8mm;
pub(crate) mod neon;
pub(crate) mod tile_f;
pub(crate) mod tile_i8;
