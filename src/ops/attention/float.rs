//! Attention in f32: the logits of a tile of queries for all keys, softmax, weighted sum of the values.
//!
//! Packed operands, for T tokens, T' when padded to whole panels, and D padded columns: q as rows, `[T][D]`; k as panels of 16
//! keys, `[T'/16][D][16]`; v as panels of 16 channels, `[D/16][T'][16]`. Rows of keys and values that do not exist are 0.

use super::bias::RelativeBias;
use super::head::{Head, Operand, QueryTile, TileAttention};
use super::shape::{AttentionShape, sections, sections_mut};
use crate::parallel::chunks::{Shared, chunk_range};
use crate::simd::isa::Isa;
use crate::simd::kernels::attention::blocks::TILE;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_ROWS, TileF};

/// The packed operands of a head.
pub(super) struct FloatHead<'a> {
    isa: Isa,
    shape: AttentionShape,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
}

/// The lengths in bytes of the packed operands q, k and v.
pub(super) fn lengths(s: &AttentionShape) -> [usize; 3] {
    [s.tokens(), s.padded_tokens(), s.padded_tokens()].map(|tokens| 4 * tokens * s.head_padded)
}

/// Packs a head into `packed`, of [`packed_bytes`](super::packed_bytes).
pub(super) fn pack(head: &Head, packed: &mut [u8]) {
    let (tokens, t, d) = (head.shape.tokens(), head.shape.padded_tokens(), head.shape.head_padded);
    let [q, k, v] = sections_mut(packed, lengths(&head.shape)).map(bytemuck::cast_slice_mut::<u8, f32>);
    for (token, q) in q.chunks_mut(d).enumerate() {
        q.copy_from_slice(head.row(token, Operand::Query));
    }
    for (p, panel) in k.chunks_mut(LANES * d).enumerate() {
        for lane in 0..LANES {
            let token = p * LANES + lane;
            for c in 0..d {
                panel[c * LANES + lane] = if token < tokens { head.row(token, Operand::Key)[c] } else { 0.0 };
            }
        }
    }
    for (p, panel) in v.chunks_mut(t * LANES).enumerate() {
        for (token, row) in panel.chunks_mut(LANES).enumerate() {
            match token < tokens {
                true => row.copy_from_slice(&head.row(token, Operand::Value)[p * LANES..][..LANES]),
                false => row.fill(0.0),
            }
        }
    }
}

impl<'a> FloatHead<'a> {
    /// The operands that [`pack`] has written.
    pub fn read(isa: Isa, shape: &AttentionShape, packed: &'a [u8]) -> FloatHead<'a> {
        let [q, k, v] = sections(packed, lengths(shape)).map(bytemuck::cast_slice);
        FloatHead { isa, shape: *shape, q, k, v }
    }

    /// Writes the logits q·k + bias of a tile of queries for all keys, rows T' apart.
    fn logits(&self, queries: &QueryTile, bias: &RelativeBias<f32>, tail: &mut [f32], logits: &mut [f32]) {
        let isa = self.isa;
        let (t, d) = (self.shape.padded_tokens(), self.shape.head_padded);
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
                (&self.q[queries.first * d..], queries.step * d),
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
        let (shape, isa) = (&self.shape, self.isa);
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
                let at = queries.token(r) * shape.qkv() + range.start * LANES;
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
        self.isa.shape_f().rows
    }

    fn attend_tile(
        &self,
        queries: &QueryTile,
        bias: &RelativeBias<f32>,
        scratch: &mut [f32],
        out: &Shared<f32>,
    ) {
        let shape = &self.shape;
        let t = shape.padded_tokens();
        let (tail, weights) = scratch.split_at_mut(TILE);
        let weights = &mut weights[..MAX_ROWS * t];
        self.logits(queries, bias, tail, weights);
        let mut factors = [0f32; MAX_ROWS];
        for (factor, row) in factors.iter_mut().zip(weights.chunks_mut(t)).take(queries.count) {
            *factor = 1.0 / self.isa.softmax(row, shape.tokens());
        }
        self.weighted_sums(queries, weights, &factors, out);
    }
}
