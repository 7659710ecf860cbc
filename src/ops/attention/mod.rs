//! Attention of one head with relative-position bias. Nothing of size T x T is stored.
//!
//! Queries are taken in tiles from one *column* of the patch grid, so that their bias rows are plain vector loads ([`bias`]).
//! In f32 ([`float`]) the logits of a tile for all keys fit the second-level cache, and the softmax is the textbook one. In
//! int8 ([`int8`]) keys are processed in blocks ([`blocks`]) with 16-bit logits ([`fixed_point`]); the probabilities of a block
//! are bytes relative to the block's own maximum, and blocks are scaled to each other afterwards. Eight bits relative to the
//! maximum of a whole row lose too much: the pixel agreement falls to 0.80.

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
pub(crate) use shape::AttentionShape;
