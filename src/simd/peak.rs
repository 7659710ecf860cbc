//! Peak multiply-accumulate throughput of each instruction set, measured on registers alone.
//!
//! Each loop repeats the instructions that bound the micro-kernel of its instruction set, without loads and stores, on twelve
//! independent accumulators: enough to hide the latency of the instructions. A micro-kernel cannot be faster, so the ratio of
//! its speed to this peak says how much is left to gain.

use super::isa::Isa;
use crate::parallel::{Parallel, Workers};
use std::time::{Duration, Instant};

/// A peak loop.
struct Loop {
    /// Multiply-accumulates per accumulator and round.
    macs: u64,
    /// Runs a number of rounds, at least 1; the processor must have the instructions.
    run: unsafe fn(usize),
}

/// Accumulators of a loop.
const ACCUMULATORS: u64 = 12;
/// The duration of one measurement.
const WINDOW: Duration = Duration::from_millis(2);
/// The number of measurements. The fastest is reported, so that other processes on the machine disturb the result less.
const WINDOWS: usize = 100;

impl Isa {
    /// Peak multiply-accumulates per second of all workers of `par` together, in int8 or in f32. `None` for the portable
    /// instruction set, where the compiler chooses the instructions.
    pub fn peak(self, int8: bool, par: &dyn Parallel) -> Option<f64> {
        let peak_loop = loops::find(self.name(), int8)?;
        // SAFETY: the processor has the instructions, because this is an `Isa`; there is at least one round.
        let run = |rounds| unsafe { (peak_loop.run)(rounds) };
        let mut rounds = 1000;
        loop {
            let start = Instant::now();
            run(rounds);
            if start.elapsed() >= WINDOW {
                break;
            }
            rounds *= 2;
        }
        let workers = Workers::new(par);
        let macs = workers.count() as u64 * rounds as u64 * ACCUMULATORS * peak_loop.macs;
        let window = || {
            let start = Instant::now();
            workers.run(workers.count(), &|_, _| run(rounds));
            macs as f64 / start.elapsed().as_secs_f64()
        };
        (0..WINDOWS).map(|_| window()).max_by(f64::total_cmp)
    }
}

/// Defines a function `$name(rounds)` that runs one peak loop in inline assembly.
///
/// - `$features`: the target features of the function;
/// - `[$($i)*]`: the register numbers of the twelve accumulators;
/// - `$clear!(i)`: the instruction that clears accumulator i, before the loop;
/// - `$fill`: the instructions that fill the factor register from `{x}`, before the loop;
/// - `$step!(i)`: the multiply-accumulate of accumulator i, once per round;
/// - `$next`: counts `{n}` down and branches to `2:` until it is 0;
/// - `[$($clobbered)*]`: every vector register that the assembly writes.
///
/// | register | x86-64 | Arm |
/// | --- | --- | --- |
/// | accumulators | xmm0–11, ymm0–11 or zmm0–11 | v0–7, v16–19 (v8–15 are callee-saved) |
/// | both factors | xmm12, ymm12 or zmm12 | v20 |
/// | intermediate products | xmm13 or ymm13 (`pmaddwd`, `pmaddubsw`) | v21 (`smull`) |
/// | signs (AVX2) | ymm14 | |
///
/// Adding an instruction set takes a `$step` macro, an invocation of `x86!` or `arm!`, and a line in `find`.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
macro_rules! peak_loop {
    ($name:ident, $features:literal, [$($i:literal)*], $clear:ident, $fill:literal, $step:ident, $next:literal,
     [$($clobbered:tt)*]) => {
        /// # Safety
        /// The processor has the features; `rounds` is at least 1.
        #[target_feature(enable = $features)]
        unsafe fn $name(rounds: usize) {
            // The bytes of the factor are 0x3F and 0x7F; as f32 it is just below 1, so that no sum is ever subnormal or infinite.
            // SAFETY: the assembly accesses registers only, and every register that it writes is an operand; the processor has
            // the features, by this function's precondition.
            unsafe {
                core::arch::asm!(
                    $($clear!($i),)* $fill, "2:", $($step!($i),)* $next,
                    n = inout(reg) rounds => _, x = in(reg) 0x3F7F_7F7Fu64, $(out($clobbered) _,)* options(nomem, nostack),
                );
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod loops {
    use super::Loop;

    macro_rules! x86 {
        ($name:ident, $features:literal, $fill:literal, $step:ident) => { x86!($name, $features, clear, $fill, $step); };
        ($name:ident, $features:literal, $clear:ident, $fill:literal, $step:ident) => {
            peak_loop!($name, $features, ["0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11"], $clear, $fill, $step,
                "dec {n}\njnz 2b",
                ["xmm0" "xmm1" "xmm2" "xmm3" "xmm4" "xmm5" "xmm6" "xmm7" "xmm8" "xmm9" "xmm10" "xmm11" "xmm12" "xmm13" "xmm14"]);
        };
    }
    #[rustfmt::skip]
    macro_rules! clear { ($i:literal) => { concat!("vpxor xmm", $i, ", xmm", $i, ", xmm", $i) } }
    #[rustfmt::skip]
    macro_rules! clear_sse { ($i:literal) => { concat!("pxor xmm", $i, ", xmm", $i) } }
    #[rustfmt::skip]
    macro_rules! madd_sse {
        ($i:literal) => { concat!("movdqa xmm13, xmm12\npmaddwd xmm13, xmm12\npaddd xmm", $i, ", xmm13") }
    }
    // Two products in f64, whose sums are rounded to f32: without the test for sums halfway between two f32.
    #[rustfmt::skip]
    macro_rules! mul_add_sse {
        ($i:literal) => {
            concat!("movapd xmm13, xmm12\nmulpd xmm13, xmm12\naddpd xmm", $i, ", xmm13\ncvtpd2ps xmm", $i, ", xmm", $i,
                "\ncvtps2pd xmm", $i, ", xmm", $i)
        }
    }
    #[rustfmt::skip]
    macro_rules! maddubs {
        ($i:literal) => {
            concat!("vpxor ymm13, ymm12, ymm14\nvpmaddubsw ymm13, ymm12, ymm13\nvpmaddwd ymm13, ymm13, ymm12\nvpaddd ymm", $i,
                ", ymm", $i, ", ymm13")
        }
    }
    #[rustfmt::skip]
    macro_rules! dot_ymm { ($i:literal) => { concat!("{{vex}} vpdpbusd ymm", $i, ", ymm12, ymm12") } }
    #[cfg(any(test, feature = "bench"))]
    #[rustfmt::skip]
    macro_rules! dot_evex { ($i:literal) => { concat!("{{evex}} vpdpbusd ymm", $i, ", ymm12, ymm12") } }
    #[rustfmt::skip]
    macro_rules! dot_zmm { ($i:literal) => { concat!("vpdpbusd zmm", $i, ", zmm12, zmm12") } }
    #[rustfmt::skip]
    macro_rules! fma_ymm { ($i:literal) => { concat!("vfmadd231ps ymm", $i, ", ymm12, ymm12") } }
    #[rustfmt::skip]
    macro_rules! fma_zmm { ($i:literal) => { concat!("vfmadd231ps zmm", $i, ", zmm12, zmm12") } }

    x86!(i8_sse41, "sse4.1", clear_sse, "movd xmm12, {x:e}\npshufd xmm12, xmm12, 0", madd_sse);
    x86!(f_sse41, "sse4.1", clear_sse, "movd xmm12, {x:e}\npshufd xmm12, xmm12, 0", mul_add_sse);
    x86!(
        i8_avx2,
        "avx2",
        "vmovd xmm12, {x:e}\nvpbroadcastd ymm12, xmm12\nvpxor xmm14, xmm14, xmm14",
        maddubs
    );
    x86!(i8_avxvnni, "avx2,avxvnni", "vmovd xmm12, {x:e}\nvpbroadcastd ymm12, xmm12", dot_ymm);
    #[cfg(any(test, feature = "bench"))]
    x86!(i8_evex, "avx2,avx512vnni,avx512vl", "vmovd xmm12, {x:e}\nvpbroadcastd ymm12, xmm12", dot_evex);
    x86!(i8_avx512, "avx512f,avx512vnni", "vpbroadcastd zmm12, {x:e}", dot_zmm);
    x86!(f_avx2, "avx2,fma", "vmovd xmm12, {x:e}\nvpbroadcastd ymm12, xmm12", fma_ymm);
    x86!(f_avx512, "avx512f", "vpbroadcastd zmm12, {x:e}", fma_zmm);

    pub(super) fn find(isa: &str, int8: bool) -> Option<Loop> {
        Some(match (isa, int8) {
            ("sse4.1", true) => Loop { macs: 8, run: i8_sse41 },
            ("sse4.1", false) => Loop { macs: 2, run: f_sse41 },
            ("avx2", true) => Loop { macs: 32, run: i8_avx2 },
            ("avxvnni", true) => Loop { macs: 32, run: i8_avxvnni },
            #[cfg(any(test, feature = "bench"))]
            ("avxvnni-evex", true) => Loop { macs: 32, run: i8_evex },
            ("avx512", true) => Loop { macs: 64, run: i8_avx512 },
            ("avx2" | "avxvnni" | "avxvnni-evex", false) => Loop { macs: 8, run: f_avx2 },
            ("avx512", false) => Loop { macs: 16, run: f_avx512 },
            _ => return None,
        })
    }
}

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod loops {
    use super::Loop;

    macro_rules! arm {
        ($name:ident, $features:literal, $step:ident) => {
            peak_loop!($name, $features, ["0" "1" "2" "3" "4" "5" "6" "7" "16" "17" "18" "19"], clear, "dup v20.4s, {x:w}", $step,
                "subs {n}, {n}, #1\nb.ne 2b",
                ["v0" "v1" "v2" "v3" "v4" "v5" "v6" "v7" "v16" "v17" "v18" "v19" "v20" "v21"]);
        };
    }
    #[rustfmt::skip]
    macro_rules! clear { ($i:literal) => { concat!("movi v", $i, ".4s, #0") } }
    // As in `tile_i8`: two products per 16-bit lane, then pairs of lanes are added to 32-bit accumulators.
    #[rustfmt::skip]
    macro_rules! widen {
        ($i:literal) => {
            concat!("smull v21.8h, v20.8b, v20.8b\nsmlal v21.8h, v20.8b, v20.8b\nsadalp v", $i, ".4s, v21.8h")
        }
    }
    #[rustfmt::skip]
    macro_rules! dot { ($i:literal) => { concat!("sdot v", $i, ".4s, v20.16b, v20.16b") } }
    #[rustfmt::skip]
    macro_rules! matrix { ($i:literal) => { concat!("usmmla v", $i, ".4s, v20.16b, v20.16b") } }
    #[rustfmt::skip]
    macro_rules! fma { ($i:literal) => { concat!("fmla v", $i, ".4s, v20.4s, v20.4s") } }

    arm!(i8_neon, "neon", widen);
    arm!(i8_dotprod, "neon,dotprod", dot);
    arm!(i8_i8mm, "neon,i8mm", matrix);
    arm!(f_neon, "neon", fma);

    pub(super) fn find(isa: &str, int8: bool) -> Option<Loop> {
        Some(match (isa, int8) {
            ("neon", true) => Loop { macs: 16, run: i8_neon },
            ("dotprod", true) => Loop { macs: 16, run: i8_dotprod },
            ("i8mm", true) => Loop { macs: 32, run: i8_i8mm },
            ("neon" | "dotprod" | "i8mm", false) => Loop { macs: 4, run: f_neon },
            _ => return None,
        })
    }
}

#[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
mod loops {
    use super::Loop;
    use crate::simd::arm32::asm::neon_asm;

    /// Defines `$name(rounds)`: `$step!(i)` for the accumulators q4 to q15, whose factors are q0.
    macro_rules! arm32 {
        ($name:ident, $step:ident) => {
            /// # Safety
            /// The processor has NEON and VFPv4 if `$step` has its instructions; `rounds` is at least 1.
            unsafe fn $name(rounds: usize) {
                // SAFETY: the assembly accesses registers only, and every register that it writes is an operand.
                unsafe {
                    neon_asm!(
                        "vmov.i32 q4, #0", "vmov.i32 q5, #0", "vmov.i32 q6, #0", "vmov.i32 q7, #0", "vmov.i32 q8, #0",
                        "vmov.i32 q9, #0", "vmov.i32 q10, #0", "vmov.i32 q11, #0", "vmov.i32 q12, #0", "vmov.i32 q13, #0",
                        "vmov.i32 q14, #0", "vmov.i32 q15, #0", "vdup.32 q0, {x}", "2:",
                        $step!("4" "8"), $step!("5" "10"), $step!("6" "12"), $step!("7" "14"), $step!("8" "16"), $step!("9" "18"),
                        $step!("10" "20"), $step!("11" "22"), $step!("12" "24"), $step!("13" "26"), $step!("14" "28"),
                        $step!("15" "30"), "subs {n}, {n}, #1", "bne 2b";
                        n = inout(reg) rounds => _, x = in(reg) 0x3F7F_7F7F,
                    );
                }
            }
        };
    }
    #[rustfmt::skip]
    macro_rules! widen {
        ($q:literal $d:literal) => { concat!("vmull.s8 q1, d0, d0\nvmlal.s8 q1, d0, d0\nvpadal.s16 q", $q, ", q1") }
    }
    #[rustfmt::skip]
    macro_rules! fma { ($q:literal $d:literal) => { concat!("vfma.f32 q", $q, ", q0, q0") } }
    // One lane of the emulation: conversions, product and sum in f64.
    #[rustfmt::skip]
    macro_rules! emulated {
        ($q:literal $d:literal) => {
            concat!("vcvt.f64.f32 d2, s0\nvcvt.f64.f32 d3, s1\nvcvt.f64.f32 d4, s2\nvmul.f64 d2, d2, d3\n",
                    "vadd.f64 d", $d, ", d2, d4\nvcvt.f32.f64 s12, d", $d)
        }
    }

    arm32!(i8_neon, widen);
    arm32!(f_neon, emulated);
    arm32!(f_vfpv4, fma);

    pub(super) fn find(isa: &str, int8: bool) -> Option<Loop> {
        Some(match (isa, int8) {
            ("neon" | "neon-vfpv4", true) => Loop { macs: 16, run: i8_neon },
            ("neon", false) => Loop { macs: 1, run: f_neon },
            ("neon-vfpv4", false) => Loop { macs: 4, run: f_vfpv4 },
            _ => return None,
        })
    }
}

#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon"),
    all(target_arch = "arm", target_os = "linux", target_abi = "eabihf")
)))]
mod loops {
    pub(super) fn find(_: &str, _: bool) -> Option<super::Loop> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::Serial;

    #[test]
    #[cfg_attr(miri, ignore = "it measures time")]
    fn every_instruction_set_except_portable_has_peaks() {
        for isa in Isa::available() {
            for int8 in [true, false] {
                let peak = isa.peak(int8, &Serial);
                assert_eq!(peak.is_some(), isa.name() != "portable", "{}", isa.name());
                assert!(peak.is_none_or(|p| p.is_finite() && p > 0.0), "{}: {peak:?}", isa.name());
            }
        }
    }
}
