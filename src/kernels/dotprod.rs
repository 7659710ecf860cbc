//! Armv8.2 dot products: `sdot` multiplies 4 outputs by 4 inputs, which it takes from any quarter of a register.

use super::lanes::LANES;
use super::micro::{TileI8, pick_tile};
use core::arch::aarch64::*;
use core::arch::asm;

/// Adds the products of one group: quarter `I` of each row's sixteen activations with the 64 weights at `w`.
///
/// # Safety
/// 64 bytes can be read at `w`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn group<const ROWS: usize, const I: usize>(
    acc: &mut [[int32x4_t; 4]; ROWS],
    a: &[int8x16_t; ROWS],
    w: *const i8,
) {
    for j in 0..4 {
        // SAFETY: the caller's promise.
        let w = unsafe { vld1q_s8(w.add(j * 16)) };
        for (acc, &a) in acc.iter_mut().zip(a) {
            // SAFETY: registers in, registers out; the function asks for dotprod. The intrinsic is not stable. Without
            // `pure` and `nomem` the order stays as written, which keeps all accumulators in registers.
            unsafe {
                asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{3}]", inout(vreg) acc[j], in(vreg) w, in(vreg) a, const I,
                     options(nostack, preserves_flags));
            }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has dotprod.
#[target_feature(enable = "neon,dotprod")]
unsafe fn dot<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1) }
    let mut acc = [[vdupq_n_s32(0); 4]; ROWS];
    let whole = t.groups / 4;
    for g in 0..whole {
        // SAFETY: the tile's promise: 16 bytes of each row, 256 of the panel.
        unsafe {
            // q ^ 128 as i8 is q − 128.
            let a: [int8x16_t; ROWS] = core::array::from_fn(|r| {
                vreinterpretq_s8_u8(veorq_u8(vld1q_u8(t.a.add(r * t.pitch + g * 16)), vdupq_n_u8(0x80)))
            });
            let w = t.w.add(g * 256);
            group::<ROWS, 0>(&mut acc, &a, w);
            group::<ROWS, 1>(&mut acc, &a, w.add(64));
            group::<ROWS, 2>(&mut acc, &a, w.add(128));
            group::<ROWS, 3>(&mut acc, &a, w.add(192));
        }
    }
    for g in whole * 4..t.groups {
        // SAFETY: the tile's promise: 4 bytes of each row, 64 of the panel.
        unsafe {
            let a: [int8x16_t; ROWS] = core::array::from_fn(|r| {
                let four = t.a.add(r * t.pitch + g * 4).cast::<u32>().read_unaligned();
                vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x8080_8080))
            });
            group::<ROWS, 0>(&mut acc, &a, t.w.add(g * 64));
        }
    }
    for (r, acc) in acc.iter().enumerate() {
        for (j, &v) in acc.iter().enumerate() {
            // SAFETY: the tile's promise: 16 outputs a row.
            unsafe { vst1q_s32(t.out.add(r * LANES + 4 * j), v) }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has dotprod; at most 6 rows and 1 panel.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe { pick_tile!(rows, panels, 1 2 3 4 5 6, [1], dot[](t)) }
}
