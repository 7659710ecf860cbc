//! Dequantisation with VFPv4, sixteen outputs at a time.
//!
//! Nothing is stored if a subnormal number was flushed to zero on the way.

use super::asm::{FLUSHED, clear_flushed, neon_asm};
use crate::simd::lanes::{DequantiseVector, LANES, VectorActivation};
use crate::simd::math::GELU_OF_INT8;

/// A static, so that the assembly can take its address.
static GELU: [f32; 11] = GELU_OF_INT8;

/// The addend where [`DequantiseVector::addend`] is null.
static ZEROS: [f32; LANES] = [0.0; LANES];

/// GELU of eight outputs, in registers `$x`. `{c}` advances through the constants and returns to the first.
///
/// | registers | contents |
/// | --- | --- |
/// | q0, q1 | y: the outputs within the limits |
/// | q2, q3 | y² |
/// | q12–q15 | polynomial so far and next coefficient, alternating |
#[rustfmt::skip]
macro_rules! gelu {
    ([$x:literal $x1:literal]) => {
        concat!(
            "vld1.32 {{d24[], d25[]}}, [{c}]!\nvld1.32 {{d28[], d29[]}}, [{c}]!\n",
            "vmax.f32 q0, q", $x, ", q12\nvmax.f32 q1, q", $x1, ", q12\n",
            "vmin.f32 q0, q0, q14\nvmin.f32 q1, q1, q14\n",
            "vmul.f32 q2, q0, q0\nvmul.f32 q3, q1, q1\n",
            "vld1.32 {{d24[], d25[]}}, [{c}]!\nvmov q13, q12\n",
            gelu!(@step 12 13 14 15 28 29), gelu!(@step 14 15 12 13 24 25), gelu!(@step 12 13 14 15 28 29),
            gelu!(@step 14 15 12 13 24 25), gelu!(@step 12 13 14 15 28 29), gelu!(@step 14 15 12 13 24 25),
            gelu!(@step 12 13 14 15 28 29),
            // x · (½ + y · p)
            "vld1.32 {{d24[], d25[]}}, [{c}]!\nvmov q13, q12\n",
            "vfma.f32 q12, q0, q14\nvfma.f32 q13, q1, q15\n",
            "vmul.f32 q", $x, ", q", $x, ", q12\nvmul.f32 q", $x1, ", q", $x1, ", q13\n",
            "sub {c}, {c}, #44\n",
        )
    };
    // The next coefficient, in q$c0 and q$c1, plus the polynomial so far times y².
    (@step $p0:literal $p1:literal $c0:literal $c1:literal $low:literal $high:literal) => {
        concat!(
            "vld1.32 {{d", $low, "[], d", $high, "[]}}, [{c}]!\nvmov q", $c1, ", q", $c0, "\n",
            "vfma.f32 q", $c0, ", q", $p0, ", q2\nvfma.f32 q", $c1, ", q", $p1, ", q3\n",
        )
    };
}

/// Bits of the mode of the assembly, besides 1 for ReLU and 2 for GELU.
const ACCUMULATE: u32 = 4;
const BF16: u32 = 8;

/// [`Lanes::dequantise`](crate::simd::lanes::Lanes::dequantise) for all activations but
/// [`VectorActivation::Other`].
///
/// # Safety
/// The preconditions of [`DequantiseVector`]; the processor has VFPv4.
pub(crate) unsafe fn dequantise(v: &DequantiseVector) -> bool {
    let activation = match v.activation {
        VectorActivation::None => 0,
        VectorActivation::Relu => 1,
        VectorActivation::Gelu => 2,
        VectorActivation::Other => return false,
    };
    let mode = activation | u32::from(v.accumulate) * ACCUMULATE | u32::from(v.bf16) * BF16;
    let addend = if v.addend.is_null() { ZEROS.as_ptr() } else { v.addend };
    let mut flushed = FLUSHED;
    // SAFETY: 16 elements are read or written at each pointer, which the preconditions of `DequantiseVector` cover, and the
    // constants. Every register that the assembly writes is an operand.
    unsafe {
        neon_asm!(
            // q12–q15: s · sum + m · weight_sum
            "vldmia {sums}, {{d16-d23}}", "vldmia {weight_sum}, {{d24-d31}}",
            "vld1.32 {{d0[], d1[]}}, [{params}]!", "vld1.32 {{d2[], d3[]}}, [{params}]",
            "vcvt.f32.s32 q12, q12", "vcvt.f32.s32 q13, q13", "vcvt.f32.s32 q14, q14", "vcvt.f32.s32 q15, q15",
            "vcvt.f32.s32 q8, q8", "vcvt.f32.s32 q9, q9", "vcvt.f32.s32 q10, q10", "vcvt.f32.s32 q11, q11",
            "vmul.f32 q12, q12, q1", "vmul.f32 q13, q13, q1", "vmul.f32 q14, q14, q1", "vmul.f32 q15, q15, q1",
            "vfma.f32 q12, q8, q0", "vfma.f32 q13, q9, q0", "vfma.f32 q14, q10, q0", "vfma.f32 q15, q11, q0",
            // q4–q7: that times scale, plus addend
            "vldmia {scale}, {{d16-d23}}", "vldmia {addend}, {{d8-d15}}",
            "vfma.f32 q4, q12, q8", "vfma.f32 q5, q13, q9", "vfma.f32 q6, q14, q10", "vfma.f32 q7, q15, q11",
            "tst {mode}, #3", "beq 3f",
            "tst {mode}, #2", "bne 2f",
            // ReLU
            "vcgt.f32 q0, q4, #0", "vcgt.f32 q1, q5, #0", "vcgt.f32 q2, q6, #0", "vcgt.f32 q3, q7, #0",
            "vand q4, q4, q0", "vand q5, q5, q1", "vand q6, q6, q2", "vand q7, q7, q3",
            "b 3f",
            "2:",
            gelu!(["4" "5"]),
            gelu!(["6" "7"]),
            "3:",
            "tst {mode}, #8", "bne 4f",
            "tst {mode}, #4", "beq 5f",
            "vldmia {out}, {{d16-d23}}",
            "vadd.f32 q4, q4, q8", "vadd.f32 q5, q5, q9", "vadd.f32 q6, q6, q10", "vadd.f32 q7, q7, q11",
            "5:",
            "vmrs {mode}, fpscr", "ands {flushed}, {flushed}, {mode}", "bne 6f",
            "vstmia {out}, {{d8-d15}}",
            "b 6f",
            // bfloat16: the upper halves of the bits plus 0x8000
            "4:",
            "vmrs {mode}, fpscr", "ands {flushed}, {flushed}, {mode}", "bne 6f",
            "vmov.i32 q8, #0x8000",
            "vaddhn.i32 d0, q4, q8", "vaddhn.i32 d1, q5, q8", "vaddhn.i32 d2, q6, q8", "vaddhn.i32 d3, q7, q8",
            "vst1.16 {{d0-d3}}, [{out}]",
            "6:";
            sums = in(reg) v.sums, weight_sum = in(reg) v.weight_sum, scale = in(reg) v.scale, addend = in(reg) addend,
            params = inout(reg) v.params.as_ptr() => _, c = inout(reg) GELU.as_ptr() => _, mode = inout(reg) mode => _,
            flushed = inout(reg) flushed, out = in(reg) v.out,
        );
        if flushed != 0 {
            clear_flushed();
        }
    }
    flushed == 0
}
