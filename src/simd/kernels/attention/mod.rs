//! The row kernels of int8 attention: quantisation of q, k and v ([`quantise`]), softmax over blocks of keys ([`softmax`]), and
//! accumulation of P·V over blocks ([`accumulate`]). [`blocks`] defines the blocks.
//!
//! Keys are processed in blocks of 64, as in FlashAttention (Dao et al. 2022): each block has a maximum of its own, and its
//! contribution is rescaled when the blocks are combined. Here all blocks of a row are known before P·V, so the factors are
//! computed once ([`Isa::block_factors`](crate::simd::isa::Isa::block_factors)), and no accumulator is rescaled.

pub(crate) mod accumulate;
pub(crate) mod blocks;
pub(crate) mod quantise;
pub(crate) mod softmax;
