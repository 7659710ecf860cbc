//! The sizes of an attention layer, and of its packed operands and scratch.

use crate::file::Facts;
use crate::file::format::padded;
use crate::simd::kernels::attention::blocks::{BLOCK, SPAN, TILE};
use crate::simd::kernels::attention::quantise::Token;
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
    /// The distance between tokens in the output, in numbers.
    pub out_pitch: usize,
}

impl AttentionShape {
    /// The sizes of a model's attention layers.
    pub fn of(f: &Facts) -> Self {
        AttentionShape {
            grid_width: f.grid_width,
            grid_height: f.grid_height,
            head: f.head_dim(),
            head_padded: f.head_padded(),
            out_pitch: padded(f.channels),
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

    /// The size of the packed operands of a head in bytes. In f32: k and v as panels. In int8: q as rows; k and v as panels;
    /// the [`Token`]s of q and k; the sums and fixed-point factors of k; the scales and centres of v, and its sums over each
    /// block.
    pub fn packed_bytes(&self, int8: bool) -> usize {
        let (t, d) = (self.padded_tokens(), self.head_padded);
        match int8 {
            true => {
                let (tokens, blocks) = (self.tokens(), self.blocks());
                let q_and_k = tokens * (d + 2 * size_of::<Token>()) + t * (d + 4) + 2 * BLOCK * blocks;
                q_and_k + t * d + 4 * d * (2 + blocks)
            }
            false => 2 * 4 * t * d,
        }
    }
}
