//! Rows of q, k and v to int8, over the lanes.

use crate::simd::dispatch::dispatch;
use crate::simd::kernels::rows::vectors;
use crate::simd::lanes::{LANES, Lanes, ROUND};
use bytemuck::{Pod, Zeroable};

dispatch! {
    fn column_sums(rows: &[f32], pitch: usize, out: &mut [f32]);
    fn column_min_max(rows: &[f32], pitch: usize, low: &mut [f32], high: &mut [f32]);
    fn quantise_tokens(x: &[f32], pitch: usize, centre: &[f32], out: &mut [i8], tokens: &mut [Token]);
    fn quantise_values(x: &[f32], pitch: usize, first: &[usize], by: &[[f32; LANES]; 2], out: &mut [i8], sums: &mut [i32; LANES]);
}

/// A token's row of q or k as int8.
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

/// Tokens that are looked at together.
const TOGETHER: usize = 8;

/// out += every row, of which the first numbers count; rows start `pitch` apart.
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

/// low = min(low, x), high = max(high, x) for every row x, as [`column_sums`].
#[inline(always)]
fn column_min_max<L: Lanes>(l: L, rows: &[f32], pitch: usize, low: &mut [f32], high: &mut [f32]) {
    let ends = low.as_chunks_mut::<LANES>().0.iter_mut().zip(high.as_chunks_mut::<LANES>().0);
    for (i, (low, high)) in ends.enumerate() {
        let (mut least, mut most) = (l.load(low), l.load(high));
        for v in rows[i * LANES..].chunks(pitch).filter_map(|row| row.first_chunk()) {
            let v = l.load(v);
            least = l.min(v, least);
            most = l.max(v, most);
        }
        l.store(least, low);
        l.store(most, high);
    }
}

/// round(v) within −127 ..= 127, plus [`ROUND`]: the low byte of its bits is the number in two's complement.
#[inline(always)]
fn biased<L: Lanes>(l: L, v: L::F) -> L::F {
    l.add(l.min(l.max(v, l.splat(-127.0)), l.splat(127.0)), l.splat(ROUND))
}

/// Rows of q or k, `pitch` apart and as long as `centre`, to int8 in −127 ..= 127 over each row's own range: x − centre ≈
/// scale · q. As many as there are `tokens`.
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
    let rows = x.chunks(TOGETHER * pitch).zip(out.chunks_mut(TOGETHER * n));
    for ((x, out), tokens) in rows.zip(tokens.chunks_mut(TOGETHER)) {
        let mut most = [l.splat(0.0); TOGETHER];
        for (most, x) in most.iter_mut().zip(x.chunks(pitch)).take(tokens.len()) {
            for (x, c) in vectors(x).zip(vectors(centre)) {
                let v = l.sub(l.load(x), l.load(c));
                *most = l.max(l.max(v, l.sub(l.splat(0.0), v)), *most);
            }
        }
        let most = l.reduce_max_each(&most);
        for (((token, most), x), out) in
            tokens.iter_mut().zip(most).zip(x.chunks(pitch)).zip(out.chunks_mut(n))
        {
            let scale = most / 127.0;
            let inverse = l.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
            // Whole numbers below 2²⁴: exact in whatever order.
            let (mut sum, mut squares) = (l.splat(0.0), l.splat(0.0));
            for ((x, c), o) in vectors(x).zip(vectors(centre)).zip(out.as_chunks_mut::<LANES>().0) {
                let biased = biased(l, l.mul(l.sub(l.load(x), l.load(c)), inverse));
                let q = l.sub(biased, l.splat(ROUND));
                sum = l.add(sum, q);
                squares = l.fma(q, q, squares);
                // SAFETY: `o` is 16 bytes.
                unsafe { l.store_low_bytes_at(l.bits(biased), o.as_mut_ptr().cast()) };
            }
            *token = Token { scale, sum: l.reduce_sum(sum) as i32, squares: l.reduce_sum(squares) as i32 };
        }
    }
}

/// Values of a panel of sixteen channels to int8, four tokens a group of the panel: q = round((x − centre) · factor), clamped to −127 ..= 127.
/// Group g is of the tokens from `first[g]` on; those that do not exist are 0. Rows start `pitch` apart. Returns Σ q of each channel.
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
        let mut four = [l.splat_i32(0); 4];
        let rows = x.get(first * pitch..).unwrap_or_default().chunks(pitch);
        for (q, v) in four.iter_mut().zip(rows.filter_map(|row| row.first_chunk())) {
            let v = l.mul(l.sub(l.load(v), centre), factor);
            *q = l.add_i32(l.bits(biased(l, v)), unbias);
            sum = l.add_i32(sum, *q);
        }
        // SAFETY: a group is 64 bytes, the sums sixteen numbers.
        unsafe { l.store_i32_at(l.interleave_low_bytes(four), group.as_mut_ptr().cast()) };
    }
    // SAFETY: as above.
    unsafe { l.store_i32_at(sum, sums.as_mut_ptr()) };
}
