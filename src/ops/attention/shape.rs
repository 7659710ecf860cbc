//! The sizes of an attention layer, and what its operands and scratch take in memory.

use crate::file::Facts;
use crate::file::format::padded;
use crate::simd::kernels::attention::blocks::{BLOCK, SPAN, TILE};
use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;
use crate::simd::tile::MAX_ROWS;

/// The sizes of an attention layer.
#[derive(Clone, Copy)]
pub(crate) struct AttentionShape {
    /// Patches in a row.
    pub grid_width: usize,
    /// Rows of patches.
    pub grid_height: usize,
    /// Width of a head.
    pub head: usize,
    /// Width of a head, padded to whole panels.
    pub head_padded: usize,
    /// Numbers from one token to the next in the output.
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

    pub(super) fn patches(&self) -> usize {
        self.grid_width * self.grid_height
    }

    /// Patches and the class token.
    pub(super) fn tokens(&self) -> usize {
        self.patches() + 1
    }

    /// Tokens padded to whole panels.
    pub(super) fn padded_tokens(&self) -> usize {
        padded(self.tokens())
    }

    /// Blocks of keys.
    pub(super) fn blocks(&self) -> usize {
        self.padded_tokens().div_ceil(BLOCK)
    }

    /// Numbers in q, k and v of one token together.
    pub fn qkv(&self) -> usize {
        3 * self.head_padded
    }

    /// f32 in a bias plane or row, with room for a vector load past its end.
    pub(super) fn bias_len(&self) -> usize {
        padded(((2 * self.grid_height - 1) * self.grid_width).max(self.padded_tokens())) + BLOCK
    }

    /// f32 of scratch for each worker: the bias plane, the biases of the last block, the sums of a span of blocks, a tile of
    /// outputs; and for each row of a tile its logits (f32), or its bytes with the maximum and sixteen partial sums of each
    /// block (int8).
    pub fn scratch(&self) -> usize {
        let (t, blocks) = (self.padded_tokens(), self.blocks());
        let row = t.max(BLOCK / 4 * blocks + padded(blocks) + LANES * blocks);
        padded(self.bias_len() + (SPAN + 2) * TILE + MAX_ROWS * row)
    }

    /// Bytes of the packed operands of a head. In int8: q as rows; k and v as panels; the [`Token`]s of q and k; the sums and
    /// factors of k; the scales and centres of v, and its sums over each block, twice.
    pub fn packed_bytes(&self, int8: bool) -> usize {
        let (t, d) = (self.padded_tokens(), self.head_padded);
        match int8 {
            true => {
                let (tokens, blocks) = (self.tokens(), self.blocks());
                let q_and_k = tokens * (d + 2 * size_of::<Token>()) + t * (d + 4) + 2 * BLOCK * blocks;
                q_and_k + t * d + 4 * d * (2 + 2 * blocks)
            }
            false => 2 * 4 * t * d,
        }
    }
}
