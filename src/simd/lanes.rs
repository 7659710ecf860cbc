//! The 16-lane vector that all f32 code is written over, once.
//!
//! A value that implements [`Lanes`] proves that the processor has the instructions (it can only be made by an `unsafe`
//! constructor that asks for them), so its methods are safe. What each operation computes is fixed to the last bit, on
//! every instruction set:
//!
//! - `add`, `sub`, `mul`, `div` and `fma` are IEEE 754 single precision, rounded to nearest even, `fma` rounded once;
//! - `max(a, b)` is `a > b ? a : b` and `min(a, b)` is `a < b ? a : b`, which settles zeros of either sign and NaN;
//! - sums over the lanes combine i with i + 8, then i + 4, i + 2, i + 1.

/// Lanes in a vector.
pub(crate) use crate::file::format::LANES;

/// Adding this to |x| < 2²² leaves round-to-nearest-even(x) in the low bits of the sum.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Sixteen f32 (`F`), sixteen i32 (`I`) or thirty-two i16 (`H`) and what can be done with them.
pub(crate) trait Lanes: Copy {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen i32.
    type I: Copy;
    /// Thirty-two 16-bit integers.
    type H: Copy;
    /// What the bytes q of rows are stored exclusive-or: 0, or 128 where the int8 tile multiplies signed bytes, q − 128.
    const SIGN_FLIP: u8 = 0;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// 16 f32 can be read at `p`.
    unsafe fn load_at(self, p: *const f32) -> Self::F;
    /// # Safety
    /// 16 f32 can be written at `p`.
    unsafe fn store_at(self, v: Self::F, p: *mut f32);
    /// Sixteen half-precision numbers, widened.
    /// # Safety
    /// 16 f16 can be read at `p`.
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F;
    /// Sixteen bfloat16, widened.
    /// # Safety
    /// 16 bf16 can be read at `p`.
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F;
    /// The upper halves of sixteen lanes: with half a unit added before, the nearest bfloat16.
    /// # Safety
    /// 16 bf16 can be written at `p`.
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16);
    /// a + b
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a − b
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b + c, rounded once
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// a > b ? a : b
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// a < b ? a : b
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger one: of a NaN `a` and a number the number, of zeros any.
    #[inline(always)]
    fn max_number(self, a: Self::F, b: Self::F) -> Self::F {
        self.max(a, b)
    }
    /// The smaller one, likewise.
    #[inline(always)]
    fn min_number(self, a: Self::F, b: Self::F) -> Self::F {
        self.min(a, b)
    }
    /// a > b ? x : y
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;

    /// # Safety
    /// 16 i32 can be read at `p`.
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I;
    /// i32 to f32, rounded to nearest even.
    fn to_f32(self, v: Self::I) -> Self::F;
    /// The bits of the floats.
    fn bits(self, v: Self::F) -> Self::I;
    /// The floats of the bits.
    fn float_from_bits(self, v: Self::I) -> Self::F;
    /// a + b, wrapping
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I;
    /// All lanes `x`.
    fn splat_i32(self, x: i32) -> Self::I;
    /// Shifts left by 23: an integer into an exponent.
    fn shl23(self, v: Self::I) -> Self::I;
    /// Bits 0 to 7 of each lane.
    /// # Safety
    /// 16 bytes can be written at `p`.
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8);

    /// The low bytes of a, b, c and d together: lane i of the result is a byte of each, that of `a` the lowest.
    fn interleave_low_bytes(self, v: [Self::I; 4]) -> Self::I;
    /// # Safety
    /// 16 i32 can be written at `p`.
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32);

    /// # Safety
    /// 32 i16 can be read at `p`.
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H;
    /// ⌊v / 2^by⌋ of both, what does not fit to the nearest that does. Lanes 8q to 8q + 3 of the result are lanes 4q to 4q + 3
    /// of `a`, the next four those of `b`.
    fn shift_narrow(self, a: Self::I, b: Self::I, by: u32) -> Self::H;
    /// All lanes `x`.
    fn splat_i16(self, x: i16) -> Self::H;
    /// a + b, wrapping
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H;
    /// a − b, what does not fit to the nearest that does
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H;
    /// The larger
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H;
    /// All lanes the largest.
    fn broadcast_max_i16(self, v: Self::H) -> Self::H;
    /// The first lane.
    fn first_i16(self, v: Self::H) -> i16;
    /// a · b / 2¹⁵, halves up; a and b above −2¹⁵
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H;
    /// x modulo 2^unit, for [`Lanes::times`]; unit is at most 10
    fn fraction(self, x: Self::H, unit: u32) -> Self::H;
    /// ⌊f · c / 2^unit⌋ of a fraction f and c ≥ 0
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H;
    /// v · 2^(⌊x / 2^unit⌋ − 7) of unsigned v and x ≤ 0, rounded half up; unit is at most 10.
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H;
    /// The lanes, each at most 255, as bytes of rows: for each q eight of `a`, then eight of `b`. Returns the sums of each four,
    /// not flipped.
    /// # Safety
    /// 64 bytes can be written at `p`.
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I;

    /// What is at `p` will be read soon: a kernel may have it fetched. Any address will do.
    #[inline(always)]
    fn prefetch(self, _p: *const f32) {}
    /// The nearest whole numbers, halves to the even, as bytes of rows: of what rounds to 0 ..= 255; of −∞ and NaN 0, of ∞ 255. Any
    /// byte of other numbers.
    /// # Safety
    /// 16 bytes can be written at `p`.
    #[inline(always)]
    unsafe fn store_rounded_u8_at(self, v: Self::F, p: *mut u8) {
        const { assert!(Self::SIGN_FLIP == 0) }
        let v = self.min(self.max(v, self.splat(0.0)), self.splat(255.0));
        // SAFETY: the caller's promise.
        unsafe { self.store_low_bytes_at(self.bits(self.add(v, self.splat(ROUND))), p) }
    }

    /// Sixteen f32 of a slice.
    #[inline(always)]
    fn load(self, p: &[f32; LANES]) -> Self::F {
        // SAFETY: the array is 16 f32.
        unsafe { self.load_at(p.as_ptr()) }
    }
    /// Into sixteen f32 of a slice.
    #[inline(always)]
    fn store(self, v: Self::F, p: &mut [f32; LANES]) {
        // SAFETY: the array is 16 f32.
        unsafe { self.store_at(v, p.as_mut_ptr()) }
    }
    /// The first lanes from a short slice, `fill` in the others.
    #[inline(always)]
    fn load_partial(self, p: &[f32], fill: f32) -> Self::F {
        let mut a = [fill; LANES];
        a[..p.len()].copy_from_slice(p);
        self.load(&a)
    }
    /// The fixed reduction tree.
    #[inline(always)]
    fn reduce(self, v: Self::F, op: impl Fn(f32, f32) -> f32) -> f32 {
        let mut a = [0.0; LANES];
        self.store(v, &mut a);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                a[i] = op(a[i], a[i + half]);
            }
        }
        a[0]
    }
    /// Sum of the lanes.
    #[inline(always)]
    fn reduce_sum(self, v: Self::F) -> f32 {
        self.reduce(v, |a, b| a + b)
    }
    /// Largest lane, of zeros any; none is NaN.
    #[inline(always)]
    fn reduce_max(self, v: Self::F) -> f32 {
        self.reduce(v, |a, b| if a > b { a } else { b })
    }
    /// Largest lane of each of eight vectors.
    #[inline(always)]
    fn reduce_max_each(self, v: &[Self::F; 8]) -> [f32; 8] {
        let mut out = [0.0; 8];
        for (out, v) in out.iter_mut().zip(v) {
            *out = self.reduce_max(*v);
        }
        out
    }
    /// Smallest lane, of zeros any; none is NaN.
    #[inline(always)]
    fn reduce_min(self, v: Self::F) -> f32 {
        self.reduce(v, |a, b| if a < b { a } else { b })
    }
}
