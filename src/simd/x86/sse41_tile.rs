//! The micro-kernels of SSE4.1.
//!
//! The int8 tile multiplies by `pmaddwd`, as that of [AVX2](super::avx2) does, over half a panel at a time: eight outputs are two
//! accumulators, so that six rows take twelve of the sixteen registers, and the widened weights and a product the rest. The
//! activations come from memory, each in all lanes of a register of its own: SSE has no broadcast from memory.

use super::sse41::Sse41;
use crate::simd::lanes::LANES;
use crate::simd::tile::{TileI8, Widen, float_tiles, tile_f};
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// The block size along K (KC), in groups of four inputs: 12 KiB of widened activations, which stay in the first-level cache.
const KC_GROUPS: usize = 64;

/// A group of a row, widened to i16: the bytes at even places (inputs 0 and 2) in each of the four 32-bit lanes, then likewise
/// the bytes at odd places. Written before it is read.
type EvenOdd = [MaybeUninit<__m128i>; 2];

/// For each block of groups, widens the activations once, then multiplies them by every half panel.
///
/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows; the processor has sse4.1.
#[target_feature(enable = "sse4.1")]
unsafe fn maddwd<const ROWS: usize>(panels: usize, t: &TileI8) {
    let mut a = [const { [const { [MaybeUninit::uninit(); 2] }; ROWS] }; KC_GROUPS];
    for first in (0..t.groups).step_by(KC_GROUPS) {
        let groups = KC_GROUPS.min(t.groups - first);
        // SAFETY: `TileI8` covers every row, panel, weight sum and output; groups first .. first + groups exist, and `split` has
        // written that many of each row before `half_panel` reads them.
        unsafe {
            for r in 0..ROWS {
                split(t.a.add(r * t.a_pitch + first * 4), r, &mut a[..groups]);
            }
            for half in 0..2 * panels {
                let (p, at) = (half / 2, half % 2 * (LANES / 2));
                let out = t.out.add(p * LANES + at);
                let w_sum = (first == 0).then_some(t.w_sum.wrapping_add(p * LANES + at));
                let w = t.w.add(p * t.panel_pitch + first * 64 + at * 4);
                // During the first panel the next weights are prefetched; later, the weights that are read anyway.
                let prefetch = if half == 0 { t.prefetch.wrapping_add(first * 64) } else { w };
                half_panel(&a[..groups], (w, prefetch), w_sum, out, panels * LANES);
            }
        }
    }
}

/// Widens the groups of row `r` to i16.
///
/// # Safety
/// 4 bytes can be read at `row` for each group of `a`; `r` is below `ROWS`; the processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn split<const ROWS: usize>(row: *const u8, r: usize, a: &mut [[EvenOdd; ROWS]]) {
    let low_byte = _mm_set1_epi16(0xFF);
    // SAFETY: every access is to a group of `a`, by this function's preconditions.
    unsafe {
        for (g, a) in a.iter_mut().enumerate() {
            let group = _mm_set1_epi32(row.add(4 * g).cast::<i32>().read_unaligned());
            let [even, odd] = a.get_unchecked_mut(r);
            even.write(_mm_and_si128(group, low_byte));
            odd.write(_mm_srli_epi16::<8>(group));
        }
    }
}

/// Multiplies the groups of widened rows by half a panel. The sums start from −128 · Σ w if `w_sum` is given, otherwise they
/// continue from `out`, whose rows are `pitch` elements apart.
///
/// # Safety
/// `w` points to the half panel's 32 bytes of the first group, and those of the others follow 64 bytes apart; 8 i32 can be read
/// at `w_sum`; `out` has `ROWS` rows of 8 i32, initialised without `w_sum`; all of `a` is initialised; the processor has sse4.1.
#[inline]
#[target_feature(enable = "sse4.1")]
unsafe fn half_panel<const ROWS: usize>(
    a: &[[EvenOdd; ROWS]],
    (w, prefetch): (*const i8, *const i8),
    w_sum: Option<*const i32>,
    out: *mut i32,
    pitch: usize,
) {
    // SAFETY: every access is to a group of `a`, or to a row of `out`, by this function's preconditions.
    unsafe {
        let mut acc = [[_mm_setzero_si128(); 2]; ROWS];
        for (r, acc) in acc.iter_mut().enumerate() {
            for (h, acc) in acc.iter_mut().enumerate() {
                *acc = match w_sum {
                    Some(sum) => {
                        let sum = _mm_loadu_si128(sum.add(h * 4).cast());
                        _mm_sub_epi32(_mm_setzero_si128(), _mm_slli_epi32::<7>(sum))
                    }
                    None => _mm_loadu_si128(out.add(r * pitch + h * 4).cast()),
                };
            }
        }
        for (g, rows) in a.iter().enumerate() {
            _mm_prefetch::<_MM_HINT_T1>(prefetch.wrapping_add(g * 64).cast());
            for h in 0..2 {
                let w = _mm_loadu_si128(w.add(g * 64 + h * 16).cast());
                // Sign-extend the even bytes by two shifts, the odd bytes by one.
                let even = _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(w));
                let odd = _mm_srai_epi16::<8>(w);
                for (acc, a) in acc.iter_mut().zip(rows) {
                    acc[h] = _mm_add_epi32(acc[h], _mm_madd_epi16(a[0].assume_init(), even));
                    acc[h] = _mm_add_epi32(acc[h], _mm_madd_epi16(a[1].assume_init(), odd));
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            _mm_storeu_si128(out.add(r * pitch).cast(), acc[0]);
            _mm_storeu_si128(out.add(r * pitch + 4).cast(), acc[1]);
        }
    }
}

/// The int8 tile.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 6 rows; the processor has sse4.1.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: the preconditions are those of `maddwd`, and `ROWS` is `rows`.
    unsafe {
        match rows {
            1 => maddwd::<1>(panels, t),
            2 => maddwd::<2>(panels, t),
            3 => maddwd::<3>(panels, t),
            4 => maddwd::<4>(panels, t),
            5 => maddwd::<5>(panels, t),
            6 => maddwd::<6>(panels, t),
            _ => unreachable!("the instruction set's tile shape limits the number of rows"),
        }
    }
}

float_tiles!(Sse41::new(), tile_f, Widen, [target_feature(enable = "sse4.1")], 1 2 3 4, [1]);
