//! One attention head before it is packed, and the interface of the two implementations.

use super::bias::{BiasValue, RelativeBias};
use super::shape::AttentionShape;
use crate::parallel::chunks::Shared;
use crate::simd::isa::Isa;

/// One head and its operands.
pub(crate) struct Head<'a> {
    pub isa: Isa,
    pub shape: AttentionShape,
    /// `[tokens][q, k, v]`, each of q, k and v padded; q is scaled by 1/√D.
    pub qkv: &'a [f32],
    /// The head's relative-position table, followed by its three numbers for the class token; or none.
    pub bias: Option<&'a [f32]>,
}

/// One of a token's three rows.
#[derive(Clone, Copy)]
pub(super) enum Operand {
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

/// The packed operands of a head, f32 or int8.
pub(super) trait TileAttention: Sync {
    /// The type of biases.
    type Bias: BiasValue;
    /// The most queries in a tile.
    fn max_queries(&self) -> usize;
    /// The factor that converts biases to the unit of the logits.
    fn bias_scale(&self) -> f32;
    /// Writes softmax(q · Kᵀ + bias) · V of a tile of queries to the start of their rows in `out`, which are
    /// [`qkv`](AttentionShape::qkv) numbers apart.
    fn attend_tile(
        &self,
        queries: &QueryTile,
        bias: &RelativeBias<Self::Bias>,
        scratch: &mut [f32],
        out: &Shared<f32>,
    );
}

impl<'a> Head<'a> {
    /// q, k or v of a token, padded.
    pub(super) fn row(&self, token: usize, operand: Operand) -> &'a [f32] {
        let d = self.shape.head_padded;
        &self.qkv[token * self.shape.qkv() + operand as usize * d..][..d]
    }
}
