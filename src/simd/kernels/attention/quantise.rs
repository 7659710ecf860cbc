//! Quantisation of q, k and v to int8, and the channel statistics that it needs.
//!
//! q and k are quantised per token, symmetrically: x − centre ≈ scale · q with q in −127 ..= 127, and scale is
//! the largest |x − centre| / 127 ([`Token`]). v is quantised per channel, with a centre and a factor given for each
//! ([`quantise_values`]). Rounding adds [`ROUND`], so that the low byte of the sum's bits is the rounded number in two's
//! complement.

use crate::simd::dispatch::dispatch;
use crate::simd::kernels::rows::vectors;
use crate::simd::lanes::{LANES, Lanes, ROUND};
use bytemuck::{Pod, Zeroable};

dispatch! {
    fn column_sums(rows: &[f32], pitch: usize, out: &mut [f32]);
    fn column_min_max(rows: &[f32], pitch: usize, low: &mut [f32], high: &mut [f32]);
    fn quantise_tokens(x: &[f32], pitch: usize, centre: &[f32], out: &mut [i8], tokens: &mut [Token]);
    fn quantise_values(x: &[f32], pitch: usize, first: &[usize], grid: &[[f32; LANES]; 2], out: &mut [i8], sums: &mut [i32; LANES]);
}

/// Scale and sums of a token's int8 row of q or k.
#[derive(Clone, Copy, Default, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Token {
    /// x ≈ scale · q
    pub scale: f32,
    /// Σ q
    pub sum: i32,
    /// Σ q²
    pub squares: i32,
}

/// Tokens whose maxima are reduced together, by [`Lanes::reduce_max_each`], where registers hold so many.
const MAX_TOKENS: usize = 8;

/// Adds all rows to `out`: out_j += Σ_i rows_ij. Rows start `pitch` apart and have at least as many numbers as `out`, which is a
/// padded row.
#[inline(always)]
fn column_sums<L: Lanes>(l: L, rows: &[f32], pitch: usize, out: &mut [f32]) {
    for (i, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut sum = l.load(out);
        for v in rows[i * LANES..].chunks(pitch).filter_map(|row| row.first_chunk()) {
            sum = l.add(sum, l.load(v));
        }
        l.store(sum, out);
    }
}

/// Updates `low` and `high` by the minimum and maximum of each column over all rows, which are laid out as in [`column_sums`].
#[inline(always)]
fn column_min_max<L: Lanes>(l: L, rows: &[f32], pitch: usize, low: &mut [f32], high: &mut [f32]) {
    let columns = low.as_chunks_mut::<LANES>().0.iter_mut().zip(high.as_chunks_mut::<LANES>().0);
    for (i, (low, high)) in columns.enumerate() {
        let (mut min, mut max) = (l.load(low), l.load(high));
        for v in rows[i * LANES..].chunks(pitch).filter_map(|row| row.first_chunk()) {
            let v = l.load(v);
            min = l.min(v, min);
            max = l.max(v, max);
        }
        l.store(min, low);
        l.store(max, high);
    }
}

/// round(v) clamped to −127 ..= 127, plus [`ROUND`]: the low byte of the bits is the integer in two's complement.
#[inline(always)]
fn round_biased<L: Lanes>(l: L, v: L::F) -> L::F {
    l.add(l.min_number(l.max_number(v, l.splat(-127.0)), l.splat(127.0)), l.splat(ROUND))
}

/// Quantises rows of q or k, one for each of `tokens`: x − centre ≈ scale · q with q in −127 ..= 127. Rows of `x` start
/// `pitch` apart and are as long as `centre`, a padded row; rows of `out` are contiguous.
#[inline(always)]
fn quantise_tokens<L: Lanes>(
    l: L,
    x: &[f32],
    pitch: usize,
    centre: &[f32],
    out: &mut [i8],
    tokens: &mut [Token],
) {
    let n = centre.len();
    if L::REGISTERS > 2 {
        // The maxima of eight tokens would not stay in registers.
        for ((x, out), token) in x.chunks(pitch).zip(out.chunks_mut(n)).zip(tokens) {
            *token = quantise_token(l, x, centre, l.reduce_max(largest(l, x, centre)), out);
        }
        return;
    }
    let rows = x.chunks(MAX_TOKENS * pitch).zip(out.chunks_mut(MAX_TOKENS * n));
    for ((x, out), tokens) in rows.zip(tokens.chunks_mut(MAX_TOKENS)) {
        let mut max = [l.splat(0.0); MAX_TOKENS];
        for (max, x) in max.iter_mut().zip(x.chunks(pitch)).take(tokens.len()) {
            *max = largest(l, x, centre);
        }
        let max = l.reduce_max_each(&max);
        for (((token, max), x), out) in tokens.iter_mut().zip(max).zip(x.chunks(pitch)).zip(out.chunks_mut(n))
        {
            *token = quantise_token(l, x, centre, max, out);
        }
    }
}

/// The largest |x − centre| of each lane.
#[inline(always)]
fn largest<L: Lanes>(l: L, x: &[f32], centre: &[f32]) -> L::F {
    let (mut low, mut high) = (l.splat(0.0), l.splat(0.0));
    for (x, c) in vectors(x).zip(vectors(centre)) {
        let v = l.sub(l.load(x), l.load(c));
        low = l.min_number(v, low);
        high = l.max_number(v, high);
    }
    l.max_number(l.sub(l.splat(0.0), low), high)
}

/// Quantises a row whose largest |x − centre| is `max`.
#[inline(always)]
fn quantise_token<L: Lanes>(l: L, x: &[f32], centre: &[f32], max: f32, out: &mut [i8]) -> Token {
    let scale = max / 127.0;
    let inverse = l.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
    // Sums of integers below 2²⁴ in magnitude: exact in any order.
    let (mut sum, mut squares) = (l.splat(0.0), l.splat(0.0));
    for ((x, c), o) in vectors(x).zip(vectors(centre)).zip(out.as_chunks_mut::<LANES>().0) {
        let biased = round_biased(l, l.mul(l.sub(l.load(x), l.load(c)), inverse));
        let q = l.sub(biased, l.splat(ROUND));
        sum = l.add(sum, q);
        squares = l.fma(q, q, squares);
        // SAFETY: `o` is an array of 16 bytes.
        unsafe { l.store_low_bytes_at(l.bits(biased), o.as_mut_ptr().cast()) };
    }
    Token { scale, sum: l.reduce_sum(sum) as i32, squares: l.reduce_sum(squares) as i32 }
}

/// Quantises one panel of v, sixteen channels: q = round((x − centre) · factor), clamped to −127 ..= 127, with
/// `grid` = [centre, factor] of each channel.
///
/// Rows of `x`, one per token, start `pitch` apart and begin with these channels. `out` is
/// `[groups][16 channels][4 tokens]`: group g holds the four tokens from `first[g]` on; tokens beyond the last one are 0.
/// `sums` becomes Σ q of each channel.
#[inline(always)]
fn quantise_values<L: Lanes>(
    l: L,
    x: &[f32],
    pitch: usize,
    first: &[usize],
    [centre, factor]: &[[f32; LANES]; 2],
    out: &mut [i8],
    sums: &mut [i32; LANES],
) {
    let (centre, factor) = (l.load(centre), l.load(factor));
    let unbias = l.splat_i32((ROUND.to_bits() as i32).wrapping_neg());
    let mut sum = l.splat_i32(0);
    for (group, &first) in out.as_chunks_mut::<{ 4 * LANES }>().0.iter_mut().zip(first) {
        let mut tokens = [l.splat_i32(0); 4];
        let rows = x.get(first * pitch..).unwrap_or_default().chunks(pitch);
        for (q, v) in tokens.iter_mut().zip(rows.filter_map(|row| row.first_chunk())) {
            let v = l.mul(l.sub(l.load(v), centre), factor);
            *q = l.add_i32(l.bits(round_biased(l, v)), unbias);
            sum = l.add_i32(sum, *q);
        }
        // SAFETY: a group is an array of 64 bytes.
        unsafe { l.store_i32_at(l.interleave_low_bytes(tokens), group.as_mut_ptr().cast()) };
    }
    // SAFETY: `sums` is an array of 16 i32.
    unsafe { l.store_i32_at(sum, sums.as_mut_ptr()) };
}
