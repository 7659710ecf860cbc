//! The lanes of 32-bit Arm. Sixteen f32 are an array, which the compiler keeps in VFP's scalar registers.
//!
//! With VFPv4 (Cortex-A5, A7, A15, A17, and 64-bit processors) a fused multiply-add is one instruction; without it (A8, A9) it is
//! emulated ([`fma`]).

use super::{epilogue, fma, quantise, softmax};
use crate::simd::lanes::{DequantiseVector, LANES, Lanes, SoftmaxRow, VectorActivation};
use crate::simd::portable::Portable;
use core::arch::asm;

/// Proof that the processor has NEON and, if `FUSED`, VFPv4.
#[derive(Clone, Copy)]
pub(crate) struct Neon<const FUSED: bool>(());

impl<const FUSED: bool> Neon<FUSED> {
    /// # Safety
    /// The processor has NEON and, if `FUSED`, VFPv4.
    #[inline(always)]
    pub(crate) const unsafe fn new() -> Self {
        Neon(())
    }
}

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    core::array::from_fn(|i| f(a[i], b[i]))
}

/// a · b + c, rounded once.
///
/// # Safety
/// The processor has VFPv4.
#[inline(always)]
unsafe fn fused(a: f32, b: f32, mut c: f32) -> f32 {
    // SAFETY: the assembly accesses its operands only; the processor has VFPv4, by this function's precondition.
    unsafe {
        asm!(".fpu neon-vfpv4", "vfma.f32 {}, {}, {}", inout(sreg) c, in(sreg) a, in(sreg) b,
             options(pure, nomem, nostack, preserves_flags));
    }
    c
}

// SAFETY of every block below: the processor has the instructions, because `Neon::new` requires them. Pointers are valid for the
// access by the preconditions of the methods of `Lanes`, and have the alignment of the element.
impl<const FUSED: bool> Lanes for Neon<FUSED> {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type H = [i16; 2 * LANES];
    const REGISTERS: usize = 4;
    const SIGN_FLIP: u8 = 128;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        Portable.splat(x)
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        unsafe { Portable.load_at(p) }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        unsafe { Portable.store_at(v, p) }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        unsafe { Portable.load_f16_at(p) }
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        unsafe { Portable.load_bf16_at(p) }
    }
    #[inline(always)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        let upper = v.map(|x| half::bf16::from_bits((x as u32 >> 16) as u16));
        unsafe { p.cast::<[half::bf16; LANES]>().write(upper) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        Portable.add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        Portable.sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        Portable.mul(a, b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        Portable.div(a, b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        match FUSED {
            true => core::array::from_fn(|i| unsafe { fused(a[i], b[i], c[i]) }),
            false => unsafe { fma::fma(&a, &b, &c) },
        }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        Portable.select_greater(a, b, x, y)
    }
    #[inline(always)]
    unsafe fn store_rounded_u8_at(self, v: Self::F, p: *mut u8) {
        let v = self.min(self.max(v, self.splat(0.0)), self.splat(255.0));
        let bytes = v.map(|v| (v + crate::simd::lanes::ROUND).to_bits() as u8 ^ Self::SIGN_FLIP);
        unsafe { p.cast::<[u8; LANES]>().write(bytes) }
    }
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        unsafe { Portable.load_i32_at(p) }
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        Portable.to_f32(v)
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        Portable.bits(v)
    }
    #[inline(always)]
    fn bits_to_f32(self, v: Self::I) -> Self::F {
        Portable.bits_to_f32(v)
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        Portable.add_i32(a, b)
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        Portable.splat_i32(x)
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        Portable.shl23(v)
    }
    #[inline(always)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe { p.cast::<[u8; LANES]>().write(v.map(|x| x as u8)) }
    }
    #[inline(always)]
    fn interleave_low_bytes(self, v: [Self::I; 4]) -> Self::I {
        Portable.interleave_low_bytes(v)
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        unsafe { Portable.store_i32_at(v, p) }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        unsafe { Portable.load_i16_at(p) }
    }
    #[inline(always)]
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H {
        Portable.shift_narrow(a, b, shift)
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        Portable.splat_i16(x)
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        Portable.add_i16(a, b)
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        Portable.sub_i16(a, b)
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        Portable.max_i16(a, b)
    }
    #[inline(always)]
    fn broadcast_max_i16(self, v: Self::H) -> Self::H {
        Portable.broadcast_max_i16(v)
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        v[0]
    }
    #[inline(always)]
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        Portable.mul_high_rounded(a, b)
    }
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        Portable.fraction(x, unit)
    }
    #[inline(always)]
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H {
        Portable.mul_fraction(fraction, c)
    }
    #[inline(always)]
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        Portable.scale_pow2(v, x, unit)
    }
    #[inline(always)]
    fn round_with_carry(self, a: Self::H, b: Self::H) -> [Self::H; 2] {
        Portable.round_with_carry(a, b)
    }
    #[inline(always)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        unsafe {
            let sums = Portable.store_bytes_sum4_at(a, b, p);
            for byte in &mut *p.cast::<[u8; 4 * LANES]>() {
                *byte ^= Self::SIGN_FLIP;
            }
            sums
        }
    }
    #[inline(always)]
    fn dequantises(self, activation: VectorActivation) -> bool {
        FUSED && activation != VectorActivation::Other
    }
    #[inline(always)]
    unsafe fn dequantise(self, v: &DequantiseVector) -> bool {
        unsafe { FUSED && epilogue::dequantise(v) }
    }
    #[inline(always)]
    unsafe fn softmax_row(self, t: &SoftmaxRow) -> bool {
        unsafe { softmax::softmax_row(t) };
        true
    }
    #[inline(always)]
    fn range(self, x: &[[f32; LANES]]) -> Option<(f32, f32)> {
        unsafe { quantise::range(x) }
    }
    #[inline(always)]
    fn quantise(self, x: &[[f32; LANES]], low: f32, inverse: f32, out: &mut [u8]) -> bool {
        unsafe { quantise::quantise::<Self>(x, low, inverse, out) }
    }
}
