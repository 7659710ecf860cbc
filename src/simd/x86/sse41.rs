//! SSE4.1, for processors without AVX2 (Atom, and Celeron and Pentium of its kind): sixteen lanes are four xmm registers.
//!
//! These processors lack three instructions that the lanes need, and all three are replaced exactly: the fused multiply-add
//! (`sse41_fma`), the conversion from f16 ([`f16_to_f32`]), and the broadcast of a 16-bit lane.

use super::sse41_fma::fma_16;
use crate::simd::lanes::{FRACTION_BITS, Lanes};
use core::arch::x86_64::*;

/// Proof that the processor has SSE4.1 and what came before it.
#[derive(Clone, Copy)]
pub(crate) struct Sse41(());

impl Sse41 {
    /// # Safety
    /// The processor has sse4.1, and with it ssse3.
    #[inline(always)]
    pub(crate) const unsafe fn new() -> Self {
        Sse41(())
    }
}

/// Applies a function to the registers of two vectors.
#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; 4], b: [B; 4], f: impl Fn(A, B) -> C) -> [C; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

/// Converts four f16, zero-extended to 32 bits, to f32.
///
/// A normal number takes its exponent and significand to their places and adds the difference of the exponents' biases, twice
/// for infinities and NaN. A subnormal number is an integer times 2⁻²⁴.
///
/// # Safety
/// The processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(super) unsafe fn f16_to_f32(h: __m128i) -> __m128 {
    let rebias = _mm_set1_epi32((127 - 15) << 23);
    let magnitude = _mm_and_si128(h, _mm_set1_epi32(0x7FFF));
    let sign = _mm_slli_epi32::<16>(_mm_xor_si128(h, magnitude));
    let special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7BFF));
    let normal = _mm_add_epi32(_mm_slli_epi32::<13>(magnitude), rebias);
    let normal = _mm_add_epi32(normal, _mm_and_si128(special, rebias));
    let subnormal = _mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(1.0 / (1 << 24) as f32));
    let is_normal = _mm_castsi128_ps(_mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x03FF)));
    let v = _mm_blendv_ps(subnormal, _mm_castsi128_ps(normal), is_normal);
    _mm_or_ps(v, _mm_castsi128_ps(sign))
}

/// v · 2^n for n ≤ −2, rounded to nearest, halves up: see the same function of AVX2.
///
/// # Safety
/// The processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn scale_pow2_8(v: __m128i, n: __m128i) -> __m128i {
    let n = _mm_max_epi16(_mm_add_epi16(n, _mm_set1_epi16(17)), _mm_setzero_si128());
    let n = _mm_xor_si128(_mm_or_si128(n, _mm_slli_epi16::<8>(n)), _mm_set1_epi16(8));
    let powers = _mm_set_epi8(-128, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm_avg_epu16(_mm_mulhi_epu16(v, _mm_shuffle_epi8(powers, n)), _mm_setzero_si128())
}

/// Defines the reduction tree of [`Lanes::reduce`]: register i is combined with i + 2, then i + 1, and lanes likewise.
macro_rules! reduce {
    ($name:ident, $op:ident) => {
        #[inline(always)]
        fn $name(self, [a, b, c, d]: Self::F) -> f32 {
            unsafe {
                let v = $op($op(a, c), $op(b, d));
                let v = $op(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32($op(v, _mm_shuffle_ps::<1>(v, v)))
            }
        }
    };
}

// SAFETY of every block below: the processor has the instructions, because `Sse41::new` requires them. Pointers are valid for the
// access by the preconditions of the methods of `Lanes`; the loads and stores are unaligned.
impl Lanes for Sse41 {
    type F = [__m128; 4];
    type I = [__m128i; 4];
    type H = [__m128i; 4];
    const REGISTERS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { [_mm_set1_ps(x); 4] }
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        core::array::from_fn(|i| unsafe { _mm_loadu_ps(p.add(4 * i)) })
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { _mm_storeu_ps(p.add(4 * i), v) }
        }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        core::array::from_fn(|i| unsafe {
            f16_to_f32(_mm_cvtepu16_epi32(_mm_loadl_epi64(p.add(4 * i).cast())))
        })
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        unsafe {
            let (zero, p) = (_mm_setzero_si128(), p.cast::<__m128i>());
            let [a, b] = [_mm_loadu_si128(p), _mm_loadu_si128(p.add(1))];
            let (a, b) = (
                [_mm_unpacklo_epi16(zero, a), _mm_unpackhi_epi16(zero, a)],
                [_mm_unpacklo_epi16(zero, b), _mm_unpackhi_epi16(zero, b)],
            );
            [_mm_castsi128_ps(a[0]), _mm_castsi128_ps(a[1]), _mm_castsi128_ps(b[0]), _mm_castsi128_ps(b[1])]
        }
    }
    #[inline(always)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        unsafe {
            let p = p.cast::<__m128i>();
            let v = v.map(|v| _mm_srli_epi32::<16>(v));
            _mm_storeu_si128(p, _mm_packus_epi32(v[0], v[1]));
            _mm_storeu_si128(p.add(1), _mm_packus_epi32(v[2], v[3]));
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { _mm_add_ps(a, b) })
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { _mm_sub_ps(a, b) })
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { _mm_mul_ps(a, b) })
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { _mm_div_ps(a, b) })
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { fma_16(&[a, b, c]) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { _mm_max_ps(a, b) })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { _mm_min_ps(a, b) })
    }
    #[inline(always)]
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        let greater = zip(a, b, |a, b| unsafe { _mm_cmpgt_ps(a, b) });
        core::array::from_fn(|i| unsafe { _mm_blendv_ps(y[i], x[i], greater[i]) })
    }
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    reduce!(reduce_sum, _mm_add_ps);
    reduce!(reduce_max, _mm_max_ps);
    reduce!(reduce_min, _mm_min_ps);
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        core::array::from_fn(|i| unsafe { _mm_loadu_si128(p.add(4 * i).cast()) })
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        v.map(|v| unsafe { _mm_cvtepi32_ps(v) })
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        v.map(|v| unsafe { _mm_castps_si128(v) })
    }
    #[inline(always)]
    fn bits_to_f32(self, v: Self::I) -> Self::F {
        v.map(|v| unsafe { _mm_castsi128_ps(v) })
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| unsafe { _mm_add_epi32(a, b) })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        unsafe { [_mm_set1_epi32(x); 4] }
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        v.map(|v| unsafe { _mm_slli_epi32::<23>(v) })
    }
    #[inline(always)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe {
            let low_byte = _mm_set1_epi32(0xFF);
            let v = v.map(|v| _mm_and_si128(v, low_byte));
            let words = [_mm_packus_epi32(v[0], v[1]), _mm_packus_epi32(v[2], v[3])];
            _mm_storeu_si128(p.cast(), _mm_packus_epi16(words[0], words[1]));
        }
    }
    #[inline(always)]
    fn interleave_low_bytes(self, [a, b, c, d]: [Self::I; 4]) -> Self::I {
        unsafe {
            let low_byte = _mm_set1_epi32(0xFF);
            let low = zip(a, b, |a, b| {
                _mm_or_si128(_mm_and_si128(a, low_byte), _mm_slli_epi32::<8>(_mm_and_si128(b, low_byte)))
            });
            let high = zip(c, d, |c, d| {
                _mm_or_si128(_mm_slli_epi32::<16>(_mm_and_si128(c, low_byte)), _mm_slli_epi32::<24>(d))
            });
            zip(low, high, |low, high| _mm_or_si128(low, high))
        }
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { _mm_storeu_si128(p.add(4 * i).cast(), v) }
        }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        core::array::from_fn(|i| unsafe { _mm_loadu_si128(p.add(8 * i).cast()) })
    }
    #[inline(always)]
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H {
        unsafe {
            let shift = _mm_cvtsi32_si128(shift as i32);
            zip(a, b, |a, b| _mm_packs_epi32(_mm_sra_epi32(a, shift), _mm_sra_epi32(b, shift)))
        }
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        unsafe { [_mm_set1_epi16(x); 4] }
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { _mm_add_epi16(a, b) })
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { _mm_subs_epi16(a, b) })
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { _mm_max_epi16(a, b) })
    }
    #[inline(always)]
    fn broadcast_max_i16(self, [a, b, c, d]: Self::H) -> Self::H {
        unsafe {
            // As in `reduce_max_i16` of AVX2: `phminposuw` finds the smallest u16.
            let (v, reverse) =
                (_mm_max_epi16(_mm_max_epi16(a, b), _mm_max_epi16(c, d)), _mm_set1_epi16(i16::MAX));
            let max = _mm_xor_si128(_mm_minpos_epu16(_mm_xor_si128(v, reverse)), reverse);
            [_mm_shuffle_epi8(max, _mm_set1_epi16(0x0100)); 4]
        }
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        unsafe { _mm_cvtsi128_si32(v[0]) as i16 }
    }
    #[inline(always)]
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|h| unsafe { _mm_mulhrs_epi16(a[h], b[h]) })
    }
    // Fractions are in units of 2⁻¹⁶.
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        x.map(|x| unsafe { _mm_sll_epi16(x, _mm_cvtsi32_si128(16 - unit as i32)) })
    }
    #[inline(always)]
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H {
        zip(fraction, c, |fraction, c| unsafe { _mm_mulhi_epu16(fraction, c) })
    }
    #[inline(always)]
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        core::array::from_fn(|h| unsafe {
            scale_pow2_8(v[h], _mm_sra_epi16(x[h], _mm_cvtsi32_si128(unit as i32)))
        })
    }
    #[inline(always)]
    fn round_with_carry(self, a: Self::H, b: Self::H) -> [Self::H; 2] {
        const FRACTION: i32 = FRACTION_BITS as i32;
        let mut x = [a, b];
        unsafe {
            let mask = _mm_set1_epi16((1 << FRACTION) - 1);
            let mut carry = [_mm_set1_epi16(1 << (FRACTION - 1)); 2];
            for (i, h) in [(0, 0), (1, 0), (0, 2), (1, 2)] {
                for (x, carry) in x[i][h..h + 2].iter_mut().zip(&mut carry) {
                    let u = _mm_add_epi16(*x, *carry);
                    (*x, *carry) = (_mm_srli_epi16::<FRACTION>(u), _mm_and_si128(u, mask));
                }
            }
        }
        x
    }
    #[inline(always)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        core::array::from_fn(|h| unsafe {
            let bytes = _mm_packus_epi16(a[h], b[h]);
            _mm_storeu_si128(p.add(16 * h).cast(), bytes);
            _mm_madd_epi16(_mm_maddubs_epi16(bytes, _mm_set1_epi8(1)), _mm_set1_epi16(1))
        })
    }
}
