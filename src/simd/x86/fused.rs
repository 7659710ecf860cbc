//! AVX-512's fused kernels: GEMM tiles interleaved with the row kernel that processes the previous tile.
//!
//! `vpdpbusd` occupies two of the core's four vector ports. Instructions of a row kernel (shifts, additions, maxima, conversions)
//! between the products of a tile execute on the other ports at almost no cost. Except in [`pv`], the tiles form a software
//! pipeline: while tile i is multiplied, tile i − 1 is processed. [`qk_softmax`] contains the whole loop and processes the last
//! block after it; for [`tile_i8_with_epilogue`] the loop is the caller's (`ops::gemm`).
//!
//! | function | tile | row kernel of the previous tile |
//! | --- | --- | --- |
//! | [`qk_softmax`] | Q·Kᵀ of a block of keys | softmax of the previous block |
//! | [`pv`] | P·V of a block of keys | none: the sums are accumulated straight from registers |
//! | [`tile_i8_with_epilogue`] | a GEMM tile of 7 or 8 rows by 3 panels | dequantisation of any tile |
//!
//! The two attention kernels take whole blocks of keys only, that is 64 columns, four panels.

use super::avx512::{Avx512, offsets, store_sums, sum_groups, sum_groups_prefetching, tile_i8};
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::BLOCK;
use crate::simd::kernels::attention::softmax::{SoftmaxBlocks, logits_minus_max, store_probabilities};
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, dequantise_tile};
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::{TileI8, pick_tile};
use core::arch::x86_64::*;

/// Panels of a whole block.
const PANELS: usize = BLOCK / LANES;
type Narrow = <Avx512 as Lanes>::H;

/// Q·Kᵀ and the softmax of whole blocks of keys. `tile` is that of the first block; its `out` is not used, nor is `softmax.sums`.
///
/// # Safety
/// The preconditions of [`TileI8`], except for `out`, with `softmax.rows` rows and four panels for each block, whose weights and
/// sums follow those of the block before; those of [`SoftmaxBlocks`], except for `sums`; 1 to 5 rows, at least one block, four
/// panels. The processor has the features of [`Avx512`].
pub(crate) unsafe fn qk_softmax(tile: &TileI8, softmax: &SoftmaxBlocks) {
    // SAFETY: the preconditions are those of `qk_softmax_rows`, and `ROWS` is `softmax.rows`.
    unsafe { pick_tile!(softmax.rows, 1, 1 2 3 4 5, [1], qk_softmax_rows[](tile, softmax)) }
}

/// P·V over whole blocks of keys, accumulated. `tile` is that of the first block, with unsigned activations; its `out` and `w_sum`
/// are not used, nor is `accumulate.sums`.
///
/// # Safety
/// The preconditions of [`TileI8`], except for `out` and `w_sum`, with `accumulate.rows` rows and four panels for each
/// block, whose activations are [`BLOCK`] bytes and whose weights are 16 · [`BLOCK`] bytes after those of the block before;
/// those of [`AccumulateBlocks`], except for `sums`; 1 to 5 rows. The processor has the features of [`Avx512`].
pub(crate) unsafe fn pv(tile: &TileI8, accumulate: &AccumulateBlocks) {
    // SAFETY: the preconditions are those of `pv_rows`, and `ROWS` is `accumulate.rows`.
    unsafe { pick_tile!(accumulate.rows, 1, 1 2 3 4 5, [1], pv_rows[](tile, accumulate)) }
}

/// # Safety
/// The preconditions of [`qk_softmax`], with `ROWS` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn qk_softmax_rows<const ROWS: usize, const ONE: usize>(tile: &TileI8, t: &SoftmaxBlocks) {
    // SAFETY: blocks 0 to `t.blocks` − 1 exist, by the preconditions of `qk_softmax`; `narrow` has two elements, used in turn.
    unsafe {
        let l = Avx512::new();
        // The narrowed sums of two blocks: one is being multiplied, the other goes through the softmax.
        let mut narrow = [[[l.splat_i16(0); 2]; ROWS]; 2];
        let narrow = narrow.as_mut_ptr();
        qk_softmax_block::<ROWS, false>(l, tile, t, 0, narrow, narrow.add(1));
        for b in 1..t.blocks {
            qk_softmax_block::<ROWS, true>(l, tile, t, b, narrow.add(b % 2), narrow.add((b + 1) % 2));
        }
        let last = t.blocks - 1;
        for r in 0..ROWS {
            let mut x = [(*narrow.add(last % 2))[r]];
            logits_minus_max(l, t, last, r, &mut x);
            store_probabilities::<_, true, 1>(l, t, last, r, x);
        }
    }
}

/// Multiplies block `b` and narrows its sums to `narrow`, interleaved with the softmax of block `b` − 1, whose narrowed sums are
/// at `previous`, if `HAS_PREVIOUS`.
///
/// # Safety
/// The preconditions of [`qk_softmax`]; block `b` exists; `narrow` can be written and `previous` read.
#[inline(always)]
unsafe fn qk_softmax_block<const ROWS: usize, const HAS_PREVIOUS: bool>(
    l: Avx512,
    tile: &TileI8,
    t: &SoftmaxBlocks,
    b: usize,
    narrow: *mut [[Narrow; 2]; ROWS],
    previous: *const [[Narrow; 2]; ROWS],
) {
    // SAFETY: block `b` has panels, weight sums and rows, by this function's preconditions, and so has block `b` − 1.
    unsafe {
        let w = tile.w.add(b * PANELS * tile.panel_pitch);
        let mut acc = [offsets::<PANELS>(tile.w_sum.add(b * BLOCK)); ROWS];
        // The softmax of a row has two steps, each of which waits for its own results. The groups are divided evenly among all
        // steps of all rows, so that there are products to execute meanwhile.
        let groups = |step: usize| tile.groups * step / (2 * ROWS);
        let tile = TileI8 { w, ..*tile };
        for r in 0..ROWS {
            sum_groups(&tile, groups(2 * r)..groups(2 * r + 1), &mut acc);
            let mut x = [(*previous)[r]];
            if HAS_PREVIOUS {
                logits_minus_max(l, t, b - 1, r, &mut x);
            }
            sum_groups(&tile, groups(2 * r + 1)..groups(2 * r + 2), &mut acc);
            if HAS_PREVIOUS {
                store_probabilities::<_, true, 1>(l, t, b - 1, r, x);
            }
        }
        for (r, [w, x, y, z]) in acc.into_iter().enumerate() {
            (*narrow)[r] = [l.shift_narrow(w, x, t.shift), l.shift_narrow(y, z, t.shift)];
        }
    }
}

/// # Safety
/// The preconditions of [`pv`], with `ROWS` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pv_rows<const ROWS: usize, const ONE: usize>(tile: &TileI8, t: &AccumulateBlocks) {
    // SAFETY: blocks 0 to `t.blocks` − 1 and the factors of their rows exist, and `t.acc` holds `ROWS` rows of four panels,
    // by the preconditions of `pv`.
    unsafe {
        let l = Avx512::new();
        let mut result = [[l.splat(0.0); PANELS]; ROWS];
        if !t.overwrite {
            for (r, row) in result.iter_mut().enumerate() {
                for (p, v) in row.iter_mut().enumerate() {
                    *v = l.load_at(t.acc.add((r * PANELS + p) * LANES));
                }
            }
        }
        for b in 0..t.blocks {
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

/// The int8 tile of `t`, interleaved with the epilogue of `previous` if the tile is large. Smaller tiles and GELU by tanh are rare:
/// they run one after the other.
///
/// # Safety
/// The preconditions of [`tile_i8`] and [`DequantiseTile`]; neither reads what the other writes; the processor has the features
/// of [`Avx512`].
pub(crate) unsafe fn tile_i8_with_epilogue(
    rows: usize,
    panels: usize,
    t: &TileI8,
    previous: &DequantiseTile,
) {
    // SAFETY: the preconditions are those of the functions called.
    unsafe {
        match (rows, panels, previous.to.activation) {
            (8, 3, Activation::Gelu) => vnni_with_epilogue::<8, true>(t, previous),
            (7, 3, Activation::Gelu) => vnni_with_epilogue::<7, true>(t, previous),
            (8, 3, Activation::None | Activation::Relu) => vnni_with_epilogue::<8, false>(t, previous),
            (7, 3, Activation::None | Activation::Relu) => vnni_with_epilogue::<7, false>(t, previous),
            _ => {
                tile_i8(rows, panels, t);
                dequantise(previous);
            }
        }
    }
}

/// [`dequantise_tile`], compiled for AVX-512.
///
/// # Safety
/// The preconditions of [`DequantiseTile`]; the processor has the features of [`Avx512`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dequantise(t: &DequantiseTile) {
    // SAFETY: the preconditions are this function's.
    unsafe { dequantise_tile(Avx512::new(), t) }
}

/// A tile of three panels. After each equal share of its groups, one vector of `previous` is dequantised and stored.
///
/// # Safety
/// The preconditions of [`tile_i8_with_epilogue`], with `ROWS` rows and three panels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn vnni_with_epilogue<const ROWS: usize, const GELU: bool>(t: &TileI8, previous: &DequantiseTile) {
    const PANELS: usize = 3;
    /// Rows from the vector that is stored to the one whose cache line is prefetched.
    const PREFETCH_ROWS: usize = 4;
    // SAFETY: groups 0 .. `t.groups` exist by the preconditions of `TileI8`; row r and panel p of `previous` by those of
    // `DequantiseTile`; any address may be prefetched.
    unsafe {
        let l = Avx512::new();
        let mut acc = [offsets::<PANELS>(t.w_sum); ROWS];
        let (rows, vectors) = (previous.to.rows, previous.to.rows * previous.to.panels);
        let (mut done, mut p, mut r) = (0, 0, 0);
        for i in 0..vectors {
            let until = t.groups * (i + 1) / vectors;
            sum_groups_prefetching(t, done..until, &mut acc);
            done = until;
            let ahead = (r + PREFETCH_ROWS) * previous.to.row_pitch + p * previous.to.panel_pitch;
            _mm_prefetch::<_MM_HINT_ET0>(
                previous.to.out.wrapping_byte_add(ahead << (2 - previous.to.bf16 as usize)).cast(),
            );
            let activation = match GELU {
                true => Activation::Gelu,
                false if previous.to.activation == Activation::Relu => Activation::Relu,
                false => Activation::None,
            };
            previous.store_vector(l, (r, p), previous.factors(l, p), activation);
            r += 1;
            if r == rows {
                (r, p) = (0, p + 1);
            }
        }
        store_sums(&acc, t.out);
    }
}
