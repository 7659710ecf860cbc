//! The fused multiply-add and the conversion from f16 on every instruction set, some of which emulate them: the bits are those of
//! `f32::mul_add` and of the crate `half`.

use super::inputs::Source;
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use crate::simd::tile::TileF;
use half::f16;
use std::vec::Vec;

type Vector = [f32; LANES];

fn same(got: f32, want: f32) -> bool {
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

fn vector(mut lane: impl FnMut() -> f32) -> Vector {
    core::array::from_fn(|_| lane())
}

/// A power of two that f64 has.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[test]
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

#[test]
fn every_f16_is_widened_exactly() {
    let every: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let vectors = every.as_chunks::<LANES>().0;
    for isa in Isa::available() {
        // Tiles may treat whole numbers, others and tiny ones differently.
        for a in [[1.0], [0.3], [1e-30f32]] {
            for w in vectors.iter().step_by(if cfg!(miri) { 199 } else { 1 }) {
                let mut out = [0.0; LANES];
                let tile = TileF::new((1, 1), (&a, 1), (w, LANES), 1, true, &mut out);
                // SAFETY: the slices hold one row, one panel and one output vector.
                unsafe { isa.tile_f16(1, 1, &tile) };
                for (got, w) in out.into_iter().zip(w) {
                    let want = a[0].mul_add(w.to_f32(), 0.0);
                    assert!(same(got, want), "{}: {a:?} · {w} = {got}, expected {want}", isa.name());
                }
            }
        }
    }
}

/// Float tiles of numbers for which an instruction set may have a shorter way: bytes, few bits, tiny and large ones.
#[test]
fn float_tiles_of_special_rows_are_chains_of_fused_multiply_adds() {
    let mut s = Source(4);
    let k = if cfg!(miri) { 3 } else { 90 };
    let kinds: [fn(u32) -> f32; 5] = [
        |x| (x % 256) as f32 - 128.0,
        |x| (x % 256) as f32 * 0.125,
        |x| ((x % 1024) as f32 - 512.0) * 64.0,
        |x| f32::from_bits(x % (1 << 23)),
        |x| (x as f32 - 2e9) * 1e-28,
    ];
    for (a_kind, w_kind) in (0..25).map(|i| (kinds[i / 5], kinds[i % 5])) {
        for overwrite in [true, false] {
            let start = vector(|| w_kind(s.next()));
            let a: Vec<f32> = (0..k).map(|_| a_kind(s.next())).collect();
            let w: Vec<f32> = (0..k * LANES).map(|_| w_kind(s.next())).collect();
            let w16: Vec<f16> = w.iter().map(|w| f16::from_f32(w * 2e-4)).collect();
            let want = |at: &dyn Fn(usize) -> f32| {
                let mut lanes = 0..LANES;
                vector(|| {
                    let o = lanes.next().unwrap();
                    let start = if overwrite { 0.0 } else { start[o] };
                    (0..k).fold(start, |sum, i| a[i].mul_add(at(i * LANES + o), sum))
                })
            };
            let (want, want16) = (want(&|i| w[i]), want(&|i| w16[i].to_f32()));
            for isa in Isa::available() {
                let (mut out, mut out16) = (start, start);
                let tile = TileF::new((1, 1), (&a, k), (&w, k * LANES), k, overwrite, &mut out);
                let tile16 = TileF::new((1, 1), (&a, k), (&w16, k * LANES), k, overwrite, &mut out16);
                // SAFETY: the slices hold one row, one panel and one output vector.
                unsafe {
                    isa.tile_f32(1, 1, &tile);
                    isa.tile_f16(1, 1, &tile16);
                }
                assert_eq!(out.map(f32::to_bits), want.map(f32::to_bits), "{} f32", isa.name());
                assert_eq!(out16.map(f32::to_bits), want16.map(f32::to_bits), "{} f16", isa.name());
            }
        }
    }
}
