//! Attention in int8, with keys in blocks of 64.
//!
//! In: the packed operands of a head ([`Int8Head`]). For each tile of queries:
//! 1. Q·Kᵀ in exact integers, converted to logits x_j, 16-bit integers in the head's fixed point
//!    ([`fixed_point`](super::fixed_point)), and to probabilities p_j = 255 · 2^(x_j − m_b), bytes, where m_b is the largest
//!    logit of block b. Relative to the maximum of its own block, a block's small probabilities do not vanish beside another
//!    block's large ones.
//! 2. The factor 2^(m_b − m) of each block, where m is the largest logit of the row, and 1 / Σ p.
//! 3. P·V: the exact sums Σ p_j · v_j of each block, accumulated in f32 with the block's factor.
//!
//! Logits are in octaves, so that the softmax needs powers of two only.

use super::bias::RelativeBias;
use super::blocks::{Span, by_rows, max_span, pv, qk_softmax, qk_sums, spans};
use super::head::{QueryTile, TileAttention};
pub(super) use super::int8_pack::Int8Head;
use super::int8_pack::slot;
use crate::file::format::padded;
use crate::parallel::chunks::Shared;
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::{BLOCK, BlockSums, SPAN, TILE};
use crate::simd::kernels::attention::softmax::{SoftmaxBlocks, SoftmaxOutput};
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_ROWS, TileI8};
use core::f32::consts::LOG2_E;
use core::ops::Range;

/// A worker's scratch for one tile of queries.
struct TileScratch<'a> {
    /// `[rows][64]`: the biases of the last block of keys.
    tail: &'a mut [i16],
    /// [`SPAN`] tiles: the integer sums of a span of blocks.
    sums: &'a mut [i32],
    /// `[rows][blocks][64]`: probabilities. Rows are whole blocks, so that no block is stored across two cache lines.
    bytes: &'a mut [u8],
    /// A tile of outputs.
    result: &'a mut [f32],
    /// `[rows][padded blocks]`: the largest logit of each block, later the block's factor.
    max: &'a mut [f32],
    /// `[rows][blocks][16]`: partial sums of the probabilities of each block.
    totals: &'a mut [i32],
}

impl<'a> TileScratch<'a> {
    /// Divides the scratch of a worker, without the bias plane.
    fn over(scratch: &'a mut [f32], blocks: usize) -> Self {
        let (tail, rest) = scratch.split_at_mut(TILE);
        let (sums, rest) = rest.split_at_mut(SPAN * TILE);
        let (bytes, rest) = rest.split_at_mut(MAX_ROWS * blocks * BLOCK / 4);
        let (result, rest) = rest.split_at_mut(TILE);
        let (max, totals) = rest.split_at_mut(MAX_ROWS * padded(blocks));
        TileScratch {
            tail: bytemuck::cast_slice_mut(tail),
            sums: bytemuck::cast_slice_mut(sums),
            bytes: bytemuck::cast_slice_mut(bytes),
            result,
            max,
            totals: &mut bytemuck::cast_slice_mut(totals)[..MAX_ROWS * blocks * LANES],
        }
    }
}

impl TileAttention for Int8Head<'_> {
    type Bias = i16;

    /// Biases are in steps of the logits' fixed point.
    fn bias_scale(&self) -> f32 {
        LOG2_E * (1 << self.fixed.unit) as f32
    }

    fn max_queries(&self) -> usize {
        self.isa.shape_attention().rows
    }

    fn attend_tile(
        &self,
        queries: &QueryTile,
        bias: &RelativeBias<i16>,
        scratch: &mut [f32],
        out: &Shared<f32>,
    ) {
        let shape = &self.shape;
        let (d, blocks) = (shape.head_padded, shape.blocks());
        let mut scratch = TileScratch::over(scratch, blocks);
        let mut q = [0i16; MAX_ROWS];
        for (r, q) in q.iter_mut().enumerate().take(queries.count) {
            *q = (self.q_tokens[queries.token(r)].scale * self.fixed.q + 0.5) as i16;
        }
        for span in self.spans(BLOCK) {
            self.qk_softmax(queries, bias, &q, &span, &mut scratch);
        }
        let mut inverse_sums = [0f32; MAX_ROWS];
        let inverse_sums = &mut inverse_sums[..queries.count];
        let max = &mut scratch.max[..queries.count * padded(blocks)];
        let totals = &scratch.totals[..queries.count * blocks * LANES];
        self.isa.block_factors(max, totals, self.fixed.unit, inverse_sums);
        for first in (0..d).step_by(BLOCK) {
            let columns = first..(first + BLOCK).min(d);
            for span in self.spans(columns.len()) {
                self.pv(queries, &columns, &span, &mut scratch);
            }
            self.write(queries, &columns, scratch.result, inverse_sums, out);
        }
    }
}

impl Int8Head<'_> {
    /// The spans of blocks for products with `columns` columns. With fewer than [`BLOCK`] columns the sums go through the
    /// scratch, which holds [`SPAN`] blocks.
    fn spans(&self, columns: usize) -> impl Iterator<Item = Span> + use<> {
        let shape = &self.shape;
        let limit = if columns == BLOCK { max_span(self.isa) } else { SPAN };
        spans(shape.padded_tokens(), shape.patches(), limit)
    }

    /// Q·Kᵀ and softmax of a span of blocks: writes the probabilities, and the maximum and partial sums of each block. `q` are
    /// the queries' fixed-point factors.
    fn qk_softmax(
        &self,
        queries: &QueryTile,
        bias: &RelativeBias<i16>,
        q: &[i16; MAX_ROWS],
        span: &Span,
        scratch: &mut TileScratch,
    ) {
        let (shape, isa) = (&self.shape, self.isa);
        let (d, blocks, from) = (shape.head_padded, shape.blocks(), span.keys().start);
        let bias = bias.of_keys(queries.count, span.keys(), scratch.tail, |key| slot(span.panels, key));
        let product = TileI8::new(
            (queries.count, span.panels),
            (&self.q[queries.first * d..], queries.step * d),
            (&self.k[from * d..], d * LANES),
            d / 4,
            &self.k_sum[from..],
            scratch.sums,
        );
        let softmax = SoftmaxBlocks::new(
            (span.blocks, queries.count, span.panels),
            qk_sums(isa, queries.count, span, product.out),
            (self.fixed.shift, self.fixed.unit),
            (q, &self.k_factor[from..]),
            (bias.at, bias.step),
            SoftmaxOutput {
                bytes: (&mut scratch.bytes[from..], blocks * BLOCK),
                max: (&mut scratch.max[span.first..], padded(blocks)),
                total: (&mut scratch.totals[span.first * LANES..], blocks * LANES),
            },
        );
        // SAFETY: every query is a token with a row in `self.q`. `k` holds whole panels, `k_sum` their sums, `k_factor` and the
        // bias rows of `of_keys` a number for each slot. `spans` limits the span to `max_span`, and `TileScratch` has room
        // for the sums of `SPAN` blocks and for the outputs of all blocks and rows.
        unsafe { qk_softmax(isa, &product, span, &softmax) };
    }

    /// P·V of a span of blocks for some columns of V, accumulated in the tile of outputs.
    fn pv(&self, queries: &QueryTile, columns: &Range<usize>, span: &Span, scratch: &mut TileScratch) {
        let (shape, isa) = (&self.shape, self.isa);
        let (t, d, blocks) = (shape.padded_tokens(), shape.head_padded, shape.blocks());
        let (key, panels) = (span.keys().start, columns.len() / LANES);
        let sums = span.first * d + columns.start;
        let mut product = TileI8::new(
            (queries.count, panels),
            (&scratch.bytes[key..], blocks * BLOCK),
            (&self.v[columns.start * t + key * LANES..], t * LANES),
            span.panels * LANES / 4,
            &self.v_sum[sums..],
            scratch.sums,
        );
        product.unsigned = true;
        let accumulate = AccumulateBlocks::new(
            (span.blocks, queries.count, panels),
            BlockSums::new(product.out, queries.count, panels, by_rows(isa, panels)),
            (&scratch.max[span.first..], padded(blocks)),
            span.first == 0,
            scratch.result,
        );
        // SAFETY: `bytes` holds rows of whole blocks, `v` whole panels, `v_sum` their sums in every block; a block is
        // whole groups of four keys. `max` holds the factors of all blocks. `spans` limits the span, and
        // `TileScratch` has room for the sums of `SPAN` blocks and for a tile of outputs.
        unsafe { pv(isa, &product, d, &accumulate) };
    }

    /// Writes some columns of a tile: normalised, times the scale of v, plus the centre of v. The centre was subtracted from
    /// every value; as the probabilities sum to 1, it is added once.
    fn write(
        &self,
        queries: &QueryTile,
        columns: &Range<usize>,
        result: &[f32],
        inverse_sums: &[f32],
        out: &Shared<f32>,
    ) {
        let (shape, isa, first) = (&self.shape, self.isa, columns.start);
        let (scale, centre) = (&self.v_scale[first..], &self.v_centre[first..]);
        let count = columns.end.min(shape.head) - first;
        for (r, (row, inverse_sum)) in result.chunks(columns.len()).zip(inverse_sums).enumerate() {
            // SAFETY: every token is a query of one tile only, and this task alone computes that tile.
            let out = unsafe { out.slice(queries.token(r) * shape.qkv() + first, count) };
            isa.scale_and_add(row, *inverse_sum, scale, centre, out);
        }
    }
}
