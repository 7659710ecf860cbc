//! Multiply-adds that round once, on processors without VFPv4 (Cortex-A8, A9).
//!
//! The product is exact in f64. Rounding the sum to f64 and then to f32 can differ from one rounding only if the f64 sum is
//! halfway between two f32, or the result is subnormal. Both are detected for sixteen lanes at once (the dropped bits; a bit of
//! FPSCR), and such vectors are recomputed by the portable emulation: for halfway sums, one random sum in 2²⁹.

use super::asm::{FLUSHED, clear_flushed, neon_asm};
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::portable::Portable;

/// One lane of eight: the sum of the product of `s$a` and `s$b` and of `s$c`, in the f64 register `d$sum`. `d$x` and `d$y` are free.
#[rustfmt::skip]
macro_rules! sum {
    ($sum:literal, $a:literal $b:literal $c:literal, $x:literal $y:literal) => {
        concat!(
            "vcvt.f64.f32 d", $x, ", s", $a, "\nvcvt.f64.f32 d", $y, ", s", $b, "\n",
            "vmul.f64 d", $sum, ", d", $x, ", d", $y, "\nvcvt.f64.f32 d", $x, ", s", $c, "\n",
            "vadd.f64 d", $sum, ", d", $sum, ", d", $x, "\n",
        )
    };
}

/// Eight lanes. q14 collects the sums whose last 29 bits, which f32 does not have, are those of the middle; q15 is 2³¹ in all
/// lanes.
#[rustfmt::skip]
macro_rules! eight {
    () => {
        concat!(
            "vldmia {a}!, {{d0-d3}}\nvldmia {b}!, {{d4-d7}}\nvldmia {c}!, {{d8-d11}}\n",
            sum!("16", "0" "8" "16", "24" "25"), sum!("17", "1" "9" "17", "26" "27"),
            sum!("18", "2" "10" "18", "24" "25"), sum!("19", "3" "11" "19", "26" "27"),
            sum!("20", "4" "12" "20", "24" "25"), sum!("21", "5" "13" "21", "26" "27"),
            sum!("22", "6" "14" "22", "24" "25"), sum!("23", "7" "15" "23", "26" "27"),
            "vcvt.f32.f64 s0, d16\nvcvt.f32.f64 s1, d17\nvcvt.f32.f64 s2, d18\nvcvt.f32.f64 s3, d19\n",
            "vcvt.f32.f64 s4, d20\nvcvt.f32.f64 s5, d21\nvcvt.f32.f64 s6, d22\nvcvt.f32.f64 s7, d23\n",
            // The low halves of the sums, without the three bits that f32 has.
            "vmovn.i64 d24, q8\nvmovn.i64 d25, q9\nvmovn.i64 d26, q10\nvmovn.i64 d27, q11\n",
            "vshl.i32 q12, q12, #3\nvshl.i32 q13, q13, #3\nvceq.i32 q12, q12, q15\nvceq.i32 q13, q13, q15\n",
            "vorr q14, q14, q12\nvorr q14, q14, q13\n",
            "vstmia {out}!, {{d0-d3}}\n",
        )
    };
}

/// a · b + c, rounded once.
///
/// # Safety
/// The processor has NEON.
#[inline(never)]
pub(crate) unsafe fn fma(a: &[f32; LANES], b: &[f32; LANES], c: &[f32; LANES]) -> [f32; LANES] {
    let (mut out, mut unsure) = ([0.0; LANES], FLUSHED);
    // SAFETY: the assembly reads the operands and writes `out`, 16 numbers each. Every register that it writes is an operand; the
    // processor has NEON, by this function's precondition.
    unsafe {
        neon_asm!(
            "vmov.i32 q14, #0", "vmov.i32 q15, #0x80000000",
            eight!(),
            eight!(),
            "vorr d28, d28, d29", "vmov {a}, {b}, d28", "orr {a}, {a}, {b}",
            "vmrs {b}, fpscr", "and {unsure}, {unsure}, {b}", "orr {unsure}, {unsure}, {a}";
            a = inout(reg) a.as_ptr() => _, b = inout(reg) b.as_ptr() => _, c = inout(reg) c.as_ptr() => _,
            out = inout(reg) out.as_mut_ptr() => _, unsure = inout(reg) unsure,
        );
        if unsure != 0 {
            out = Portable.fma(*a, *b, *c);
            clear_flushed();
        }
    }
    out
}
