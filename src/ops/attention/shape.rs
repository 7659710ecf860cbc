//! The sizes of an attention layer, and of its packed operands and scratch.

use crate::file::Facts;
use crate::file::format::padded;
use crate::simd::kernels::attention::blocks::{BLOCK, SPAN, TILE};
use crate::simd::lanes::LANES;
use crate::simd::tile::MAX_ROWS;

/// The sizes of an attention layer.
#[derive(Clone, Copy)]
pub(crate) struct AttentionShape {
    /// Patches in a row of the grid.
    pub grid_width: usize,
    /// Rows of patches.
    pub grid_height: usize,
    /// Width of a head.
    pub head: usize,
    /// Width of a head, padded to whole panels.
    pub head_padded: usize,
}

impl AttentionShape {
    /// The sizes of a model's attention layers.
    pub fn of(f: &Facts) -> Self {
        AttentionShape {
            grid_width: f.grid_width,
            grid_height: f.grid_height,
            head: f.head_dim(),
            head_padded: f.head_padded(),
        }
    }

    /// The number of patches; the class token's number is the same.
    pub(super) fn patches(&self) -> usize {
        self.grid_width * self.grid_height
    }

    /// The number of tokens: patches and the class token.
    pub(super) fn tokens(&self) -> usize {
        self.patches() + 1
    }

    /// The number of tokens, padded to whole panels.
    pub(super) fn padded_tokens(&self) -> usize {
        padded(self.tokens())
    }

    /// The number of blocks of keys.
    pub(super) fn blocks(&self) -> usize {
        self.padded_tokens().div_ceil(BLOCK)
    }

    /// The numbers of one token: q, k and v.
    pub fn qkv(&self) -> usize {
        3 * self.head_padded
    }

    /// The numbers of all tokens of a head.
    pub fn qkv_len(&self) -> usize {
        self.tokens() * self.qkv()
    }

    /// The size of a bias plane or row in f32, with room for a vector load past its end.
    pub(super) fn bias_len(&self) -> usize {
        padded(((2 * self.grid_height - 1) * self.grid_width).max(self.padded_tokens())) + BLOCK
    }

    /// The scratch of each worker in f32: the bias plane, the biases of the last block, the integer sums of a span of blocks, a
    /// tile of outputs, and for each query of a tile either its logits (f32), or its probabilities as bytes with the maximum
    /// and sixteen partial sums of each block (int8).
    pub fn scratch(&self) -> usize {
        let (t, blocks) = (self.padded_tokens(), self.blocks());
        let row = t.max(BLOCK / 4 * blocks + padded(blocks) + LANES * blocks);
        padded(self.bias_len() + (SPAN + 2) * TILE + MAX_ROWS * row)
    }
}

/// Divides `bytes` into consecutive sections of the given lengths.
pub(super) fn sections<const N: usize>(mut bytes: &[u8], lengths: [usize; N]) -> [&[u8]; N] {
    lengths.map(|len| {
        let (section, rest) = bytes.split_at(len);
        bytes = rest;
        section
    })
}

/// As [`sections`], for writing.
pub(super) fn sections_mut<const N: usize>(mut bytes: &mut [u8], lengths: [usize; N]) -> [&mut [u8]; N] {
    lengths.map(|len| {
        let (section, rest) = core::mem::take(&mut bytes).split_at_mut(len);
        bytes = rest;
        section
    })
}
