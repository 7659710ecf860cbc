//! The row kernels of attention in int8: quantising q, k and v, the softmax over blocks of keys, and the accumulation of
//! P·V over blocks.

pub(crate) mod accumulate;
pub(crate) mod blocks;
pub(crate) mod quantise;
pub(crate) mod softmax;
