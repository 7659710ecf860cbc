//! Armv8.6 matrix products: `smmla` multiplies 2 rows by 2 outputs over 8 inputs.

use crate::simd::tile::TileI8;
use core::arch::aarch64::*;
use core::arch::asm;
use core::mem::MaybeUninit;

/// Steps of eight inputs whose activations are put in pairs of rows at a time: 10 KiB, first-level cache.
const BLOCK: usize = 128;

/// The most pairs of rows.
const MOST: usize = 5;

/// Pairs of rows by four pairs of outputs: half a panel.
type Acc<const PAIRS: usize> = [[int32x4_t; 4]; PAIRS];

/// The weights of eight inputs by pairs of outputs, from eight outputs' weights of either group of four.
///
/// Weights lie in groups of four inputs, so each output's two have to be put together, which takes a slot that could
/// have multiplied. Ten rows by half a panel spread that over five products; six rows by a whole one over three.
#[inline]
#[target_feature(enable = "neon")]
fn by_outputs(first: [int32x4_t; 2], second: [int32x4_t; 2]) -> [int32x4_t; 4] {
    [
        vzip1q_s32(first[0], second[0]),
        vzip2q_s32(first[0], second[0]),
        vzip1q_s32(first[1], second[1]),
        vzip2q_s32(first[1], second[1]),
    ]
}

/// Adds the products of eight inputs.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn eight<const PAIRS: usize>(acc: &mut Acc<PAIRS>, w: [int32x4_t; 4], a: [uint64x2_t; PAIRS]) {
    for (j, &w) in w.iter().enumerate() {
        for (acc, &a) in acc.iter_mut().zip(&a) {
            // SAFETY: registers in, registers out; the function asks for i8mm. The intrinsic is not stable. Without
            // `pure` and `nomem` the order stays as written, which keeps all accumulators in registers.
            unsafe {
                asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc[j], in(vreg) a, in(vreg) w,
                     options(nostack, preserves_flags));
            }
        }
    }
}

/// The rows of a tile, the last one again for those that a pair lacks, from some step on.
type Pairs<const PAIRS: usize> = [[*const u8; 2]; PAIRS];

/// The activations of a step, pair by pair.
///
/// # Safety
/// Two u64 of each pair can be read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn paired<const PAIRS: usize>(a: *const u64) -> [uint64x2_t; PAIRS] {
    // SAFETY: the caller's promise.
    core::array::from_fn(|r| unsafe { vld1q_u64(a.add(2 * r)) })
}

/// Puts the activations of two steps in pairs, and goes on to the next.
///
/// The first pairs go through vectors, the others through general registers: then loads, stores and what the vectors do beside
/// multiplying take about as long as each other.
///
/// # Safety
/// Sixteen bytes can be read of each row; two u64 of each pair can be written for two steps, and step s is 2 · PAIRS u64 long.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn pair_two<const PAIRS: usize>(rows: &mut Pairs<PAIRS>, to: *mut u64) {
    const BY_VECTORS: usize = 3;
    // SAFETY: the caller's promise.
    unsafe {
        for (r, pair) in rows.iter_mut().enumerate() {
            let (first, second) = (to.add(2 * r), to.add(2 * (PAIRS + r)));
            if r < BY_VECTORS {
                let [x, y] = pair.map(|p| vld1q_u64(p.cast()));
                vst1q_u64(first, vzip1q_u64(x, y));
                vst1q_u64(second, vzip2q_u64(x, y));
                *pair = pair.map(|p| p.add(16));
                continue;
            }
            let [a, b] = pair;
            asm!("ldp {x}, {y}, [{a}], #16", "ldp {z}, {w}, [{b}], #16", "stp {x}, {z}, [{first}]", "stp {y}, {w}, [{second}]",
                 a = inout(reg) *a, b = inout(reg) *b, first = in(reg) first, second = in(reg) second,
                 x = out(reg) _, y = out(reg) _, z = out(reg) _, w = out(reg) _, options(nostack, preserves_flags));
        }
    }
}

/// The same for a last step, or for a last group, the rest of whose step is zero.
///
/// # Safety
/// As [`pair_two`], of eight bytes or four, and one step.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn pair_last<const PAIRS: usize>(rows: &Pairs<PAIRS>, whole: bool, to: *mut u64) {
    for (r, &p) in rows.as_flattened().iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            to.add(r).write(match whole {
                true => p.cast::<u64>().read_unaligned(),
                false => p.cast::<u32>().read_unaligned().into(),
            });
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has i8mm; `rows` are twice PAIRS, or one less.
#[target_feature(enable = "neon,i8mm")]
unsafe fn matrix<const PAIRS: usize>(rows: usize, panels: usize, t: &TileI8) {
    let mut packed = MaybeUninit::<[u64; 2 * MOST * BLOCK]>::uninit();
    let packed = packed.as_mut_ptr().cast::<u64>();
    let all = t.groups.div_ceil(2);
    for start in (0..all).step_by(BLOCK) {
        let steps = BLOCK.min(all - start);
        let whole = steps.min(t.groups / 2 - start);
        for half in 0..2 * panels {
            // SAFETY: the tile's promise covers the half's rows, sums, weights and outputs; there is room for 2 · PAIRS rows of
            // BLOCK steps; the first half writes of each step what every half's `eight` reads.
            unsafe {
                let out = |row: usize, j: usize| t.out.add((row * panels * 2 + half) * 8 + 2 * j);
                let mut acc: Acc<PAIRS> = core::array::from_fn(|r| {
                    core::array::from_fn(|j| match start {
                        0 => vdupq_n_s32(0),
                        _ => {
                            let row = |i: usize| vld1_s32(out((2 * r + i).min(rows - 1), j));
                            vcombine_s32(row(0), row(1))
                        }
                    })
                });
                let mut w = t.w.add(half / 2 * t.panel_pitch + start * 128 + half % 2 * 32);
                let load = |w: *const i8| {
                    [vreinterpretq_s32_s8(vld1q_s8(w)), vreinterpretq_s32_s8(vld1q_s8(w.add(16)))]
                };
                let mut a = packed.cast_const();
                let mut left = whole;
                if half == 0 {
                    let row = |r: usize| t.a.add(r.min(rows - 1) * t.a_pitch + start * 8);
                    let mut pairs: Pairs<PAIRS> = core::array::from_fn(|r| [row(2 * r), row(2 * r + 1)]);
                    for _ in 0..whole / 2 {
                        pair_two(&mut pairs, a.cast_mut());
                        for _ in 0..2 {
                            eight::<PAIRS>(&mut acc, by_outputs(load(w), load(w.add(64))), paired(a));
                            (a, w) = (a.add(2 * PAIRS), w.add(128));
                        }
                    }
                    left = whole % 2;
                    if whole / 2 * 2 < steps {
                        pair_last(&pairs, left == 1, a.cast_mut());
                        // A whole step, and then half of one.
                        if left == 1 && whole < steps {
                            let rest = pairs.map(|pair| pair.map(|p| p.add(8)));
                            pair_last(&rest, false, a.add(2 * PAIRS).cast_mut());
                        }
                    }
                }
                for _ in 0..left {
                    eight::<PAIRS>(&mut acc, by_outputs(load(w), load(w.add(64))), paired(a));
                    (a, w) = (a.add(2 * PAIRS), w.add(128));
                }
                if whole < steps {
                    eight::<PAIRS>(&mut acc, by_outputs(load(w), [vdupq_n_s32(0); 2]), paired(a));
                }
                for (r, acc) in acc.iter().enumerate() {
                    for (j, &v) in acc.iter().enumerate() {
                        vst1_s32(out(2 * r, j), vget_low_s32(v));
                        if 2 * r + 1 < rows {
                            vst1_s32(out(2 * r + 1, j), vget_high_s32(v));
                        }
                    }
                }
            }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has i8mm; at most 10 rows and 3 panels.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe {
        match rows.div_ceil(2) {
            1 => matrix::<1>(rows, panels, t),
            2 => matrix::<2>(rows, panels, t),
            3 => matrix::<3>(rows, panels, t),
            4 => matrix::<4>(rows, panels, t),
            5 => matrix::<5>(rows, panels, t),
            _ => unreachable!("a tile has at most as many rows as its kernel's table says"),
        }
    }
}
