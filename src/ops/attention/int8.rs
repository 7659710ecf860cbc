//! Attention in int8, keys in blocks.
//!
//! q per token; k per token, minus its mean over the tokens (softmax does not see a constant per query, and
//! it removes k's outlier channels; Zhang et al. 2024, SageAttention); v per channel, around the middle of its range. Logits are
//! sixteen-bit whole numbers, in the finest unit in which none of the head's can leave their range ([`Fixed`]). A block's weights
//! are bytes, p_j = 255 · 2^(x_j − m_b), m_b the largest logit of the block, so that no block's weights vanish beside another's;
//! the exact sums Σ p_j·v_j of the blocks are added in f32, each times 2^(m_b − m).

use super::super::micro::TileI8;
use super::super::split::{Shared, chunks, chunks2};
use super::super::{LANES, MAX_ROWS};
use super::blend::Blend;
use super::fixed::{Fixed, largest};
use super::pack::Token;
use super::softmax::Weights;
use super::tiles::{Sums, mix, spans, weigh};
use super::{BLOCK, Bias, Head, Queries, SPAN, TILE};
use crate::activations::typed;
use crate::format::padded;
use core::f32::consts::LOG2_E;

/// A head's operands, ready to multiply.
pub(super) struct Keys<'a> {
    head: &'a Head<'a>,
    /// Rows of bytes.
    q: &'a mut [u8],
    q_tokens: &'a mut [Token],
    /// Panels, the sum of each key's weights in their order, and of each slot its factor.
    k: &'a mut [i8],
    k_tokens: &'a mut [Token],
    k_sum: &'a mut [i32],
    k_factor: &'a mut [i16],
    /// Panels, of each channel its scale and the middle of its range, and `[blocks][channels]` sums, as they are and times 128.
    v: &'a mut [i8],
    v_scale: &'a mut [f32],
    v_centre: &'a mut [f32],
    v_sum: &'a mut [i32],
    v_back: &'a mut [i32],
    fixed: Fixed,
}

/// The slot of key `n` of a block of so many panels: whole blocks have their keys in the order of the slots
/// ([`Weights`]), others in that of the panels.
fn slot(panels: usize, n: usize) -> usize {
    match panels == BLOCK / LANES {
        true => n,
        false => slot_at(n / LANES, n % LANES),
    }
}

/// The slot at a lane of a panel.
fn slot_at(panel: usize, lane: usize) -> usize {
    panel / 2 * 32 + lane / 4 * 8 + panel % 2 * 4 + lane % 4
}

/// Panel and lane of a slot.
fn place(slot: usize) -> (usize, usize) {
    (slot / 32 * 2 + slot / 4 % 2, slot % 32 / 8 * 4 + slot % 4)
}

impl<'a> Keys<'a> {
    pub fn pack(head: &'a Head, packed: &'a mut [u8], scratch: &mut [f32]) -> Keys<'a> {
        let dims = &head.dims;
        let (tokens, t, d, blocks) = (dims.tokens(), dims.padded_tokens(), dims.head_padded, dims.blocks());
        let (q, rest) = packed.split_at_mut(tokens * d);
        let (k, rest) = rest.split_at_mut(t * d);
        let (v, rest) = rest.split_at_mut(t * d);
        let (q_tokens, rest) = rest.split_at_mut(tokens * size_of::<Token>());
        let (k_tokens, rest) = rest.split_at_mut(tokens * size_of::<Token>());
        let (k_sum, rest) = rest.split_at_mut(4 * t);
        let (k_factor, rest) = rest.split_at_mut(2 * BLOCK * blocks);
        let (v_scale, rest) = rest.split_at_mut(4 * d);
        let (v_centre, rest) = rest.split_at_mut(4 * d);
        let (v_sum, v_back) = rest.split_at_mut(4 * d * blocks);
        let mut keys = Keys {
            head,
            q,
            q_tokens: typed(q_tokens, tokens),
            k: typed(k, t * d),
            k_tokens: typed(k_tokens, tokens),
            k_sum: typed(k_sum, t),
            k_factor: typed(k_factor, BLOCK * blocks),
            v: typed(v, t * d),
            v_scale: typed(v_scale, d),
            v_centre: typed(v_centre, d),
            v_sum: typed(v_sum, d * blocks),
            v_back: typed(v_back, d * blocks),
            fixed: Fixed::default(),
        };
        // k's mean and v's range, by channel.
        let (mean, rest) = scratch[..3 * d].split_at_mut(d);
        mean.fill(0.0);
        for ends in rest.chunks_mut(d) {
            ends.copy_from_slice(head.part(0, 2));
        }
        let (low_high, pitch) = (Shared::new(rest), dims.qkv());
        chunks(head.par, mean, LANES, |p, mean| {
            let k = &head.qkv[d + p * LANES..];
            // SAFETY: these channels' ends belong to task p.
            let (low, high) =
                unsafe { (low_high.part(p * LANES, LANES), low_high.part(d + p * LANES, LANES)) };
            head.isa.sum_rows(k, pitch, mean);
            head.isa.spread(&k[d..], pitch, low, high);
        });
        let (low, high) = rest.split_at(d);
        mean.iter_mut().for_each(|m| *m /= tokens as f32);
        for (centre, (low, high)) in keys.v_centre.iter_mut().zip(low.iter().zip(high)) {
            *centre = 0.5 * low + 0.5 * high;
        }
        for (scale, (low, high)) in keys.v_scale.iter_mut().zip(low.iter().zip(high)) {
            *scale = (0.5 * high - 0.5 * low) / 127.0;
        }
        keys.pack_k(mean);
        mean.fill(0.0);
        keys.pack_q(mean);
        keys.pack_v();
        keys.v_back.iter_mut().zip(&*keys.v_sum).for_each(|(back, sum)| *back = 128 * sum);
        keys.fix();
        keys
    }

    fn pack_q(&mut self, zero: &[f32]) {
        let (head, d) = (self.head, zero.len());
        chunks2(head.par, (self.q, BLOCK * d), (self.q_tokens, BLOCK), |i, rows, tokens| {
            let x = &head.qkv[i * BLOCK * head.dims.qkv()..];
            let rows = bytemuck::cast_slice_mut(rows);
            head.isa.quantise_tokens(x, head.dims.qkv(), zero, rows, tokens);
            // Signed or q + 128, whichever the tile multiplies.
            let flip = 128 ^ head.isa.flip();
            if flip != 0 {
                rows.iter_mut().for_each(|q| *q ^= flip as i8);
            }
        });
    }

    fn pack_k(&mut self, mean: &[f32]) {
        /// Tokens at a time: what they become stays on the stack.
        const FEW: usize = 8;
        let (head, d) = (self.head, mean.len());
        let (panels, sums) = (Shared::new(self.k), Shared::new(self.k_sum));
        chunks(head.par, self.k_tokens, BLOCK, |b, tokens| {
            let from = b * BLOCK;
            let len = BLOCK.min(head.dims.padded_tokens() - from);
            // SAFETY: the panels of block b, and their sums, belong to task b.
            let (panels, sums) = unsafe { (panels.part(from * d, len * d), sums.part(from, len)) };
            if tokens.len() < len {
                // Keys that do not exist.
                panels.fill(0);
                sums.fill(0);
            }
            let mut q = [0i8; FEW * 256];
            for (i, tokens) in tokens.chunks_mut(FEW).enumerate() {
                let x = &head.qkv[(from + i * FEW) * head.dims.qkv() + d..];
                head.isa.quantise_tokens(x, head.dims.qkv(), mean, &mut q[..tokens.len() * d], tokens);
                for (j, (q, token)) in q.chunks(d).zip(tokens).enumerate() {
                    let (panel, lane) = place(slot(len / LANES, i * FEW + j));
                    sums[panel * LANES + lane] = token.sum;
                    let panel = panels[panel * LANES * d..][..LANES * d].as_chunks_mut::<{ 4 * LANES }>().0;
                    for (group, q) in panel.iter_mut().zip(q.as_chunks::<4>().0) {
                        group[4 * lane..][..4].copy_from_slice(q);
                    }
                }
            }
        });
    }

    fn pack_v(&mut self) {
        let (head, d, t) = (self.head, self.head.dims.head_padded, self.head.dims.padded_tokens());
        let (sums, scales, centres) = (Shared::new(self.v_sum), &*self.v_scale, &*self.v_centre);
        chunks(head.par, self.v, t * LANES, |p, panel| {
            let factor = part(scales, p).map(|s| if s > 0.0 { 1.0 / s } else { 0.0 });
            let by = [part(centres, p), factor];
            let x = &head.qkv[2 * d + p * LANES..];
            for (block, panel) in panel.chunks_mut(BLOCK * LANES).enumerate() {
                // A whole block's keys are in the order that its weights come in.
                let whole = panel.len() == BLOCK * LANES;
                let first: [usize; BLOCK / 4] = core::array::from_fn(|g| {
                    block * BLOCK + if whole { slot_at(g % 4, g / 4 * 4) } else { 4 * g }
                });
                // SAFETY: the sums of these channels belong to task p.
                let sums = unsafe { sums.part(block * d + p * LANES, LANES) };
                let Some(sums) = sums.first_chunk_mut() else { return };
                head.isa.quantise_values(x, head.dims.qkv(), &first, &by, panel, sums);
            }
        });
    }

    /// The head's fixed point, and k's factors in it.
    fn fix(&mut self) {
        let bias = self.head.bias.map_or(0.0, largest);
        self.fixed = Fixed::of(self.q_tokens, self.k_tokens, bias);
        self.k_factor.fill(0);
        let t = self.head.dims.padded_tokens();
        for (b, (tokens, factors)) in
            self.k_tokens.chunks(BLOCK).zip(self.k_factor.chunks_mut(BLOCK)).enumerate()
        {
            let panels = BLOCK.min(t - b * BLOCK) / LANES;
            for (n, token) in tokens.iter().enumerate() {
                factors[slot(panels, n)] = (token.scale * self.fixed.k + 0.5) as i16;
            }
        }
    }
}

/// Sixteen numbers of a row.
fn part(row: &[f32], panel: usize) -> [f32; LANES] {
    row.as_chunks().0[panel]
}

impl super::Keys for Keys<'_> {
    type Bias = i16;

    fn unit(&self) -> f32 {
        LOG2_E * (1 << self.fixed.unit) as f32
    }

    fn rows(&self) -> usize {
        self.head.isa.shape_block().rows
    }

    fn answer(&self, rows: &Queries, bias: &Bias<i16>, work: &mut [f32], out: &Shared<f32>) {
        let (dims, isa) = (&self.head.dims, self.head.isa);
        let (t, d, blocks) = (dims.padded_tokens(), dims.head_padded, dims.blocks());
        let (tail, rest) = work.split_at_mut(TILE);
        let (sums, rest) = rest.split_at_mut(SPAN * TILE);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(sums);
        // Rows of whole blocks: none is stored across two lines of the cache.
        let bytes_pitch = blocks * BLOCK;
        let (bytes, rest) = rest.split_at_mut(MAX_ROWS * bytes_pitch / 4);
        let (result, rest) = rest.split_at_mut(TILE);
        let (tops, totals) = rest.split_at_mut(MAX_ROWS * padded(blocks));
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
        let totals: &mut [i32] = &mut bytemuck::cast_slice_mut(totals)[..MAX_ROWS * blocks * LANES];
        let tail: &mut [i16] = bytemuck::cast_slice_mut(tail);
        let mut q = [0i16; MAX_ROWS];
        for (r, q) in q.iter_mut().enumerate().take(rows.count) {
            *q = (self.q_tokens[rows.first + r * rows.step].scale * self.fixed.q + 0.5) as i16;
        }
        // Columns of values that are no whole block go by way of the scratch, which holds a span.
        let spans =
            |columns: usize| spans(t, dims.patches(), if columns == BLOCK { isa.span() } else { SPAN });
        for span in spans(BLOCK) {
            let from = span.keys().start;
            let bias = bias.of_keys(rows.count, span.keys(), tail, |key| slot(span.panels, key));
            let product = TileI8 {
                a: self.q[rows.first * d..].as_ptr(),
                pitch: rows.step * d,
                w: self.k[from * d..].as_ptr(),
                panel: d * LANES,
                groups: d / 4,
                sum: self.k_sum[from..].as_ptr(),
                ahead: core::ptr::null(),
                out: sums.as_mut_ptr(),
            };
            let weights = Weights {
                sums: Sums::new(isa, sums, rows.count, span.panels),
                blocks: span.blocks,
                rows: rows.count,
                panels: span.panels,
                shift: self.fixed.shift,
                unit: self.fixed.unit,
                q: q.as_ptr(),
                k: self.k_factor[from..].as_ptr(),
                bias: bias.at,
                bias_step: bias.step,
                out: bytes[from..].as_mut_ptr(),
                pitch: bytes_pitch,
                top: tops[span.first..].as_mut_ptr(),
                top_pitch: padded(blocks),
                total: totals[span.first * LANES..].as_mut_ptr(),
                total_pitch: blocks * LANES,
            };
            // SAFETY: every query of the tile is a token with a row in q; k holds whole panels and sums, its factors and the bias rows
            // a number for each slot; the scratch for sums holds the span, bytes, tops and totals these rows.
            unsafe { weigh(isa, &product, &weights) };
        }
        let mut shares = [0f32; MAX_ROWS];
        let shares = &mut shares[..rows.count];
        let (tops_len, totals_len) = (rows.count * padded(blocks), rows.count * blocks * LANES);
        isa.block_factors(&mut tops[..tops_len], &totals[..totals_len], self.fixed.unit, shares);
        for first in (0..d).step_by(BLOCK) {
            let columns = first..(first + BLOCK).min(d);
            let panels = columns.len() / LANES;
            for span in spans(columns.len()) {
                let key = span.keys().start;
                let product = TileI8 {
                    a: bytes[key..].as_ptr(),
                    pitch: bytes_pitch,
                    w: self.v[first * t + key * LANES..].as_ptr(),
                    panel: t * LANES,
                    groups: span.panels * LANES / 4,
                    sum: self.v_sum[span.first * d + first..].as_ptr(),
                    ahead: core::ptr::null(),
                    out: sums.as_mut_ptr(),
                };
                let blend = Blend {
                    sums: Sums::new(isa, sums, rows.count, panels),
                    blocks: span.blocks,
                    rows: rows.count,
                    panels,
                    weight_sum: self.v_back[span.first * d + first..].as_ptr(),
                    sum_pitch: d,
                    factor: tops[span.first..].as_ptr(),
                    factor_pitch: padded(blocks),
                    first: span.first == 0,
                    acc: result.as_mut_ptr(),
                };
                // SAFETY: bytes hold rows of blocks, v whole panels and sums, a block is whole groups; backs and tops have the span's
                // blocks, the scratch for sums holds them, the result a whole tile.
                unsafe { mix(isa, &product, &blend) };
            }
            let (scale, centre) = (&self.v_scale[first..], &self.v_centre[first..]);
            let count = columns.end.min(dims.head) - first;
            for (r, (row, share)) in result.chunks(panels * LANES).zip(&*shares).enumerate() {
                let at = (rows.first + r * rows.step) * dims.out_pitch + first;
                // SAFETY: this task alone writes these tokens.
                let out = unsafe { out.part(at, count) };
                // The weights sum to one: what was taken from every value comes back once.
                isa.scale_and_add(row, *share, scale, centre, out);
            }
        }
    }
}
