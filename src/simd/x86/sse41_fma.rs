//! The fused multiply-add of sixteen lanes for processors without the instruction, exact to the bit: the vector form of
//! [`portable::fma_16`](crate::simd::portable::fma_16), which explains the method.

use core::arch::x86_64::*;

/// a · b + c, rounded once. Not inlined: it is larger than most kernels, and its operands do not fit the registers together.
///
/// # Safety
/// The processor has sse4.1.
#[inline(never)]
#[target_feature(enable = "sse4.1")]
pub(super) unsafe fn fma_16([a, b, c]: &[[__m128; 4]; 3]) -> [__m128; 4] {
    let mut out = [_mm_setzero_ps(); 4];
    // Minima over the registers.
    let (mut dropped, mut addend) = (_mm_set1_epi32(-1), _mm_set1_epi32(-1));
    for i in 0..4 {
        let ([c0, c1], [p0, p1]) = (widen(c[i]), product(a[i], b[i]));
        let (s0, s1) = (_mm_add_pd(p0, c0), _mm_add_pd(p1, c1));
        out[i] = narrow([s0, s1]);
        dropped = _mm_min_epu32(dropped, dropped_bits([s0, s1]));
        addend = _mm_min_epu32(addend, twice_minus_one(c[i]));
    }
    // 2·|c| − 1 is below 2²⁵ for 0 < |c| < 2⁻¹²⁵.
    let rare = _mm_min_epu32(dropped, _mm_srli_epi32::<25>(addend));
    if _mm_movemask_epi8(_mm_cmpeq_epi32(rare, _mm_setzero_si128())) != 0 {
        for i in 0..4 {
            let ([c0, c1], [p0, p1]) = (widen(c[i]), product(a[i], b[i]));
            out[i] = narrow([add_to_odd(p0, c0), add_to_odd(p1, c1)]);
        }
    }
    out
}

/// Of four sums, the 29 bits that f32 drops, shifted left, with the highest one inverted: 0 if the sum is halfway between two f32.
#[inline]
#[target_feature(enable = "sse4.1")]
fn dropped_bits([low, high]: [__m128d; 2]) -> __m128i {
    let words = _mm_castps_si128(_mm_shuffle_ps::<0x88>(_mm_castpd_ps(low), _mm_castpd_ps(high)));
    _mm_xor_si128(_mm_slli_epi32::<3>(words), _mm_set1_epi32(i32::MIN))
}

/// Whether one of four sums is halfway between two normal f32.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(super) fn halfway(sums: [__m128d; 2]) -> bool {
    _mm_movemask_epi8(_mm_cmpeq_epi32(dropped_bits(sums), _mm_setzero_si128())) != 0
}

/// 2·|v| − 1, of the bits as an unsigned integer: the largest one for 0, and otherwise in the order of |v|.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(super) fn twice_minus_one(v: __m128) -> __m128i {
    let bits = _mm_castps_si128(v);
    _mm_add_epi32(_mm_add_epi32(bits, bits), _mm_set1_epi32(-1))
}

/// Four f32 as f64.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(super) fn widen(v: __m128) -> [__m128d; 2] {
    [_mm_cvtps_pd(v), _mm_cvtps_pd(_mm_movehl_ps(v, v))]
}

/// Four f64 as f32, rounded to nearest even.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(super) fn narrow([low, high]: [__m128d; 2]) -> __m128 {
    _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high))
}

/// The products of four f32, exact.
#[inline]
#[target_feature(enable = "sse4.1")]
fn product(a: __m128, b: __m128) -> [__m128d; 2] {
    let ([a0, a1], [b0, b1]) = (widen(a), widen(b));
    [_mm_mul_pd(a0, b0), _mm_mul_pd(a1, b1)]
}

/// p + c rounded to odd: [`portable::add_to_odd`](crate::simd::portable::add_to_odd).
#[inline]
#[target_feature(enable = "sse4.1")]
pub(super) fn add_to_odd(p: __m128d, c: __m128d) -> __m128d {
    let s = _mm_add_pd(p, c);
    let c_rounded = _mm_sub_pd(s, p);
    let error = _mm_add_pd(_mm_sub_pd(p, _mm_sub_pd(s, c_rounded)), _mm_sub_pd(c, c_rounded));
    let bits = _mm_castpd_si128(s);
    // 1 where error and sum have the same sign, −1 otherwise.
    let signs = _mm_shuffle_epi32::<0xF5>(_mm_xor_si128(_mm_castpd_si128(error), bits));
    let step = _mm_or_si128(_mm_srai_epi32::<31>(signs), _mm_set1_epi64x(1));
    let even = _mm_sub_epi64(_mm_and_si128(bits, _mm_set1_epi64x(1)), _mm_set1_epi64x(1));
    // Neither exact nor NaN.
    let zero = _mm_setzero_pd();
    let inexact = _mm_or_pd(_mm_cmplt_pd(error, zero), _mm_cmpgt_pd(error, zero));
    let step = _mm_and_si128(_mm_and_si128(step, even), _mm_castpd_si128(inexact));
    _mm_castsi128_pd(_mm_add_epi64(bits, step))
}
