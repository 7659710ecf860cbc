//! exp, 255 · 2^x in fixed point, erf and GELU over the lanes, with their error bounds.
//!
//! Each function is a range reduction followed by a polynomial or rational function in Horner form, evaluated with fused
//! multiply-adds. Every operation gives the same bits on all instruction sets ([`Lanes`]), and so does every function.
//! The tests below check the bounds against f64.
//!
//! | function | method | source | error |
//! | --- | --- | --- | --- |
//! | [`exp`] | Cody and Waite's reduction, degree 7 | Cephes' `expf` | 1.3e-7, relative |
//! | [`exp2_255`] | 16-bit fixed point, degree 3 | fitted | 0.05, absolute |
//! | [`erf`] | x · P(x²) / Q(x²) | Eigen and XLA | 4e-7, absolute |
//! | [`gelu`] | by [`erf`] | Hendrycks and Gimpel 2016 | 2e-7 · max(\|x\|, 1) |
//! | [`gelu_tanh`] | by [`exp`] | transformers' `gelu_pytorch_tanh` | 4e-7 · max(\|x\|, 1) |
//! | [`gelu_of_int8`] | odd polynomial of degree 15 | fitted, minimax | 9e-5 · max(\|x\| / 8, 1) |

use super::lanes::{FRACTION_BITS, Lanes, ROUND};

/// ln 2 = LN2_HIGH + LN2_LOW, split as by Cody and Waite (1980): LN2_HIGH has so many trailing zeros that n · LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// e^x for x ≤ 88, with a relative error of at most 1.3e-7 (tested on every f32). x below −86 gives e^−86 (4.5e-38).
///
/// Cephes' `expf`: x = n·ln 2 + r with |r| ≤ ln 2 / 2; a polynomial gives e^r, and n is added to its exponent.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(l: L, x: L::F) -> L::F {
    let x = l.max(x, l.splat(-86.0));
    let t = l.fma(x, l.splat(core::f32::consts::LOG2_E), l.splat(ROUND));
    let n = l.sub(t, l.splat(ROUND));
    let r = l.fma(n, l.splat(-LN2_LOW), l.fma(n, l.splat(-LN2_HIGH), x));
    let mut p = l.splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = l.fma(p, r, l.splat(c));
    }
    let y = l.add(l.fma(p, l.mul(r, r), r), l.splat(1.0));
    // The low bits of t hold n (see `ROUND`). The shift moves them to the exponent field and drops the bits above them.
    l.bits_to_f32(l.add_i32(l.bits(y), l.shl23(l.bits(t))))
}

/// 255 · 2^(x / 2^unit + [`EXP2_OCTAVES`]), in units of 2^−[`FRACTION_BITS`], for x ≤ −EXP2_OCTAVES · 2^unit and unit ≤ 10. The
/// error is at most 0.05 (tested for every x).
///
/// With x / 2^unit = n + f, n an integer and f in 0 .. 1: a cubic polynomial in 16-bit fixed point gives 128 · 255 · 2^f with a
/// relative error of at most 1.1e-4, and a rounding shift by −n gives the result.
#[inline(always)]
pub(crate) fn exp2_255<L: Lanes, const N: usize>(l: L, x: &mut [[L::H; 2]; N], unit: u32) {
    // Each step is done for all vectors before the next step, so that independent instructions hide the latency.
    let mut f = *x;
    for f in f.as_flattened_mut() {
        *f = l.fraction(*f, unit);
    }
    let [highest, rest @ ..] = EXP2_255;
    let mut p = [[l.splat_i16(highest); 2]; N];
    for c in rest {
        for (p, f) in p.as_flattened_mut().iter_mut().zip(f.as_flattened()) {
            *p = l.add_i16(l.mul_fraction(*f, *p), l.splat_i16(c));
        }
    }
    for (x, p) in x.as_flattened_mut().iter_mut().zip(p.as_flattened()) {
        *x = l.scale_pow2(*p, *x, unit);
    }
}

/// The polynomial of [`exp2_255`], from its highest coefficient on.
pub(crate) const EXP2_255: [i16; 4] = [2531, 7409, 22697, 255 * 128];

/// Octaves by which the result of [`exp2_255`] exceeds 255 · 2^(x / 2^unit): what the fraction bits leave of the polynomial's factor
/// 2⁷. Callers take them off x, where it costs nothing.
pub(crate) const EXP2_OCTAVES: u32 = 7 - FRACTION_BITS;

/// erf(x) with an absolute error of at most 4e-7: x · P(x²) / Q(x²) with x clamped to −4 ..= 4, the rational approximation of
/// Eigen's and XLA's single-precision `erf`.
#[inline(always)]
pub(crate) fn erf<L: Lanes>(l: L, x: L::F) -> L::F {
    let x = l.min(l.max(x, l.splat(-4.0)), l.splat(4.0));
    let x2 = l.mul(x, x);
    let mut p = l.splat(-2.726_142_3e-10);
    for c in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_5e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = l.fma(p, x2, l.splat(c));
    }
    let mut q = l.splat(-1.456_607_2e-5);
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
        q = l.fma(q, x2, l.splat(c));
    }
    l.div(l.mul(x, p), q)
}

/// The exact GELU, x · (1 + erf(x / √2)) / 2 (Hendrycks and Gimpel 2016, "Gaussian Error Linear Units").
#[inline(always)]
pub(crate) fn gelu<L: Lanes>(l: L, x: L::F) -> L::F {
    let half = l.mul(x, l.splat(0.5));
    l.fma(half, erf(l, l.mul(x, l.splat(core::f32::consts::FRAC_1_SQRT_2))), half)
}

/// GELU approximated by tanh: x · (1 + tanh u) / 2 = x / (1 + e^−2u) with u = √(2/π) · (x + 0.044715 · x³).
#[inline(always)]
pub(crate) fn gelu_tanh<L: Lanes>(l: L, x: L::F) -> L::F {
    const SCALE: f32 = -1.595_769; // −2 · √(2/π)
    let inner = l.fma(l.mul(l.mul(x, x), x), l.splat(0.044_715), x);
    // Beyond the limit the result is 0 in f32, almost; `exp` would overflow.
    let exponent = l.min(l.mul(inner, l.splat(SCALE)), l.splat(87.0));
    l.div(x, l.add(exp(l, exponent), l.splat(1.0)))
}

/// The constants of [`gelu_of_int8`] in the order of their use: the limits of y, the polynomial P from its highest coefficient on,
/// and 1/2.
pub(crate) const GELU_OF_INT8: [f32; 11] = [
    -4.2,
    4.2,
    -9.048_727e-10,
    7.961_874_5e-8,
    -3.043_371_5e-6,
    6.696_483e-5,
    -9.512_08e-4,
    9.300_395e-3,
    -6.553_22e-2,
    3.984_683_4e-1,
    0.5,
];

/// An approximation of GELU for the outputs of int8 products, with an absolute error of at most 9e-5 (for |x| > 8: |x| / 8 times
/// that). This is about a hundredth of the error of such a product, and of a quantisation step of the layer that follows.
///
/// x · (1/2 + y · P(y²)) with y = x clamped to ±4.2. P is fitted so that the largest error of the whole expression is minimal.
#[inline(always)]
pub(crate) fn gelu_of_int8<L: Lanes>(l: L, x: L::F) -> L::F {
    let [low, high, highest, rest @ .., half] = GELU_OF_INT8;
    let y = l.min(l.max(x, l.splat(low)), l.splat(high));
    let y2 = l.mul(y, y);
    let mut p = l.splat(highest);
    for c in rest {
        p = l.fma(p, y2, l.splat(c));
    }
    l.mul(x, l.fma(y, p, l.splat(half)))
}

/// √x, correctly rounded.
pub(crate) fn sqrt(x: f32) -> f32 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    return libm::sqrtf(x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::portable::Portable;

    fn for_range(range: core::ops::Range<f32>, step: f32, check: impl Fn(f32)) {
        let mut x = range.start;
        while x < range.end {
            check(x);
            x += step;
        }
    }

    fn exp_error(x: f32) -> f64 {
        let y = f64::from(exp(Portable, [x; 16])[0]);
        let want = f64::from(x).exp();
        ((y - want) / want).abs()
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and much of it")]
    fn exp_is_within_its_bound() {
        for_range(-86.0..88.0, 0.003_7, |x| assert!(exp_error(x) < 1.3e-7, "exp({x}): {}", exp_error(x)));
        assert_eq!(exp(Portable, [0.0; 16])[0], 1.0);
        assert_eq!(exp(Portable, [f32::NEG_INFINITY; 16]), exp(Portable, [-86.0; 16]));
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and much of it")]
    fn exp2_255_is_within_its_bound() {
        for unit in 0..=10 {
            for x in -32768..=0i16 {
                let mut y = [[[x.saturating_sub((EXP2_OCTAVES << unit) as i16); 32]; 2]];
                exp2_255(Portable, &mut y, unit);
                let y = f64::from(y[0][0][0]) / f64::from(1 << FRACTION_BITS);
                let want = 255.0 * (f64::from(x) / f64::from(1 << unit)).exp2();
                assert!((y - want).abs() < 0.05, "255 · 2^({x} / 2^{unit}) = {y}, expected {want}");
            }
        }
    }

    #[test]
    fn rounding_with_carry_keeps_the_sums_of_chains() {
        let (one, largest) = (1 << FRACTION_BITS, 255i16 << FRACTION_BITS);
        for step in 1..=97i16 {
            let numbers =
                |first: i16| core::array::from_fn(|i| (first + i as i16).wrapping_mul(step) & 0x1FFF);
            let [a, b]: [[i16; 32]; 2] = [0, 32].map(numbers).map(|x| x.map(|x| x.min(largest)));
            let [p, q] = Portable.round_with_carry(a, b);
            for i in 0..16 {
                let sum = |a: &[i16; 32], b: &[i16; 32]| a[i] + b[i] + a[16 + i] + b[16 + i];
                let error = one * sum(&p, &q) - sum(&a, &b);
                assert!((-one / 2..=one / 2).contains(&error), "chain {i} of step {step}: {error} / {one}");
            }
            for (x, y) in a.iter().chain(&b).zip(p.iter().chain(&q)) {
                assert!((0..=255).contains(y) && (one * y - x).abs() < one, "{x} / {one} became {y}");
            }
        }
        assert_eq!(Portable.round_with_carry([largest; 32], [largest; 32]), [[255; 32]; 2]);
    }

    #[test]
    #[ignore = "every f32 of the domain: takes minutes"]
    fn exp_is_within_its_bound_for_every_f32() {
        for bits in 0..=f32::to_bits(88.0) {
            let x = f32::from_bits(bits);
            assert!(exp_error(x) < 1.3e-7, "exp({x})");
            if x <= 86.0 {
                assert!(exp_error(-x) < 1.3e-7, "exp(-{x})");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and much of it")]
    fn erf_is_within_its_bound() {
        for_range(-6.0..6.0, 0.000_37, |x| {
            let (y, want) = (f64::from(erf(Portable, [x; 16])[0]), libm::erf(f64::from(x)));
            assert!((y - want).abs() < 4e-7, "erf({x}) = {y}, expected {want}");
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and much of it")]
    fn gelu_is_within_its_bound() {
        for_range(-12.0..12.0, 0.000_71, |x| {
            let y = f64::from(gelu(Portable, [x; 16])[0]);
            let want = f64::from(x) * 0.5 * (1.0 + libm::erf(f64::from(x) / 2f64.sqrt()));
            assert!(
                (y - want).abs() < 2e-7 * f64::from(x.abs()).max(1.0),
                "gelu({x}) = {y}, expected {want}"
            );
            let y = f64::from(gelu_tanh(Portable, [x; 16])[0]);
            let u = (2.0 / std::f64::consts::PI).sqrt() * (f64::from(x) + 0.044715 * f64::from(x).powi(3));
            let by_tanh = f64::from(x) * 0.5 * (1.0 + u.tanh());
            assert!(
                (y - by_tanh).abs() < 4e-7 * f64::from(x.abs()).max(1.0),
                "gelu_tanh({x}) = {y}, expected {by_tanh}"
            );
            let y = f64::from(gelu_of_int8(Portable, [x; 16])[0]);
            assert!(
                (y - want).abs() < 9e-5 * f64::from(x.abs() / 8.0).max(1.0),
                "gelu_of_int8({x}) = {y}, expected {want}"
            );
        });
    }
}
