//! The int8 micro-kernel of 32-bit NEON: 2 rows by 1 panel, in two halves of 8 outputs.
//!
//! As on 64-bit Arm, `vmull.s8` multiplies eight bytes into i16, `vmlal.s8` adds the products of the next group of four inputs, and
//! `vpadal.s16` adds pairs of i16 lanes to i32 accumulators. Two products fit an i16: |q − 128| ≤ 128 and |w| ≤ 127, and
//! 2 · 128 · 127 < 2¹⁵. There are sixteen q registers instead of 32, so a pass over K computes half a panel:
//!
//! | registers | contents |
//! | --- | --- |
//! | q8–q11 | accumulators of row 0: outputs 0, 1 to 6, 7 of the half, two i32 lanes each |
//! | q12–q15 | accumulators of row 1, likewise |
//! | q4–q7 | i16 products: two outputs of rows 0 and 1, then the next two |
//! | q0, q1 | weights of four outputs: first and second group of a pair |
//! | d4, d5 | activations of row 0: first and second group, each twice |
//! | d6, d7 | activations of row 1, likewise |

use super::asm::neon_asm;
use crate::simd::lanes::LANES;
use crate::simd::tile::TileI8;

/// The assembly of one step: four outputs of both groups of a pair, times two rows.
///
/// The steps are a software pipeline. A step first adds the previous step's products (q4–q7) to accumulators `[a b c d]`, which are
/// therefore those of the previous outputs, and replaces them by its own, so that an in-order core does not wait for them. Each
/// vector of weights is loaded for the next step as soon as it has been used. The last arguments are the steps of the addresses.
#[rustfmt::skip]
macro_rules! step {
    ([$a:literal $b:literal $c:literal $d:literal], $next:literal) => {
        concat!(
            "vpadal.s16 q", $a, ", q4\nvmull.s8 q4, d0, d4\n",
            "vpadal.s16 q", $b, ", q5\nvmull.s8 q5, d0, d6\n",
            "vpadal.s16 q", $c, ", q6\nvmull.s8 q6, d1, d4\n",
            "vpadal.s16 q", $d, ", q7\nvmull.s8 q7, d1, d6\n",
            "vld1.8 {{d0-d1}}, [{w0}]", $next, "\n",
            "vmlal.s8 q4, d2, d5\nvmlal.s8 q5, d2, d7\nvmlal.s8 q6, d3, d5\nvmlal.s8 q7, d3, d7\n",
            "vld1.8 {{d2-d3}}, [{w1}]", $next, "\n",
        )
    };
}

/// Computes 8 outputs, whose weights start at `w`, of two rows, and stores them at `out`.
///
/// # Safety
/// The preconditions of [`TileI8`] for these rows and outputs; the processor has NEON.
#[inline(never)]
unsafe fn half_panel(groups: usize, rows: [*const u8; 2], w: *const i8, out: [*mut i32; 2]) {
    // A pair of groups is processed while the weights of the next one are loaded, so the last pair (or the last group, if their
    // number is odd) has code of its own, and no load goes beyond the operands.
    // SAFETY: `pairs` · 8 + 4 · `odd` bytes of each row are read and the weights of as many groups, all within the operands by this
    // function's preconditions. Every register that the assembly writes is an operand.
    unsafe {
        neon_asm!(
            "vmov.i32 q8, #0", "vmov.i32 q9, #0", "vmov.i32 q10, #0", "vmov.i32 q11, #0",
            "vmov.i32 q12, #0", "vmov.i32 q13, #0", "vmov.i32 q14, #0", "vmov.i32 q15, #0",
            "vmov.i32 q4, #0", "vmov.i32 q5, #0", "vmov.i32 q6, #0", "vmov.i32 q7, #0",
            "subs {pairs}, {pairs}, #1",
            "blt 4f",
            "vld1.8 {{d0-d1}}, [{w0}]!", "vld1.8 {{d2-d3}}, [{w1}]!",
            "beq 3f",
            "2:",
            "vld2.32 {{d4[], d5[]}}, [{a0}]!", "vld2.32 {{d6[], d7[]}}, [{a1}]!",
            step!([10 14 11 15], ", {next}"),
            "subs {pairs}, {pairs}, #1",
            step!([8 12 9 13], "!"),
            "bne 2b",
            // The last pair. Its weights of the first four outputs are loaded; the other loads read them again.
            "3:",
            "vld2.32 {{d4[], d5[]}}, [{a0}]!", "vld2.32 {{d6[], d7[]}}, [{a1}]!",
            step!([10 14 11 15], ", {next}"),
            "sub {w0}, {w0}, #128", "sub {w1}, {w1}, #128",
            step!([8 12 9 13], ""),
            "add {w0}, {w0}, #128",
            "vpadal.s16 q10, q4", "vpadal.s16 q14, q5", "vpadal.s16 q11, q6", "vpadal.s16 q15, q7",
            // The last group, if their number is odd.
            "4:",
            "cmp {odd}, #0",
            "beq 5f",
            "vld1.8 {{d0-d3}}, [{w0}]",
            "vld1.32 {{d4[]}}, [{a0}]", "vld1.32 {{d6[]}}, [{a1}]",
            "vmull.s8 q4, d0, d4", "vmull.s8 q5, d0, d6", "vmull.s8 q6, d1, d4", "vmull.s8 q7, d1, d6",
            "vpadal.s16 q8, q4", "vpadal.s16 q12, q5", "vpadal.s16 q9, q6", "vpadal.s16 q13, q7",
            "vmull.s8 q4, d2, d4", "vmull.s8 q5, d2, d6", "vmull.s8 q6, d3, d4", "vmull.s8 q7, d3, d6",
            "vpadal.s16 q10, q4", "vpadal.s16 q14, q5", "vpadal.s16 q11, q6", "vpadal.s16 q15, q7",
            // Add the two lanes of each output.
            "5:",
            "vpadd.i32 d0, d16, d17", "vpadd.i32 d1, d18, d19", "vpadd.i32 d2, d20, d21", "vpadd.i32 d3, d22, d23",
            "vpadd.i32 d4, d24, d25", "vpadd.i32 d5, d26, d27", "vpadd.i32 d6, d28, d29", "vpadd.i32 d7, d30, d31",
            "vst1.32 {{d0-d3}}, [{out0}]", "vst1.32 {{d4-d7}}, [{out1}]";
            pairs = inout(reg) groups / 2 => _, odd = in(reg) groups % 2, next = in(reg) 112,
            a0 = inout(reg) rows[0] => _, a1 = inout(reg) rows[1] => _,
            w0 = inout(reg) w => _, w1 = inout(reg) w.wrapping_add(64) => _, out0 = in(reg) out[0], out1 = in(reg) out[1],
        );
    }
}

/// The int8 tile. A tile of one row multiplies it twice.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 2 rows and 1 panel; the processor has NEON.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    debug_assert!(rows <= 2 && panels == 1, "the tile's shape is 2 by 1");
    let last = rows - 1;
    for half in 0..2 {
        // SAFETY: row `last` of the activations and of `out` exists, a group has 64 bytes of weights, and the processor has NEON, by
        // this function's preconditions.
        unsafe {
            let out = t.out.add(half * LANES / 2);
            half_panel(
                t.groups,
                [t.a, t.a.add(last * t.a_pitch)],
                t.w.add(half * 32),
                [out, out.add(last * LANES)],
            );
        }
    }
    if t.unsigned {
        // Σ q · w = Σ (q − 128) · w + 128 · Σ w
        for r in 0..rows {
            for i in 0..LANES {
                // SAFETY: every output exists and has a sum of weights.
                unsafe { *t.out.add(r * LANES + i) += 128 * *t.w_sum.add(i) };
            }
        }
    }
}
