//! Attention in f32: logits of a tile of queries for all keys, softmax, weighted sum of the values.

use super::bias::Bias;
use super::head::{Head, Part, QueryTile, TileAttention};
use crate::ops::rows::typed;
use crate::parallel::chunks::{Shared, chunks};
use crate::simd::kernels::attention::blocks::TILE;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_ROWS, TileF};

/// A head's keys and values as panels.
pub(super) struct FloatHead<'a> {
    head: &'a Head<'a>,
    k: &'a [f32],
    v: &'a [f32],
}

impl<'a> FloatHead<'a> {
    pub fn pack(head: &'a Head, packed: &'a mut [u8]) -> FloatHead<'a> {
        let (t, d) = (head.shape.padded_tokens(), head.shape.head_padded);
        let (k, v) = typed::<f32>(packed, 2 * t * d).split_at_mut(t * d);
        let tokens = head.shape.tokens();
        chunks(head.par, k, LANES * d, |p, panel| {
            for lane in 0..LANES {
                let token = p * LANES + lane;
                for c in 0..d {
                    panel[c * LANES + lane] =
                        if token < tokens { head.row(token, Part::Key)[c] } else { 0.0 };
                }
            }
        });
        chunks(head.par, v, t * LANES, |p, panel| {
            for (token, row) in panel.chunks_mut(LANES).enumerate() {
                match token < tokens {
                    true => row.copy_from_slice(&head.row(token, Part::Value)[p * LANES..][..LANES]),
                    false => row.fill(0.0),
                }
            }
        });
        FloatHead { head, k, v }
    }

    /// Logits of a tile of queries, rows `t` apart: q·k + bias.
    fn logits(&self, rows: &QueryTile, bias: &Bias<f32>, tail: &mut [f32], logits: &mut [f32]) {
        let (head, isa) = (self.head, self.head.isa);
        let (t, d) = (head.shape.padded_tokens(), head.shape.head_padded);
        let panels = t / LANES;
        let tiles = panels.div_ceil(isa.shape_f().panels);
        let mut tile = [0f32; TILE];
        for i in 0..tiles {
            let (from, to) = (panels * i / tiles * LANES, panels * (i + 1) / tiles * LANES);
            let columns = to - from;
            let bias = bias.of_keys(rows.count, from..to, tail, |key| key);
            for (r, row) in tile.chunks_mut(columns).enumerate().take(rows.count) {
                // SAFETY: `bias` points at rows of at least `columns` numbers: the plane has a margin, the tail a block.
                let bias =
                    unsafe { core::slice::from_raw_parts(bias.at.offset(r as isize * bias.step), columns) };
                row.copy_from_slice(bias);
            }
            let product = TileF::new(
                (rows.count, columns / LANES),
                (head.rows_from(rows.first, Part::Query), rows.step * head.shape.qkv()),
                (&self.k[from * d..], d * LANES),
                d,
                false,
                &mut tile,
            );
            // SAFETY: every query of the tile is a token, its q is d numbers; k holds whole panels.
            unsafe { isa.tile_f32(rows.count, columns / LANES, &product) };
            for (r, row) in tile.chunks(columns).enumerate().take(rows.count) {
                logits[r * t + from..][..columns].copy_from_slice(row);
            }
        }
    }
}

impl TileAttention for FloatHead<'_> {
    type Bias = f32;

    fn unit(&self) -> f32 {
        1.0
    }

    fn rows(&self) -> usize {
        self.head.isa.shape_f().rows
    }

    fn attend_tile(&self, rows: &QueryTile, bias: &Bias<f32>, work: &mut [f32], out: &Shared<f32>) {
        let (shape, isa) = (&self.head.shape, self.head.isa);
        let t = shape.padded_tokens();
        let (tail, weights) = work.split_at_mut(TILE);
        let weights = &mut weights[..MAX_ROWS * t];
        self.logits(rows, bias, tail, weights);
        let mut factors = [0f32; MAX_ROWS];
        for (factor, row) in factors.iter_mut().zip(weights.chunks_mut(t)).take(rows.count) {
            *factor = 1.0 / isa.softmax(row, shape.tokens());
        }
        let panels = shape.head_padded / LANES;
        let groups = panels.div_ceil(isa.shape_f().panels);
        let mut result = [0f32; TILE];
        for i in 0..groups {
            let (from, to) = (panels * i / groups, panels * (i + 1) / groups);
            let tile = TileF::new(
                (rows.count, to - from),
                (weights, t),
                (&self.v[from * t * LANES..], t * LANES),
                t,
                true,
                &mut result,
            );
            // SAFETY: weights hold rows of t, v whole panels of t rows, the result a whole tile.
            unsafe { isa.tile_f32(rows.count, to - from, &tile) };
            let columns = (to * LANES).min(shape.head) - from * LANES;
            for (r, row) in result.chunks((to - from) * LANES).enumerate().take(rows.count) {
                let at = (rows.first + r * rows.step) * shape.out_pitch + from * LANES;
                // SAFETY: this task alone writes these tokens.
                let out = unsafe { out.part(at, columns) };
                out.iter_mut().zip(row).for_each(|(o, x)| *o = x * factors[r]);
            }
        }
    }
}
