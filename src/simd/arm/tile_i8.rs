//! The int8 micro-kernel for processors without dot products: 2 rows by 1 panel.
//!
//! `smull` multiplies eight bytes to i16, `smlal` adds the products of the next group of four inputs, and `sadalp` adds
//! pairs of i16 lanes to i32 accumulators. Two products fit an i16: |q − 128| ≤ 128 and |w| ≤ 127, and 2 · 128 · 127 < 2¹⁵.
//!
//! A vector of weights is 4 outputs by 4 inputs; its lower and upper half are 2 outputs each, and the pairwise sums leave two i32
//! lanes per output. So a row's 16 outputs are 8 accumulators, 2 lanes each, which are added at the end.
//!
//! Registers of the main loop (`add_four_groups`), which processes four groups per iteration, as two pairs of groups:
//!
//! | registers | contents |
//! | --- | --- |
//! | v0–v7 | accumulators of row 0: v2j and v(2j + 1) are outputs 4j, 4j + 1 and 4j + 2, 4j + 3 |
//! | v8–v15 | accumulators of row 1, likewise |
//! | v16, v17 | i16 products of row 0, lower and upper half of a vector of weights |
//! | v18, v19 | i16 products of row 1, likewise |
//! | v20, v21 | activations of row 0: first and second group of the pair, repeated four times |
//! | v22, v23 | activations of row 1, likewise |
//! | v24, v25 | the 16 activations of rows 0 and 1 that v20–v23 are taken from |
//! | v27, v28 | weights of the first group: this vector and the next, in turn |
//! | v29, v30 | weights of the second group, likewise |
//! | `{w}` | weights of the next iteration's groups |
//! | `{a0}`, `{a1}`, `{offset}` | rows 0 and 1, and the offset in both |
//! | `{count}`, `{step}` | iterations left; 16, or 0 in the last iteration |

use super::neon::unsigned_start;
use crate::simd::lanes::LANES;
use crate::simd::tile::{TileI8, pick_tile};
use core::arch::aarch64::*;
use core::arch::asm;

/// Four activations of a row, repeated four times.
///
/// # Safety
/// 4 bytes can be read at `p`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn broadcast4(p: *const i8) -> int8x16_t {
    // SAFETY: 4 bytes can be read at `p`, by this function's precondition.
    vreinterpretq_s8_s32(vdupq_n_s32(unsafe { p.cast::<i32>().read_unaligned() }))
}

/// The assembly of one step: one vector of weights of each group of the pair, v`w0` and v`w1`, times two rows.
///
/// The steps are a software pipeline. A step first adds the previous step's i16 products (v16–v19) to accumulators
/// `[a b c d]`, which are therefore those of the previous vector, and replaces them by its own. In between are independent
/// instructions, so that an in-order core does not wait: `$load0` and `$load1` load the weights of the next step, and
/// `$extra0` to `$extra3` update counters and activations.
#[rustfmt::skip]
macro_rules! step {
    ([$a:literal $b:literal $c:literal $d:literal], $w0:literal, $w1:literal, $load0:literal, $load1:literal,
     $extra0:literal, $extra1:literal, $extra2:literal, $extra3:literal) => {
        concat!(
            "sadalp v", $a, ".4s, v16.8h\nsmull v16.8h, v20.8b, v", $w0, ".8b\n",
            "sadalp v", $b, ".4s, v17.8h\nsmull2 v17.8h, v20.16b, v", $w0, ".16b\n",
            "sadalp v", $c, ".4s, v18.8h\nsmull v18.8h, v22.8b, v", $w0, ".8b\n",
            "sadalp v", $d, ".4s, v19.8h\nsmull2 v19.8h, v22.16b, v", $w0, ".16b\n",
            "smlal v16.8h, v21.8b, v", $w1, ".8b\n", $load0, "\n", $extra0,
            "\nsmlal2 v17.8h, v21.16b, v", $w1, ".16b\n", $extra1,
            "\nsmlal v18.8h, v23.8b, v", $w1, ".8b\n", $load1, "\n", $extra2,
            "\nsmlal2 v19.8h, v23.16b, v", $w1, ".16b\n", $extra3, "\n",
        )
    };
}

/// Adds the products of 4 · `count` groups of two rows to `acc`.
///
/// # Safety
/// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has neon; `count` is not 0.
#[target_feature(enable = "neon")]
unsafe fn add_four_groups(acc: &mut [[int32x4_t; 8]; 2], rows: [*const i8; 2], w: *const i8, count: usize) {
    let zero = vdupq_n_s32(0);
    let [r0, r1] = acc;
    // SAFETY: an iteration reads 16 bytes of each row and 256 of the weights for the next one. In the last iteration `step` is 0,
    // so that it reads its own bytes again; all others are covered by this function's preconditions. Every register that the
    // assembly writes is an operand.
    unsafe {
        asm!(
            "2:",
            // Groups 0 and 1: their four vectors of weights. The first step adds the last products of the previous iteration.
            step!([6 7 14 15], 27, 29, "ldr q28, [{w}, #16]", "ldr q30, [{w}, #80]",
                "", "subs {count}, {count}, #1", "", ""),
            step!([0 1 8 9], 28, 30, "ldr q27, [{w}, #32]", "ldr q29, [{w}, #96]",
                "", "csel {step}, {step}, xzr, ne", "", ""),
            step!([2 3 10 11], 27, 29, "ldr q28, [{w}, #48]", "ldr q30, [{w}, #112]",
                "", "add {offset}, {offset}, {step}", "", ""),
            step!([4 5 12 13], 28, 30, "ldr q27, [{w}, #128]", "ldr q29, [{w}, #192]",
                "dup v20.4s, v24.s[2]", "dup v21.4s, v24.s[3]", "dup v22.4s, v25.s[2]", "dup v23.4s, v25.s[3]"),
            // Groups 2 and 3.
            step!([6 7 14 15], 27, 29, "ldr q28, [{w}, #144]", "ldr q30, [{w}, #208]",
                "", "ldr q24, [{a0}, {offset}]", "", "ldr q25, [{a1}, {offset}]"),
            step!([0 1 8 9], 28, 30, "ldr q27, [{w}, #160]", "ldr q29, [{w}, #224]",
                "", "", "", ""),
            step!([2 3 10 11], 27, 29, "ldr q28, [{w}, #176]", "ldr q30, [{w}, #240]",
                "", "", "", "add {w}, {w}, {step}, lsl #4"),
            step!([4 5 12 13], 28, 30, "ldr q27, [{w}]", "ldr q29, [{w}, #64]",
                "dup v20.4s, v24.s[0]", "dup v21.4s, v24.s[1]", "dup v22.4s, v25.s[0]", "dup v23.4s, v25.s[1]"),
            "b.ne 2b",
            // The last products.
            "sadalp v6.4s, v16.8h",
            "sadalp v7.4s, v17.8h",
            "sadalp v14.4s, v18.8h",
            "sadalp v15.4s, v19.8h",
            w = inout(reg) w => _, count = inout(reg) count => _, step = inout(reg) 16usize => _,
            offset = inout(reg) 0usize => _, a0 = in(reg) rows[0], a1 = in(reg) rows[1],
            inout("v0") r0[0], inout("v1") r0[1], inout("v2") r0[2], inout("v3") r0[3],
            inout("v4") r0[4], inout("v5") r0[5], inout("v6") r0[6], inout("v7") r0[7],
            inout("v8") r1[0], inout("v9") r1[1], inout("v10") r1[2], inout("v11") r1[3],
            inout("v12") r1[4], inout("v13") r1[5], inout("v14") r1[6], inout("v15") r1[7],
            inout("v16") zero => _, inout("v17") zero => _, inout("v18") zero => _, inout("v19") zero => _,
            inout("v20") broadcast4(rows[0]) => _, inout("v21") broadcast4(rows[0].add(4)) => _,
            inout("v22") broadcast4(rows[1]) => _, inout("v23") broadcast4(rows[1].add(4)) => _,
            inout("v24") vld1q_s8(rows[0]) => _, inout("v25") vld1q_s8(rows[1]) => _,
            inout("v27") vld1q_s8(w) => _, out("v28") _,
            inout("v29") vld1q_s8(w.add(64)) => _, out("v30") _,
            options(nostack, readonly),
        );
    }
}

/// The int8 tile: four groups at a time in assembly, the rest one by one.
///
/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows and one panel; the processor has neon.
#[target_feature(enable = "neon")]
unsafe fn smull<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1 && ROWS <= 2) }
    // Two lanes per output: inputs 0 and 1, and inputs 2 and 3 of each group.
    let mut acc = [[vdupq_n_s32(0); 8]; 2];
    // A tile of one row multiplies it twice.
    // SAFETY: rows below `ROWS` exist (`TileI8`).
    let rows: [*const i8; 2] = [0, ROWS - 1].map(|r| unsafe { t.a.add(r * t.a_pitch).cast() });
    let whole = t.groups / 4;
    if whole > 0 {
        // SAFETY: each row has 4 · `groups` bytes and the panel 64 · `groups` (`TileI8`).
        unsafe { add_four_groups(&mut acc, rows, t.w, whole) }
    }
    for g in whole * 4..t.groups {
        for (acc, row) in acc.iter_mut().zip(rows) {
            // SAFETY: group g has 4 bytes of each row and 64 of the panel (`TileI8`).
            unsafe {
                let a = broadcast4(row.add(g * 4));
                for j in 0..4 {
                    let w = vld1q_s8(t.w.add(g * 64 + j * 16));
                    acc[2 * j] = vpadalq_s16(acc[2 * j], vmull_s8(vget_low_s8(a), vget_low_s8(w)));
                    acc[2 * j + 1] = vpadalq_s16(acc[2 * j + 1], vmull_high_s8(a, w));
                }
            }
        }
    }
    let store = |start: Option<[int32x4_t; 4]>| {
        for (r, acc) in acc[..ROWS].iter().enumerate() {
            for j in 0..4 {
                let sum = vpaddq_s32(acc[2 * j], acc[2 * j + 1]);
                let sum = start.map_or(sum, |start| vaddq_s32(sum, start[j]));
                // SAFETY: each row of `out` has 16 elements (`TileI8`).
                unsafe { vst1q_s32(t.out.add(r * LANES + 4 * j), sum) }
            }
        }
    };
    match t.unsigned {
        // SAFETY: the panel has 16 sums (`TileI8`).
        true => store(Some(unsafe { unsigned_start(t.w_sum) })),
        false => store(None),
    }
}

/// The int8 tile.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 2 rows and 1 panel; the processor has neon.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: the preconditions are those of `smull`, whose constants are `rows` and `panels`.
    unsafe { pick_tile!(rows, panels, 1 2, [1], smull[](t)) }
}
