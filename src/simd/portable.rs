//! The reference: plain Rust on arrays of sixteen. It defines what every other instruction set must compute.

use super::lanes::{LANES, Lanes};
use super::tile::{TileI8, Widen, float_tiles, row_of, tile_f};

/// The portable lanes: any processor has them.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// a · b + c rounded once, without a fused instruction: the product is exact in f64, the sum is rounded to odd there,
/// and 53 bits rounded to odd round to 24 as the exact value does (Boldo and Melquiond 2008, "Emulation of FMA").
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    #[cfg(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma")))]
    return a.mul_add(b, c);
    #[cfg(not(all(feature = "std", any(target_arch = "aarch64", target_feature = "fma"))))]
    {
        let (p, c) = (f64::from(a) * f64::from(b), f64::from(c));
        let s = p + c;
        let part = s - p;
        let error = (p - (s - part)) + (c - part);
        let bits = s.to_bits();
        let odd = if error == 0.0 || bits & 1 == 1 {
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

// What is long on sixteen numbers is called, not inlined: kernels would be several times as large, and a fused product that is
// computed in software is slow enough for a call not to show.
impl Lanes for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type H = [i16; 2 * LANES];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> Self::F {
        // SAFETY: the caller's promise; no alignment beyond f32's is assumed.
        unsafe { p.cast::<Self::F>().read() }
    }
    #[inline(always)]
    unsafe fn store_at(self, v: Self::F, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<Self::F>().write(v) }
    }
    #[inline(always)]
    unsafe fn load_f16_at(self, p: *const half::f16) -> Self::F {
        // SAFETY: the caller's promise.
        let h = unsafe { p.cast::<[half::f16; LANES]>().read() };
        core::array::from_fn(|i| h[i].to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16_at(self, p: *const half::bf16) -> Self::F {
        // SAFETY: the caller's promise.
        let h = unsafe { p.cast::<[half::bf16; LANES]>().read() };
        h.map(|h| f32::from_bits(u32::from(h.to_bits()) << 16))
    }
    #[inline(never)]
    unsafe fn store_high_halves_at(self, v: Self::I, p: *mut half::bf16) {
        let upper = v.map(|x| half::bf16::from_bits((x as u32 >> 16) as u16));
        // SAFETY: the caller's promise.
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
        // SAFETY: the caller's promise.
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
    fn float_from_bits(self, v: Self::I) -> Self::F {
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
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u8; LANES]>().write(v.map(|x| x as u8)) }
    }
    #[inline(never)]
    fn interleave_low_bytes(self, v: [Self::I; 4]) -> Self::I {
        core::array::from_fn(|i| i32::from_le_bytes(v.map(|v| v[i] as u8)))
    }
    #[inline(always)]
    unsafe fn store_i32_at(self, v: Self::I, p: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<Self::I>().write(v) }
    }
    #[inline(always)]
    unsafe fn load_i16_at(self, p: *const i16) -> Self::H {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<Self::H>().read() }
    }
    #[inline(never)]
    fn shift_narrow(self, a: Self::I, b: Self::I, by: u32) -> Self::H {
        core::array::from_fn(|i| {
            let x = if i / 4 % 2 == 0 { a } else { b }[i / 8 * 4 + i % 4];
            (x >> by).clamp(-32768, 32767) as i16
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
    // In units of 2^-16.
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
            let twice = u32::from(v[i] as u16) >> (6 - i32::from(x[i] >> unit)).min(31);
            ((twice + 1) >> 1) as i16
        })
    }
    #[inline(never)]
    unsafe fn store_bytes_sum4_at(self, a: Self::H, b: Self::H, p: *mut u8) -> Self::I {
        let bytes: [u8; 4 * LANES] = core::array::from_fn(|i| {
            let from = if i / 8 % 2 == 0 { a } else { b };
            from[i / 16 * 8 + i % 8] as u8
        });
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u8; 4 * LANES]>().write(bytes) };
        core::array::from_fn(|i| bytes[4 * i..][..4].iter().map(|&x| i32::from(x)).sum())
    }
}

/// One row at a time, one output at a time: the definition of the int8 tile.
///
/// # Safety
/// See [`TileI8`].
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    for r in 0..rows {
        for p in 0..panels {
            // SAFETY: the tile's promise covers every row and panel.
            let (a, out) =
                unsafe { (row_of(t.a, t.a_pitch, r), row_of(t.out, panels * LANES, r).add(p * LANES)) };
            let mut acc = [0i32; LANES];
            for g in 0..t.groups {
                // SAFETY: group g of panel p is 64 bytes; the row has 4·groups bytes.
                let (w, x) = unsafe {
                    (
                        t.w.add(p * t.panel_pitch + g * 64).cast::<[[i8; 4]; LANES]>().read(),
                        a.add(g * 4).cast::<[u8; 4]>().read(),
                    )
                };
                for (acc, w) in acc.iter_mut().zip(w) {
                    for (&w, &x) in w.iter().zip(&x) {
                        *acc += (i32::from(x) - 128) * i32::from(w);
                    }
                }
            }
            // SAFETY: the output tile has rows · panels · 16 elements.
            unsafe { out.cast::<[i32; LANES]>().write(acc) };
        }
    }
}

float_tiles!(Portable, tile_f, Widen, [inline], 1 2 3 4, [1]);
