//! NEON, which every 64-bit Arm has: sixteen lanes are four q registers. Also the int8 tile for processors without
//! dot products.

use super::lanes::{LANES, Lanes};
use super::micro::{TileI8, pick_tile};
use core::arch::aarch64::*;
use core::arch::asm;

/// Proof of NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The processor has neon.
    #[inline(always)]
    pub(crate) const unsafe fn new() -> Self {
        Neon(())
    }
}

#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; 4], b: [B; 4], f: impl Fn(A, B) -> C) -> [C; 4] {
    core::array::from_fn(|i| f(a[i], b[i]))
}

// SAFETY of every block below: a `Neon` exists only where the processor has the instructions (`Neon::new`); reads and
// writes through pointers are the caller's promise, and need no more than the element's alignment.
impl Lanes for Neon {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [unsafe { vdupq_n_f32(x) }; 4]
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        core::array::from_fn(|i| unsafe { vld1q_f32(p.add(4 * i)) })
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1q_f32(p.add(4 * i), v) }
        }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        let [a, b]: [uint16x8_t; 2] = core::array::from_fn(|i| unsafe { vld1q_u16(p.add(8 * i).cast()) });
        let (a0, a1, b0, b1);
        // As assembly because the intrinsics are younger than the oldest compiler this crate builds with.
        unsafe {
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) a0, in(vreg) a, options(pure, nomem, nostack, preserves_flags));
            asm!("fcvtl2 {0:v}.4s, {1:v}.8h", out(vreg) a1, in(vreg) a, options(pure, nomem, nostack, preserves_flags));
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) b0, in(vreg) b, options(pure, nomem, nostack, preserves_flags));
            asm!("fcvtl2 {0:v}.4s, {1:v}.8h", out(vreg) b1, in(vreg) b, options(pure, nomem, nostack, preserves_flags));
        }
        [a0, a1, b0, b1]
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        core::array::from_fn(|i| unsafe {
            let wide = vmovl_u16(vld1_u16(p.add(4 * i).cast()));
            vreinterpretq_f32_u32(vshlq_n_u32::<16>(wide))
        })
    }
    #[inline(always)]
    unsafe fn store_upper_at(self, v: Self::I, p: *mut half::bf16) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1_s16(p.add(4 * i).cast(), vshrn_n_s32::<16>(v)) }
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vdivq_f32(a, b) })
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        core::array::from_fn(|i| unsafe { vfmaq_f32(c[i], a[i], b[i]) })
    }
    // `fmax` and `fmin` settle zeros and NaN differently.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.if_greater(a, b, a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.if_greater(b, a, a, b)
    }
    #[inline(always)]
    fn if_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        core::array::from_fn(|i| unsafe { vbslq_f32(vcgtq_f32(a[i], b[i]), x[i], y[i]) })
    }
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        core::array::from_fn(|i| unsafe { vld1q_s32(p.add(4 * i)) })
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        v.map(|v| unsafe { vcvtq_f32_s32(v) })
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        v.map(|v| unsafe { vreinterpretq_s32_f32(v) })
    }
    #[inline(always)]
    fn float_of_bits(self, v: Self::I) -> Self::F {
        v.map(|v| unsafe { vreinterpretq_f32_s32(v) })
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| unsafe { vaddq_s32(a, b) })
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        [unsafe { vdupq_n_s32(x) }; 4]
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        v.map(|v| unsafe { vshlq_n_s32::<23>(v) })
    }
    #[inline(always)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe {
            let [a, b] = low_halves(v);
            vst1q_u8(p, vuzp1q_u8(a, b));
        }
    }
    #[inline(always)]
    unsafe fn store_four_bytes_at(self, [a, b, c, d]: [Self::I; 4], p: *mut u8) {
        unsafe {
            let bytes = |v| {
                let [low, high] = low_halves(v);
                vuzp1q_u8(low, high)
            };
            vst4q_u8(p, uint8x16x4_t(bytes(a), bytes(b), bytes(c), bytes(d)));
        }
    }
}

/// The low 16 bits of sixteen i32.
///
/// # Safety
/// The processor has neon.
#[inline(always)]
unsafe fn low_halves(v: [int32x4_t; 4]) -> [uint8x16_t; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let h = v.map(|v| vreinterpretq_u16_s32(v));
        [vreinterpretq_u8_u16(vuzp1q_u16(h[0], h[1])), vreinterpretq_u8_u16(vuzp1q_u16(h[2], h[3]))]
    }
}

/// Four activations of a row, as q − 128 in i8, repeated four times.
///
/// # Safety
/// 4 bytes can be read at `p`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn four(p: *const u8) -> int8x16_t {
    // SAFETY: the caller's promise.
    let four = unsafe { p.cast::<u32>().read_unaligned() };
    vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x8080_8080))
}

/// Products in i16, two to a lane (2 · 128 · 127 < 2¹⁵, weights being at least −127), then pairs of lanes into i32.
///
/// # Safety
/// See [`TileI8`]; the processor has neon.
#[target_feature(enable = "neon")]
unsafe fn widen<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1) }
    // Each output is two lanes: the first and the second half of its groups of four.
    let mut acc = [[vdupq_n_s32(0); 8]; ROWS];
    let pairs = t.groups / 2;
    for g in 0..pairs {
        // SAFETY: the tile's promise: 8 bytes of each row, 128 of the panel.
        unsafe {
            let a: [[int8x16_t; 2]; ROWS] = core::array::from_fn(|r| {
                core::array::from_fn(|i| four(t.a.add(r * t.pitch + g * 8 + i * 4)))
            });
            for j in 0..4 {
                let w0 = vld1q_s8(t.w.add(g * 128 + j * 16));
                let w1 = vld1q_s8(t.w.add(g * 128 + 64 + j * 16));
                for (acc, a) in acc.iter_mut().zip(&a) {
                    let low = vmull_s8(vget_low_s8(a[0]), vget_low_s8(w0));
                    let low = vmlal_s8(low, vget_low_s8(a[1]), vget_low_s8(w1));
                    let high = vmlal_high_s8(vmull_high_s8(a[0], w0), a[1], w1);
                    acc[2 * j] = vpadalq_s16(acc[2 * j], low);
                    acc[2 * j + 1] = vpadalq_s16(acc[2 * j + 1], high);
                }
            }
        }
    }
    if t.groups % 2 == 1 {
        let g = t.groups - 1;
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: the tile's promise: the last 4 bytes of each row, the last 64 of the panel.
            unsafe {
                let a = four(t.a.add(r * t.pitch + g * 4));
                for j in 0..4 {
                    let w = vld1q_s8(t.w.add(g * 64 + j * 16));
                    acc[2 * j] = vpadalq_s16(acc[2 * j], vmull_s8(vget_low_s8(a), vget_low_s8(w)));
                    acc[2 * j + 1] = vpadalq_s16(acc[2 * j + 1], vmull_high_s8(a, w));
                }
            }
        }
    }
    for (r, acc) in acc.iter().enumerate() {
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
