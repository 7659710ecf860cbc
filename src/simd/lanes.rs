//! The contract of the vectors: [`Lanes`], a vector of 16 lanes over which every row kernel is written once.
//!
//! An instruction set implements it with the registers it has: one zmm register (AVX-512), two ymm registers (AVX2), four xmm
//! registers (SSE4.1), four q registers (NEON) or an array ([`portable`](super::portable), the reference). A value of an
//! implementing type is a proof that the processor has the instructions: its `unsafe` constructor requires them. So the methods
//! are safe, except those that read or write through a pointer. Pointers need the alignment of their element type only.
//!
//! Every operation is defined to the last bit, so that all instruction sets compute the same output:
//!
//! - `add`, `sub`, `mul`, `div` and `fma` are IEEE 754 single precision, rounded to nearest even; `fma` rounds once;
//! - `max(a, b)` is `a > b ? a : b` and `min(a, b)` is `a < b ? a : b`, as x86's `maxps` and `minps`, which defines the result
//!   for NaN and for zeros of either sign;
//! - a sum over the lanes is a fixed tree: lane i is combined with i + 8, then with i + 4, i + 2 and i + 1.
//!
//! Source: the vector traits of rten (`rten-simd`) and memchr (`Vector`).

use crate::image::yuv::{BLOCK, Block, Coefficients, convert_block};

/// The number of lanes of a vector.
pub(crate) use crate::file::format::LANES;

/// Fraction bits of the numbers that [`Lanes::round_with_carry`] rounds.
pub(crate) const FRACTION_BITS: u32 = 5;

/// 1.5 · 2²³. For |x| < 2²² the sum x + ROUND has a unit in the last place of 1: it is rounded to the nearest integer, halves
/// to even, and its low bits hold that integer in two's complement.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// The activation after the dequantisation of a sum, as [`Lanes::dequantise`] distinguishes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum VectorActivation {
    None,
    Relu,
    /// [`gelu_of_int8`](super::math::gelu_of_int8)
    Gelu,
    /// One that no [`Lanes::dequantise`] computes.
    Other,
}

/// The operands of [`Lanes::dequantise`]: out = activation(scale · (s · sum + m · weight_sum) + addend), sixteen times.
///
/// Preconditions: 16 elements are valid at each pointer, except that `addend` may be null; those of `out` are bfloat16 with `bf16`,
/// and initialised with `accumulate`.
#[cfg_attr(not(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf")), allow(dead_code))]
pub(crate) struct DequantiseVector {
    pub sums: *const i32,
    pub weight_sum: *const i32,
    pub scale: *const f32,
    /// Added before the activation; null for none.
    pub addend: *const f32,
    /// (s, m)
    pub params: [f32; 2],
    pub activation: VectorActivation,
    /// Adds to the output instead of overwriting it.
    pub accumulate: bool,
    /// Stores bfloat16; excludes `accumulate`.
    pub bf16: bool,
    pub out: *mut f32,
}

/// The operands of [`Lanes::softmax_row`], a row of a whole block of
/// [`SoftmaxBlocks`](super::kernels::attention::softmax::SoftmaxBlocks), whose arrays they point into.
///
/// Preconditions: 16 sums are valid at each of `sums`, 64 numbers at `k_factor`, `bias` and `out`, 16 at `total` and one at `max`.
#[cfg_attr(not(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf")), allow(dead_code))]
pub(crate) struct SoftmaxRow {
    pub sums: [*const i32; 4],
    pub q_factor: i16,
    pub k_factor: *const i16,
    pub bias: *const i16,
    pub shift: u32,
    pub unit: u32,
    pub out: *mut u8,
    pub max: *mut f32,
    pub total: *mut i32,
}

/// Vectors of sixteen f32 (`F`), sixteen i32 (`I`) or thirty-two i16 (`H`), and their operations.
pub(crate) trait Lanes: Copy {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen i32.
    type I: Copy;
    /// Thirty-two 16-bit integers.
    type H: Copy;
    /// Vector registers that sixteen f32 take: kernels that keep many vectors at a time keep fewer where each takes more.
    const REGISTERS: usize;
    /// The XOR mask of stored activation bytes: 0 where the int8 tile multiplies unsigned bytes q, 128 where it multiplies
    /// signed bytes, q − 128.
    const SIGN_FLIP: u8 = 0;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// 16 f32 can be read at `p`.
    unsafe fn load_at(self, p: *const f32) -> Self::F;
    /// # Safety
    /// 16 f32 can be written at `p`.
    unsafe fn store_at(self, v: Self::F, p: *mut f32);
    /// Loads sixteen half-precision numbers, widened to f32.
    ///
    /// # Safety
    /// 16 f16 can be read at `p`.
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F;
    /// Loads sixteen bfloat16 numbers, widened to f32.
    ///
    /// # Safety
    /// 16 bf16 can be read at `p`.
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F;
    /// Stores the upper 16 bits of each lane. If the lanes are the bits of f32 plus 0x8000, those are the nearest bfloat16.
    ///
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
    /// The larger operand. If only `a` is NaN, the result is `b`; of zeros of different sign, either may be the result.
    #[inline(always)]
    fn max_number(self, a: Self::F, b: Self::F) -> Self::F {
        self.max(a, b)
    }
    /// The smaller operand, with the same rules for NaN and zeros as [`Lanes::max_number`].
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
    /// Reinterprets the bits of f32 as i32.
    fn bits(self, v: Self::F) -> Self::I;
    /// Reinterprets the bits of i32 as f32.
    fn bits_to_f32(self, v: Self::I) -> Self::F;
    /// a + b, wrapping
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I;
    /// All lanes `x`.
    fn splat_i32(self, x: i32) -> Self::I;
    /// v << 23: moves the low bits of an integer to the exponent field of an f32.
    fn shl23(self, v: Self::I) -> Self::I;
    /// Stores bits 0 to 7 of each lane.
    ///
    /// # Safety
    /// 16 bytes can be written at `p`.
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8);

    /// Interleaves the low bytes of four vectors: byte j of lane i of the result is the low byte of lane i of `v[j]`.
    fn interleave_low_bytes(self, v: [Self::I; 4]) -> Self::I;
    /// # Safety
    /// 16 i32 can be written at `p`, which may be misaligned.
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32);

    /// # Safety
    /// 32 i16 can be read at `p`.
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H;
    /// ⌊v / 2^shift⌋ of both vectors, for results that fit i16 and shift of at most 15. For q in 0 .. 4, lanes 8q .. 8q + 4 of the
    /// result are lanes 4q .. 4q + 4 of `a`, and lanes 8q + 4 .. 8q + 8 are those of `b`.
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H;
    /// All lanes `x`.
    fn splat_i16(self, x: i16) -> Self::H;
    /// a + b, wrapping
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H;
    /// a − b, saturating
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H;
    /// The larger of a and b.
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H;
    /// The largest lane, in all lanes.
    fn broadcast_max_i16(self, v: Self::H) -> Self::H;
    /// The first lane.
    fn first_i16(self, v: Self::H) -> i16;
    /// a · b / 2¹⁵, rounded to nearest, halves up, for a and b above −2¹⁵.
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H;
    /// (x mod 2^unit) / 2^unit as a fixed-point fraction for [`Lanes::mul_fraction`], for unit of at most 10. Each instruction
    /// set has a fixed point of its own.
    fn fraction(self, x: Self::H, unit: u32) -> Self::H;
    /// ⌊fraction · c⌋ for a [`Lanes::fraction`] and c ≥ 0.
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H;
    /// v · 2^⌊x / 2^unit⌋, rounded to nearest, halves up, for unsigned v, ⌊x / 2^unit⌋ of at most −2 and unit of at most 10.
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H;
    /// Rounds numbers in units of 2^−[`FRACTION_BITS`] to integers. The rounding error of one lane is carried over to the next, in
    /// sixteen chains of four: lane i < 16 of `a`, lane i of `b`, lane 16 + i of `a`, lane 16 + i of `b`.
    ///
    /// With s = 2^FRACTION_BITS, the numbers x₀ to x₃ of a chain become ⌊u_j / s⌋, where u₀ = x₀ + s / 2 and
    /// u_j = x_j + u_j₋₁ mod s. Numbers in 0 ..= 255 · s give results in 0 ..= 255.
    fn round_with_carry(self, a: Self::H, b: Self::H) -> [Self::H; 2];
    /// Stores lanes, all in 0 ..= 255, as activation bytes, XORed with [`Lanes::SIGN_FLIP`]: for each q in 0 .. 4, lanes
    /// 8q .. 8q + 8 of `a`, then those of `b`. Lane i of the result is the sum of bytes 4i .. 4i + 4 before the XOR.
    ///
    /// # Safety
    /// 64 bytes can be written at `p`.
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I;

    /// Converts 32 pixels of YUV to red, green, blue and 0, to the bit as [`convert_block`] does, which the compiler vectorises for
    /// instruction sets that have no code of their own.
    #[inline(always)]
    fn yuv_to_rgb(self, k: &Coefficients, block: &Block, out: &mut [u8; 4 * BLOCK]) {
        convert_block(k, block, out);
    }

    /// Whether [`Lanes::dequantise`] supports this activation.
    #[inline(always)]
    fn dequantises(self, _: VectorActivation) -> bool {
        false
    }
    /// Dequantises and stores sixteen outputs at once, or returns false and changes nothing; the caller then computes them.
    ///
    /// # Safety
    /// The preconditions of [`DequantiseVector`].
    #[inline(always)]
    unsafe fn dequantise(self, _: &DequantiseVector) -> bool {
        false
    }
    /// The softmax of one row of a whole block of keys at once, or returns false and changes nothing; the caller then computes it.
    ///
    /// # Safety
    /// The preconditions of [`SoftmaxRow`].
    #[inline(always)]
    unsafe fn softmax_row(self, _: &SoftmaxRow) -> bool {
        false
    }
    /// The smallest and the largest of some numbers, zeros of either sign; or `None`, and the caller computes them.
    #[inline(always)]
    fn range(self, _: &[[f32; LANES]]) -> Option<(f32, f32)> {
        None
    }
    /// Stores (x − low) · inverse as [`Lanes::store_rounded_u8_at`] does, or returns false; the caller then computes the bytes.
    #[inline(always)]
    fn quantise(self, _x: &[[f32; LANES]], _low: f32, _inverse: f32, _out: &mut [u8]) -> bool {
        false
    }

    /// A hint that the cache line at `p` is needed soon. Any address is allowed.
    #[inline(always)]
    fn prefetch(self, _p: *const f32) {}
    /// Rounds to the nearest integers, halves to even, and stores them as activation bytes, XORed with [`Lanes::SIGN_FLIP`].
    /// The byte is specified for lanes that round to 0 ..= 255, for −∞ and NaN (0) and for ∞ (255), and unspecified for others.
    ///
    /// # Safety
    /// 16 bytes can be written at `p`.
    #[inline(always)]
    unsafe fn store_rounded_u8_at(self, v: Self::F, p: *mut u8) {
        const { assert!(Self::SIGN_FLIP == 0) }
        let v = self.min(self.max(v, self.splat(0.0)), self.splat(255.0));
        // SAFETY: 16 bytes can be written at `p`, by this function's precondition.
        unsafe { self.store_low_bytes_at(self.bits(self.add(v, self.splat(ROUND))), p) }
    }

    /// Loads an array.
    #[inline(always)]
    fn load(self, p: &[f32; LANES]) -> Self::F {
        // SAFETY: the array is 16 f32.
        unsafe { self.load_at(p.as_ptr()) }
    }
    /// Stores into an array.
    #[inline(always)]
    fn store(self, v: Self::F, p: &mut [f32; LANES]) {
        // SAFETY: the array is 16 f32.
        unsafe { self.store_at(v, p.as_mut_ptr()) }
    }
    /// Loads a slice of at most 16 numbers into the first lanes; the others become `fill`.
    #[inline(always)]
    fn load_partial(self, p: &[f32], fill: f32) -> Self::F {
        let mut a = [fill; LANES];
        a[..p.len()].copy_from_slice(p);
        self.load(&a)
    }
    /// Reduces the lanes with `op`, as a fixed tree: lane i with i + 8, then i + 4, i + 2 and i + 1.
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
    /// The sum of the lanes, as the fixed tree of [`Lanes::reduce`].
    #[inline(always)]
    fn reduce_sum(self, v: Self::F) -> f32 {
        self.reduce(v, |a, b| a + b)
    }
    /// The largest lane, for lanes that are not NaN. A zero may have either sign.
    #[inline(always)]
    fn reduce_max(self, v: Self::F) -> f32 {
        self.reduce(v, |a, b| if a > b { a } else { b })
    }
    /// [`Lanes::reduce_max`] of each of eight vectors.
    #[inline(always)]
    fn reduce_max_each(self, v: &[Self::F; 8]) -> [f32; 8] {
        let mut out = [0.0; 8];
        for (out, v) in out.iter_mut().zip(v) {
            *out = self.reduce_max(*v);
        }
        out
    }
    /// The smallest lane, for lanes that are not NaN. A zero may have either sign.
    #[inline(always)]
    fn reduce_min(self, v: Self::F) -> f32 {
        self.reduce(v, |a, b| if a < b { a } else { b })
    }
}
