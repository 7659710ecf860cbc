//! The operands of a head in int8: q, k and v, quantised symmetrically to −127 ..= 127 and packed for the micro-kernels.
//!
//! In: `[T][q, k, v]` f32 ([`Head::qkv`]). Out: [`Int8Head`].
//!
//! - q is quantised per token.
//! - k is quantised per token, after its mean over all tokens is subtracted. Subtracting the mean changes all logits of a
//!   query by the same number, which the softmax cancels, and it removes the outlier channels that the tokens share
//!   (smoothing of K: Zhang et al. 2024, "SageAttention").
//! - v is quantised per channel, around the middle of the channel's range.

use super::fixed_point::{FixedPoint, largest};
use super::head::{Head, Operand};
use crate::ops::rows::typed;
use crate::parallel::chunks::{Shared, chunks, chunks2};
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;

/// The packed operands of a head: T tokens, T' when padded to whole panels, and D padded columns.
pub(super) struct Int8Head<'a> {
    pub head: &'a Head<'a>,
    /// q: rows of bytes, `[T][D]`, as activations of a product.
    pub q: &'a mut [u8],
    /// The scale of each row of q, with Σ q and Σ q².
    pub q_tokens: &'a mut [Token],
    /// k: panels of 16 keys, `[T'/16][D/4][16][4]`; [`place`] gives the panel and lane of a key.
    pub k: &'a mut [i8],
    /// The scale of each row of k, with Σ k and Σ k².
    pub k_tokens: &'a mut [Token],
    /// Σ k of each key, in the order of the panels' lanes.
    pub k_sum: &'a mut [i32],
    /// The fixed-point factor of each key, in the order of the slots.
    pub k_factor: &'a mut [i16],
    /// v: panels of 16 channels, `[D/16][T'/4][16][4]`.
    pub v: &'a mut [i8],
    /// The scale of each channel of v.
    pub v_scale: &'a mut [f32],
    /// The middle of each channel's range of v, which is subtracted before quantisation.
    pub v_centre: &'a mut [f32],
    /// `[blocks][D]`: Σ v of each channel over the keys of a block.
    pub v_sum: &'a mut [i32],
    /// The fixed point of the head's logits.
    pub fixed: FixedPoint,
}

/// The slot of key `n` of a block that has `panels` panels. The softmax processes the keys of a block in the order of slots
/// ([`SoftmaxBlocks`](crate::simd::kernels::attention::softmax::SoftmaxBlocks)). In a whole block key n has slot n; in a last,
/// shorter block key n is lane n % 16 of panel n / 16.
pub(super) fn slot(panels: usize, n: usize) -> usize {
    match panels == BLOCK / LANES {
        true => n,
        false => slot_at(n / LANES, n % LANES),
    }
}

/// The slot of a lane of a panel.
fn slot_at(panel: usize, lane: usize) -> usize {
    panel / 2 * 32 + lane / 4 * 8 + panel % 2 * 4 + lane % 4
}

/// The panel and lane of a slot: the inverse of [`slot_at`].
fn place(slot: usize) -> (usize, usize) {
    (slot / 32 * 2 + slot / 4 % 2, slot % 32 / 8 * 4 + slot % 4)
}

impl<'a> Int8Head<'a> {
    /// Quantises and packs a head into `packed`, of [`AttentionShape::packed_bytes`](super::AttentionShape::packed_bytes).
    /// `scratch` holds at least three rows of D numbers.
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
        operands.choose_fixed_point();
        operands
    }

    /// Divides `packed` among the operands.
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
        let (v_centre, v_sum) = rest.split_at_mut(4 * d);
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
            fixed: FixedPoint::default(),
        }
    }

    /// Quantises q. `zero` is a row of D zeros, because q is not centred.
    fn pack_q(&mut self, zero: &[f32]) {
        let (head, d) = (self.head, zero.len());
        chunks2(head.workers, (self.q, BLOCK * d), (self.q_tokens, BLOCK), |i, rows, tokens| {
            let x = &head.qkv[i * BLOCK * head.shape.qkv()..];
            let rows = bytemuck::cast_slice_mut(rows);
            head.isa.quantise_tokens(x, head.shape.qkv(), zero, rows, tokens);
            // Activations are stored as (q + 128) ^ sign_flip, which is q ^ 128 ^ sign_flip.
            let mask = 128 ^ head.isa.sign_flip();
            if mask != 0 {
                rows.iter_mut().for_each(|q| *q ^= mask as i8);
            }
        });
    }

    /// Quantises k − mean, and packs it into panels.
    fn pack_k(&mut self, mean: &[f32]) {
        /// Tokens that are quantised into a buffer on the stack before they are packed.
        const TOKENS: usize = 8;
        let (head, d) = (self.head, mean.len());
        let (panels, sums) = (Shared::new(self.k), Shared::new(self.k_sum));
        chunks(head.workers, self.k_tokens, BLOCK, |b, tokens| {
            let from = b * BLOCK;
            let len = BLOCK.min(head.shape.padded_tokens() - from);
            // SAFETY: task b alone accesses the panels of block b and their sums; blocks are disjoint.
            let (panels, sums) = unsafe { (panels.slice(from * d, len * d), sums.slice(from, len)) };
            if tokens.len() < len {
                // Keys after the last token are 0.
                panels.fill(0);
                sums.fill(0);
            }
            let mut q = [0i8; TOKENS * 256];
            for (i, tokens) in tokens.chunks_mut(TOKENS).enumerate() {
                let x = &head.qkv[(from + i * TOKENS) * head.shape.qkv() + d..];
                head.isa.quantise_tokens(x, head.shape.qkv(), mean, &mut q[..tokens.len() * d], tokens);
                for (j, (q, token)) in q.chunks(d).zip(tokens).enumerate() {
                    let (panel, lane) = place(slot(len / LANES, i * TOKENS + j));
                    sums[panel * LANES + lane] = token.sum;
                    let panel = panels[panel * LANES * d..][..LANES * d].as_chunks_mut::<{ 4 * LANES }>().0;
                    for (group, q) in panel.iter_mut().zip(q.as_chunks::<4>().0) {
                        group[4 * lane..][..4].copy_from_slice(q);
                    }
                }
            }
        });
    }

    /// Quantises v and packs it into panels, in the order in which the softmax stores the probabilities of a block.
    fn pack_v(&mut self) {
        let (head, d, t) = (self.head, self.head.shape.head_padded, self.head.shape.padded_tokens());
        let (sums, scales, centres) = (Shared::new(self.v_sum), &*self.v_scale, &*self.v_centre);
        chunks(head.workers, self.v, t * LANES, |p, panel| {
            let factor = vector(scales, p).map(|s| if s > 0.0 { 1.0 / s } else { 0.0 });
            let grid = [vector(centres, p), factor];
            let x = &head.qkv[2 * d + p * LANES..];
            for (block, panel) in panel.chunks_mut(BLOCK * LANES).enumerate() {
                // The softmax stores the bytes of a whole block four keys from each panel in turn, those of a shorter block
                // in the order of the keys.
                let whole = panel.len() == BLOCK * LANES;
                let first: [usize; BLOCK / 4] = core::array::from_fn(|g| {
                    block * BLOCK + if whole { slot_at(g % 4, g / 4 * 4) } else { 4 * g }
                });
                // SAFETY: task p alone accesses the sums of panel p's channels.
                let sums = unsafe { sums.slice(block * d + p * LANES, LANES) };
                let Some(sums) = sums.first_chunk_mut() else { return };
                head.isa.quantise_values(x, head.shape.qkv(), &first, &grid, panel, sums);
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

/// Vector `panel` of a row.
fn vector(row: &[f32], panel: usize) -> [f32; LANES] {
    row.as_chunks().0[panel]
}

/// The mean of each channel of k over the tokens, and the minimum and maximum of each channel of v.
fn channel_statistics(head: &Head, mean: &mut [f32], low: &mut [f32], high: &mut [f32]) {
    let (d, pitch) = (mean.len(), head.shape.qkv());
    mean.fill(0.0);
    low.copy_from_slice(head.row(0, Operand::Value));
    high.copy_from_slice(head.row(0, Operand::Value));
    let (low, high) = (Shared::new(low), Shared::new(high));
    chunks(head.workers, mean, LANES, |p, mean| {
        let k = &head.qkv[d + p * LANES..];
        // SAFETY: task p alone accesses the channels of panel p.
        let (low, high) = unsafe { (low.slice(p * LANES, LANES), high.slice(p * LANES, LANES)) };
        head.isa.column_sums(k, pitch, mean);
        head.isa.column_min_max(&k[d..], pitch, low, high);
    });
    mean.iter_mut().for_each(|m| *m /= head.shape.tokens() as f32);
}
