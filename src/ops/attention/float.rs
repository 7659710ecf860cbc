//! Attention in f32: the logits of a tile of queries for all keys, softmax, weighted sum of the values.
//!
//! Packed operands, for T' tokens padded to whole panels and D padded columns: k as panels of 16 keys, `[T'/16][D][16]`; v as
//! panels of 16 channels, `[D/16][T'][16]`. Rows of keys and values that do not exist are 0.

use super::bias::RelativeBias;
use super::head::{Head, Operand, QueryTile, TileAttention};
use crate::ops::rows::typed;
use crate::parallel::chunks::{Shared, chunk_range, chunks};
use crate::simd::kernels::attention::blocks::TILE;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_ROWS, TileF};

/// A head with its keys and values as panels.
pub(super) struct FloatHead<'a> {
    head: &'a Head<'a>,
    k: &'a [f32],
    v: &'a [f32],
}

impl<'a> FloatHead<'a> {
    /// Packs a head into `packed`, of [`AttentionShape::packed_bytes`](super::AttentionShape::packed_bytes).
    pub fn pack(head: &'a Head, packed: &'a mut [u8]) -> FloatHead<'a> {
        let (t, d) = (head.shape.padded_tokens(), head.shape.head_padded);
        let (k, v) = typed::<f32>(packed, 2 * t * d).split_at_mut(t * d);
        let tokens = head.shape.tokens();
        chunks(head.workers, k, LANES * d, |p, panel| {
            for lane in 0..LANES {
                let token = p * LANES + lane;
                for c in 0..d {
                    panel[c * LANES + lane] =
                        if token < tokens { head.row(token, Operand::Key)[c] } else { 0.0 };
                }
            }
        });
        chunks(head.workers, v, t * LANES, |p, panel| {
            for (token, row) in panel.chunks_mut(LANES).enumerate() {
                match token < tokens {
                    true => row.copy_from_slice(&head.row(token, Operand::Value)[p * LANES..][..LANES]),
                    false => row.fill(0.0),
                }
            }
        });
        FloatHead { head, k, v }
    }

    /// Writes the logits q·k + bias of a tile of queries for all keys, rows T' apart.
    fn logits(&self, queries: &QueryTile, bias: &RelativeBias<f32>, tail: &mut [f32], logits: &mut [f32]) {
        let (head, isa) = (self.head, self.head.isa);
        let (t, d) = (head.shape.padded_tokens(), head.shape.head_padded);
        let panels = t / LANES;
        let tiles = panels.div_ceil(isa.shape_f().panels);
        let mut tile = [0f32; TILE];
        for i in 0..tiles {
            let range = chunk_range(panels, tiles, i);
            let (from, columns) = (range.start * LANES, range.len() * LANES);
            let bias = bias.of_keys(queries.count, from..from + columns, tail, |key| key);
            for (r, row) in tile.chunks_mut(columns).enumerate().take(queries.count) {
                // SAFETY: `of_keys` returns rows of `columns` numbers: they lie inside the plane, which holds the biases of
                // all patches, or inside `tail`, whose rows have a block.
                let bias =
                    unsafe { core::slice::from_raw_parts(bias.at.offset(r as isize * bias.step), columns) };
                row.copy_from_slice(bias);
            }
            let product = TileF::new(
                (queries.count, range.len()),
                (head.rows_from(queries.first, Operand::Query), queries.step * head.shape.qkv()),
                (&self.k[from * d..], d * LANES),
                d,
                false,
                &mut tile,
            );
            // SAFETY: every query is a token, whose q has D numbers; `k` holds whole panels; the buffer holds a tile.
            unsafe { isa.tile_f32(queries.count, range.len(), &product) };
            for (r, row) in tile.chunks(columns).enumerate().take(queries.count) {
                logits[r * t + from..][..columns].copy_from_slice(row);
            }
        }
    }

    /// Writes the sums of the values, weighted by unnormalised probabilities (rows T' apart) and multiplied by each query's
    /// factor.
    fn weighted_sums(&self, queries: &QueryTile, weights: &[f32], factors: &[f32], out: &Shared<f32>) {
        let (shape, isa) = (&self.head.shape, self.head.isa);
        let t = shape.padded_tokens();
        let panels = shape.head_padded / LANES;
        let groups = panels.div_ceil(isa.shape_f().panels);
        let mut result = [0f32; TILE];
        for i in 0..groups {
            let range = chunk_range(panels, groups, i);
            let tile = TileF::new(
                (queries.count, range.len()),
                (weights, t),
                (&self.v[range.start * t * LANES..], t * LANES),
                t,
                true,
                &mut result,
            );
            // SAFETY: `weights` holds rows of T' numbers, `v` whole panels of T' rows, the buffer a tile.
            unsafe { isa.tile_f32(queries.count, range.len(), &tile) };
            let columns = (range.end * LANES).min(shape.head) - range.start * LANES;
            for (r, row) in result.chunks(range.len() * LANES).enumerate().take(queries.count) {
                let at = queries.token(r) * shape.out_pitch + range.start * LANES;
                // SAFETY: every token is a query of one tile only, and this task alone computes that tile.
                let out = unsafe { out.slice(at, columns) };
                out.iter_mut().zip(row).for_each(|(o, x)| *o = x * factors[r]);
            }
        }
    }
}

impl TileAttention for FloatHead<'_> {
    type Bias = f32;

    fn bias_scale(&self) -> f32 {
        1.0
    }

    fn max_queries(&self) -> usize {
        self.head.isa.shape_f().rows
    }

    fn attend_tile(
        &self,
        queries: &QueryTile,
        bias: &RelativeBias<f32>,
        scratch: &mut [f32],
        out: &Shared<f32>,
    ) {
        let shape = &self.head.shape;
        let t = shape.padded_tokens();
        let (tail, weights) = scratch.split_at_mut(TILE);
        let weights = &mut weights[..MAX_ROWS * t];
        self.logits(queries, bias, tail, weights);
        let mut factors = [0f32; MAX_ROWS];
        for (factor, row) in factors.iter_mut().zip(weights.chunks_mut(t)).take(queries.count) {
            *factor = 1.0 / self.head.isa.softmax(row, shape.tokens());
        }
        self.weighted_sums(queries, weights, &factors, out);
    }
}
