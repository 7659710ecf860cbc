//! The int8 tile for processors without dot products.

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
unsafe fn four(p: *const i8) -> int8x16_t {
    // SAFETY: the caller's promise.
    vreinterpretq_s8_s32(vdupq_n_s32(unsafe { p.cast::<i32>().read_unaligned() }))
}

/// One vector of the weights of two groups, v`w0` and v`w1`, times two rows. Of either row, half the outputs' products of
/// the first group go to i16 lanes, the second group's are added, and the next round adds them to the accumulators, in
/// pairs: here to those of the round before. Between the steps of a product stand those of three others, and what the
/// next rounds need, so that an in-order core does not wait.
#[rustfmt::skip]
macro_rules! round {
    ([$a:literal $b:literal $c:literal $d:literal], $w0:literal, $w1:literal, $next0:literal, $next1:literal,
     $first:literal, $second:literal, $third:literal, $fourth:literal) => {
        concat!(
            "sadalp v", $a, ".4s, v16.8h\nsmull v16.8h, v20.8b, v", $w0, ".8b\n",
            "sadalp v", $b, ".4s, v17.8h\nsmull2 v17.8h, v20.16b, v", $w0, ".16b\n",
            "sadalp v", $c, ".4s, v18.8h\nsmull v18.8h, v22.8b, v", $w0, ".8b\n",
            "sadalp v", $d, ".4s, v19.8h\nsmull2 v19.8h, v22.16b, v", $w0, ".16b\n",
            "smlal v16.8h, v21.8b, v", $w1, ".8b\n", $next0, "\n", $first,
            "\nsmlal2 v17.8h, v21.16b, v", $w1, ".16b\n", $second,
            "\nsmlal v18.8h, v23.8b, v", $w1, ".8b\n", $next1, "\n", $third,
            "\nsmlal2 v19.8h, v23.16b, v", $w1, ".16b\n", $fourth, "\n",
        )
    };
}

/// Four groups at a time of two rows, `count` times, added to `acc`.
///
/// # Safety
/// 16 · `count` bytes can be read at each of the rows, 256 · `count` at `w`; the processor has neon; `count` is not 0.
#[target_feature(enable = "neon")]
unsafe fn fours(acc: &mut [[int32x4_t; 8]; 2], rows: [*const i8; 2], w: *const i8, count: usize) {
    let zero = vdupq_n_s32(0);
    let [r0, r1] = acc;
    // SAFETY: it reads what the caller promises: the step to the next groups is 0 in the last round, which so loads
    // again what is there. It writes the registers that are named.
    unsafe {
        asm!(
            "2:",
            round!([6 7 14 15], 27, 29, "ldr q28, [{w}, #16]", "ldr q30, [{w}, #80]",
                "", "subs {count}, {count}, #1", "", ""),
            round!([0 1 8 9], 28, 30, "ldr q27, [{w}, #32]", "ldr q29, [{w}, #96]",
                "", "csel {step}, {step}, xzr, ne", "", ""),
            round!([2 3 10 11], 27, 29, "ldr q28, [{w}, #48]", "ldr q30, [{w}, #112]",
                "", "add {at}, {at}, {step}", "", ""),
            round!([4 5 12 13], 28, 30, "ldr q27, [{w}, #128]", "ldr q29, [{w}, #192]",
                "dup v20.4s, v24.s[2]", "dup v21.4s, v24.s[3]", "dup v22.4s, v25.s[2]", "dup v23.4s, v25.s[3]"),
            round!([6 7 14 15], 27, 29, "ldr q28, [{w}, #144]", "ldr q30, [{w}, #208]",
                "", "ldr q24, [{a0}, {at}]", "", "ldr q25, [{a1}, {at}]"),
            round!([0 1 8 9], 28, 30, "ldr q27, [{w}, #160]", "ldr q29, [{w}, #224]",
                "", "", "", ""),
            round!([2 3 10 11], 27, 29, "ldr q28, [{w}, #176]", "ldr q30, [{w}, #240]",
                "", "", "", "add {w}, {w}, {step}, lsl #4"),
            round!([4 5 12 13], 28, 30, "ldr q27, [{w}]", "ldr q29, [{w}, #64]",
                "dup v20.4s, v24.s[0]", "dup v21.4s, v24.s[1]", "dup v22.4s, v25.s[0]", "dup v23.4s, v25.s[1]"),
            "b.ne 2b",
            "sadalp v6.4s, v16.8h",
            "sadalp v7.4s, v17.8h",
            "sadalp v14.4s, v18.8h",
            "sadalp v15.4s, v19.8h",
            w = inout(reg) w => _, count = inout(reg) count => _, step = inout(reg) 16usize => _,
            at = inout(reg) 0usize => _, a0 = in(reg) rows[0], a1 = in(reg) rows[1],
            inout("v0") r0[0], inout("v1") r0[1], inout("v2") r0[2], inout("v3") r0[3],
            inout("v4") r0[4], inout("v5") r0[5], inout("v6") r0[6], inout("v7") r0[7],
            inout("v8") r1[0], inout("v9") r1[1], inout("v10") r1[2], inout("v11") r1[3],
            inout("v12") r1[4], inout("v13") r1[5], inout("v14") r1[6], inout("v15") r1[7],
            inout("v16") zero => _, inout("v17") zero => _, inout("v18") zero => _, inout("v19") zero => _,
            inout("v20") four(rows[0]) => _, inout("v21") four(rows[0].add(4)) => _,
            inout("v22") four(rows[1]) => _, inout("v23") four(rows[1].add(4)) => _,
            inout("v24") vld1q_s8(rows[0]) => _, inout("v25") vld1q_s8(rows[1]) => _,
            inout("v27") vld1q_s8(w) => _, out("v28") _,
            inout("v29") vld1q_s8(w.add(64)) => _, out("v30") _,
            options(nostack, readonly),
        );
    }
}

/// Products in i16, two to a lane (2 · 128 · 127 < 2¹⁵, weights being at least −127), then pairs of lanes into i32.
///
/// # Safety
/// See [`TileI8`]; the processor has neon.
#[target_feature(enable = "neon")]
unsafe fn widen<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1 && ROWS <= 2) }
    // Each output is two lanes: the first and the second half of its groups of four.
    let mut acc = [[vdupq_n_s32(0); 8]; 2];
    // A missing row is the first again.
    // SAFETY: rows below ROWS are inside what the tile promises.
    let rows: [*const i8; 2] = [0, ROWS - 1].map(|r| unsafe { t.a.add(r * t.a_pitch).cast() });
    let whole = t.groups / 4;
    if whole > 0 {
        // SAFETY: the tile's promise: 4 · groups bytes of each row, 64 · groups of the panel.
        unsafe { fours(&mut acc, rows, t.w, whole) }
    }
    for g in whole * 4..t.groups {
        for (acc, row) in acc.iter_mut().zip(rows) {
            // SAFETY: the tile's promise: 4 bytes of each row, 64 of the panel.
            unsafe {
                let a = four(row.add(g * 4));
                for j in 0..4 {
                    let w = vld1q_s8(t.w.add(g * 64 + j * 16));
                    acc[2 * j] = vpadalq_s16(acc[2 * j], vmull_s8(vget_low_s8(a), vget_low_s8(w)));
                    acc[2 * j + 1] = vpadalq_s16(acc[2 * j + 1], vmull_high_s8(a, w));
                }
            }
        }
    }
    for (r, acc) in acc[..ROWS].iter().enumerate() {
        for j in 0..4 {
            // SAFETY: the tile's promise: 16 outputs a row.
            unsafe { vst1q_s32(t.out.add(r * LANES + 4 * j), vpaddq_s32(acc[2 * j], acc[2 * j + 1])) }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has neon; at most 2 rows and 1 panel.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe { pick_tile!(rows, panels, 1 2, [1], widen[](t)) }
}
