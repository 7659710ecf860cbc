//! Attention of one head with relative-position bias, nothing of size T x T stored.
//!
//! Queries are taken in tiles from one *column* of the patch grid: their bias rows are plain vector loads ([`bias`]). In f32
//! ([`float`]) a tile's logits for all keys fit the second-level cache, so the softmax is the simple one: maximum,
//! exponentials, sum. In int8 ([`int8`]) keys go through in blocks, each block's weights as bytes relative to the block's own
//! largest, and the blocks are put in proportion afterwards: eight bits relative to a row's largest are what breaks int8
//! attention.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod bias;
pub(crate) mod blend;
mod fixed;
mod float;
mod int8;
pub(crate) mod pack;
pub(crate) mod softmax;
pub(crate) mod tiles;

use super::gemm::part;
use super::split::{Shared, with_scratch};
use super::{Isa, LANES, MAX_ROWS};
use crate::format::padded;
use crate::parallel::Parallel;
use bias::Bias;

/// Keys of a block.
pub(crate) const BLOCK: usize = 64;
/// Blocks that are taken together: long enough that no step waits for the one before.
pub(crate) const SPAN: usize = 4;
/// The most numbers in a tile of queries by the keys of a block.
const TILE: usize = MAX_ROWS * BLOCK;

/// The sizes an attention layer works with.
#[derive(Clone, Copy)]
pub(crate) struct Dims {
    pub grid_width: usize,
    pub grid_height: usize,
    /// Width of a head, and the same padded.
    pub head: usize,
    pub head_padded: usize,
    /// Numbers from one token to the next in the result.
    pub out_pitch: usize,
}

impl Dims {
    fn patches(&self) -> usize {
        self.grid_width * self.grid_height
    }
    fn tokens(&self) -> usize {
        self.patches() + 1
    }
    /// Tokens padded to whole panels.
    fn padded_tokens(&self) -> usize {
        padded(self.tokens())
    }
    /// Blocks of keys.
    fn blocks(&self) -> usize {
        self.padded_tokens().div_ceil(BLOCK)
    }
    /// Numbers of q, k and v together for a token.
    pub fn qkv(&self) -> usize {
        3 * self.head_padded
    }
    /// f32 in a bias plane or row, with room for a load past its end.
    fn bias_len(&self) -> usize {
        padded(((2 * self.grid_height - 1) * self.grid_width).max(self.padded_tokens())) + BLOCK
    }
    /// f32 that each worker needs while queries are answered: bias, the biases of a block, the sums of a span, a tile of results, and for each row of a tile logits in f32, or in int8
    /// bytes and of each block the largest logit and sixteen sums.
    pub fn scratch(&self) -> usize {
        let (t, blocks) = (self.padded_tokens(), self.blocks());
        let each = MAX_ROWS * t.max(BLOCK / 4 * blocks + padded(blocks) + LANES * blocks);
        padded(self.bias_len() + (SPAN + 2) * TILE + each)
    }
    /// Bytes for the packed operands of a head: in int8 q as rows, k and v as panels, what is known of the tokens of q and k, k's
    /// sums and factors, v's scales, centres and its sums of each block, twice.
    pub fn packed_bytes(&self, int8: bool) -> usize {
        let (t, d) = (self.padded_tokens(), self.head_padded);
        match int8 {
            true => {
                let (tokens, blocks) = (self.tokens(), self.blocks());
                let q_and_k = tokens * (d + 2 * size_of::<pack::Token>()) + t * (d + 4) + 2 * BLOCK * blocks;
                q_and_k + t * d + 4 * d * (2 + 2 * blocks)
            }
            false => 2 * 4 * t * d,
        }
    }
}

/// One head: everything it reads and where the result goes.
pub(crate) struct Head<'a> {
    pub isa: Isa,
    pub par: &'a dyn Parallel,
    pub dims: Dims,
    /// [tokens][q, k, v each padded]; q scaled.
    pub qkv: &'a [f32],
    /// The head's table and last three entries, or none.
    pub bias: Option<&'a [f32]>,
}

/// The queries of a tile, by token.
struct Queries {
    first: usize,
    step: usize,
    count: usize,
}

/// What answers a tile of queries: the packed operands in either precision.
trait Keys: Sync {
    /// The most queries of a tile.
    fn rows(&self) -> usize;
    type Bias: bias::Number;
    /// What biases are multiplied by.
    fn unit(&self) -> f32;
    /// Writes the answers.
    fn answer(&self, rows: &Queries, bias: &Bias<Self::Bias>, work: &mut [f32], out: &Shared<f32>);
}

impl<'a> Head<'a> {
    /// Writes the head's columns (the first of `out`) for all tokens. `packed` and `scratch` are working memory of
    /// [`Dims::packed_bytes`] and, for each worker, [`Dims::scratch`].
    pub fn run(&self, int8: bool, packed: &mut [u8], scratch: &mut [f32], out: &mut [f32]) {
        match int8 {
            true => self.attend(&int8::Keys::pack(self, packed, scratch), scratch, out),
            false => self.attend(&float::Keys::pack(self, packed), scratch, out),
        }
    }

    /// Part 0, 1 or 2 (q, k, v) of a token's row.
    fn part(&self, token: usize, part: usize) -> &'a [f32] {
        &self.qkv[token * self.dims.qkv() + part * self.dims.head_padded..][..self.dims.head_padded]
    }

    /// A task for each grid column's queries, or two where several workers share them, and one for the class token's.
    fn attend<K: Keys>(&self, keys: &K, scratch: &mut [f32], out: &mut [f32]) {
        let d = &self.dims;
        let out = Shared::new(out);
        let parts = self.par.workers().min(2);
        with_scratch(self.par, parts * d.grid_width + 1, scratch, |task, scratch| {
            let (bias, work) = scratch.split_at_mut(d.bias_len());
            let bias = bytemuck::cast_slice_mut(bias);
            let xi = task / parts;
            if xi == d.grid_width {
                let rows = Queries { first: d.patches(), step: 1, count: 1 };
                return keys.answer(&rows, &Bias::of_class(d, self.bias, keys.unit(), bias), work, &out);
            }
            let plane = Bias::of_column(d, self.bias, keys.unit(), xi, bias);
            let tiles = d.grid_height.div_ceil(keys.rows());
            for i in part(tiles, parts, task % parts) {
                let yi = part(d.grid_height, tiles, i);
                let rows =
                    Queries { first: yi.start * d.grid_width + xi, step: d.grid_width, count: yi.len() };
                keys.answer(&rows, &plane.starting_at(d, yi.start), work, &out);
            }
        });
    }
}
