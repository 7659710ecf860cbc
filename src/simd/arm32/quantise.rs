//! The range of a row and its quantisation, with NEON.

use super::asm::{FLUSHED, clear_flushed, neon_asm};
use crate::simd::lanes::{LANES, Lanes, ROUND};

/// [`Lanes::range`]: `None` if numbers were flushed to zero or are NaN, or if there are none.
///
/// # Safety
/// The processor has NEON.
pub(crate) unsafe fn range(x: &[[f32; LANES]]) -> Option<(f32, f32)> {
    let (first, rest) = x.split_first()?;
    let (mut low, mut high, mut flushed) = (first.as_ptr() as u32, rest.as_ptr() as u32, FLUSHED);
    // SAFETY: the assembly reads `first` and the vectors of `rest`. Every register that it writes is an operand; the
    // processor has NEON, by this function's precondition.
    unsafe {
        neon_asm!(
            "vldmia {low}, {{d0-d7}}",
            "vmov q8, q0", "vmov q9, q1", "vmov q10, q2", "vmov q11, q3",
            "2:", "subs {n}, {n}, #1", "blt 3f",
            "vldmia {high}!, {{d24-d31}}",
            "vmin.f32 q0, q0, q12", "vmax.f32 q8, q8, q12", "vmin.f32 q1, q1, q13", "vmax.f32 q9, q9, q13",
            "vmin.f32 q2, q2, q14", "vmax.f32 q10, q10, q14", "vmin.f32 q3, q3, q15", "vmax.f32 q11, q11, q15",
            "b 2b",
            "3:",
            "vmin.f32 q0, q0, q1", "vmin.f32 q2, q2, q3", "vmax.f32 q8, q8, q9", "vmax.f32 q10, q10, q11",
            "vmin.f32 q0, q0, q2", "vmax.f32 q8, q8, q10",
            "vpmin.f32 d0, d0, d1", "vpmax.f32 d16, d16, d17",
            "vpmin.f32 d0, d0, d0", "vpmax.f32 d16, d16, d16",
            "vmov {low}, s0", "vmov.32 {high}, d16[0]",
            "vmrs {n}, fpscr", "and {flushed}, {flushed}, {n}";
            n = inout(reg) rest.len() => _, low = inout(reg) low, high = inout(reg) high, flushed = inout(reg) flushed,
        );
        if flushed != 0 {
            clear_flushed();
            return None;
        }
    }
    let (low, high) = (f32::from_bits(low), f32::from_bits(high));
    // Minimum and maximum are NaN if any number is.
    (!low.is_nan()).then_some((low, high))
}

/// [`Lanes::quantise`]: false if numbers were flushed to zero.
///
/// # Safety
/// The processor has NEON.
pub(crate) unsafe fn quantise<L: Lanes>(x: &[[f32; LANES]], low: f32, inverse: f32, out: &mut [u8]) -> bool {
    assert!(out.len() == x.len() * LANES, "every number must have a byte");
    let constants = [low, inverse, ROUND, 255.0];
    let mut flushed = FLUSHED;
    // NaN and infinities come out as the contract of `store_rounded_u8_at` says: the low byte of NaN's bits is 0, and infinities
    // are clamped.
    // SAFETY: the assembly reads the vectors of `x` and writes as many bytes to `out`. Every register that it writes is an
    // operand; the processor has NEON, by this function's precondition.
    unsafe {
        neon_asm!(
            "vld1.32 {{d0[], d1[]}}, [{c}]!", "vld1.32 {{d2[], d3[]}}, [{c}]!", "vld1.32 {{d4[], d5[]}}, [{c}]!",
            "vld1.32 {{d6[], d7[]}}, [{c}]", "vmov.i32 q4, #0", "vdup.8 q5, {flip}",
            "2:", "subs {n}, {n}, #1", "blt 3f",
            "vldmia {x}!, {{d16-d23}}",
            "vsub.f32 q8, q8, q0", "vsub.f32 q9, q9, q0", "vsub.f32 q10, q10, q0", "vsub.f32 q11, q11, q0",
            "vmul.f32 q8, q8, q1", "vmul.f32 q9, q9, q1", "vmul.f32 q10, q10, q1", "vmul.f32 q11, q11, q1",
            "vmax.f32 q8, q8, q4", "vmax.f32 q9, q9, q4", "vmax.f32 q10, q10, q4", "vmax.f32 q11, q11, q4",
            "vmin.f32 q8, q8, q3", "vmin.f32 q9, q9, q3", "vmin.f32 q10, q10, q3", "vmin.f32 q11, q11, q3",
            "vadd.f32 q8, q8, q2", "vadd.f32 q9, q9, q2", "vadd.f32 q10, q10, q2", "vadd.f32 q11, q11, q2",
            "vmovn.i32 d12, q8", "vmovn.i32 d13, q9", "vmovn.i32 d14, q10", "vmovn.i32 d15, q11",
            "vmovn.i16 d16, q6", "vmovn.i16 d17, q7", "veor q8, q8, q5",
            "vst1.8 {{d16-d17}}, [{out}]!",
            "b 2b",
            "3:", "vmrs {n}, fpscr", "and {flushed}, {flushed}, {n}";
            n = inout(reg) x.len() => _, x = inout(reg) x.as_ptr() => _, out = inout(reg) out.as_mut_ptr() => _,
            c = inout(reg) constants.as_ptr() => _, flip = in(reg) u32::from(L::SIGN_FLIP), flushed = inout(reg) flushed,
        );
        if flushed != 0 {
            clear_flushed();
        }
    }
    flushed == 0
}
