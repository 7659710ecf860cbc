//! Attention of one head with relative-position bias: softmax(Q·Kᵀ + B) · V. No matrix of T x T numbers is stored.
//!
//! In: `[T][q, k, v]` f32, one row for each of the T tokens (gw · gh patches, then the class token), and the head's
//! relative-position table ([`Head`]). Out: a row of f32 for each token, which may take the place of its q. First the operands are
//! packed for the micro-kernels, then each task computes some queries ([`PackedHead`]).
//!
//! Queries are processed in tiles of a few queries from one *column* of the patch grid, whose bias rows are then contiguous
//! in memory ([`bias`]). There are two implementations:
//! - f32 ([`float`]): the logits of a tile for all keys, which fit the second-level cache, then a plain softmax.
//! - int8 ([`int8`]): keys in blocks of 64 ([`blocks`]). Logits are 16-bit integers in a fixed point ([`fixed_point`]). The
//!   probabilities of a block are bytes relative to the block's own maximum; the blocks' sums are rescaled when they are
//!   accumulated. Bytes relative to the maximum of the whole row are too coarse: a fifth of the pixels change their class.
//!
//! Sources: the int8 operands follow SageAttention (Zhang et al. 2024, [`int8_pack`]). For the softmax in blocks compare
//! FlashAttention (Dao et al. 2022); here the blocks' factors are computed after all maxima are known.

mod bias;
mod blocks;
mod fixed_point;
mod float;
mod head;
mod int8;
mod int8_pack;
mod run;
mod shape;

pub(crate) use head::Head;
pub(crate) use run::{PackedHead, packed_bytes};
pub(crate) use shape::AttentionShape;
