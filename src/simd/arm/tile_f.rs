//! The floating-point micro-kernel of every 64-bit Arm processor: 6 rows by 1 panel.
//!
//! The tile loads four activations of each row at once and multiplies by one of the four lanes: `fmla v.4s, v.4s, v.s[i]`. A
//! panel takes four q registers per k, so 6 rows are 24 accumulators, 6 registers of activations and 2 of weights: all 32.

use super::neon::Neon;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::{TileF, float_tiles};
use core::arch::aarch64::*;
use core::arch::asm;

/// Weight types that are widened to f32 when they are loaded, eight at a time: two registers are free for them.
pub(crate) trait NeonWeight: Copy {
    /// Loads eight weights.
    ///
    /// # Safety
    /// 8 weights can be read at `p`; the processor has neon.
    unsafe fn load8(p: *const Self) -> [float32x4_t; 2];
}

impl NeonWeight for f32 {
    #[inline(always)]
    unsafe fn load8(p: *const f32) -> [float32x4_t; 2] {
        // SAFETY: 8 weights can be read at `p`, by this function's precondition.
        unsafe { [vld1q_f32(p), vld1q_f32(p.add(4))] }
    }
}

impl NeonWeight for half::f16 {
    #[inline(always)]
    unsafe fn load8(p: *const half::f16) -> [float32x4_t; 2] {
        let (low, high);
        // SAFETY: 8 weights can be read at `p`, by this function's precondition; the assembly accesses its operands only.
        unsafe {
            asm!("fcvtl {0:v}.4s, {1:v}.4h", "fcvtl2 {1:v}.4s, {1:v}.8h", out(vreg) low, inout(vreg) vreinterpretq_f32_u16(vld1q_u16(p.cast())) => high,
                 options(pure, nomem, nostack, preserves_flags));
        }
        [low, high]
    }
}

/// Adds the products of one k: lane `I` of each row's activations times the 16 weights at `w`.
///
/// # Safety
/// 16 weights can be read at `w`; the processor has neon.
#[inline(always)]
unsafe fn add_products<W: NeonWeight, const ROWS: usize, const I: usize>(
    acc: &mut [[float32x4_t; 4]; ROWS],
    a: &[float32x4_t; ROWS],
    w: *const W,
) {
    for half in 0..2 {
        // SAFETY: 16 weights can be read at `w`, by this function's precondition.
        let w = unsafe { W::load8(w.add(8 * half)) };
        for (j, w) in w.into_iter().enumerate() {
            for (acc, &a) in acc.iter_mut().zip(a) {
                // Without `pure` and `nomem` the compiler keeps the instructions in this order, and so all accumulators in
                // registers.
                // SAFETY: the assembly accesses its operands only.
                unsafe {
                    asm!("fmla {0:v}.4s, {1:v}.4s, {2:v}.s[{3}]", inout(vreg) acc[2 * half + j], in(vreg) w, in(vreg) a,
                         const I, options(nostack, preserves_flags));
                }
            }
        }
    }
}

/// The floating-point tile. K is processed by fours, the rest one by one with the activation in all lanes.
///
/// # Safety
/// The preconditions of [`TileF`], with `ROWS` rows and one panel; the processor has neon.
#[inline(always)]
pub(crate) unsafe fn tile_f<L: Lanes, W: NeonWeight, const ROWS: usize, const PANELS: usize>(
    _: L,
    t: &TileF<W>,
) {
    const { assert!(PANELS == 1) }
    // SAFETY: every access is to row r < ROWS and k < t.k, which the preconditions of `TileF` cover.
    unsafe {
        let mut acc = [[vdupq_n_f32(0.0); 4]; ROWS];
        if !t.overwrite {
            for (r, acc) in acc.iter_mut().enumerate() {
                *acc = core::array::from_fn(|j| vld1q_f32(t.out.add(r * LANES + 4 * j)));
            }
        }
        let whole = t.k / 4 * 4;
        for k in (0..whole).step_by(4) {
            let a: [float32x4_t; ROWS] = core::array::from_fn(|r| vld1q_f32(t.a.add(r * t.a_pitch + k)));
            let w = t.w.add(k * LANES);
            add_products::<W, ROWS, 0>(&mut acc, &a, w);
            add_products::<W, ROWS, 1>(&mut acc, &a, w.add(LANES));
            add_products::<W, ROWS, 2>(&mut acc, &a, w.add(2 * LANES));
            add_products::<W, ROWS, 3>(&mut acc, &a, w.add(3 * LANES));
        }
        for k in whole..t.k {
            let a: [float32x4_t; ROWS] = core::array::from_fn(|r| vdupq_n_f32(*t.a.add(r * t.a_pitch + k)));
            add_products::<W, ROWS, 0>(&mut acc, &a, t.w.add(k * LANES));
        }
        for (r, acc) in acc.iter().enumerate() {
            for (j, &v) in acc.iter().enumerate() {
                vst1q_f32(t.out.add(r * LANES + 4 * j), v);
            }
        }
    }
}

float_tiles!(Neon::new(), tile_f, NeonWeight, [target_feature(enable = "neon")], 1 2 3 4 5 6, [1]);
