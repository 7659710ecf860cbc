//! The reference instruction set: plain Rust on arrays of sixteen.
//!
//! It defines the output of every other instruction set, bit by bit, and runs on processors without a supported vector unit.
//! The fused multiply-add, which neither every processor nor `core` has, is emulated in f64.

use super::lanes::{LANES, Lanes};
use super::tile::{TileI8, Widen, float_tiles, row_of, tile_f};

/// The portable lanes, which every processor has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// a · b + c, rounded once.
///
/// Without a fused instruction: the product is exact in f64. The sum is rounded to odd in f64, by means of the exact error
/// that Knuth's two-sum gives. Rounding such a sum from 53 to 24 bits gives the correctly rounded result (Boldo and
/// Melquiond 2008, "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd").
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    #[cfg(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma")))]
    return a.mul_add(b, c);
    #[cfg(not(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma"))))]
    {
        let (p, c) = (f64::from(a) * f64::from(b), f64::from(c));
        let s = p + c;
        let c_rounded = s - p;
        let error = (p - (s - c_rounded)) + (c - c_rounded);
        let bits = s.to_bits();
        // The error of an infinite sum is NaN.
        let odd = if error == 0.0 || bits & 1 == 1 || !s.is_finite() {
            bits
        } else if (error > 0.0) == (s > 0.0) {
            bits.wrapping_add(1)
        } else {
            bits.wrapping_sub(1)
        };
        f64::from_bits(odd) as f32
    }
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
        core::array::from_fn(|i| h[i].to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        let h = unsafe { p.cast::<[half::bf16; LANES]>().read() };
        h.map(|h| f32::from_bits(u32::from(h.to_bits()) << 16))
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
        core::array::from_fn(|i| fma(a[i], b[i], c[i]))
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
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        let bytes: [u8; 4 * LANES] = core::array::from_fn(|i| {
            let source = if i / 8 % 2 == 0 { a } else { b };
            source[i / 16 * 8 + i % 8] as u8
        });
        unsafe { p.cast::<[u8; 4 * LANES]>().write(bytes) };
        core::array::from_fn(|i| bytes[4 * i..][..4].iter().map(|&x| i32::from(x)).sum())
    }
}

/// The definition of the int8 tile: one row and one output at a time.
///
/// # Safety
/// The preconditions of [`TileI8`].
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    let offset = if t.unsigned { 0 } else { 128 };
    for r in 0..rows {
        for p in 0..panels {
            // SAFETY: the preconditions of `TileI8` cover every row and panel.
            let (a, out) =
                unsafe { (row_of(t.a, t.a_pitch, r), row_of(t.out, panels * LANES, r).add(p * LANES)) };
            let mut acc = [0i32; LANES];
            for g in 0..t.groups {
                // SAFETY: group g of panel p is 64 bytes, and the row has 4 · groups bytes (`TileI8`).
                let (w, x) = unsafe {
                    (
                        t.w.add(p * t.panel_pitch + g * 64).cast::<[[i8; 4]; LANES]>().read(),
                        a.add(g * 4).cast::<[u8; 4]>().read(),
                    )
                };
                for (acc, w) in acc.iter_mut().zip(w) {
                    for (&w, &x) in w.iter().zip(&x) {
                        *acc += (i32::from(x) - offset) * i32::from(w);
                    }
                }
            }
            // SAFETY: `out` has rows · panels · 16 elements (`TileI8`).
            unsafe { out.cast::<[i32; LANES]>().write(acc) };
        }
    }
}

float_tiles!(Portable, tile_f, Widen, [inline], 1 2 3 4, [1]);

#[cfg(test)]
mod tests {
    #[test]
    fn fma_equals_the_fused_instruction() {
        let max = f32::MAX;
        let values =
            [0.0, -0.0, 1.0, -1.5, 1.0 + f32::EPSILON, 1e-30, -1e-45, 3e38, max, -max, f32::INFINITY];
        let values =
            values.into_iter().chain([f32::NEG_INFINITY, f32::MIN_POSITIVE]).collect::<std::vec::Vec<_>>();
        for (&a, &b, &c) in values
            .iter()
            .flat_map(|a| values.iter().map(move |b| (a, b)))
            .flat_map(|(a, b)| values.iter().map(move |c| (a, b, c)))
        {
            let (got, want) = (super::fma(a, b, c), a.mul_add(b, c));
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                "{a} {b} {c}: {got} {want}"
            );
        }
    }
}
