//! 64-bit Arm: plain NEON (Armv8.0), dot products (Armv8.2) and matrix products (i8mm, Armv8.6).

pub(crate) mod dotprod;
pub(crate) mod i8mm;
pub(crate) mod neon;
pub(crate) mod tile_f;
pub(crate) mod tile_i8;
