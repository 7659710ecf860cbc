//! exp, erf and GELU over the lanes, with their error bounds.

use super::lanes::{Lanes, ROUND};

/// Cody and Waite's split of ln 2: the first part has enough trailing zeros that n · LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// e^x for x in −86 ..= 88; smaller x gives e^−86 (4.5e-38). Relative error at most 1.3e-7 (test below, all floats).
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, e^r by the polynomial of Cephes' `expf`, 2^n added to the exponent.
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
    // The low bits of t hold n; shifted, everything above them falls off.
    l.float_from_bits(l.add_i32(l.bits(y), l.shl23(l.bits(t))))
}

/// 255 · 2^(x / 2^unit) for x ≤ 0 and unit ≤ 10, as a byte: off by at most 0.53 (test below, all x).
///
/// 2^f of the fraction f by a polynomial of degree 3, 128 times too large, in whole numbers; then as many places to the right as
/// the rest of x says. Its relative error is at most 1.1e-4.
#[inline(always)]
pub(crate) fn exp2_255<L: Lanes, const N: usize>(l: L, x: &mut [[L::H; 2]; N], unit: u32) {
    // Step by step for all: none waits for its own step before.
    let mut f = *x;
    for f in f.as_flattened_mut() {
        *f = l.fraction(*f, unit);
    }
    let mut p = [[l.splat_i16(2531); 2]; N];
    for c in [7409, 22697, 255 * 128] {
        for (p, f) in p.as_flattened_mut().iter_mut().zip(f.as_flattened()) {
            *p = l.add_i16(l.mul_fraction(*f, *p), l.splat_i16(c));
        }
    }
    for (x, p) in x.as_flattened_mut().iter_mut().zip(p.as_flattened()) {
        *x = l.scale_pow2(*p, *x, unit);
    }
}

/// erf(x), absolute error at most 4e-7 (test below): x·P(x²)/Q(x²) on −4 ..= 4 as in Eigen's and XLA's `erf`, f32.
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

/// GELU with erf, x · (1 + erf(x/√2)) / 2 (Hendrycks and Gimpel 2016).
#[inline(always)]
pub(crate) fn gelu<L: Lanes>(l: L, x: L::F) -> L::F {
    let half = l.mul(x, l.splat(0.5));
    l.fma(half, erf(l, l.mul(x, l.splat(core::f32::consts::FRAC_1_SQRT_2))), half)
}

/// GELU after a product in int8, off by at most 9e-5 (test below): a hundredth of what such a product is off by, and of a step of the
/// bytes that it becomes. x · (1/2 + y·P(y²)) with y = x within ±4.2, the polynomial fitted to the least largest error of the whole.
#[inline(always)]
pub(crate) fn gelu_of_int8<L: Lanes>(l: L, x: L::F) -> L::F {
    let y = l.min(l.max(x, l.splat(-4.2)), l.splat(4.2));
    let y2 = l.mul(y, y);
    let mut p = l.splat(-9.048_727e-10);
    for c in [
        7.961_874_5e-8,
        -3.043_371_5e-6,
        6.696_483e-5,
        -9.512_08e-4,
        9.300_395e-3,
        -6.553_22e-2,
        3.984_683_4e-1,
    ] {
        p = l.fma(p, y2, l.splat(c));
    }
    l.mul(x, l.fma(y, p, l.splat(0.5)))
}

/// Square root, correctly rounded everywhere.
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

    fn over(range: core::ops::Range<f32>, step: f32, check: impl Fn(f32)) {
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
    fn exp_is_close() {
        over(-86.0..88.0, 0.003_7, |x| assert!(exp_error(x) < 1.3e-7, "exp({x}): {}", exp_error(x)));
        assert_eq!(exp(Portable, [0.0; 16])[0], 1.0);
        assert_eq!(exp(Portable, [f32::NEG_INFINITY; 16]), exp(Portable, [-86.0; 16]));
    }

    #[test]
    fn exp2_255_is_close() {
        for unit in 0..=10 {
            for x in -32768..=0i16 {
                let mut y = [[[x; 32]; 2]];
                exp2_255(Portable, &mut y, unit);
                let y = y[0][0][0];
                let want = 255.0 * (f64::from(x) / f64::from(1 << unit)).exp2();
                assert!((f64::from(y) - want).abs() < 0.53, "255 · 2^({x} / 2^{unit}) = {y}, not {want}");
            }
        }
    }

    /// Every float of the domain: minutes.
    #[test]
    #[ignore = "every float: minutes"]
    fn exp_is_close_everywhere() {
        for bits in 0..=f32::to_bits(88.0) {
            let x = f32::from_bits(bits);
            assert!(exp_error(x) < 1.3e-7, "exp({x})");
            if x <= 86.0 {
                assert!(exp_error(-x) < 1.3e-7, "exp(-{x})");
            }
        }
    }

    #[test]
    fn erf_is_close() {
        over(-6.0..6.0, 0.000_37, |x| {
            let (y, want) = (f64::from(erf(Portable, [x; 16])[0]), libm::erf(f64::from(x)));
            assert!((y - want).abs() < 4e-7, "erf({x}) = {y}, not {want}");
        });
    }

    #[test]
    fn gelu_is_close() {
        over(-12.0..12.0, 0.000_71, |x| {
            let y = f64::from(gelu(Portable, [x; 16])[0]);
            let want = f64::from(x) * 0.5 * (1.0 + libm::erf(f64::from(x) / 2f64.sqrt()));
            assert!((y - want).abs() < 2e-7 * f64::from(x.abs()).max(1.0), "gelu({x}) = {y}, not {want}");
            let y = f64::from(gelu_of_int8(Portable, [x; 16])[0]);
            assert!(
                (y - want).abs() < 9e-5 * f64::from(x.abs() / 8.0).max(1.0),
                "about gelu({x}) = {y}, not {want}"
            );
        });
    }
}
