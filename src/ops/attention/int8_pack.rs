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
use super::shape::{AttentionShape, sections, sections_mut};
use crate::simd::isa::Isa;
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;

/// The packed operands of a head: T tokens, T' when padded to whole panels, and D padded columns.
pub(super) struct Int8Head<'a> {
    pub isa: Isa,
    pub shape: AttentionShape,
    /// The fixed point of the head's logits.
    pub fixed: FixedPoint,
    /// q: rows of bytes, `[T][D]`, as activations of a product.
    pub q: &'a [u8],
    /// The scale of each row of q, with Σ q and Σ q².
    pub q_tokens: &'a [Token],
    /// k: panels of 16 keys, `[T'/16][D/4][16][4]`; [`place`] gives the panel and lane of a key.
    pub k: &'a [i8],
    /// Σ k of each key, in the order of the panels' lanes.
    pub k_sum: &'a [i32],
    /// The fixed-point factor of each key, in the order of the slots.
    pub k_factor: &'a [i16],
    /// v: panels of 16 channels, `[D/16][T'/4][16][4]`.
    pub v: &'a [i8],
    /// The scale of each channel of v.
    pub v_scale: &'a [f32],
    /// The middle of each channel's range of v, which is subtracted before quantisation.
    pub v_centre: &'a [f32],
    /// `[blocks][D]`: Σ v of each channel over the keys of a block.
    pub v_sum: &'a [i32],
}

/// The lengths in bytes of the packed operands, in the order of the fields of [`Int8Head`], and of the [`Token`]s of k, which only
/// packing needs.
pub(super) fn lengths(s: &AttentionShape) -> [usize; 11] {
    let (tokens, t, d, blocks) = (s.tokens(), s.padded_tokens(), s.head_padded, s.blocks());
    let (token, fixed) = (size_of::<Token>(), size_of::<FixedPoint>());
    [
        fixed,
        tokens * d,
        tokens * token,
        t * d,
        4 * t,
        2 * BLOCK * blocks,
        t * d,
        4 * d,
        4 * d,
        4 * d * blocks,
        tokens * token,
    ]
}

impl<'a> Int8Head<'a> {
    /// The operands that [`pack`] has written.
    pub fn read(isa: Isa, shape: &AttentionShape, packed: &'a [u8]) -> Int8Head<'a> {
        let [fixed, q, q_tokens, k, k_sum, k_factor, v, v_scale, v_centre, v_sum, _] =
            sections(packed, lengths(shape));
        Int8Head {
            isa,
            shape: *shape,
            fixed: bytemuck::cast_slice(fixed)[0],
            q,
            q_tokens: bytemuck::cast_slice(q_tokens),
            k: bytemuck::cast_slice(k),
            k_sum: bytemuck::cast_slice(k_sum),
            k_factor: bytemuck::cast_slice(k_factor),
            v: bytemuck::cast_slice(v),
            v_scale: bytemuck::cast_slice(v_scale),
            v_centre: bytemuck::cast_slice(v_centre),
            v_sum: bytemuck::cast_slice(v_sum),
        }
    }
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

/// Quantises and packs a head into `packed`, of [`packed_bytes`](super::packed_bytes). `scratch` holds at least three rows of D
/// numbers.
pub(super) fn pack(head: &Head, packed: &mut [u8], scratch: &mut [f32]) {
    let d = head.shape.head_padded;
    let [fixed, q, q_tokens, k, k_sum, k_factor, v, v_scale, v_centre, v_sum, k_tokens] =
        sections_mut(packed, lengths(&head.shape));
    let (q_tokens, k_tokens) = (bytemuck::cast_slice_mut(q_tokens), bytemuck::cast_slice_mut(k_tokens));
    let (scale, centre) = (bytemuck::cast_slice_mut(v_scale), bytemuck::cast_slice_mut(v_centre));

    let (mean, rest) = scratch[..3 * d].split_at_mut(d);
    let (low, high) = rest.split_at_mut(d);
    channel_statistics(head, mean, low, high);
    for (centre, (low, high)) in centre.iter_mut().zip(low.iter().zip(&*high)) {
        *centre = 0.5 * low + 0.5 * high;
    }
    for (scale, (low, high)) in scale.iter_mut().zip(low.iter().zip(&*high)) {
        *scale = (0.5 * high - 0.5 * low) / 127.0;
    }
    pack_k(head, mean, bytemuck::cast_slice_mut(k), k_tokens, bytemuck::cast_slice_mut(k_sum));
    // q is not centred.
    mean.fill(0.0);
    pack_q(head, mean, bytemuck::cast_slice_mut(q), q_tokens);
    pack_v(head, (centre, scale), bytemuck::cast_slice_mut(v), bytemuck::cast_slice_mut(v_sum));

    let fixed = &mut bytemuck::cast_slice_mut(fixed)[0];
    *fixed = FixedPoint::of(q_tokens, k_tokens, head.bias.map_or(0.0, largest));
    pack_factors(&head.shape, fixed, k_tokens, bytemuck::cast_slice_mut(k_factor));
}

/// Quantises q. `zero` is a row of D zeros.
fn pack_q(head: &Head, zero: &[f32], rows: &mut [i8], tokens: &mut [Token]) {
    head.isa.quantise_tokens(head.qkv, head.shape.qkv(), zero, rows, tokens);
    // Activations are stored as (q + 128) ^ sign_flip, which is q ^ 128 ^ sign_flip.
    let mask = 128 ^ head.isa.sign_flip();
    if mask != 0 {
        rows.iter_mut().for_each(|q| *q ^= mask as i8);
    }
}

/// Quantises k − mean, and packs it into panels.
fn pack_k(head: &Head, mean: &[f32], panels: &mut [i8], tokens: &mut [Token], sums: &mut [i32]) {
    /// Tokens that are quantised into a buffer on the stack before they are packed.
    const TOKENS: usize = 8;
    let d = mean.len();
    let blocks = panels.chunks_mut(BLOCK * d).zip(tokens.chunks_mut(BLOCK)).zip(sums.chunks_mut(BLOCK));
    for (b, ((panels, tokens), sums)) in blocks.enumerate() {
        let len = sums.len();
        if tokens.len() < len {
            // Keys after the last token are 0.
            panels.fill(0);
            sums.fill(0);
        }
        let mut q = [0i8; TOKENS * 256];
        for (i, tokens) in tokens.chunks_mut(TOKENS).enumerate() {
            let x = &head.qkv[(b * BLOCK + i * TOKENS) * head.shape.qkv() + d..];
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
    }
}

/// Quantises v around the centre of each channel and packs it into panels, in the order in which the softmax stores the
/// probabilities of a block.
fn pack_v(head: &Head, (centre, scale): (&[f32], &[f32]), panels: &mut [i8], sums: &mut [i32]) {
    let (d, t) = (head.shape.head_padded, head.shape.padded_tokens());
    for (p, panel) in panels.chunks_mut(t * LANES).enumerate() {
        let factor = vector(scale, p).map(|s| if s > 0.0 { 1.0 / s } else { 0.0 });
        let grid = [vector(centre, p), factor];
        let x = &head.qkv[2 * d + p * LANES..];
        for (block, panel) in panel.chunks_mut(BLOCK * LANES).enumerate() {
            // The softmax stores the bytes of a whole block four keys from each panel in turn, those of a shorter block in the
            // order of the keys.
            let whole = panel.len() == BLOCK * LANES;
            let first: [usize; BLOCK / 4] = core::array::from_fn(|g| {
                block * BLOCK + if whole { slot_at(g % 4, g / 4 * 4) } else { 4 * g }
            });
            let Some(sums) = sums[block * d + p * LANES..].first_chunk_mut() else { return };
            head.isa.quantise_values(x, head.shape.qkv(), &first, &grid, panel, sums);
        }
    }
}

/// Computes the factors of k in the head's fixed point.
fn pack_factors(shape: &AttentionShape, fixed: &FixedPoint, tokens: &[Token], factors: &mut [i16]) {
    factors.fill(0);
    for (b, (tokens, factors)) in tokens.chunks(BLOCK).zip(factors.chunks_mut(BLOCK)).enumerate() {
        let panels = BLOCK.min(shape.padded_tokens() - b * BLOCK) / LANES;
        for (n, token) in tokens.iter().enumerate() {
            factors[slot(panels, n)] = (token.scale * fixed.k + 0.5) as i16;
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
    let columns = mean.chunks_mut(LANES).zip(low.chunks_mut(LANES)).zip(high.chunks_mut(LANES));
    for (p, ((mean, low), high)) in columns.enumerate() {
        let k = &head.qkv[d + p * LANES..];
        head.isa.column_sums(k, pitch, mean);
        head.isa.column_min_max(&k[d..], pitch, low, high);
    }
    mean.iter_mut().for_each(|m| *m /= head.shape.tokens() as f32);
}
