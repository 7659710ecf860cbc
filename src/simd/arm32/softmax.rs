//! The softmax of a row of 64 keys with NEON, in integers only: the steps of
//! [`softmax_blocks`](crate::simd::kernels::attention::softmax). 16-bit data is loaded by `vld1`, because `vldm` requires 4-byte
//! alignment.

use super::asm::neon_asm;
use crate::simd::lanes::{FRACTION_BITS, SoftmaxRow};
use crate::simd::math::{EXP2_255, EXP2_OCTAVES};

/// Narrows the sixteen sums of a panel to the d registers `$d`, shifted by q0.
#[rustfmt::skip]
macro_rules! narrow {
    ($sums:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            "vldmia {", $sums, "}, {{d2-d9}}\n",
            "vshl.s32 q1, q1, q0\nvshl.s32 q2, q2, q0\nvshl.s32 q3, q3, q0\nvshl.s32 q4, q4, q0\n",
            "vqmovn.s32 d", $a, ", q1\nvqmovn.s32 d", $b, ", q2\nvqmovn.s32 d", $c, ", q3\nvqmovn.s32 d", $d, ", q4\n",
        )
    };
}

/// Applies an instruction to each of the eight registers of logits, q8 to q15. Operands: `$rest`, or q0 to q3 (`@each`), twice.
#[rustfmt::skip]
macro_rules! all {
    ($op:literal, $rest:literal) => {
        concat!(
            $op, " q8, q8, ", $rest, "\n", $op, " q9, q9, ", $rest, "\n", $op, " q10, q10, ", $rest, "\n",
            $op, " q11, q11, ", $rest, "\n", $op, " q12, q12, ", $rest, "\n", $op, " q13, q13, ", $rest, "\n",
            $op, " q14, q14, ", $rest, "\n", $op, " q15, q15, ", $rest, "\n",
        )
    };
    (@each $op:literal, $from:literal) => {
        concat!(
            "vld1.16 {{d0-d3}}, [{", $from, "}]!\nvld1.16 {{d4-d7}}, [{", $from, "}]!\n",
            $op, " q8, q8, q0\n", $op, " q9, q9, q1\n", $op, " q10, q10, q2\n", $op, " q11, q11, q3\n",
            "vld1.16 {{d0-d3}}, [{", $from, "}]!\nvld1.16 {{d4-d7}}, [{", $from, "}]!\n",
            $op, " q12, q12, q0\n", $op, " q13, q13, q1\n", $op, " q14, q14, q2\n", $op, " q15, q15, q3\n",
        )
    };
}

/// Applies an instruction to two registers of one kind: operands `$a` and `$b` are those of the first and the second.
#[rustfmt::skip]
macro_rules! both {
    ($op:literal, $a:literal, $b:literal) => { concat!($op, " ", $a, "\n", $op, " ", $b, "\n") };
}

/// A static, so that the assembly can take its address.
static EXP2: [i16; 4] = EXP2_255;

/// [`Lanes::softmax_row`](crate::simd::lanes::Lanes::softmax_row).
///
/// # Safety
/// The preconditions of [`SoftmaxRow`]; the processor has NEON.
#[inline(never)]
pub(crate) unsafe fn softmax_row(t: &SoftmaxRow) {
    // The logits, slots 0 to 31 in q8–q11 and the others in q12–q15, and the row's maximum, which is subtracted.
    let mut logits = [0i16; 64];
    let [a, b, c, d] = t.sums;
    let q_factor = i32::from(t.q_factor);
    // SAFETY: 16 sums are read at each pointer, 64 numbers at `k_factor` and `bias`, one is written at `max` and 64 to `logits`, all
    // covered by the preconditions of `SoftmaxRow`. Every register that the assembly writes is an operand.
    unsafe {
        neon_asm!(
            "vdup.32 q0, {shift}",
            narrow!("a", "16" "18" "20" "22"),
            narrow!("b", "17" "19" "21" "23"),
            narrow!("c", "24" "26" "28" "30"),
            narrow!("d", "25" "27" "29" "31"),
            // Multiply by the factors of the keys, then by that of the query, keeping the rounded upper halves of the doubled products.
            all!(@each "vqrdmulh.s16", "k"),
            "vdup.16 q0, {q}",
            all!("vqrdmulh.s16", "q0"),
            all!(@each "vadd.i16", "bias"),
            "vmax.s16 q0, q8, q9", "vmax.s16 q1, q10, q11", "vmax.s16 q2, q12, q13", "vmax.s16 q3, q14, q15",
            "vmax.s16 q0, q0, q1", "vmax.s16 q2, q2, q3", "vmax.s16 q0, q0, q2",
            "vpmax.s16 d0, d0, d1", "vpmax.s16 d0, d0, d0", "vpmax.s16 d0, d0, d0", "vmov d1, d0",
            all!("vqsub.s16", "q0"),
            "vmovl.s16 q1, d0", "vcvt.f32.s32 q1, q1", "vst1.32 {{d2[0]}}, [{max}]",
            "vst1.16 {{d16-d19}}, [{logits}]!", "vst1.16 {{d20-d23}}, [{logits}]!",
            "vst1.16 {{d24-d27}}, [{logits}]!", "vst1.16 {{d28-d31}}, [{logits}]!";
            shift = in(reg) -(t.shift as i32), a = in(reg) a, b = in(reg) b, c = in(reg) c, d = in(reg) d, q = in(reg) q_factor,
            k = inout(reg) t.k_factor => _, bias = inout(reg) t.bias => _, max = in(reg) t.max,
            logits = inout(reg) logits.as_mut_ptr() => _,
        );
    }
    // 255 · 2^(x / 2^unit), as `exp2_255` computes it: f is the fraction in units of 2⁻¹⁵, p the polynomial. An iteration is eight
    // slots of the first half (q8) and eight of the second (q9), whose bytes lie side by side. They are rounded as by
    // `Lanes::round_with_carry`: q14 is carried from the first half to the second, and on to the iteration after the next.
    const { assert!(FRACTION_BITS == 5 && EXP2_OCTAVES == 2) };
    // SAFETY: the assembly reads 64 numbers of `logits` and writes 64 bytes at `out` and 16 sums at `total`, by the preconditions
    // of `SoftmaxRow`. Every register that the assembly writes is an operand.
    unsafe {
        neon_asm!(
            "vdup.16 q0, {unit}", "rsb {unit}, {unit}, #0", "vdup.16 q7, {unit}",
            "vmov.i16 q1, #16", "vsub.i16 q0, q1, q0",
            "vld1.16 {{d2[], d3[]}}, [{c}]!", "vld1.16 {{d4[], d5[]}}, [{c}]!",
            "vld1.16 {{d6[], d7[]}}, [{c}]!", "vld1.16 {{d8[], d9[]}}, [{c}]",
            "vmvn.i16 q5, #31", "vmov.i16 q6, #2", "vmov.i16 q14, #16", "vmov.i16 q15, #16",
            "mov {n}, #4",
            "2:",
            "vld1.16 {{d16-d17}}, [{x}]!", "vld1.16 {{d18-d19}}, [{y}]!",
            both!("vshl.s16", "q10, q8, q0", "q11, q9, q0"),
            both!("vshr.u16", "q10, q10, #1", "q11, q11, #1"),
            both!("vqdmulh.s16", "q12, q10, q1", "q13, q11, q1"),
            both!("vadd.i16", "q12, q12, q2", "q13, q13, q2"),
            both!("vqdmulh.s16", "q12, q12, q10", "q13, q13, q11"),
            both!("vadd.i16", "q12, q12, q3", "q13, q13, q3"),
            both!("vqdmulh.s16", "q12, q12, q10", "q13, q13, q11"),
            both!("vadd.i16", "q12, q12, q4", "q13, q13, q4"),
            // A rounding shift by 2 − n. Only the low byte of its count is used, so n is at least −32.
            both!("vshl.s16", "q8, q8, q7", "q9, q9, q7"),
            both!("vmax.s16", "q8, q8, q5", "q9, q9, q5"),
            both!("vsub.i16", "q8, q8, q6", "q9, q9, q6"),
            both!("vrshl.u16", "q12, q12, q8", "q13, q13, q9"),
            "vmov.i16 q10, #31",
            "vadd.i16 q12, q12, q14", "vand q14, q12, q10",
            "vadd.i16 q13, q13, q14", "vmov q14, q15", "vand q15, q13, q10",
            both!("vshr.u16", "q12, q12, #5", "q13, q13, #5"),
            "subs {n}, {n}, #1",
            "vmovn.i16 d16, q12", "vmovn.i16 d17, q13",
            "vpaddl.u8 q9, q8", "vpaddl.u16 q9, q9",
            "vmov.i8 q10, #128", "veor q8, q8, q10",
            "vst1.8 {{d16-d17}}, [{out}]!", "vst1.32 {{d18-d19}}, [{total}]!",
            "bne 2b";
            unit = inout(reg) t.unit => _, c = inout(reg) EXP2.as_ptr() => _, n = out(reg) _, x = inout(reg) logits.as_ptr() => _,
            y = inout(reg) logits[32..].as_ptr() => _, out = inout(reg) t.out => _, total = inout(reg) t.total => _,
        );
    }
}
