//! The int8 micro-kernel for Armv8.6 matrix products (i8mm): 10 rows, by half a panel at a time, up to 3 panels.
//!
//! `smmla v.4s, v.16b, v.16b` multiplies 2 rows by 2 outputs over 8 inputs: a *step* is 8 inputs, that is two groups of
//! four. Both operands need 8 consecutive inputs of two rows (or outputs) in a register:
//!
//! - activations are packed in pairs of rows, `[steps][pairs][2 rows][8 inputs]`, to a buffer on the stack, while the first half
//!   panel is multiplied; the other half panels read the buffer;
//! - weights are stored in groups of four inputs, so the 8 inputs of an output are zipped from two groups after they are loaded
//!   ([`zip_groups`]). Each zip takes an issue slot of the multiplications; half a panel by ten rows uses each zipped vector for
//!   five products, a whole panel by six rows would use it for three.
//!
//! Registers of the inner loop for ten rows, which the compiler allocates: 20 accumulators (5 pairs of rows by 4 pairs of
//! outputs), 5 of activations, and 4 of weights before and after zipping. An accumulator is [row 0: outputs 0 and 1, row 1:
//! outputs 0 and 1].
//!
//! If K is not a multiple of 8, the last step is half: the inputs of its second group are zero.

use super::neon::{Neon, unsigned_start};
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::TileI8;
use core::arch::aarch64::*;
use core::arch::asm;
use core::mem::MaybeUninit;

/// The block size along K (KC), in steps of eight inputs: the packed activations of ten rows, 10 KiB, stay in the
/// first-level cache.
const KC_STEPS: usize = 128;

/// The largest number of pairs of rows.
const MAX_PAIRS: usize = 5;

/// Accumulators of half a panel: pairs of rows by four pairs of outputs.
type Acc<const PAIRS: usize> = [[int32x4_t; 4]; PAIRS];

/// Combines eight outputs' weights of two consecutive groups of four inputs: four vectors of 2 outputs by 8 inputs.
#[inline]
#[target_feature(enable = "neon")]
fn zip_groups(first: [int32x4_t; 2], second: [int32x4_t; 2]) -> [int32x4_t; 4] {
    [
        vzip1q_s32(first[0], second[0]),
        vzip2q_s32(first[0], second[0]),
        vzip1q_s32(first[1], second[1]),
        vzip2q_s32(first[1], second[1]),
    ]
}

/// Adds the products of one step.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add_step<const PAIRS: usize>(acc: &mut Acc<PAIRS>, w: [int32x4_t; 4], a: [uint64x2_t; PAIRS]) {
    for (j, &w) in w.iter().enumerate() {
        for (acc, &a) in acc.iter_mut().zip(&a) {
            // The intrinsic is not stable. Without `pure` and `nomem` the compiler keeps the instructions in this order, and so
            // all accumulators in registers.
            // SAFETY: the assembly accesses its operands only; this function enables i8mm.
            unsafe {
                asm!("smmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc[j], in(vreg) a, in(vreg) w,
                     options(nostack, preserves_flags));
            }
        }
    }
}

/// Pointers to the activations of each pair of rows. The last row stands in for one that the last pair lacks.
type RowPairs<const PAIRS: usize> = [[*const u8; 2]; PAIRS];

/// Loads the packed activations of a step.
///
/// # Safety
/// 2 · `PAIRS` u64 can be read at `a`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_step<const PAIRS: usize>(a: *const u64) -> [uint64x2_t; PAIRS] {
    // SAFETY: pair r < PAIRS is two u64, by this function's precondition.
    core::array::from_fn(|r| unsafe { vld1q_u64(a.add(2 * r)) })
}

/// Packs the activations of two steps and advances the row pointers.
///
/// The first pairs of rows are zipped in vector registers; the others are copied through general registers (`ldp`, `stp`), so
/// that the load, store and vector pipes are about equally busy.
///
/// # Safety
/// 16 bytes can be read at each row pointer; 4 · `PAIRS` u64 can be written at `to`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn pack_two_steps<const PAIRS: usize>(rows: &mut RowPairs<PAIRS>, to: *mut u64) {
    const VECTOR_PAIRS: usize = 3;
    // SAFETY: the accesses are covered by this function's preconditions; every register that the assembly writes is an operand.
    unsafe {
        for (r, pair) in rows.iter_mut().enumerate() {
            let (first, second) = (to.add(2 * r), to.add(2 * (PAIRS + r)));
            if r < VECTOR_PAIRS {
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

/// Packs the activations of one step: a whole one, or the first group of four inputs and zeros.
///
/// # Safety
/// 8 bytes, or 4 if not `whole`, can be read at each row pointer; 2 · `PAIRS` u64 can be written at `to`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn pack_step<const PAIRS: usize>(rows: &RowPairs<PAIRS>, whole: bool, to: *mut u64) {
    for (r, &p) in rows.as_flattened().iter().enumerate() {
        // SAFETY: the accesses are covered by this function's preconditions.
        unsafe {
            to.add(r).write(match whole {
                true => p.cast::<u64>().read_unaligned(),
                false => p.cast::<u32>().read_unaligned().into(),
            });
        }
    }
}

/// The int8 tile: for each block of steps, half a panel after the other.
///
/// # Safety
/// The preconditions of [`TileI8`], with `rows` of 2 · `PAIRS` − 1 or 2 · `PAIRS`; the processor has i8mm.
#[target_feature(enable = "neon,i8mm")]
unsafe fn smmla<const PAIRS: usize>(rows: usize, panels: usize, t: &TileI8) {
    let mut packed = MaybeUninit::<[u64; 2 * MAX_PAIRS * KC_STEPS]>::uninit();
    let packed = packed.as_mut_ptr().cast::<u64>();
    let total_steps = t.groups.div_ceil(2);
    if t.unsigned {
        // The sums continue from what they start with.
        for (r, p) in (0..rows).flat_map(|r| (0..panels).map(move |p| (r, p))) {
            // SAFETY: each panel has 16 sums, and each row of `out` 16 elements per panel (`TileI8`).
            unsafe {
                let start = unsigned_start(t.w_sum.add(p * LANES));
                Neon::new().store_i32_at(start, t.out.add((r * panels + p) * LANES));
            }
        }
    }
    for start in (0..total_steps).step_by(KC_STEPS) {
        let steps = KC_STEPS.min(total_steps - start);
        // All steps are whole, except perhaps the very last.
        let whole = steps.min(t.groups / 2 - start);
        for half in 0..2 * panels {
            // SAFETY: `TileI8` covers the rows, weights and outputs of this half panel; `packed` has room for KC_STEPS steps of
            // 2 · PAIRS rows; the first half panel writes every step that any half panel reads.
            unsafe {
                // Outputs 2j and 2j + 1 of the half panel.
                let out = |row: usize, j: usize| t.out.add((row * panels * 2 + half) * 8 + 2 * j);
                let mut acc: Acc<PAIRS> = core::array::from_fn(|r| {
                    core::array::from_fn(|j| match start {
                        0 if !t.unsigned => vdupq_n_s32(0),
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
                let mut whole_left = whole;
                if half == 0 {
                    // Pack and multiply two steps at a time; pack the remaining steps, which the code below multiplies.
                    let row = |r: usize| t.a.add(r.min(rows - 1) * t.a_pitch + start * 8);
                    let mut pairs: RowPairs<PAIRS> = core::array::from_fn(|r| [row(2 * r), row(2 * r + 1)]);
                    for _ in 0..whole / 2 {
                        pack_two_steps(&mut pairs, a.cast_mut());
                        for _ in 0..2 {
                            add_step::<PAIRS>(&mut acc, zip_groups(load(w), load(w.add(64))), load_step(a));
                            (a, w) = (a.add(2 * PAIRS), w.add(128));
                        }
                    }
                    whole_left = whole % 2;
                    if whole / 2 * 2 < steps {
                        pack_step(&pairs, whole_left == 1, a.cast_mut());
                        // A whole step, followed by half a step.
                        if whole_left == 1 && whole < steps {
                            let rest = pairs.map(|pair| pair.map(|p| p.add(8)));
                            pack_step(&rest, false, a.add(2 * PAIRS).cast_mut());
                        }
                    }
                }
                for _ in 0..whole_left {
                    add_step::<PAIRS>(&mut acc, zip_groups(load(w), load(w.add(64))), load_step(a));
                    (a, w) = (a.add(2 * PAIRS), w.add(128));
                }
                if whole < steps {
                    add_step::<PAIRS>(&mut acc, zip_groups(load(w), [vdupq_n_s32(0); 2]), load_step(a));
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

/// The int8 tile.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 10 rows and 3 panels; the processor has i8mm.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: the preconditions are those of `smmla`, and `PAIRS` is half of `rows`, rounded up.
    unsafe {
        match rows.div_ceil(2) {
            1 => smmla::<1>(rows, panels, t),
            2 => smmla::<2>(rows, panels, t),
            3 => smmla::<3>(rows, panels, t),
            4 => smmla::<4>(rows, panels, t),
            5 => smmla::<5>(rows, panels, t),
            _ => unreachable!("the instruction set's tile shape limits the number of rows"),
        }
    }
}
