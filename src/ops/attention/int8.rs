//! Attention in int8, keys in blocks.
//!
//! Logits are 16-bit integers in the finest fixed point in which none of the head's can overflow
//! ([`fixed_point`](super::fixed_point)). The probabilities of a block are bytes, p_j = 255 · 2^(x_j − m_b), where m_b is the
//! largest logit of the block, so that a block's small probabilities do not vanish beside another block's large ones. The
//! exact sums Σ p_j · v_j of the blocks are accumulated in f32, each times 2^(m_b − m).

use super::bias::Bias;
use super::blocks::{Span, by_rows, pv, qk_softmax, span, spans};
use super::head::{QueryTile, TileAttention};
pub(super) use super::int8_pack::Int8Head;
use super::int8_pack::slot;
use crate::file::format::padded;
use crate::parallel::chunks::Shared;
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::{BLOCK, BlockSums, SPAN, TILE};
use crate::simd::kernels::attention::softmax::SoftmaxBlocks;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_ROWS, TileI8};
use core::f32::consts::LOG2_E;
use core::ops::Range;

/// A worker's scratch for one tile of queries.
struct TileScratch<'a> {
    /// Biases of the last block of keys.
    tail: &'a mut [i16],
    /// Integer sums of a span of blocks.
    sums: &'a mut [i32],
    /// Probabilities: rows of whole blocks, so that no block is stored across two cache lines.
    bytes: &'a mut [u8],
    /// A tile of outputs.
    result: &'a mut [f32],
    /// Per row and block: the largest logit, later the block's factor; rows are padded.
    max: &'a mut [f32],
    /// Per row and block: sixteen partial sums of the bytes.
    totals: &'a mut [i32],
}

impl<'a> TileScratch<'a> {
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

    fn unit(&self) -> f32 {
        LOG2_E * (1 << self.fixed.unit) as f32
    }

    fn rows(&self) -> usize {
        self.head.isa.shape_block().rows
    }

    fn attend_tile(&self, queries: &QueryTile, bias: &Bias<i16>, scratch: &mut [f32], out: &Shared<f32>) {
        let shape = &self.head.shape;
        let (d, blocks) = (shape.head_padded, shape.blocks());
        let mut scratch = TileScratch::over(scratch, blocks);
        let mut q = [0i16; MAX_ROWS];
        for (r, q) in q.iter_mut().enumerate().take(queries.count) {
            *q = (self.q_tokens[queries.token(r)].scale * self.fixed.q + 0.5) as i16;
        }
        for span in self.spans(BLOCK) {
            self.qk_softmax(queries, bias, &q, &span, &mut scratch);
        }
        let mut shares = [0f32; MAX_ROWS];
        let shares = &mut shares[..queries.count];
        let max = &mut scratch.max[..queries.count * padded(blocks)];
        let totals = &scratch.totals[..queries.count * blocks * LANES];
        self.head.isa.block_factors(max, totals, self.fixed.unit, shares);
        for first in (0..d).step_by(BLOCK) {
            let columns = first..(first + BLOCK).min(d);
            for span in self.spans(columns.len()) {
                self.pv(queries, &columns, &span, &mut scratch);
            }
            self.write(queries, &columns, scratch.result, shares, out);
        }
    }
}

impl Int8Head<'_> {
    /// The spans of blocks for products with `columns` columns. Without whole blocks of columns the sums go through the
    /// scratch, which holds [`SPAN`] blocks.
    fn spans(&self, columns: usize) -> impl Iterator<Item = Span> + use<> {
        let shape = &self.head.shape;
        let most = if columns == BLOCK { span(self.head.isa) } else { SPAN };
        spans(shape.padded_tokens(), shape.patches(), most)
    }

    /// Q·Kᵀ and softmax of a span of blocks: bytes, and the maximum and sums of each block.
    fn qk_softmax(
        &self,
        queries: &QueryTile,
        bias: &Bias<i16>,
        q: &[i16; MAX_ROWS],
        span: &Span,
        scratch: &mut TileScratch,
    ) {
        let (shape, isa) = (&self.head.shape, self.head.isa);
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
        let softmax = SoftmaxBlocks {
            sums: BlockSums::new(product.out, queries.count, span.panels, by_rows(isa, span.panels)),
            blocks: span.blocks,
            rows: queries.count,
            panels: span.panels,
            shift: self.fixed.shift,
            unit: self.fixed.unit,
            q_factor: q.as_ptr(),
            k_factor: self.k_factor[from..].as_ptr(),
            bias: bias.at,
            bias_step: bias.step,
            out: scratch.bytes[from..].as_mut_ptr(),
            out_pitch: blocks * BLOCK,
            max: scratch.max[span.first..].as_mut_ptr(),
            max_pitch: padded(blocks),
            total: scratch.totals[span.first * LANES..].as_mut_ptr(),
            total_pitch: blocks * LANES,
        };
        // SAFETY: every query of the tile is a token with a row in `q`; `k` holds whole panels and `k_sum` their sums,
        // `k_factor` and the bias rows a number for each slot; the scratch for sums holds the span, and bytes, maxima and
        // totals hold these rows.
        unsafe { qk_softmax(isa, &product, &softmax) };
    }

    /// P·V of a span of blocks for some columns, accumulated in the tile of outputs.
    fn pv(&self, queries: &QueryTile, columns: &Range<usize>, span: &Span, scratch: &mut TileScratch) {
        let (shape, isa) = (&self.head.shape, self.head.isa);
        let (t, d, blocks) = (shape.padded_tokens(), shape.head_padded, shape.blocks());
        let (key, panels) = (span.keys().start, columns.len() / LANES);
        let sums = span.first * d + columns.start;
        let product = TileI8::new(
            (queries.count, panels),
            (&scratch.bytes[key..], blocks * BLOCK),
            (&self.v[columns.start * t + key * LANES..], t * LANES),
            span.panels * LANES / 4,
            &self.v_sum[sums..],
            scratch.sums,
        );
        let accumulate = AccumulateBlocks {
            sums: BlockSums::new(product.out, queries.count, panels, by_rows(isa, panels)),
            blocks: span.blocks,
            rows: queries.count,
            panels,
            v_sum_128: self.v_sum_128[sums..].as_ptr(),
            sum_pitch: d,
            factor: scratch.max[span.first..].as_ptr(),
            factor_pitch: padded(blocks),
            overwrite: span.first == 0,
            acc: scratch.result.as_mut_ptr(),
        };
        // SAFETY: `bytes` holds rows of whole blocks, `v` whole panels and `v_sum` and `v_sum_128` their sums; a block is
        // whole groups of four keys; the factors are those of the span's blocks; the scratch for sums holds the span, the
        // result a whole tile.
        unsafe { pv(isa, &product, &accumulate) };
    }

    /// Writes some columns of a tile: scaled to v, and the centre of v, which was subtracted from every value, added once.
    fn write(
        &self,
        queries: &QueryTile,
        columns: &Range<usize>,
        result: &[f32],
        shares: &[f32],
        out: &Shared<f32>,
    ) {
        let (shape, isa, first) = (&self.head.shape, self.head.isa, columns.start);
        let (scale, centre) = (&self.v_scale[first..], &self.v_centre[first..]);
        let count = columns.end.min(shape.head) - first;
        for (r, (row, share)) in result.chunks(columns.len()).zip(shares).enumerate() {
            // SAFETY: this task alone writes the rows of these tokens.
            let out = unsafe { out.part(queries.token(r) * shape.out_pitch + first, count) };
            isa.scale_and_add(row, *share, scale, centre, out);
        }
    }
}
