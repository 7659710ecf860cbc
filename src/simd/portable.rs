//! The reference instruction set: plain Rust on arrays of sixteen.
//!
//! It defines the output of every other instruction set, bit by bit, and runs on processors without a supported vector unit.
//! The fused multiply-add, which neither every processor nor `core` has, is emulated in f64.

use super::lanes::{FRACTION_BITS, LANES, Lanes};
use super::tile::{TileI8, Widen, float_tiles, row_of, tile_f};

/// The portable lanes, which every processor has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// a · b + c, rounded once.
///
/// Without a fused instruction: the product is exact in f64, and a · b + c is rounded twice, the sum to f64 and that to f32. This
/// gives the bits of one rounding unless the sum is inexact in f64 and halfway between two neighbouring f32, where the error of
/// the first rounding decides about the second. Two tests on integers find the lanes where that can be:
///
/// - The 29 bits that f32 drops are 1000…0: the sum is halfway between two normal numbers.
/// - 0 < |c| < 2⁻¹²⁵. Results below 2⁻¹²⁶ have fewer bits than normal numbers, which the first test does not know. There the last
///   bit of the sum stands for at most 2⁻¹⁷⁹. c is a multiple of 2⁻¹⁴⁹, so if the sum is inexact, the product has a lower bit than
///   that; having 48 bits, the product is below 1/32 of the sum. So c is almost the whole sum.
///
/// A vector with such a lane is computed again, by [`add_to_odd`]. This is rare, except in interpolations with weights such as 1/2,
/// whose sums are often halfway, but exact.
#[inline(always)]
fn fma_16(a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
    #[cfg(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma")))]
    return core::array::from_fn(|i| a[i].mul_add(b[i], c[i]));
    #[cfg(not(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma"))))]
    {
        let mut sums = [0f64; LANES];
        let mut rare = 0;
        for i in 0..LANES {
            sums[i] = f64::from(a[i]) * f64::from(b[i]) + f64::from(c[i]);
            let halfway = (sums[i].to_bits() as u32) << 3 == 1 << 31;
            let tiny = (c[i].to_bits() << 1).wrapping_sub(1) >> 25 == 0;
            rare |= u32::from(halfway | tiny);
        }
        if rare != 0 {
            sums = core::array::from_fn(|i| add_to_odd(f64::from(a[i]) * f64::from(b[i]), f64::from(c[i])));
        }
        sums.map(|s| s as f32)
    }
}

/// p + c rounded to odd: an inexact sum becomes that of the two neighbouring f64 whose last bit is 1. Rounding it to the 24 bits of
/// f32 then gives p + c rounded once (Boldo and Melquiond 2008, "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms
/// Using Rounding to Odd"). The error of the sum is that of Knuth's two-sum. No branches, so that the compiler can vectorise it.
#[cfg_attr(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma")), allow(dead_code))]
#[inline(always)]
fn add_to_odd(p: f64, c: f64) -> f64 {
    let s = p + c;
    let c_rounded = s - p;
    let error = (p - (s - c_rounded)) + (c - c_rounded);
    let bits = s.to_bits();
    // All ones for an even last bit, and for an error that is neither 0 nor, of an infinite sum, NaN.
    let even = (bits & 1).wrapping_sub(1);
    let inexact = u64::from((error < 0.0) | (error > 0.0)).wrapping_neg();
    // 1 if error and sum have the same sign, otherwise −1.
    let step = ((error.to_bits() ^ bits) as i64 >> 63) as u64 | 1;
    f64::from_bits(bits.wrapping_add(step & even & inexact))
}

/// Converts f16 to f32. For a normal number, exponent and significand are shifted into place and the difference between the exponent
/// biases is added, twice for infinities and NaN. A subnormal number is an integer times 2⁻²⁴.
#[inline(always)]
fn f16_to_f32(h: half::f16) -> f32 {
    const REBIAS: u32 = (127 - 15) << 23;
    let h = u32::from(h.to_bits());
    let magnitude = h & 0x7FFF;
    let rebias = if magnitude >= 0x7C00 { 2 * REBIAS } else { REBIAS };
    let subnormal = (magnitude as i32 as f32 * (1.0 / (1 << 24) as f32)).to_bits();
    let v = if magnitude < 0x0400 { subnormal } else { (magnitude << 13) + rebias };
    f32::from_bits(v | (h & 0x8000) << 16)
}

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    core::array::from_fn(|i| f(a[i], b[i]))
}

// Long operations are `#[inline(never)]`: inlined, they would make the kernels several times as large, and their own work hides
// the cost of the call.
//
// SAFETY of the blocks below: the preconditions of the methods of `Lanes` say that the pointer is valid for the access; it has
// the alignment of its element type, which is that of the arrays read and written here.
impl Lanes for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type H = [i16; 2 * LANES];
    const REGISTERS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        unsafe { p.cast::<Self::F>().read() }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        unsafe { p.cast::<Self::F>().write(v) }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        let h = unsafe { p.cast::<[half::f16; LANES]>().read() };
        core::array::from_fn(|i| f16_to_f32(h[i]))
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        let h = unsafe { p.cast::<[half::bf16; LANES]>().read() };
        core::array::from_fn(|i| f32::from_bits(u32::from(h[i].to_bits()) << 16))
    }
    #[inline(never)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        let upper = v.map(|x| half::bf16::from_bits((x as u32 >> 16) as u16));
        unsafe { p.cast::<[half::bf16; LANES]>().write(upper) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(never)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        fma_16(a, b, c)
    }
    #[inline(never)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(never)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn select_greater(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        core::array::from_fn(|i| if a[i] > b[i] { x[i] } else { y[i] })
    }
    #[inline(always)]
    unsafe fn load_i32_at(self, p: *const i32) -> Self::I {
        unsafe { p.cast::<Self::I>().read() }
    }
    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        v.map(|x| x as f32)
    }
    #[inline(always)]
    fn bits(self, v: Self::F) -> Self::I {
        v.map(|x| x.to_bits() as i32)
    }
    #[inline(always)]
    fn bits_to_f32(self, v: Self::I) -> Self::F {
        v.map(|x| f32::from_bits(x as u32))
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I, b: Self::I) -> Self::I {
        core::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> Self::I {
        [x; LANES]
    }
    #[inline(always)]
    fn shl23(self, v: Self::I) -> Self::I {
        v.map(|x| x << 23)
    }
    #[inline(never)]
    unsafe fn store_low_bytes_at(self, v: Self::I, p: *mut u8) {
        unsafe { p.cast::<[u8; LANES]>().write(v.map(|x| x as u8)) }
    }
    #[inline(never)]
    fn interleave_low_bytes(self, v: [Self::I; 4]) -> Self::I {
        core::array::from_fn(|i| i32::from_le_bytes(v.map(|v| v[i] as u8)))
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        unsafe { p.cast::<Self::I>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        unsafe { p.cast::<Self::H>().read() }
    }
    #[inline(never)]
    fn shift_narrow(self, a: Self::I, b: Self::I, shift: u32) -> Self::H {
        core::array::from_fn(|i| {
            let x = if i / 4 % 2 == 0 { a } else { b }[i / 8 * 4 + i % 4];
            (x >> shift).clamp(-32768, 32767) as i16
        })
    }
    #[inline(always)]
    fn splat_i16(self, x: i16) -> Self::H {
        [x; 2 * LANES]
    }
    #[inline(always)]
    fn add_i16(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|i| a[i].saturating_sub(b[i]))
    }
    #[inline(always)]
    fn max_i16(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|i| a[i].max(b[i]))
    }
    #[inline(always)]
    fn broadcast_max_i16(self, v: Self::H) -> Self::H {
        self.splat_i16(v.into_iter().fold(i16::MIN, i16::max))
    }
    #[inline(always)]
    fn first_i16(self, v: Self::H) -> i16 {
        v[0]
    }
    #[inline(never)]
    fn mul_high_rounded(self, a: Self::H, b: Self::H) -> Self::H {
        core::array::from_fn(|i| ((i32::from(a[i]) * i32::from(b[i]) + (1 << 14)) >> 15) as i16)
    }
    // Fractions are in units of 2⁻¹⁶.
    #[inline(always)]
    fn fraction(self, x: Self::H, unit: u32) -> Self::H {
        x.map(|x| (i32::from(x) << (16 - unit)) as i16)
    }
    #[inline(never)]
    fn mul_fraction(self, fraction: Self::H, c: Self::H) -> Self::H {
        core::array::from_fn(|i| ((u32::from(fraction[i] as u16) * u32::from(c[i] as u16)) >> 16) as i16)
    }
    #[inline(never)]
    fn scale_pow2(self, v: Self::H, x: Self::H, unit: u32) -> Self::H {
        core::array::from_fn(|i| {
            // One bit more than the result has, to round by.
            let doubled = u32::from(v[i] as u16) >> (-1 - i32::from(x[i] >> unit)).min(31);
            ((doubled + 1) >> 1) as i16
        })
    }
    #[inline(never)]
    fn round_with_carry(self, mut a: Self::H, mut b: Self::H) -> [Self::H; 2] {
        let (low, high) = a.split_at_mut(LANES);
        let (b_low, b_high) = b.split_at_mut(LANES);
        let mut carry = [1 << (FRACTION_BITS - 1); LANES];
        for x in [low, b_low, high, b_high] {
            for (x, carry) in x.iter_mut().zip(&mut carry) {
                let u = *x + *carry;
                (*x, *carry) = (u >> FRACTION_BITS, u & ((1 << FRACTION_BITS) - 1));
            }
        }
        [a, b]
    }
    #[inline(never)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        let bytes: [u8; 4 * LANES] = core::array::from_fn(|i| {
            let source = if i / 8 % 2 == 0 { a } else { b };
            source[i / 16 * 8 + i % 8] as u8
        });
        unsafe { p.cast::<[u8; 4 * LANES]>().write(bytes) };
        core::array::from_fn(|i| bytes[4 * i..][..4].iter().map(|&x| i32::from(x)).sum())
    }
}

/// The int8 tile: one panel at a time. The loops are shaped for the compiler's vectoriser, which has 16-bit products in every
/// vector unit.
///
/// # Safety
/// The preconditions of [`TileI8`], with at most 4 rows.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    for p in 0..panels {
        // SAFETY: the preconditions of `TileI8` cover every panel, and `ROWS` is `rows`.
        unsafe {
            match rows {
                1 => panel_i8::<1>(p, panels, t),
                2 => panel_i8::<2>(p, panels, t),
                3 => panel_i8::<3>(p, panels, t),
                4 => panel_i8::<4>(p, panels, t),
                _ => unreachable!("the instruction set's tile shape limits the number of rows"),
            }
        }
    }
}

/// Panel `p` of a tile. A group's 16 outputs by 4 inputs are 32 pairs of inputs. The sum of a pair's two products fits in 16 bits: it
/// is at most 2 · 128 · 127. (In a file that nobody has verified, weights of −128 may make it overflow: sums are then unspecified.)
///
/// # Safety
/// The preconditions of [`TileI8`], with `ROWS` rows and `panels` panels, one of which is `p`.
unsafe fn panel_i8<const ROWS: usize>(p: usize, panels: usize, t: &TileI8) {
    let mut start = [0i32; LANES];
    if t.unsigned {
        // SAFETY: panel p has 16 sums (`TileI8`).
        let sums = unsafe { t.w_sum.add(p * LANES).cast::<[i32; LANES]>().read() };
        // Σ q · w = Σ (q − 128) · w + 128 · Σ w
        start = sums.map(|sum| sum.wrapping_mul(128));
    }
    let mut acc = [start; ROWS];
    for g in 0..t.groups {
        // SAFETY: group g of panel p is 64 bytes (`TileI8`).
        let [even, odd] =
            unsafe { bytes_of_pairs(t.w.add(p * t.panel_pitch + g * 64).cast::<Pairs>().read_unaligned()) };
        for (r, acc) in acc.iter_mut().enumerate() {
            // SAFETY: row r has 4 · groups bytes (`TileI8`).
            let x = unsafe { row_of(t.a, t.a_pitch, r).add(g * 4).cast::<u32>().read_unaligned() };
            // q − 128 of each byte, in all lanes.
            let [x_even, x_odd] = bytes_of_pairs(bytemuck::cast([x ^ 0x8080_8080; LANES]));
            let mut sums = [0i16; 2 * LANES];
            for i in 0..2 * LANES {
                sums[i] = even[i].wrapping_mul(x_even[i]).wrapping_add(odd[i].wrapping_mul(x_odd[i]));
            }
            for (acc, [a, b]) in acc.iter_mut().zip(sums.as_chunks().0) {
                *acc = acc.wrapping_add(i32::from(*a) + i32::from(*b));
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        // SAFETY: `out` has rows · panels · 16 elements (`TileI8`).
        unsafe { row_of(t.out, panels * LANES, r).add(p * LANES).cast::<[i32; LANES]>().write(acc) };
    }
}

/// Pairs of signed bytes.
type Pairs = [i16; 2 * LANES];

/// The first and the second byte of each pair, sign-extended. (Loops, because closures are not always inlined here.)
#[inline(always)]
fn bytes_of_pairs(pairs: Pairs) -> [Pairs; 2] {
    let mut bytes = [pairs; 2];
    for i in 0..2 * LANES {
        bytes[0][i] = pairs[i] << 8 >> 8;
        bytes[1][i] = pairs[i] >> 8;
    }
    bytes
}

float_tiles!(Portable, tile_f, Widen, [inline], 1 2 3 4, [1]);
