//! AVX-512 with VNNI: sixteen lanes are one zmm register.
//!
//! The int8 micro-kernel ([`tile_i8`], 8 rows by 3 panels) keeps 24 accumulators, one per row and panel. For each group of four
//! inputs it loads one vector of weights per panel, and per row broadcasts the four activations and issues one `vpdpbusd` per
//! panel: 16 outputs by 4 inputs, unsigned times signed bytes, exact in i32.
//!
//! The activations q are unsigned, but the tile is Σ (q − 128) · w = Σ q · w − 128 · Σ w: accumulators start from −128 · Σ w
//! ([`offsets`]).

use super::avx2;
use super::yuv;
use crate::image::yuv::{BLOCK, Block, Coefficients};
use crate::simd::lanes::{FRACTION_BITS, LANES, Lanes};
use crate::simd::tile::{TileI8, Widen, float_tiles, pick_tile, tile_f};
use core::arch::x86_64::*;
use core::ops::Range;

/// Proof that the processor has AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor has avx512f, avx512bw, avx512dq, avx512vl and avx512vnni.
    #[inline(always)]
    pub(crate) const unsafe fn new() -> Self {
        Avx512(())
    }
}

// SAFETY of every block below: the processor has the instructions, because `Avx512::new` requires them. Pointers are valid
// for the access by the preconditions of the methods of `Lanes`; the loads and stores are unaligned.
impl Lanes for Avx512 {
    type F = __m512;
    type I = __m512i;
    type H = __m512i;
    const REGISTERS: usize = 1;

    #[inline(always)]
    fn yuv_to_rgb(self, k: &Coefficients, block: &Block, out: &mut [u8; 4 * BLOCK]) {
        // SAFETY: a `Avx512` proves that the processor has AVX2.
        unsafe { yuv::yuv_to_rgb(k, block, out) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
        }
    }
    #[inline(always)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        unsafe { _mm256_storeu_si256(p.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(v))) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), y, x) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    fn reduce_sum(self, v: Self::F) -> f32 {
        unsafe {
            let (low, high) = (_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            avx2::reduce_sum_8(_mm256_add_ps(low, high))
        }
    }
    #[inline(always)]
    fn reduce_max(self, v: Self::F) -> f32 {
        unsafe {
            let (low, high) = (_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            avx2::reduce_max_8(_mm256_max_ps(low, high))
        }
    }
    #[inline(always)]
    fn reduce_min(self, v: Self::F) -> f32 {
        unsafe {
            let (low, high) = (_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            avx2::reduce_min_8(_mm256_min_ps(low, high))
        }
    }
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        unsafe { _mm512_loadu_epi32(p) }
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(v) }
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        unsafe { _mm512_castps_si512(v) }
    }
    #[inline(always)]
    fn bits_to_f32(self, v: Self::I) -> Self::F {
        unsafe { _mm512_castsi512_ps(v) }
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        unsafe { _mm512_set1_epi32(x) }
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        unsafe { _mm512_slli_epi32::<23>(v) }
    }
    #[inline(always)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe { _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(v)) }
    }
    #[inline(always)]
    fn interleave_low_bytes(self, [a, b, c, d]: [Self::I; 4]) -> Self::I {
        unsafe {
            let low_byte = _mm512_set1_epi32(0xFF);
            let (a, b) =
                (_mm512_and_si512(a, low_byte), _mm512_slli_epi32::<8>(_mm512_and_si512(b, low_byte)));
            let (c, d) = (_mm512_slli_epi32::<16>(_mm512_and_si512(c, low_byte)), _mm512_slli_epi32::<24>(d));
            _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d))
        }
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        unsafe { _mm512_storeu_si512(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H {
        unsafe {
            let shift = _mm512_set1_epi32(shift as i32);
            _mm512_packs_epi32(_mm512_srav_epi32(a, shift), _mm512_srav_epi32(b, shift))
        }
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        unsafe { _mm512_set1_epi16(x) }
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm512_add_epi16(a, b) }
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm512_subs_epi16(a, b) }
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm512_max_epi16(a, b) }
    }
    #[inline(always)]
    fn broadcast_max_i16(self, v: Self::H) -> Self::H {
        unsafe {
            let half = _mm256_max_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
            _mm512_broadcastw_epi16(avx2::reduce_max_i16(half))
        }
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        unsafe { _mm_cvtsi128_si32(_mm512_castsi512_si128(v)) as i16 }
    }
    #[inline(always)]
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        unsafe { _mm512_mulhrs_epi16(a, b) }
    }
    // Fractions are in units of 2⁻¹⁶.
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        unsafe { _mm512_sllv_epi16(x, _mm512_set1_epi16(16 - unit as i16)) }
    }
    #[inline(always)]
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H {
        unsafe { _mm512_mulhi_epu16(fraction, c) }
    }
    #[inline(always)]
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        unsafe {
            // One bit less than the whole shift; the average with 0 shifts by the last bit and rounds.
            let shift =
                _mm512_sub_epi16(_mm512_set1_epi16(-1), _mm512_srav_epi16(x, _mm512_set1_epi16(unit as i16)));
            _mm512_avg_epu16(_mm512_srlv_epi16(v, shift), _mm512_setzero_si512())
        }
    }
    #[inline(always)]
    fn round_with_carry(self, a: Self::H, b: Self::H) -> [Self::H; 2] {
        const MASK: i16 = (1 << FRACTION_BITS) - 1;
        unsafe {
            // The first half of the lanes, and the second one.
            let half =
                |first, second| _mm512_inserti64x4::<1>(_mm512_set1_epi16(first), _mm256_set1_epi16(second));
            let (first, second) = (half(MASK, 0), half(0, MASK));
            let a = _mm512_add_epi16(a, half(1 << (FRACTION_BITS - 1), 0));
            let b = _mm512_add_epi16(b, _mm512_and_si512(a, first));
            let carry = _mm512_and_si512(b, first);
            let a = _mm512_add_epi16(a, _mm512_shuffle_i64x2::<0b01_00_11_10>(carry, carry));
            let b = _mm512_add_epi16(b, _mm512_and_si512(a, second));
            [_mm512_srli_epi16::<FRACTION_BITS>(a), _mm512_srli_epi16::<FRACTION_BITS>(b)]
        }
    }
    #[inline(always)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        unsafe {
            let bytes = _mm512_packus_epi16(a, b);
            _mm512_storeu_si512(p.cast(), bytes);
            _mm512_dpbusd_epi32(_mm512_setzero_si512(), bytes, _mm512_set1_epi8(1))
        }
    }
    #[inline(always)]
    fn reduce_max_each(self, v: &[Self::F; 8]) -> [f32; 8] {
        // A transposing reduction: three steps merge two vectors into one and halve the lanes of each; the last
        // works within quarters.
        let mut merged = [v[0]; 4];
        let mut out = [0.0; 8];
        unsafe {
            for (i, x) in merged.iter_mut().enumerate() {
                let (a, b) = (v[i], v[i + 4]);
                *x = _mm512_max_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xEE>(a, b));
            }
            let [a, b, c, d] = merged;
            let a_c = _mm512_max_ps(_mm512_shuffle_f32x4::<0x88>(a, c), _mm512_shuffle_f32x4::<0xDD>(a, c));
            let b_d = _mm512_max_ps(_mm512_shuffle_f32x4::<0x88>(b, d), _mm512_shuffle_f32x4::<0xDD>(b, d));
            // The quarters of a_c belong to vectors 0, 4, 2, 6; those of b_d to vectors 1, 5, 3, 7.
            let both = _mm512_max_ps(_mm512_unpacklo_ps(a_c, b_d), _mm512_unpackhi_ps(a_c, b_d));
            let both = _mm512_max_ps(both, _mm512_shuffle_ps::<0x4E>(both, both));
            // Lanes 0 and 1 of the quarters are the maxima of vectors 0 1 | 4 5 | 2 3 | 6 7.
            let order = _mm512_setr_epi32(0, 1, 8, 9, 4, 5, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0);
            _mm256_storeu_ps(out.as_mut_ptr(), _mm512_castps512_ps256(_mm512_permutexvar_ps(order, both)));
        }
        out
    }
}

/// −128 · Σ w of each panel, from which the accumulators start.
///
/// # Safety
/// `w_sum` points to `16 · PANELS` i32; the processor has avx512f.
#[inline(always)]
pub(crate) unsafe fn offsets<const PANELS: usize>(w_sum: *const i32) -> [__m512i; PANELS] {
    // SAFETY: panel p < PANELS has 16 sums, by this function's precondition.
    unsafe {
        core::array::from_fn(|p| {
            let sum = _mm512_loadu_epi32(w_sum.add(p * LANES));
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sum))
        })
    }
}

/// Adds the products of some groups of a tile.
///
/// # Safety
/// The preconditions of [`TileI8`], except for `w_sum` and `out`, with `ROWS` rows and `PANELS` panels; `groups` is within
/// `0..t.groups`; the processor has avx512f and avx512vnni.
#[inline(always)]
pub(crate) unsafe fn sum_groups<const ROWS: usize, const PANELS: usize>(
    t: &TileI8,
    groups: Range<usize>,
    acc: &mut [[__m512i; PANELS]; ROWS],
) {
    // SAFETY: the preconditions of `TileI8` cover every group of every row and panel.
    unsafe {
        for g in groups {
            let w: [__m512i; PANELS] =
                core::array::from_fn(|p| _mm512_loadu_si512(t.w.add(p * t.panel_pitch + g * 64).cast()));
            for (r, acc) in acc.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(t.a.add(r * t.a_pitch + g * 4).cast::<i32>().read_unaligned());
                for (acc, &w) in acc.iter_mut().zip(&w) {
                    *acc = _mm512_dpbusd_epi32(*acc, a, w);
                }
            }
        }
    }
}

/// [`sum_groups`], which also prefetches the same groups of the panel at `t.prefetch`.
///
/// # Safety
/// The preconditions of [`sum_groups`].
#[inline(always)]
pub(crate) unsafe fn sum_groups_prefetching<const ROWS: usize, const PANELS: usize>(
    t: &TileI8,
    groups: Range<usize>,
    acc: &mut [[__m512i; PANELS]; ROWS],
) {
    for g in groups {
        // SAFETY: the preconditions are those of `sum_groups`; any address may be prefetched.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(t.prefetch.wrapping_add(g * 64).cast());
            sum_groups(t, g..g + 1, acc);
        }
    }
}

/// Stores a tile's sums.
///
/// # Safety
/// `ROWS · PANELS · 16` i32 can be written at `out`; the processor has avx512f.
#[inline(always)]
pub(crate) unsafe fn store_sums<const ROWS: usize, const PANELS: usize>(
    acc: &[[__m512i; PANELS]; ROWS],
    out: *mut i32,
) {
    for (r, acc) in acc.iter().enumerate() {
        for (p, &v) in acc.iter().enumerate() {
            // SAFETY: row r < ROWS and panel p < PANELS, by this function's precondition.
            unsafe { _mm512_storeu_epi32(out.add((r * PANELS + p) * LANES), v) }
        }
    }
}

/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows and `PANELS` panels; the processor has avx512f and avx512vnni.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn vnni<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    // SAFETY: the preconditions of `TileI8` cover the weight sums, every group and every output.
    unsafe {
        let start = if t.unsigned { [_mm512_setzero_si512(); PANELS] } else { offsets::<PANELS>(t.w_sum) };
        let mut acc = [start; ROWS];
        sum_groups_prefetching(t, 0..t.groups, &mut acc);
        store_sums(&acc, t.out);
    }
}

/// The int8 tile.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 8 rows and 3 panels; the processor has avx512f and avx512vnni.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: the preconditions are those of `vnni`, whose constants are `rows` and `panels`.
    unsafe { pick_tile!(rows, panels, 1 2 3 4 5 6 7 8, [1 2 3], vnni[](t)) }
}

float_tiles!(
    Avx512::new(), tile_f, Widen,
    [target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")], 1 2 3 4 5 6 7 8, [1 2 3]
);
