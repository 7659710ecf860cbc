//! Armv8.6 matrix products: `smmla` multiplies 2 rows by 2 outputs over 8 inputs.

use super::micro::TileI8;
use core::arch::aarch64::*;
use core::arch::asm;
use core::mem::MaybeUninit;

/// Steps of eight inputs whose activations are put in pairs of rows at a time: 8 KiB, first-level cache.
const BLOCK: usize = 128;

/// Up to four pairs of rows by four pairs of outputs: half a panel.
type Acc = [[int32x4_t; 4]; 4];

/// Adds the products of eight inputs: `first` and `second` are eight outputs' weights of either group of four.
///
/// Weights lie in groups of four inputs, so each output's two have to be put together, which takes a slot that could
/// have multiplied. Eight rows by half a panel spread that over four products; six rows by a whole one over three.
///
/// # Safety
/// Two u64 of each of PAIRS pairs can be read at `a`; the processor has i8mm.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn eight<const PAIRS: usize>(
    acc: &mut Acc,
    a: *const u64,
    first: [int32x4_t; 2],
    second: [int32x4_t; 2],
) {
    let w = [
        vzip1q_s32(first[0], second[0]),
        vzip2q_s32(first[0], second[0]),
        vzip1q_s32(first[1], second[1]),
        vzip2q_s32(first[1], second[1]),
    ];
    // SAFETY: the caller's promise.
    let a: [uint64x2_t; PAIRS] = core::array::from_fn(|r| unsafe { vld1q_u64(a.add(2 * r)) });
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

/// The activations of `steps` steps from step `start`, 2 · PAIRS rows each; missing rows are the last one again, a missing
/// last group is zero.
///
/// # Safety
/// See [`TileI8`]; `rows` are at most 2 · PAIRS, the steps within the groups; `to` has room for them.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn pair_up<const PAIRS: usize>(t: &TileI8, rows: usize, start: usize, steps: usize, mut to: *mut u64) {
    let row = |r: usize| {
        // SAFETY: rows below `rows` are inside what the tile promises, and so are the groups of a step.
        unsafe { t.a.add(r.min(rows - 1) * t.pitch + start * 8) }
    };
    let a: [[*const u8; 2]; PAIRS] = core::array::from_fn(|r| [row(2 * r), row(2 * r + 1)]);
    let whole = steps.min(t.groups / 2 - start);
    let twos = whole / 2 * 2;
    // SAFETY: the tile's promise: four bytes of each group of each row; the caller's: room for what is written.
    unsafe {
        for s in (0..twos).step_by(2) {
            for (r, a) in a.iter().enumerate() {
                let [x, y] = a.map(|p| vld1q_u64(p.add(8 * s).cast()));
                vst1q_u64(to.add(2 * r), vzip1q_u64(x, y));
                vst1q_u64(to.add(2 * (PAIRS + r)), vzip2q_u64(x, y));
            }
            to = to.add(4 * PAIRS);
        }
        for s in twos..steps {
            for (r, &p) in a.as_flattened().iter().enumerate() {
                let p = p.add(8 * s);
                to.add(r).write(match s < whole {
                    true => p.cast::<u64>().read_unaligned(),
                    false => p.cast::<u32>().read_unaligned().into(),
                });
            }
            to = to.add(2 * PAIRS);
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has i8mm; `rows` are at most twice PAIRS.
#[target_feature(enable = "neon,i8mm")]
unsafe fn matrix<const PAIRS: usize>(rows: usize, panels: usize, t: &TileI8) {
    let mut packed = MaybeUninit::<[u64; 8 * BLOCK]>::uninit();
    let packed = packed.as_mut_ptr().cast::<u64>();
    let all = t.groups.div_ceil(2);
    for start in (0..all).step_by(BLOCK) {
        let steps = BLOCK.min(all - start);
        // SAFETY: passed on; there is room for 8 rows of BLOCK steps.
        unsafe { pair_up::<PAIRS>(t, rows, start, steps, packed) }
        let whole = steps.min(t.groups / 2 - start);
        for half in 0..2 * panels {
            // SAFETY: the tile's promise covers the half's sums, weights and outputs; `pair_up` has written what
            // `eight` reads of each step.
            unsafe {
                let out = |row: usize, j: usize| t.out.add((row * panels * 2 + half) * 8 + 2 * j);
                let mut acc: Acc = core::array::from_fn(|r| {
                    core::array::from_fn(|j| match start {
                        0 => vdupq_n_s32(0),
                        _ => {
                            let row = |i: usize| vld1_s32(out((2 * r + i).min(rows - 1), j));
                            vcombine_s32(row(0), row(1))
                        }
                    })
                });
                let mut w = t.w.add(half / 2 * t.panel + start * 128 + half % 2 * 32);
                let load = |w: *const i8| {
                    [vreinterpretq_s32_s8(vld1q_s8(w)), vreinterpretq_s32_s8(vld1q_s8(w.add(16)))]
                };
                let mut a = packed.cast_const();
                for _ in 0..whole {
                    eight::<PAIRS>(&mut acc, a, load(w), load(w.add(64)));
                    (a, w) = (a.add(2 * PAIRS), w.add(128));
                }
                if whole < steps {
                    eight::<PAIRS>(&mut acc, a, load(w), [vdupq_n_s32(0); 2]);
                }
                for r in 0..rows {
                    for (j, &v) in acc[r / 2].iter().enumerate() {
                        vst1_s32(out(r, j), if r % 2 == 0 { vget_low_s32(v) } else { vget_high_s32(v) });
                    }
                }
            }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has i8mm; at most 8 rows and 3 panels.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe {
        match rows.div_ceil(2) {
            1 => matrix::<1>(rows, panels, t),
            2 => matrix::<2>(rows, panels, t),
            3 => matrix::<3>(rows, panels, t),
            4 => matrix::<4>(rows, panels, t),
            _ => unreachable!("a tile has at most as many rows as its kernel's table says"),
        }
    }
}
