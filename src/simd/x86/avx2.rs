//! AVX2 with FMA and F16C: sixteen lanes are two ymm registers.

use super::yuv;
use crate::image::yuv::{BLOCK, Block, Coefficients};
use crate::simd::lanes::{FRACTION_BITS, Lanes};
use core::arch::x86_64::*;

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor has avx2, fma and f16c.
    #[inline(always)]
    pub(crate) const unsafe fn new() -> Self {
        Avx2(())
    }
}

/// v · 2^n for n ≤ −2, rounded to nearest, halves up.
///
/// AVX2 cannot shift 16-bit lanes by different counts. Instead, v is multiplied by 2^(n + 17), of which the upper half is
/// v · 2^(n + 1), and the average with 0 drops the last bit and rounds. A byte shuffle looks up the power of two, whose single bit is
/// in the upper or in the lower byte. For n ≤ −17 the result is 0.
///
/// # Safety
/// The processor has avx2.
#[inline(always)]
unsafe fn scale_pow2_16(v: __m256i, n: __m256i) -> __m256i {
    // SAFETY: the processor has avx2, by this function's precondition.
    unsafe {
        let n = _mm256_max_epi16(_mm256_add_epi16(n, _mm256_set1_epi16(17)), _mm256_setzero_si256());
        // The two bytes of a lane look up n and n ^ 8 (n ≥ 8 has its bit in the upper byte); the other lookup gives 0.
        let n = _mm256_xor_si256(_mm256_or_si256(n, _mm256_slli_epi16::<8>(n)), _mm256_set1_epi16(8));
        let powers = _mm256_set_epi8(
            -128, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, -128, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0,
            0, 0, 0, 0,
        );
        _mm256_avg_epu16(_mm256_mulhi_epu16(v, _mm256_shuffle_epi8(powers, n)), _mm256_setzero_si256())
    }
}

/// The largest of sixteen i16, in the first lane. The other lanes are unspecified.
///
/// # Safety
/// The processor has avx2.
#[inline(always)]
pub(crate) unsafe fn reduce_max_i16(v: __m256i) -> __m128i {
    // SAFETY: the processor has avx2, by this function's precondition.
    unsafe {
        let v = _mm_max_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        // `phminposuw` finds the smallest u16. XOR with 0x7FFF maps i16 to u16 in reverse order, and back.
        let reverse = _mm_set1_epi16(i16::MAX);
        _mm_xor_si128(_mm_minpos_epu16(_mm_xor_si128(v, reverse)), reverse)
    }
}

/// Defines the last three steps of the reduction tree of [`Lanes::reduce`]: lane i is combined with i + 4, i + 2 and i + 1.
macro_rules! reduce_8 {
    ($name:ident, $op:ident) => {
        /// # Safety
        /// The processor has avx.
        #[inline(always)]
        pub(crate) unsafe fn $name(v: __m256) -> f32 {
            // SAFETY: the processor has avx, by this function's precondition.
            unsafe {
                let v = $op(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = $op(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32($op(v, _mm_shuffle_ps::<1>(v, v)))
            }
        }
    };
}
reduce_8!(reduce_max_8, _mm_max_ps);
reduce_8!(reduce_min_8, _mm_min_ps);
reduce_8!(reduce_sum_8, _mm_add_ps);

// SAFETY of every block below: the processor has the instructions, because `Avx2::new` requires them. Pointers are valid for the
// access by the preconditions of the methods of `Lanes`; the loads and stores are unaligned.
impl Lanes for Avx2 {
    type F = [__m256; 2];
    type I = [__m256i; 2];
    type H = [__m256i; 2];
    const REGISTERS: usize = 2;

    #[inline(always)]
    fn yuv_to_rgb(self, k: &Coefficients, block: &Block, out: &mut [u8; 4 * BLOCK]) {
        // SAFETY: a `Avx2` proves that the processor has AVX2.
        unsafe { yuv::yuv_to_rgb(k, block, out) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        unsafe {
            _mm256_storeu_ps(p, v[0]);
            _mm256_storeu_ps(p.add(8), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        let p = p.cast::<__m128i>();
        unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(p)), _mm256_cvtph_ps(_mm_loadu_si128(p.add(1)))] }
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        let p = p.cast::<__m128i>();
        core::array::from_fn(|i| unsafe {
            let words = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(i)));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
        })
    }
    #[inline(always)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        unsafe {
            let [a, b] = v.map(|v| _mm256_srli_epi32::<16>(v));
            // `vpackusdw` gives a0..3 b0..3 | a4..7 b4..7; the permutation gives a0..7 b0..7.
            let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(a, b));
            _mm256_storeu_si256(p.cast(), halves);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        core::array::from_fn(|i| unsafe {
            _mm256_blendv_ps(y[i], x[i], _mm256_cmp_ps::<_CMP_GT_OQ>(a[i], b[i]))
        })
    }
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    fn reduce_sum(self, [low, high]: Self::F) -> f32 {
        unsafe { reduce_sum_8(_mm256_add_ps(low, high)) }
    }
    #[inline(always)]
    fn reduce_max(self, [low, high]: Self::F) -> f32 {
        unsafe { reduce_max_8(_mm256_max_ps(low, high)) }
    }
    #[inline(always)]
    fn reduce_min(self, [low, high]: Self::F) -> f32 {
        unsafe { reduce_min_8(_mm256_min_ps(low, high)) }
    }
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        let p = p.cast::<__m256i>();
        unsafe { [_mm256_loadu_si256(p), _mm256_loadu_si256(p.add(1))] }
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        unsafe { [_mm256_cvtepi32_ps(v[0]), _mm256_cvtepi32_ps(v[1])] }
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        unsafe { [_mm256_castps_si256(v[0]), _mm256_castps_si256(v[1])] }
    }
    #[inline(always)]
    fn bits_to_f32(self, v: Self::I) -> Self::F {
        unsafe { [_mm256_castsi256_ps(v[0]), _mm256_castsi256_ps(v[1])] }
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        unsafe { [_mm256_set1_epi32(x); 2] }
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        unsafe { [_mm256_slli_epi32::<23>(v[0]), _mm256_slli_epi32::<23>(v[1])] }
    }
    #[inline(always)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe {
            let low_byte = _mm256_set1_epi32(0xFF);
            let (a, b) = (_mm256_and_si256(v[0], low_byte), _mm256_and_si256(v[1], low_byte));
            // As in `store_high_halves_at`, then to bytes.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(a, b));
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(p.cast(), bytes);
        }
    }
    #[inline(always)]
    fn interleave_low_bytes(self, v: [Self::I; 4]) -> Self::I {
        let mut out = v[0];
        for (h, out) in out.iter_mut().enumerate() {
            // A loop, because a closure is not inlined here.
            unsafe {
                let low_byte = _mm256_set1_epi32(0xFF);
                let (a, b) = (_mm256_and_si256(v[0][h], low_byte), _mm256_and_si256(v[1][h], low_byte));
                let low = _mm256_or_si256(a, _mm256_slli_epi32::<8>(b));
                let c = _mm256_and_si256(v[2][h], low_byte);
                let high = _mm256_or_si256(_mm256_slli_epi32::<16>(c), _mm256_slli_epi32::<24>(v[3][h]));
                *out = _mm256_or_si256(low, high);
            }
        }
        out
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        unsafe {
            _mm256_storeu_si256(p.cast(), v[0]);
            _mm256_storeu_si256(p.add(8).cast(), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(16).cast())] }
    }
    #[inline(always)]
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H {
        core::array::from_fn(|h| unsafe {
            let shift = _mm_cvtsi32_si128(shift as i32);
            _mm256_packs_epi32(_mm256_sra_epi32(a[h], shift), _mm256_sra_epi32(b[h], shift))
        })
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        unsafe { [_mm256_set1_epi16(x); 2] }
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|h| unsafe { _mm256_add_epi16(a[h], b[h]) })
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|h| unsafe { _mm256_subs_epi16(a[h], b[h]) })
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|h| unsafe { _mm256_max_epi16(a[h], b[h]) })
    }
    #[inline(always)]
    fn broadcast_max_i16(self, [low, high]: Self::H) -> Self::H {
        unsafe { [_mm256_broadcastw_epi16(reduce_max_i16(_mm256_max_epi16(low, high))); 2] }
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        unsafe { _mm_cvtsi128_si32(_mm256_castsi256_si128(v[0])) as i16 }
    }
    #[inline(always)]
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|h| unsafe { _mm256_mulhrs_epi16(a[h], b[h]) })
    }
    // Fractions are in units of 2⁻¹⁶.
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        x.map(|x| unsafe { _mm256_sll_epi16(x, _mm_cvtsi32_si128(16 - unit as i32)) })
    }
    #[inline(always)]
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H {
        core::array::from_fn(|h| unsafe { _mm256_mulhi_epu16(fraction[h], c[h]) })
    }
    #[inline(always)]
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        core::array::from_fn(|h| unsafe {
            scale_pow2_16(v[h], _mm256_sra_epi16(x[h], _mm_cvtsi32_si128(unit as i32)))
        })
    }
    #[inline(always)]
    fn round_with_carry(self, a: Self::H, b: Self::H) -> [Self::H; 2] {
        const FRACTION: i32 = FRACTION_BITS as i32;
        let mut x = [a, b];
        unsafe {
            let mask = _mm256_set1_epi16((1 << FRACTION) - 1);
            let mut carry = _mm256_set1_epi16(1 << (FRACTION - 1));
            for (i, h) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let u = _mm256_add_epi16(x[i][h], carry);
                (x[i][h], carry) = (_mm256_srli_epi16::<FRACTION>(u), _mm256_and_si256(u, mask));
            }
        }
        x
    }
    #[inline(always)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        core::array::from_fn(|h| unsafe {
            let bytes = _mm256_packus_epi16(a[h], b[h]);
            _mm256_storeu_si256(p.add(32 * h).cast(), bytes);
            let pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
            _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
        })
    }
    #[inline(always)]
    fn reduce_max_each(self, v: &[Self::F; 8]) -> [f32; 8] {
        let mut out = [0.0; 8];
        unsafe {
            // A transposing reduction: each step merges two vectors into one and halves the lanes of each.
            let mut merged = [v[0][0]; 4];
            for (i, x) in merged.iter_mut().enumerate() {
                let a = _mm256_max_ps(v[i][0], v[i][1]);
                let b = _mm256_max_ps(v[i + 4][0], v[i + 4][1]);
                let low = _mm256_permute2f128_ps::<0x20>(a, b);
                *x = _mm256_max_ps(low, _mm256_permute2f128_ps::<0x31>(a, b));
            }
            let [a, b, c, d] = merged;
            let ab = _mm256_max_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let cd = _mm256_max_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let low = _mm256_shuffle_ps::<0x44>(ab, cd);
            _mm256_storeu_ps(out.as_mut_ptr(), _mm256_max_ps(low, _mm256_shuffle_ps::<0xEE>(ab, cd)));
        }
        out
    }
}
