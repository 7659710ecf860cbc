//! The micro-kernels of SSE4.1.
//!
//! The int8 tile multiplies by `pmaddwd`, which multiplies i16, so bytes are widened first: the even bytes of a group of four inputs to one
//! vector and the odd bytes to another, so that the two products that `pmaddwd` adds in a lane belong to the same output. It works on a
//! quarter of a panel at a time: four outputs are one accumulator, and eight rows by four outputs share the two vectors of widened
//! weights. Activations are stored in memory in all lanes of a vector, because SSE has no broadcast from memory.
//!
//! The floating-point tile keeps its sums as f64 that hold f32, two in a register, and rounds each of them to f32 and back once for
//! every product. See [`portable::fma_16`](crate::simd::portable::fma_16) for when that is one rounding.

use super::sse41::{Sse41, f16_to_f32};
use super::sse41_fma::{add_to_odd, halfway, narrow, twice_minus_one, widen};
use crate::simd::lanes::{LANES, ROUND};
use crate::simd::tile::{TileF, TileI8, Widen, tile_f};
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// The block size along K (KC), in groups of four inputs: 8 KiB of widened activations, which stay in the first-level cache.
const KC_GROUPS: usize = 32;

/// A group of a row, widened to i16: the bytes at even places (inputs 0 and 2) in each of the four 32-bit lanes, then likewise
/// the bytes at odd places. Written before it is read.
type EvenOdd = [MaybeUninit<__m128i>; 2];

/// For each block of groups, widens the activations once, then multiplies them by every quarter of a panel. Returns `ROWS`.
///
/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows; the processor has sse4.1.
#[target_feature(enable = "sse4.1")]
unsafe fn maddwd<const ROWS: usize>(panels: usize, t: &TileI8) -> usize {
    let mut a = [const { [const { [MaybeUninit::uninit(); 2] }; ROWS] }; KC_GROUPS];
    for first in (0..t.groups).step_by(KC_GROUPS) {
        let a = &mut a[..KC_GROUPS.min(t.groups - first)];
        // SAFETY: `TileI8` covers every row, panel, weight sum and output; as many groups as `a` has exist from `first` on, and
        // `split` has written those of each row before `quarter_panel` reads them.
        unsafe {
            for r in 0..ROWS {
                split(t.a.add(r * t.a_pitch + first * 4), r, a);
            }
            for quarter in 0..4 * panels {
                let (p, at) = (quarter / 4, quarter % 4 * 4);
                let out = t.out.add(p * LANES + at);
                let start = (first == 0).then(|| start(t, p * LANES + at));
                let w = t.w.add(p * t.panel_pitch + first * 64 + at * 4);
                // During the first quarter the next weights are prefetched; later, the weights that are read anyway.
                let prefetch = if quarter == 0 { t.prefetch.wrapping_add(first * 64) } else { w };
                quarter_panel(a, (w, prefetch), start, out, panels * LANES);
            }
        }
    }
    ROWS
}

/// Widens the groups of row `r` to i16.
///
/// # Safety
/// 4 bytes can be read at `row` for each group of `a`; `r` is below `ROWS`; the processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn split<const ROWS: usize>(row: *const u8, r: usize, a: &mut [[EvenOdd; ROWS]]) {
    let low_byte = _mm_set1_epi16(0xFF);
    for (g, a) in a.iter_mut().enumerate() {
        // SAFETY: every access is to a group of `a`, by this function's preconditions.
        let (group, [even, odd]) = unsafe {
            (_mm_set1_epi32(row.add(4 * g).cast::<i32>().read_unaligned()), a.get_unchecked_mut(r))
        };
        even.write(_mm_and_si128(group, low_byte));
        odd.write(_mm_srli_epi16::<8>(group));
    }
}

/// Initial values of the four sums from output `first` on: −128 · Σ w, or 0 if `t.unsigned`.
///
/// # Safety
/// The preconditions of [`TileI8`]; the outputs are inside the tile; the processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn start(t: &TileI8, first: usize) -> __m128i {
    let zero = _mm_setzero_si128();
    if t.unsigned {
        return zero;
    }
    // SAFETY: every output has a sum, by this function's preconditions.
    let sums = unsafe { _mm_loadu_si128(t.w_sum.add(first).cast()) };
    _mm_sub_epi32(zero, _mm_slli_epi32::<7>(sums))
}

/// Multiplies the groups of widened rows by a quarter of a panel. The sums begin with `start` if it is given, otherwise they
/// continue from `out`, whose rows are `pitch` elements apart.
///
/// # Safety
/// `w` points to the quarter's 16 bytes of the first group, and those of the others follow 64 bytes apart; `out` has `ROWS` rows of
/// 4 i32, initialised without `start`; all of `a` is initialised; the processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn quarter_panel<const ROWS: usize>(
    a: &[[EvenOdd; ROWS]],
    (w, prefetch): (*const i8, *const i8),
    start: Option<__m128i>,
    out: *mut i32,
    pitch: usize,
) {
    // SAFETY: every access is to a group of `a`, or to a row of `out`, by this function's preconditions.
    unsafe {
        let mut acc = [_mm_setzero_si128(); ROWS];
        for (r, acc) in acc.iter_mut().enumerate() {
            *acc = match start {
                Some(start) => start,
                None => _mm_loadu_si128(out.add(r * pitch).cast()),
            };
        }
        for (g, rows) in a.iter().enumerate() {
            _mm_prefetch::<_MM_HINT_T1>(prefetch.wrapping_add(g * 64).cast());
            let w = _mm_loadu_si128(w.add(g * 64).cast());
            // Sign-extend the even bytes by two shifts, the odd bytes by one.
            let even = _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(w));
            let odd = _mm_srai_epi16::<8>(w);
            for (acc, a) in acc.iter_mut().zip(rows) {
                *acc = _mm_add_epi32(*acc, _mm_madd_epi16(a[0].assume_init(), even));
                *acc = _mm_add_epi32(*acc, _mm_madd_epi16(a[1].assume_init(), odd));
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            _mm_storeu_si128(out.add(r * pitch).cast(), *acc);
        }
    }
}

/// The int8 tile: eight, four, two and one rows at a time.
///
/// # Safety
/// The preconditions of [`TileI8`]; the processor has sse4.1.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    let mut r = 0;
    while r < rows {
        // SAFETY: rows from r on exist, and the preconditions are those of `maddwd`.
        r += unsafe {
            let t = TileI8 { a: t.a.add(r * t.a_pitch), out: t.out.add(r * panels * LANES), ..*t };
            match rows - r {
                1 => maddwd::<1>(panels, &t),
                2..4 => maddwd::<2>(panels, &t),
                4..8 => maddwd::<4>(panels, &t),
                _ => maddwd::<8>(panels, &t),
            }
        };
    }
}

/// Weights of the floating-point tile.
trait Weight: Widen {
    /// # Safety
    /// 4 numbers can be read at `p`; the processor has sse4.1.
    unsafe fn load_four(p: *const Self) -> __m128;

    /// The largest |w| if all weights are multiples of 2⁻²⁴, as every finite f16 is; ∞ for f32.
    fn largest_multiple(weights: &[Self]) -> f32;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load_four(p: *const f32) -> __m128 {
        // SAFETY: 4 numbers can be read at `p`, by this function's precondition.
        unsafe { _mm_loadu_ps(p) }
    }
    #[inline(always)]
    fn largest_multiple(_: &[f32]) -> f32 {
        f32::INFINITY
    }
}

impl Weight for half::f16 {
    #[inline(always)]
    unsafe fn load_four(p: *const half::f16) -> __m128 {
        // SAFETY: 4 numbers can be read at `p` and the processor has sse4.1, by this function's preconditions.
        unsafe { f16_to_f32(_mm_cvtepu16_epi32(_mm_loadl_epi64(p.cast()))) }
    }
    #[inline(always)]
    fn largest_multiple(weights: &[half::f16]) -> f32 {
        let largest = weights.iter().fold(0, |max: i16, w| max.max((w.to_bits() & 0x7FFF) as i16));
        half::f16::from_bits(largest as u16).to_f32()
    }
}

/// The floating-point tile of one panel: four rows at once, fewer one by one.
///
/// # Safety
/// The preconditions of [`TileF`], with one panel; the processor has sse4.1.
unsafe fn tile_f64<W: Weight>(rows: usize, t: &TileF<W>) {
    let row =
        |r: usize| TileF { a: t.a.wrapping_add(r * t.a_pitch), out: t.out.wrapping_add(r * LANES), ..*t };
    // SAFETY: the preconditions are this function's, and each of the rows exists.
    unsafe {
        match (classify(rows, t), rows) {
            (SumClass::Whole, 4) => sums::<W, 4, false>(t),
            (SumClass::Whole, _) => (0..rows).for_each(|r| sums::<W, 1, false>(&row(r))),
            (SumClass::Normal, 4) => sums::<W, 4, true>(t),
            (SumClass::Normal, _) => (0..rows).for_each(|r| sums::<W, 1, true>(&row(r))),
            (SumClass::Tiny, _) => (0..rows).for_each(|r| one_by_one(&row(r))),
        }
    }
}

/// The tile of one row by the lanes' fused multiply-add, for any numbers.
///
/// # Safety
/// The preconditions of [`TileF`], with one row and one panel; the processor has sse4.1.
#[target_feature(enable = "sse4.1")]
unsafe fn one_by_one<W: Weight>(t: &TileF<W>) {
    // SAFETY: the preconditions are this function's.
    unsafe { tile_f::<Sse41, W, 1, 1>(Sse41::new(), t) }
}

/// The sums of a tile, by the magnitudes of its operands.
enum SumClass {
    /// All sums are exact in f64: activations are integers of magnitude at most 256 (pixels minus 128), products are multiples of 2⁻²⁴,
    /// and no sum exceeds 2²⁹.
    Whole,
    /// All products are multiples of 2⁻¹⁷², so that sums below 2⁻¹²⁶ are exact in f64.
    Normal,
    /// Others: an activation or a weight other than 0 is below 2⁻⁶³.
    Tiny,
}

/// Classifies the sums of a tile by the magnitudes of its operands.
///
/// # Safety
/// The preconditions of [`TileF`], with `rows` rows and one panel; the processor has sse4.1.
#[target_feature(enable = "sse4.1")]
unsafe fn classify<W: Weight>(rows: usize, t: &TileF<W>) -> SumClass {
    let (mut whole, mut smallest) = (t.overwrite, u32::MAX);
    for r in 0..rows {
        // SAFETY: the row is `k` numbers (`TileF`).
        let row = unsafe { core::slice::from_raw_parts(t.a.add(r * t.a_pitch), t.k) };
        for a in row {
            whole &= (a + ROUND) - ROUND == *a && a.abs() <= 256.0;
            // As `twice_minus_one`: zero wraps to the maximum.
            smallest = smallest.min((a.to_bits() << 1).wrapping_sub(1));
        }
    }
    // SAFETY: a panel is 16 · k weights (`TileF`).
    let weights = unsafe { core::slice::from_raw_parts(t.w, LANES * t.k) };
    if whole && W::largest_multiple(weights) * t.k as f32 <= (1 << 20) as f32 {
        return SumClass::Whole;
    }
    let mut minimum = _mm_set1_epi32(smallest as i32);
    for w in weights.as_chunks::<4>().0 {
        // SAFETY: `w` is an array of 4 numbers.
        minimum = _mm_min_epu32(minimum, twice_minus_one(unsafe { W::load_four(w.as_ptr()) }));
    }
    // 2·|x| − 1 is below 2³⁰ for 0 < |x| < 2⁻⁶³.
    let tiny = _mm_cmpeq_epi32(_mm_srli_epi32::<30>(minimum), _mm_setzero_si128());
    if _mm_movemask_epi8(tiny) == 0 { SumClass::Normal } else { SumClass::Tiny }
}

/// Computes the tile. `CHECK`: whether sums can be inexact in f64, so that those halfway between two f32 need care.
///
/// # Safety
/// The preconditions of [`TileF`], with `ROWS` rows and one panel, that is not [`SumClass::Tiny`], and [`SumClass::Whole`] without
/// `CHECK`; the processor has sse4.1.
#[target_feature(enable = "sse4.1")]
unsafe fn sums<W: Weight, const ROWS: usize, const CHECK: bool>(t: &TileF<W>) {
    for q in 0..4 {
        // SAFETY: every access is to row r < ROWS, output 4q .. 4q + 4 of the panel and k < t.k, which `TileF` covers.
        unsafe {
            let mut acc = [[_mm_setzero_pd(); 2]; ROWS];
            if !t.overwrite {
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = widen(_mm_loadu_ps(t.out.add(r * LANES + 4 * q)));
                }
            }
            for k in 0..t.k {
                let w = widen(W::load_four(t.w.add(k * LANES + 4 * q)));
                for (r, acc) in acc.iter_mut().enumerate() {
                    let a = _mm_set1_pd(f64::from(*t.a.add(r * t.a_pitch + k)));
                    let p = [_mm_mul_pd(a, w[0]), _mm_mul_pd(a, w[1])];
                    let mut s = [_mm_add_pd(p[0], acc[0]), _mm_add_pd(p[1], acc[1])];
                    if CHECK && halfway(s) {
                        s = [add_to_odd(p[0], acc[0]), add_to_odd(p[1], acc[1])];
                    }
                    *acc = [_mm_cvtps_pd(_mm_cvtpd_ps(s[0])), _mm_cvtps_pd(_mm_cvtpd_ps(s[1]))];
                }
            }
            for (r, acc) in acc.into_iter().enumerate() {
                _mm_storeu_ps(t.out.add(r * LANES + 4 * q), narrow(acc));
            }
        }
    }
}

/// The floating-point tile for f32 weights.
///
/// # Safety
/// The preconditions of [`TileF`], with one panel; the processor has sse4.1.
pub(crate) unsafe fn tile_f32(rows: usize, _: usize, t: &TileF<f32>) {
    // SAFETY: the preconditions are this function's.
    unsafe { tile_f64(rows, t) }
}

/// The floating-point tile for f16 weights.
///
/// # Safety
/// The preconditions of [`TileF`], with one panel; the processor has sse4.1.
pub(crate) unsafe fn tile_f16(rows: usize, _: usize, t: &TileF<half::f16>) {
    // SAFETY: the preconditions are this function's.
    unsafe { tile_f64(rows, t) }
}
