//! The micro-kernels of AVX2 and AVX-VNNI.
//!
//! There are two int8 tiles, both exact:
//!
//! - [`tile_i8`] (AVX2, 5 rows): `vpmaddubsw` multiplies unsigned by signed bytes and adds pairs of products, but saturates at
//!   16 bits, and a pair of products q · w can be as large as 2 · 255 · 127. Instead, the magnitude of
//!   a = q − 128, at most 128, is multiplied by w, or by −w − 1 if a is negative. Inverting all bits of w, which gives −w − 1,
//!   takes one cheap instruction; a pair of products is between −2 · 128 · 128, which is `i16::MIN`, and 2 · 127 · 127. As
//!   |a| · (−w − 1) = a · w − |a| for a negative a, each sum also needs the total of |a| over the negative a. This total is the
//!   same for all outputs of a row.
//! - [`tile_i8_vnni`] (AVX-VNNI, 6 rows): `vpdpbusd` multiplies the four unsigned bytes of a group by four signed bytes per
//!   lane, without saturation. It multiplies q itself, so sums start from −128 · Σ w: Σ (q − 128) · w = Σ q · w − 128 · Σ w.

use super::avx2::Avx2;
use crate::simd::lanes::LANES;
use crate::simd::tile::{TileI8, Widen, float_tiles, pick_tile, tile_f};
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// The block size along K (KC), in groups of four inputs. The split activations of five rows, 1.5 KiB each, stay in the first-level
/// cache while every panel of the tile is multiplied by them.
const KC_GROUPS: usize = 192;
/// Groups in a vector.
const GROUPS: usize = 8;

/// A block of a row's activations a = q − 128, split into magnitudes and signs. It is uninitialised until [`SplitRow::store`] has
/// written it.
struct SplitRow {
    /// |a| of the four inputs of each group.
    magnitudes: [MaybeUninit<i32>; KC_GROUPS],
    /// For each of the four inputs, 0xFF if a is negative, otherwise 0.
    signs: [MaybeUninit<i32>; KC_GROUPS],
    /// The total of |a| over the negative a.
    negative: MaybeUninit<i32>,
}

impl SplitRow {
    const UNINIT: SplitRow = SplitRow {
        magnitudes: [MaybeUninit::uninit(); KC_GROUPS],
        signs: [MaybeUninit::uninit(); KC_GROUPS],
        negative: MaybeUninit::uninit(),
    };

    /// Splits `groups` groups of bytes q.
    ///
    /// # Safety
    /// 4 · `groups` bytes can be read at `q`; `groups` is at most [`KC_GROUPS`]; the processor has avx2.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store(&mut self, q: *const u8, groups: usize) {
        const { assert!(KC_GROUPS.is_multiple_of(GROUPS), "the arrays must hold whole vectors") }
        let (flip, zero) = (_mm256_set1_epi8(i8::MIN), _mm256_setzero_si256());
        let mut negative = zero;
        // SAFETY: only groups below `groups` are read. Vectors of groups are written up to the next multiple of `GROUPS`, which
        // is at most `KC_GROUPS`.
        unsafe {
            for g in (0..groups).step_by(GROUPS) {
                let q = q.add(4 * g);
                let q = match groups - g {
                    GROUPS.. => _mm256_loadu_si256(q.cast()),
                    rest => {
                        // Filled up with a = 0.
                        let mut padded = [0x80u8; 4 * GROUPS];
                        padded.as_mut_ptr().copy_from_nonoverlapping(q, 4 * rest);
                        _mm256_loadu_si256(padded.as_ptr().cast())
                    }
                };
                let a = _mm256_xor_si256(q, flip);
                let (magnitudes, signs) = (_mm256_abs_epi8(a), _mm256_cmpgt_epi8(zero, a));
                _mm256_storeu_si256(self.magnitudes.as_mut_ptr().add(g).cast(), magnitudes);
                _mm256_storeu_si256(self.signs.as_mut_ptr().add(g).cast(), signs);
                let sums = _mm256_sad_epu8(_mm256_and_si256(magnitudes, signs), zero);
                negative = _mm256_add_epi64(negative, sums);
            }
        }
        let sums = _mm_add_epi64(_mm256_castsi256_si128(negative), _mm256_extracti128_si256::<1>(negative));
        self.negative.write(_mm_cvtsi128_si32(_mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums))));
    }
}

/// The tile by `vpmaddubsw`: for each block of groups, splits the rows once, then multiplies them by every panel.
///
/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows and `panels` panels; the processor has avx2.
#[target_feature(enable = "avx2")]
unsafe fn maddubs<const ROWS: usize>(panels: usize, t: &TileI8) {
    let mut rows = [SplitRow::UNINIT; ROWS];
    for first in (0..t.groups).step_by(KC_GROUPS) {
        let groups = KC_GROUPS.min(t.groups - first);
        // SAFETY: `TileI8` covers every row, panel, weight sum and output; groups first .. first + groups exist, and `store` has
        // written that many of each row before `panel` reads them.
        unsafe {
            for (r, row) in rows.iter_mut().enumerate() {
                row.store(t.a.add(r * t.a_pitch + first * 4), groups);
            }
            for p in 0..panels {
                let out = t.out.add(p * LANES);
                let start = (first == 0).then(|| match t.unsigned {
                    true => unsigned_start(t.w_sum.add(p * LANES)),
                    false => [_mm256_setzero_si256(); 2],
                });
                let w = t.w.add(p * t.panel_pitch + first * 64);
                // During the first panel the next weights are prefetched; during the others, the weights that are read anyway.
                let prefetch = if p == 0 { t.prefetch.wrapping_add(first * 64) } else { w };
                panel(&rows, groups, (w, prefetch), start, out, panels * LANES);
            }
        }
    }
}

/// 128 · Σ w of a panel's outputs: the difference between Σ q · w and Σ (q − 128) · w.
///
/// # Safety
/// `w_sum` points to 16 i32; the processor has avx2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn unsigned_start(w_sum: *const i32) -> [__m256i; 2] {
    // SAFETY: 16 sums can be read, by this function's precondition.
    [0, 8].map(|at| unsafe { _mm256_slli_epi32::<7>(_mm256_loadu_si256(w_sum.add(at).cast())) })
}

/// Multiplies `groups` groups of split rows by one panel. The sums begin with `start` if it is given, otherwise they continue
/// from `out`, whose rows are `pitch` elements apart.
///
/// # Safety
/// 64 · `groups` bytes can be read at `w`; `out` has `ROWS` writable rows of 16 i32, initialised without `start`;
/// [`SplitRow::store`] has written `groups` groups of each row; the processor has avx2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn panel<const ROWS: usize>(
    rows: &[SplitRow; ROWS],
    groups: usize,
    (w, prefetch): (*const i8, *const i8),
    start: Option<[__m256i; 2]>,
    out: *mut i32,
    pitch: usize,
) {
    let ones = _mm256_set1_epi16(1);
    // SAFETY: every access is to a group below `groups`, or to a row of `out`, by this function's preconditions.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); 2]; ROWS];
        for (r, (acc, row)) in acc.iter_mut().zip(rows).enumerate() {
            let negative = _mm256_set1_epi32(row.negative.assume_init());
            for (h, acc) in acc.iter_mut().enumerate() {
                let from = match start {
                    Some(start) => start[h],
                    None => _mm256_loadu_si256(out.add(r * pitch + h * 8).cast()),
                };
                *acc = _mm256_add_epi32(from, negative);
            }
        }
        for g in 0..groups {
            _mm_prefetch::<_MM_HINT_T1>(prefetch.wrapping_add(g * 64).cast());
            let w = w.add(g * 64).cast::<__m256i>();
            let w = [_mm256_loadu_si256(w), _mm256_loadu_si256(w.add(1))];
            for (acc, row) in acc.iter_mut().zip(rows) {
                let magnitudes = _mm256_set1_epi32(row.magnitudes.get_unchecked(g).assume_init());
                let signs = _mm256_set1_epi32(row.signs.get_unchecked(g).assume_init());
                for (acc, w) in acc.iter_mut().zip(w) {
                    let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_xor_si256(w, signs));
                    *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            _mm256_storeu_si256(out.add(r * pitch).cast(), acc[0]);
            _mm256_storeu_si256(out.add(r * pitch + 8).cast(), acc[1]);
        }
    }
}

/// The int8 tile without VNNI.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 5 rows; the processor has avx2.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: the preconditions are those of `maddubs`, and `ROWS` is `rows`.
    unsafe {
        match rows {
            1 => maddubs::<1>(panels, t),
            2 => maddubs::<2>(panels, t),
            3 => maddubs::<3>(panels, t),
            4 => maddubs::<4>(panels, t),
            5 => maddubs::<5>(panels, t),
            _ => unreachable!("the instruction set's tile shape limits the number of rows"),
        }
    }
}

/// Defines an int8 tile by the 256-bit `vpdpbusd`: `$tile_i8` takes the numbers of rows and panels at run time and calls `$vnni`,
/// which is generic over them. The instruction has two encodings, each with features and an intrinsic of its own.
macro_rules! vnni_tile {
    ($(#[$only:meta])* $tile_i8:ident, $vnni:ident, $features:literal, $dpbusd:ident) => {
        /// # Safety
        /// The preconditions of [`TileI8`], with `ROWS` rows and one panel; the processor has the features.
        $(#[$only])*
        #[target_feature(enable = $features)]
        unsafe fn $vnni<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
            const { assert!(PANELS == 1) }
            // SAFETY: the preconditions of `TileI8` cover the weight sums, every group and every output.
            unsafe {
                let zero = _mm256_setzero_si256();
                let start = match t.unsigned {
                    true => [zero; 2],
                    false => unsigned_start(t.w_sum).map(|sums| _mm256_sub_epi32(zero, sums)),
                };
                let mut acc = [start; ROWS];
                for g in 0..t.groups {
                    let w: [__m256i; 2] =
                        core::array::from_fn(|h| _mm256_loadu_si256(t.w.add(g * 64 + h * 32).cast()));
                    for (r, acc) in acc.iter_mut().enumerate() {
                        let a = _mm256_set1_epi32(t.a.add(r * t.a_pitch + g * 4).cast::<i32>().read_unaligned());
                        acc[0] = $dpbusd(acc[0], a, w[0]);
                        acc[1] = $dpbusd(acc[1], a, w[1]);
                    }
                }
                for (r, acc) in acc.iter().enumerate() {
                    _mm256_storeu_si256(t.out.add(r * LANES).cast(), acc[0]);
                    _mm256_storeu_si256(t.out.add(r * LANES + 8).cast(), acc[1]);
                }
            }
        }

        /// The int8 tile with VNNI.
        ///
        /// # Safety
        /// The preconditions of [`TileI8`], with at most 6 rows and 1 panel; the processor has the features.
        $(#[$only])*
        pub(crate) unsafe fn $tile_i8(rows: usize, panels: usize, t: &TileI8) {
            // SAFETY: the preconditions are those of the generic tile, whose constants are `rows` and `panels`.
            unsafe { pick_tile!(rows, panels, 1 2 3 4 5 6, [1], $vnni[](t)) }
        }
    };
}
vnni_tile!(tile_i8_vnni, vnni, "avx2,avxvnni", _mm256_dpbusd_avx_epi32);
// AVX-512's encoding of the instruction, to test the tile on processors without AVX-VNNI.
vnni_tile!(
    #[cfg(any(test, feature = "bench"))]
    tile_i8_evex,
    evex,
    "avx2,avx512vnni,avx512vl",
    _mm256_dpbusd_epi32
);

float_tiles!(Avx2::new(), tile_f, Widen, [target_feature(enable = "avx2,fma,f16c")], 1 2 3 4 5 6, [1]);
