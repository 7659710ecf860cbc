//! Operations on single rows: layer norm, quantisation, softmax, argmax, bfloat16, and element-wise sums and maxima.
//!
//! A row has `n` numbers, padded to whole vectors ([`padded`](crate::file::format::padded)) with zeros, which stay zero. Slices
//! are padded rows unless a kernel says otherwise. Element-wise kernels compute the padding like the rest; reductions exclude it.

use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::math::{exp, sqrt};
use half::bf16;

dispatch! {
    fn layer_norm(x: &[f32], n: usize, eps: f32, out: &mut [f32]);
    fn quantise(x: &[f32], n: usize, out: &mut [u8]) -> [f32; 2];
    fn add_scaled(a: &[f32], w: f32, out: &mut [f32]);
    fn scale_and_add(x: &[f32], w: f32, scale: &[f32], offset: &[f32], out: &mut [f32]);
    fn max_into(a: &[f32], out: &mut [f32]);
    fn bias_relu(bias: &[f32], out: &mut [f32]);
    fn softmax(x: &mut [f32], n: usize) -> f32;
    fn argmax_lerp(a: &[f32], b: &[f32], w: f32, n: usize) -> u16;
    fn to_bf16(x: &[f32], out: &mut [bf16]);
}

/// The vectors of a padded row.
#[inline(always)]
pub(crate) fn vectors(x: &[f32]) -> impl Iterator<Item = &[f32; LANES]> {
    x.as_chunks().0.iter()
}

/// The vectors of a padded row, to be written.
#[inline(always)]
pub(crate) fn vectors_mut(x: &mut [f32]) -> impl Iterator<Item = &mut [f32; LANES]> {
    x.as_chunks_mut().0.iter_mut()
}

/// Layer norm without gain and bias, which the converter has folded into the next layer: out = (x − mean) / √(variance + eps)
/// over the `n` numbers of a row. Two passes, mean first, so that the variance does not cancel.
#[inline(always)]
fn layer_norm<L: Lanes>(l: L, x: &[f32], n: usize, eps: f32, out: &mut [f32]) {
    let mut sum = l.splat(0.0);
    for v in vectors(x) {
        sum = l.add(sum, l.load(v));
    }
    let mean = l.splat(l.reduce_sum(sum) / n as f32);
    let (whole, rest) = x[..n].as_chunks::<LANES>();
    let mut squares = l.splat(0.0);
    for v in whole {
        let d = l.sub(l.load(v), mean);
        squares = l.fma(d, d, squares);
    }
    if !rest.is_empty() {
        // Lanes beyond the row are filled with the mean, so that they add nothing.
        let mut m = [0.0; LANES];
        l.store(mean, &mut m);
        let d = l.sub(l.load_partial(rest, m[0]), mean);
        squares = l.fma(d, d, squares);
    }
    let scale = l.splat(1.0 / sqrt(l.reduce_sum(squares) / n as f32 + eps));
    for (v, o) in vectors(x).zip(vectors_mut(out)) {
        l.store(l.mul(l.sub(l.load(v), mean), scale), o);
    }
    out[n..].fill(0.0);
}

/// The index of each lane: 0, 1, 2, …
#[inline(always)]
fn lane_indices<L: Lanes>(l: L) -> L::F {
    let indices: [f32; LANES] = core::array::from_fn(|i| i as f32);
    l.load(&indices)
}

/// The minimum and maximum of the first `n` numbers of a padded row. NaN is ignored, and zeros are returned as +0.
#[inline(always)]
pub(crate) fn range<L: Lanes>(l: L, x: &[f32], n: usize) -> (f32, f32) {
    let x = x.as_chunks::<LANES>().0;
    let (pairs, last) = x[..n / LANES].as_chunks::<2>();
    if n.is_multiple_of(LANES)
        && let Some((low, high)) = l.range(&x[..n / LANES])
    {
        return (low + 0.0, high + 0.0);
    }
    let (lowest, highest) = (l.splat(f32::NEG_INFINITY), l.splat(f32::INFINITY));
    let (mut low, mut high) = (highest, lowest);
    for [a, b] in pairs {
        let (a, b) = (l.load(a), l.load(b));
        low = l.min_number(b, l.min_number(a, low));
        high = l.max_number(b, l.max_number(a, high));
    }
    for v in last {
        let v = l.load(v);
        low = l.min_number(v, low);
        high = l.max_number(v, high);
    }
    if !n.is_multiple_of(LANES) {
        let (v, indices, end) = (l.load(&x[n / LANES]), lane_indices(l), l.splat((n % LANES) as f32));
        low = l.min_number(l.select_greater(end, indices, v, highest), low);
        high = l.max_number(l.select_greater(end, indices, v, lowest), high);
    }
    (l.reduce_min(low) + 0.0, l.reduce_max(high) + 0.0)
}

/// Quantises a row to bytes over its own range: x ≈ scale · (q − 128) + offset with q in 0 ..= 255, stored XORed with
/// [`Lanes::SIGN_FLIP`]. Returns (scale, offset). The bytes of the padding are unspecified.
#[inline(always)]
fn quantise<L: Lanes>(l: L, x: &[f32], n: usize, out: &mut [u8]) -> [f32; 2] {
    let (low, high) = range(l, x, n);
    let scale = (high - low) / 255.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let params = [scale, low + 128.0 * scale];
    if l.quantise(x.as_chunks().0, low, inverse, &mut out[..x.len()]) {
        return params;
    }
    let grid = [l.splat(low), l.splat(inverse)];
    let (pairs, last) = x.as_chunks().0.as_chunks::<2>();
    let (out_pairs, out_last) = out[..x.len()].as_chunks_mut().0.as_chunks_mut::<2>();
    for ([a, b], [o, p]) in pairs.iter().zip(out_pairs) {
        quantise_16(l, a, grid, o);
        quantise_16(l, b, grid, p);
    }
    for (v, o) in last.iter().zip(out_last) {
        quantise_16(l, v, grid, o);
    }
    params
}

/// Quantises sixteen numbers: q = round((x − low) · inverse).
#[inline(always)]
fn quantise_16<L: Lanes>(l: L, x: &[f32; LANES], [low, inverse]: [L::F; 2], out: &mut [u8; LANES]) {
    // SAFETY: `out` is an array of 16 bytes.
    unsafe { l.store_rounded_u8_at(l.mul(l.sub(l.load(x), low), inverse), out.as_mut_ptr()) }
}

/// out += a · w
#[inline(always)]
fn add_scaled<L: Lanes>(l: L, a: &[f32], w: f32, out: &mut [f32]) {
    let w = l.splat(w);
    for (a, o) in vectors(a).zip(vectors_mut(out)) {
        l.store(l.fma(l.load(a), w, l.load(o)), o);
    }
}

/// out = x · w · scale + offset, for as many numbers as `out` has. `out` need not be padded.
#[inline(always)]
fn scale_and_add<L: Lanes>(l: L, x: &[f32], w: f32, scale: &[f32], offset: &[f32], out: &mut [f32]) {
    let whole = out.len() / LANES * LANES;
    let affine = vectors(scale).zip(vectors(offset));
    for ((x, (scale, offset)), o) in vectors(x).zip(affine).zip(vectors_mut(&mut out[..whole])) {
        l.store(l.fma(l.mul(l.load(x), l.splat(w)), l.load(scale), l.load(offset)), o);
    }
    let rest = whole..out.len();
    if !rest.is_empty() {
        let x = l.mul(l.load_partial(&x[rest.clone()], 0.0), l.splat(w));
        let mut v = [0.0; LANES];
        let (scale, offset) =
            (l.load_partial(&scale[rest.clone()], 0.0), l.load_partial(&offset[rest.clone()], 0.0));
        l.store(l.fma(x, scale, offset), &mut v);
        out[rest.clone()].copy_from_slice(&v[..rest.len()]);
    }
}

/// out = max(out, a)
#[inline(always)]
fn max_into<L: Lanes>(l: L, a: &[f32], out: &mut [f32]) {
    for (a, o) in vectors(a).zip(vectors_mut(out)) {
        l.store(l.max(l.load(a), l.load(o)), o);
    }
}

/// out = max(out + bias, 0)
#[inline(always)]
fn bias_relu<L: Lanes>(l: L, bias: &[f32], out: &mut [f32]) {
    for (b, o) in vectors(bias).zip(vectors_mut(out)) {
        l.store(l.max(l.add(l.load(o), l.load(b)), l.splat(0.0)), o);
    }
}

/// Softmax without the division: replaces the `n` numbers of a row by e^(x − max) and returns their sum. The padding becomes 0.
#[inline(always)]
fn softmax<L: Lanes>(l: L, x: &mut [f32], n: usize) -> f32 {
    x[n..].fill(f32::NEG_INFINITY);
    let (_, high) = range(l, x, n);
    let (high, mut sum) = (l.splat(high), l.splat(0.0));
    for v in vectors_mut(x) {
        l.store(exp(l, l.sub(l.load(v), high)), v);
    }
    x[n..].fill(0.0);
    for v in vectors(x) {
        sum = l.add(sum, l.load(v));
    }
    l.reduce_sum(sum)
}

/// The index of the largest of the `n` numbers a + (b − a) · w; the lowest index if several are equal.
#[inline(always)]
fn argmax_lerp<L: Lanes>(l: L, a: &[f32], b: &[f32], w: f32, n: usize) -> u16 {
    let w = l.splat(w);
    let lerp = |(a, b): (&[f32; LANES], &[f32; LANES])| {
        let a = l.load(a);
        l.fma(l.sub(l.load(b), a), w, a)
    };
    let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
    let whole = n / LANES;
    let lowest = l.splat(f32::NEG_INFINITY);
    // The first number of each lane's best vector.
    let (mut best, mut best_first) = (lowest, l.splat(0.0));
    let mut first = 0.0;
    for vectors in a[..whole].iter().zip(&b[..whole]) {
        let v = lerp(vectors);
        best_first = l.select_greater(v, best, l.splat(first), best_first);
        best = l.max_number(v, best);
        first += LANES as f32;
    }
    if whole < a.len() && whole < b.len() {
        // The padding never wins.
        let end = l.splat((n - whole * LANES) as f32);
        let v = l.select_greater(end, lane_indices(l), lerp((&a[whole], &b[whole])), lowest);
        best_first = l.select_greater(v, best, l.splat(first), best_first);
        best = l.max_number(v, best);
    }
    let max = l.splat(l.reduce_max(best));
    let index = l.add(best_first, lane_indices(l));
    l.reduce_min(l.select_greater(max, best, l.splat(f32::INFINITY), index)) as u16
}

/// Converts a row to bfloat16, see [`store_bf16`].
#[inline(always)]
fn to_bf16<L: Lanes>(l: L, x: &[f32], out: &mut [bf16]) {
    for (v, o) in vectors(x).zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: `o` is an array of 16 numbers.
        unsafe { store_bf16(l, l.load(v), o.as_mut_ptr()) };
    }
}

/// Stores sixteen numbers as bfloat16, rounded to nearest; ties are rounded away from zero.
///
/// # Safety
/// 16 bfloat16 can be written at `out`.
#[inline(always)]
pub(crate) unsafe fn store_bf16<L: Lanes>(l: L, v: L::F, out: *mut bf16) {
    // SAFETY: 16 numbers can be written at `out`, by this function's precondition.
    unsafe { l.store_high_halves_at(l.add_i32(l.bits(v), l.splat_i32(0x8000)), out) };
}
