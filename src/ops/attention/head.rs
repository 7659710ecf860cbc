//! One attention head: what it reads, and the contract of its two implementations.

use super::bias::{Bias, BiasValue};
use super::shape::AttentionShape;
use crate::parallel::Parallel;
use crate::parallel::chunks::Shared;
use crate::simd::isa::Isa;

/// One head and everything that it reads.
pub(crate) struct Head<'a> {
    pub isa: Isa,
    pub par: &'a dyn Parallel,
    pub shape: AttentionShape,
    /// `[tokens][q, k, v]`, each of q, k and v padded; q is scaled by 1/√D.
    pub qkv: &'a [f32],
    /// The head's relative-position table, followed by its three entries for the class token; or none.
    pub bias: Option<&'a [f32]>,
}

/// Which of a token's three rows.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Query,
    Key,
    Value,
}

/// The queries of a tile: tokens `first`, `first + step`, …
pub(super) struct QueryTile {
    pub first: usize,
    pub step: usize,
    pub count: usize,
}

impl QueryTile {
    /// The token of query `r`.
    pub fn token(&self, r: usize) -> usize {
        self.first + r * self.step
    }
}

/// The packed operands of a head, in either precision.
pub(super) trait TileAttention: Sync {
    /// The type of biases.
    type Bias: BiasValue;
    /// The most queries in a tile.
    fn rows(&self) -> usize;
    /// What biases are multiplied by.
    fn unit(&self) -> f32;
    /// Writes softmax(q · Kᵀ + bias) · V of a tile of queries to the head's columns of their rows in `out`.
    fn attend_tile(
        &self,
        queries: &QueryTile,
        bias: &Bias<Self::Bias>,
        scratch: &mut [f32],
        out: &Shared<f32>,
    );
}

impl<'a> Head<'a> {
    /// q, k or v of a token, padded.
    pub(super) fn row(&self, token: usize, part: Part) -> &'a [f32] {
        &self.rows_from(token, part)[..self.shape.head_padded]
    }

    /// q, k or v of a token and everything behind it; the next token's starts [`AttentionShape::qkv`] further.
    pub(super) fn rows_from(&self, token: usize, part: Part) -> &'a [f32] {
        &self.qkv[token * self.shape.qkv() + part as usize * self.shape.head_padded..]
    }
}
