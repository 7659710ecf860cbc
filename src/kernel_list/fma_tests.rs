//! The fused multiply-add on every instruction set, some of which emulate it: the bits are those of `f32::mul_add`.

use super::inputs::Source;
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use std::vec::Vec;

pub(super) type Vector = [f32; LANES];

pub(super) fn same(got: f32, want: f32) -> bool {
    got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
}

/// Compares c + a · w of every lane with `f32::mul_add`. The kernel computes it by one fused multiply-add.
fn check(a: Vector, w: f32, c: Vector) {
    for isa in Isa::available() {
        let mut out = c;
        isa.add_scaled(&a, w, &mut out);
        for ((got, a), c) in out.into_iter().zip(a).zip(c) {
            let want = a.mul_add(w, c);
            assert!(same(got, want), "{}: {a:e} · {w:e} + {c:e} = {got:e}, expected {want:e}", isa.name());
        }
    }
}

/// Vectors of each test below.
const VECTORS: usize = if cfg!(miri) { 20 } else { 100_000 };

pub(super) fn vector(mut lane: impl FnMut() -> f32) -> Vector {
    core::array::from_fn(|_| lane())
}

/// A power of two that f64 has.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[test]
#[cfg_attr(miri, ignore = "9,261 vectors; the tests below run the same code")]
fn fma_of_special_values_is_fused() {
    let max = f32::MAX;
    let positive =
        [0.0, 1.0, 1.5, 1.0 + f32::EPSILON, 1e-30, 1e-45, f32::MIN_POSITIVE, 3e38, max, f32::INFINITY];
    let values: Vec<f32> = positive.into_iter().flat_map(|x| [x, -x]).chain([f32::NAN]).collect();
    for &a in &values {
        for &w in &values {
            values.iter().for_each(|&c| check([a; LANES], w, [c; LANES]));
        }
    }
}

#[test]
fn fma_of_any_bits_is_fused() {
    let mut s = Source(1);
    for _ in 0..VECTORS {
        let w = f32::from_bits(s.next());
        check(vector(|| f32::from_bits(s.next())), w, [f32::from_bits(s.next()); LANES]);
    }
}

/// Products and addends of similar size, from the smallest subnormal numbers to the largest normal ones.
#[test]
fn fma_of_operands_of_similar_size_is_fused() {
    let mut s = Source(2);
    let mut number = |exponent: i32| {
        let significand = f64::from(s.next() >> 8 | 1 << 23) * power(-23);
        let sign = if s.next().is_multiple_of(2) { 1.0 } else { -1.0 };
        (sign * significand * power(exponent)) as f32
    };
    for i in 0..VECTORS {
        let exponent = (i % 290) as i32 - 160;
        let w = number(exponent / 2);
        let a = vector(|| number(exponent - exponent / 2));
        let mut difference = -30;
        let c = vector(|| {
            difference += 4;
            number((exponent + difference).min(127))
        });
        check(a, w, c);
    }
}

/// Sums halfway between two neighbouring f32, or so close to it that they are halfway as f64: c plus half of its last bit times
/// (1 + m · 2⁻²³)(1 + n · 2⁻²³), with m ≈ −n.
#[test]
#[cfg_attr(
    target_arch = "arm",
    ignore = "`mul_add`, the reference, is the C library's there, and rounds some subnormal sums twice"
)]
fn fma_halfway_between_two_numbers_is_fused() {
    let mut s = Source(3);
    for i in 0..VECTORS {
        // The exponent of c, −127 for a subnormal c, and that of half of its last bit.
        let exponent = (i % 255) as i32 - 127;
        let half = exponent.max(-126) - 24;
        let n = (s.next() >> (8 + s.next() % 24)) as i32;
        let factor = |m: i32, exponent: i32| ((1.0 + f64::from(m) * power(-23)) * power(exponent)) as f32;
        let a = vector(|| {
            let m = -n + [0, 0, 1, -1][s.next() as usize % 4];
            let sign = if s.next().is_multiple_of(2) { 1.0 } else { -1.0 };
            sign * factor(m, half / 2)
        });
        let c = vector(|| f32::from_bits(s.next() & 0x807F_FFFF | ((exponent + 127) as u32) << 23));
        check(a, factor(n, half - half / 2), c);
    }
}
