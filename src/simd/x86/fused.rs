//! Attention's blocks with AVX-512: while `vpdpbusd` keeps two of the processor's four vector pipes busy, the others do what follows
//! the block before: shifts, sums, maxima and conversions are free there. Only whole blocks, of four panels.

use super::avx512::{Avx512, offsets, store as store_sums, sum_fetching, sum_groups, tile_i8};
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::kernels::attention::softmax::{SoftmaxBlocks, logits_minus_max, store};
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, dequantise_tile};
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::{TileI8, pick_tile};
use core::arch::x86_64::*;

const PANELS: usize = BLOCK / LANES;
type Narrow = <Avx512 as Lanes>::H;

/// What [`qk_softmax`](super::tiles::qk_softmax) does, for at most five rows and any number of whole blocks. `tile.out` is not looked at.
///
/// # Safety
/// As there; the processor has AVX-512 as [`Avx512`] needs it.
pub(crate) unsafe fn qk_softmax(tile: &TileI8, weights: &SoftmaxBlocks) {
    // SAFETY: passed on.
    unsafe { pick_tile!(weights.rows, 1, 1 2 3 4 5, [1], qk_softmax_rows[](tile, weights)) }
}

/// What [`pv`](super::tiles::pv) does, likewise. `accumulate_blocks.sums` and `accumulate_blocks.weight_sum` are not looked at.
///
/// # Safety
/// As there; the processor has AVX-512 as [`Avx512`] needs it.
pub(crate) unsafe fn pv(tile: &TileI8, accumulate_blocks: &AccumulateBlocks) {
    // SAFETY: passed on.
    unsafe { pick_tile!(accumulate_blocks.rows, 1, 1 2 3 4 5, [1], pv_rows[](tile, accumulate_blocks)) }
}

/// # Safety
/// As [`qk_softmax`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn qk_softmax_rows<const ROWS: usize, const ONE: usize>(tile: &TileI8, t: &SoftmaxBlocks) {
    // SAFETY: the caller's promise.
    unsafe {
        let l = Avx512::new();
        // Of two blocks in turn: one is multiplied, the other weighed.
        let mut narrow = [[[l.splat_i16(0); 2]; ROWS]; 2];
        let narrow = narrow.as_mut_ptr();
        block::<ROWS, false>(l, tile, t, 0, narrow, narrow.add(1));
        for b in 1..t.blocks {
            block::<ROWS, true>(l, tile, t, b, narrow.add(b % 2), narrow.add((b + 1) % 2));
        }
        let last = t.blocks - 1;
        for r in 0..ROWS {
            let mut x = [(*narrow.add(last % 2))[r]];
            logits_minus_max(l, t, last, r, &mut x);
            store::<_, true, 1>(l, t, last, r, x);
        }
    }
}

/// Multiplies block `b` and narrows its sums; meanwhile weighs the block before, if there is one.
///
/// # Safety
/// As [`qk_softmax`]; `sums` and `before` can be written and read.
#[inline(always)]
unsafe fn block<const ROWS: usize, const AFTER: bool>(
    l: Avx512,
    tile: &TileI8,
    t: &SoftmaxBlocks,
    b: usize,
    sums: *mut [[Narrow; 2]; ROWS],
    before: *const [[Narrow; 2]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let w = tile.w.add(b * PANELS * tile.panel_pitch);
        let mut acc = [offsets::<PANELS>(tile.w_sum.add(b * BLOCK)); ROWS];
        // Each row in two steps, with products between them: neither waits long for the other.
        let groups = |step: usize| tile.groups * step / (2 * ROWS);
        let tile = TileI8 { w, ..*tile };
        for r in 0..ROWS {
            sum_groups(&tile, groups(2 * r)..groups(2 * r + 1), &mut acc);
            let mut x = [(*before)[r]];
            if AFTER {
                logits_minus_max(l, t, b - 1, r, &mut x);
            }
            sum_groups(&tile, groups(2 * r + 1)..groups(2 * r + 2), &mut acc);
            if AFTER {
                store::<_, true, 1>(l, t, b - 1, r, x);
            }
        }
        for (r, [w, x, y, z]) in acc.into_iter().enumerate() {
            (*sums)[r] = [l.shift_narrow(w, x, t.shift), l.shift_narrow(y, z, t.shift)];
        }
    }
}

/// # Safety
/// As [`pv`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pv_rows<const ROWS: usize, const ONE: usize>(tile: &TileI8, t: &AccumulateBlocks) {
    // SAFETY: the caller's promise.
    unsafe {
        let l = Avx512::new();
        let mut result = [[l.splat(0.0); PANELS]; ROWS];
        if !t.first {
            for (r, row) in result.iter_mut().enumerate() {
                for (p, v) in row.iter_mut().enumerate() {
                    *v = l.load_at(t.acc.add((r * PANELS + p) * LANES));
                }
            }
        }
        for b in 0..t.blocks {
            // Unsigned bytes times values: nothing to put back.
            let mut acc = [[l.splat_i32(0); PANELS]; ROWS];
            let tile = TileI8 { a: tile.a.add(b * BLOCK), w: tile.w.add(b * BLOCK * LANES), ..*tile };
            sum_groups(&tile, 0..tile.groups, &mut acc);
            for (r, (row, acc)) in result.iter_mut().zip(acc).enumerate() {
                let factor = l.splat(*t.factor.add(r * t.factor_pitch + b));
                for (v, sum) in row.iter_mut().zip(acc) {
                    *v = l.fma(l.to_f32(sum), factor, *v);
                }
            }
        }
        for (r, row) in result.into_iter().enumerate() {
            for (p, v) in row.into_iter().enumerate() {
                l.store_at(v, t.acc.add((r * PANELS + p) * LANES));
            }
        }
    }
}

/// # Safety
/// As [`tile_i8`] and [`DequantiseTile`]; neither reads what the other writes; the processor has AVX-512 as [`Avx512`] needs it.
pub(crate) unsafe fn tile_i8_with_epilogue(rows: usize, panels: usize, t: &TileI8, other: &DequantiseTile) {
    // SAFETY: passed on.
    unsafe {
        match (rows, panels, other.to.activation) {
            (8, 3, Activation::Gelu) => vnni_with_epilogue::<8, true>(t, other),
            (7, 3, Activation::Gelu) => vnni_with_epilogue::<7, true>(t, other),
            (8, 3, _) => vnni_with_epilogue::<8, false>(t, other),
            (7, 3, _) => vnni_with_epilogue::<7, false>(t, other),
            _ => {
                tile_i8(rows, panels, t);
                dequantise_other(other);
            }
        }
    }
}

/// # Safety
/// As [`tile_i8_with_epilogue`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dequantise_other(t: &DequantiseTile) {
    // SAFETY: passed on.
    unsafe { dequantise_tile(Avx512::new(), t) }
}

/// A tile of three panels, between whose groups the other's vectors go out one by one.
///
/// # Safety
/// As [`tile_i8_with_epilogue`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn vnni_with_epilogue<const ROWS: usize, const GELU: bool>(t: &TileI8, other: &DequantiseTile) {
    const PANELS: usize = 3;
    /// Vectors from the one that goes out to the one whose place is fetched.
    const AHEAD: usize = 4;
    // SAFETY: the tiles' promises.
    unsafe {
        let l = Avx512::new();
        let mut acc = [offsets::<PANELS>(t.w_sum); ROWS];
        let (rows, n) = (other.to.rows, other.to.rows * other.to.panels);
        let (mut done, mut p, mut r) = (0, 0, 0);
        for i in 0..n {
            let until = t.groups * (i + 1) / n;
            sum_fetching(t, done..until, &mut acc);
            done = until;
            let ahead = (r + AHEAD) * other.to.row_pitch + p * other.to.panel_pitch;
            _mm_prefetch::<_MM_HINT_ET0>(
                other.to.out.wrapping_byte_add(ahead << (2 - other.to.bf16 as usize)).cast(),
            );
            let activation = match GELU {
                true => Activation::Gelu,
                false if other.to.activation == Activation::Relu => Activation::Relu,
                false => Activation::None,
            };
            other.put(l, (r, p), other.factors(l, p), activation);
            r += 1;
            if r == rows {
                (r, p) = (0, p + 1);
            }
        }
        store_sums(&acc, t.out);
    }
}
