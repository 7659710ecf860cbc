//! The lanes of NEON, which every 64-bit Arm processor has: sixteen lanes are four q registers.
//!
//! Two things differ from x86. `fmax` and `fmin` treat NaN and zeros differently from [`Lanes::max`] and [`Lanes::min`], so
//! these are a comparison and a selection. Fractions ([`Lanes::fraction`]) are in units of 2⁻¹⁵ instead of 2⁻¹⁶, because the
//! multiplication that returns the upper half is signed and doubles the product.

use crate::simd::lanes::{FRACTION_BITS, Lanes};
use core::arch::aarch64::*;
use core::arch::asm;

/// Proof that the processor has NEON.
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

/// Applies a function to the registers of two vectors.
#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; 4], b: [B; 4], f: impl Fn(A, B) -> C) -> [C; 4] {
    core::array::from_fn(|i| f(a[i], b[i]))
}

// SAFETY of every block below: the processor has the instructions, because `Neon::new` requires them. Pointers are valid for the
// access by the preconditions of the methods of `Lanes`; loads and stores need no more than the alignment of the element.
impl Lanes for Neon {
    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    type H = [int16x8_t; 4];
    const REGISTERS: usize = 4;
    const SIGN_FLIP: u8 = 128;

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
        // In assembly, because the intrinsics are newer than the minimum supported Rust version.
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
        let [a, b]: [uint16x8_t; 2] = core::array::from_fn(|i| unsafe { vld1q_u16(p.add(8 * i).cast()) });
        unsafe {
            let halves = [
                vmovl_u16(vget_low_u16(a)),
                vmovl_high_u16(a),
                vmovl_u16(vget_low_u16(b)),
                vmovl_high_u16(b),
            ];
            halves.map(|half| vreinterpretq_f32_u32(vshlq_n_u32::<16>(half)))
        }
    }
    #[inline(always)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        for (i, [a, b]) in v.as_chunks().0.iter().enumerate() {
            unsafe { vst1q_s16(p.add(8 * i).cast(), vshrn_high_n_s32::<16>(vshrn_n_s32::<16>(*a), *b)) }
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
    // `fmax` and `fmin` would treat zeros and NaN differently.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.select_greater(a, b, a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.select_greater(b, a, a, b)
    }
    #[inline(always)]
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        core::array::from_fn(|i| unsafe { vbslq_f32(vcgtq_f32(a[i], b[i]), x[i], y[i]) })
    }
    #[inline(always)]
    fn max_number(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vmaxnmq_f32(a, b) })
    }
    #[inline(always)]
    fn min_number(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| unsafe { vminnmq_f32(a, b) })
    }
    // The conversion saturates: ±∞ become the extreme i32, whose narrowed low bytes are as specified, and NaN becomes 0.
    #[inline(always)]
    unsafe fn store_rounded_u8_at(self, v: Self::F, p: *mut u8) {
        unsafe {
            let [a, b] = low_halves(v.map(|v| vcvtnq_s32_f32(v)));
            vst1q_u8(p, flip_sign(vuzp1q_u8(a, b)));
        }
    }
    #[inline(always)]
    fn reduce_sum(self, [a, b, c, d]: Self::F) -> f32 {
        unsafe {
            let v = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
            vaddv_f32(vadd_f32(vget_low_f32(v), vget_high_f32(v)))
        }
    }
    #[inline(always)]
    fn reduce_max(self, [a, b, c, d]: Self::F) -> f32 {
        unsafe { vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(a, b), vmaxnmq_f32(c, d))) }
    }
    #[inline(always)]
    fn reduce_min(self, [a, b, c, d]: Self::F) -> f32 {
        unsafe { vminnmvq_f32(vminnmq_f32(vminnmq_f32(a, b), vminnmq_f32(c, d))) }
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
    fn bits_to_f32(self, v: Self::I) -> Self::F {
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
    fn interleave_low_bytes(self, [a, b, c, d]: [Self::I; 4]) -> Self::I {
        core::array::from_fn(|i| unsafe {
            let (low, high) = (vsliq_n_s32::<8>(a[i], b[i]), vsliq_n_s32::<8>(c[i], d[i]));
            vsliq_n_s32::<16>(low, high)
        })
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        for (i, v) in v.into_iter().enumerate() {
            unsafe { vst1q_s32(p.add(4 * i), v) }
        }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        core::array::from_fn(|i| unsafe { vld1q_s16(p.add(8 * i)) })
    }
    #[inline(always)]
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H {
        // Shifted left instead, the results are the upper halves.
        let left = unsafe { vdupq_n_s32(16 - shift as i32) };
        zip(a, b, |a, b| unsafe {
            let halves = [a, b].map(|v| vreinterpretq_s16_s32(vshlq_s32(v, left)));
            vuzp2q_s16(halves[0], halves[1])
        })
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        [unsafe { vdupq_n_s16(x) }; 4]
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vaddq_s16(a, b) })
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vqsubq_s16(a, b) })
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vmaxq_s16(a, b) })
    }
    #[inline(always)]
    fn broadcast_max_i16(self, [a, b, c, d]: Self::H) -> Self::H {
        unsafe { [vdupq_n_s16(vmaxvq_s16(vmaxq_s16(vmaxq_s16(a, b), vmaxq_s16(c, d)))); 4] }
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        unsafe { vgetq_lane_s16::<0>(v[0]) }
    }
    #[inline(always)]
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        zip(a, b, |a, b| unsafe { vqrdmulhq_s16(a, b) })
    }
    // Fractions are in units of 2⁻¹⁵, for the doubling multiplication in `mul_fraction`.
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        let left = unsafe { vdupq_n_s16(16 - unit as i16) };
        x.map(|x| unsafe {
            vreinterpretq_s16_u16(vshrq_n_u16::<1>(vreinterpretq_u16_s16(vshlq_s16(x, left))))
        })
    }
    #[inline(always)]
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H {
        zip(fraction, c, |f, c| unsafe { vqdmulhq_s16(f, c) })
    }
    #[inline(always)]
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        let unit = unsafe { vdupq_n_s16(-(unit as i16)) };
        zip(v, x, |v, x| unsafe {
            // The shift uses the low byte of its count only, so the count is clamped first.
            let n = vmaxq_s16(vshlq_s16(x, unit), vdupq_n_s16(-32));
            vreinterpretq_s16_u16(vrshlq_u16(vreinterpretq_u16_s16(v), n))
        })
    }
    #[inline(always)]
    fn round_with_carry(self, a: Self::H, b: Self::H) -> [Self::H; 2] {
        const FRACTION: i32 = FRACTION_BITS as i32;
        let mut x = [a, b];
        unsafe {
            let mask = vdupq_n_s16((1 << FRACTION) - 1);
            let mut carry = [vdupq_n_s16(1 << (FRACTION - 1)); 2];
            for (i, h) in [(0, 0), (1, 0), (0, 2), (1, 2)] {
                for (x, carry) in x[i][h..h + 2].iter_mut().zip(&mut carry) {
                    let u = vaddq_s16(*x, *carry);
                    (*x, *carry) = (vshrq_n_s16::<FRACTION>(u), vandq_s16(u, mask));
                }
            }
        }
        x
    }
    #[inline(always)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        core::array::from_fn(|q| unsafe {
            let bytes = vuzp1q_u8(vreinterpretq_u8_s16(a[q]), vreinterpretq_u8_s16(b[q]));
            vst1q_u8(p.add(16 * q), flip_sign(bytes));
            vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(bytes)))
        })
    }
    #[inline(always)]
    fn reduce_max_each(self, v: &[Self::F; 8]) -> [f32; 8] {
        let mut out = [0.0; 8];
        unsafe {
            for (out, v) in out.chunks_exact_mut(4).zip(v.chunks_exact(4)) {
                let mut merged = [vdupq_n_f32(0.0); 4];
                for (merged, [a, b, c, d]) in merged.iter_mut().zip(v) {
                    *merged = vmaxq_f32(vmaxq_f32(*a, *b), vmaxq_f32(*c, *d));
                }
                let [a, b, c, d] = merged;
                vst1q_f32(out.as_mut_ptr(), vpmaxq_f32(vpmaxq_f32(a, b), vpmaxq_f32(c, d)));
            }
        }
        out
    }
}

/// What the sums of a panel start from if the activations are unsigned bytes, but are multiplied as signed bytes, 128 less: 128
/// times the sums of weights.
///
/// # Safety
/// 16 i32 can be read at `w_sum`; the processor has neon.
#[inline(always)]
pub(super) unsafe fn unsigned_start(w_sum: *const i32) -> [int32x4_t; 4] {
    // SAFETY: 16 i32 can be read at `w_sum`, by this function's precondition.
    unsafe { Neon::new().load_i32_at(w_sum).map(|sum| vshlq_n_s32::<7>(sum)) }
}

/// XORs bytes with [`Lanes::SIGN_FLIP`].
///
/// # Safety
/// The processor has neon.
#[inline(always)]
unsafe fn flip_sign(bytes: uint8x16_t) -> uint8x16_t {
    // SAFETY: the processor has neon, by this function's precondition.
    unsafe { veorq_u8(bytes, vdupq_n_u8(Neon::SIGN_FLIP)) }
}

/// The low 16 bits of sixteen i32.
///
/// # Safety
/// The processor has neon.
#[inline(always)]
unsafe fn low_halves(v: [int32x4_t; 4]) -> [uint8x16_t; 2] {
    // SAFETY: the processor has neon, by this function's precondition.
    unsafe {
        let h = v.map(|v| vreinterpretq_u16_s32(v));
        [vreinterpretq_u8_u16(vuzp1q_u16(h[0], h[1])), vreinterpretq_u8_u16(vuzp1q_u16(h[2], h[3]))]
    }
}
