//! The operands of a head in int8: quantised and packed for the micro-kernels.
//!
//! q is quantised per token; k per token, minus its mean over the tokens (a constant per query, which the softmax does not
//! see; it removes outlier channels: Zhang et al. 2024, "SageAttention"); v per channel, around the middle of its range.

use super::fixed_point::{FixedPoint, largest};
use super::head::{Head, Part};
use crate::ops::rows::typed;
use crate::parallel::chunks::{Shared, chunks, chunks2};
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;

/// The operands of a head, ready to multiply. T tokens, T' of them padded to whole panels, D numbers in a padded row.
pub(super) struct Int8Head<'a> {
    pub head: &'a Head<'a>,
    /// q: rows of bytes, `[T][D]`, with their scales.
    pub q: &'a mut [u8],
    pub q_tokens: &'a mut [Token],
    /// k: panels of 16 keys, `[T'/16][D/4][16][4]`, in the order of [`place`].
    pub k: &'a mut [i8],
    pub k_tokens: &'a mut [Token],
    /// Σ k of each key, in the order of the panels.
    pub k_sum: &'a mut [i32],
    /// The fixed-point factor of each key, in the order of the slots.
    pub k_factor: &'a mut [i16],
    /// v: panels of 16 channels, `[D/16][T'/4][16][4]`.
    pub v: &'a mut [i8],
    /// Scale of each channel of v, and the middle of its range, which was subtracted.
    pub v_scale: &'a mut [f32],
    pub v_centre: &'a mut [f32],
    /// `[blocks][D]`: Σ v of each channel over the keys of a block, and 128 times that.
    pub v_sum: &'a mut [i32],
    pub v_sum_128: &'a mut [i32],
    /// The fixed point of the head's logits.
    pub fixed: FixedPoint,
}

/// The slot of key `n` of a block that has `panels` panels. The softmax handles keys in the order of their slots
/// ([`SoftmaxBlocks`](crate::simd::kernels::attention::softmax::SoftmaxBlocks)): whole blocks are packed in that order,
/// a last, shorter block in the order of its panels.
pub(super) fn slot(panels: usize, n: usize) -> usize {
    match panels == BLOCK / LANES {
        true => n,
        false => slot_at(n / LANES, n % LANES),
    }
}

/// The slot at a lane of a panel.
fn slot_at(panel: usize, lane: usize) -> usize {
    panel / 2 * 32 + lane / 4 * 8 + panel % 2 * 4 + lane % 4
}

/// The panel and lane of a slot: the inverse of [`slot_at`].
fn place(slot: usize) -> (usize, usize) {
    (slot / 32 * 2 + slot / 4 % 2, slot % 32 / 8 * 4 + slot % 4)
}

impl<'a> Int8Head<'a> {
    /// Quantises and packs a head into `packed`, of [`AttentionShape::packed_bytes`](super::AttentionShape::packed_bytes).
    /// `scratch` holds at least three padded rows.
    pub fn pack(head: &'a Head, packed: &'a mut [u8], scratch: &mut [f32]) -> Int8Head<'a> {
        let d = head.shape.head_padded;
        let mut operands = Int8Head::over(head, packed);
        let (mean, rest) = scratch[..3 * d].split_at_mut(d);
        let (low, high) = rest.split_at_mut(d);
        channel_statistics(head, mean, low, high);
        for (centre, (low, high)) in operands.v_centre.iter_mut().zip(low.iter().zip(&*high)) {
            *centre = 0.5 * low + 0.5 * high;
        }
        for (scale, (low, high)) in operands.v_scale.iter_mut().zip(low.iter().zip(&*high)) {
            *scale = (0.5 * high - 0.5 * low) / 127.0;
        }
        operands.pack_k(mean);
        mean.fill(0.0);
        operands.pack_q(mean);
        operands.pack_v();
        operands.v_sum_128.iter_mut().zip(&*operands.v_sum).for_each(|(product, sum)| *product = 128 * sum);
        operands.choose_fixed_point();
        operands
    }

    /// Lays the operands over `packed`.
    fn over(head: &'a Head, packed: &'a mut [u8]) -> Int8Head<'a> {
        let s = &head.shape;
        let (tokens, t, d, blocks) = (s.tokens(), s.padded_tokens(), s.head_padded, s.blocks());
        let (q, rest) = packed.split_at_mut(tokens * d);
        let (k, rest) = rest.split_at_mut(t * d);
        let (v, rest) = rest.split_at_mut(t * d);
        let (q_tokens, rest) = rest.split_at_mut(tokens * size_of::<Token>());
        let (k_tokens, rest) = rest.split_at_mut(tokens * size_of::<Token>());
        let (k_sum, rest) = rest.split_at_mut(4 * t);
        let (k_factor, rest) = rest.split_at_mut(2 * BLOCK * blocks);
        let (v_scale, rest) = rest.split_at_mut(4 * d);
        let (v_centre, rest) = rest.split_at_mut(4 * d);
        let (v_sum, v_sum_128) = rest.split_at_mut(4 * d * blocks);
        Int8Head {
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
            v_sum_128: typed(v_sum_128, d * blocks),
            fixed: FixedPoint::default(),
        }
    }

    /// `zero` is a padded row of zeros: q is not centred.
    fn pack_q(&mut self, zero: &[f32]) {
        let (head, d) = (self.head, zero.len());
        chunks2(head.par, (self.q, BLOCK * d), (self.q_tokens, BLOCK), |i, rows, tokens| {
            let x = &head.qkv[i * BLOCK * head.shape.qkv()..];
            let rows = bytemuck::cast_slice_mut(rows);
            head.isa.quantise_tokens(x, head.shape.qkv(), zero, rows, tokens);
            // Quantised values are signed; tiles without a sign flip multiply q + 128.
            let flip = 128 ^ head.isa.sign_flip();
            if flip != 0 {
                rows.iter_mut().for_each(|q| *q ^= flip as i8);
            }
        });
    }

    fn pack_k(&mut self, mean: &[f32]) {
        /// Tokens quantised at a time, in a buffer on the stack.
        const FEW: usize = 8;
        let (head, d) = (self.head, mean.len());
        let (panels, sums) = (Shared::new(self.k), Shared::new(self.k_sum));
        chunks(head.par, self.k_tokens, BLOCK, |b, tokens| {
            let from = b * BLOCK;
            let len = BLOCK.min(head.shape.padded_tokens() - from);
            // SAFETY: the panels of block b, and their sums, belong to task b.
            let (panels, sums) = unsafe { (panels.part(from * d, len * d), sums.part(from, len)) };
            if tokens.len() < len {
                // Keys beyond the last token.
                panels.fill(0);
                sums.fill(0);
            }
            let mut q = [0i8; FEW * 256];
            for (i, tokens) in tokens.chunks_mut(FEW).enumerate() {
                let x = &head.qkv[(from + i * FEW) * head.shape.qkv() + d..];
                head.isa.quantise_tokens(x, head.shape.qkv(), mean, &mut q[..tokens.len() * d], tokens);
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
        let (head, d, t) = (self.head, self.head.shape.head_padded, self.head.shape.padded_tokens());
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
                head.isa.quantise_values(x, head.shape.qkv(), &first, &by, panel, sums);
            }
        });
    }

    /// Chooses the fixed point of the logits and computes the factors of k in it.
    fn choose_fixed_point(&mut self) {
        let bias = self.head.bias.map_or(0.0, largest);
        self.fixed = FixedPoint::of(self.q_tokens, self.k_tokens, bias);
        self.k_factor.fill(0);
        let t = self.head.shape.padded_tokens();
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

/// The mean of each channel of k over the tokens, and the minimum and maximum of each channel of v.
fn channel_statistics(head: &Head, mean: &mut [f32], low: &mut [f32], high: &mut [f32]) {
    let (d, pitch) = (mean.len(), head.shape.qkv());
    mean.fill(0.0);
    low.copy_from_slice(head.row(0, Part::Value));
    high.copy_from_slice(head.row(0, Part::Value));
    let (low, high) = (Shared::new(low), Shared::new(high));
    chunks(head.par, mean, LANES, |p, mean| {
        let k = &head.qkv[d + p * LANES..];
        // SAFETY: these channels belong to task p alone.
        let (low, high) = unsafe { (low.part(p * LANES, LANES), high.part(p * LANES, LANES)) };
        head.isa.column_sums(k, pitch, mean);
        head.isa.column_min_max(&k[d..], pitch, low, high);
    });
    mean.iter_mut().for_each(|m| *m /= head.shape.tokens() as f32);
}
