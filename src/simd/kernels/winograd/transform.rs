//! The one-dimensional Winograd transforms F(2, 3) and F(4, 3), and their coefficients of error diffusion.
//!
//! With the points of interpolation x_0, …, x_{T−2} and ∞ (Toom-Cook):
//!
//! - row p of Bᵀ holds the coefficients of Π (x − x_q) over the other finite points q;
//! - row o of Aᵀ holds the powers x_p^o; the column of ∞ is 1 in the last row and 0 above;
//! - row p of G holds the powers x_p^k, divided by Π (x_p − x_q) over the other finite points q; the row of ∞ is (0, 0, 1).
//!
//! F(2, 3) is in Lavin and Gray's form, which moves some signs between the matrices. Pairs of points ±x share even and odd parts,
//! which the code below computes once.

use crate::simd::lanes::Lanes;
use core::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// A transform of M outputs from T = M + 2 inputs, along one direction of a tile.
///
/// The methods are `#[inline(always)]` functions of a trait rather than closures: a function that is not inlined is compiled
/// without the target features, and each of its vector operations becomes a call.
pub(super) trait Transform<const T: usize, const M: usize> {
    /// Bᵀ · inputs.
    fn input_transform<L: Lanes>(l: L, inputs: [L::F; T]) -> [L::F; T];
    /// Aᵀ · products.
    fn output_transform<L: Lanes>(l: L, products: [L::F; T]) -> [L::F; M];
    /// Error diffusion: `DIFFUSION[j][i]`, i < j, is the fraction of the rounding error of point i that is added to point j
    /// before point j is rounded. See [`quantise`](super::quantise) for its use.
    ///
    /// An error e of the points has the energy eᵀ K e at the outputs, in expectation over uncorrelated weights of equal
    /// variance, with K = (A Aᵀ) ∘ (G Gᵀ): K_pq = Σ_o A_po A_qo · Σ_k G_pk G_qk. If r are the errors of rounding alone,
    /// diffusion makes e = S r with S = 1 + DIFFUSION. Column i of S is chosen to minimise the energy of r_i, given the
    /// entries that are not zero: (K S)_ji = 0 for each of them. The smallest entries are set to zero (two of six for
    /// F(2, 3), five of fifteen for F(4, 3)), which costs 0.1 and 0.3 dB.
    const DIFFUSION: [[f32; T]; T];
}

/// F(2, 3), points 0, 1, −1, ∞.
pub(super) struct F2x3;

impl Transform<4, 2> for F2x3 {
    #[inline(always)]
    fn input_transform<L: Lanes>(l: L, [a, b, c, d]: [L::F; 4]) -> [L::F; 4] {
        [l.sub(a, c), l.add(b, c), l.sub(c, b), l.sub(b, d)]
    }
    #[inline(always)]
    fn output_transform<L: Lanes>(l: L, [a, b, c, d]: [L::F; 4]) -> [L::F; 2] {
        [l.add(l.add(a, b), c), l.sub(l.sub(b, c), d)]
    }
    const DIFFUSION: [[f32; 4]; 4] = {
        const THIRD: f32 = 1.0 / 3.0;
        [[0.0; 4], [-THIRD, 0.0, 0.0, 0.0], [-THIRD, 0.0, 0.0, 0.0], [0.0, 0.5, -0.5, 0.0]]
    };
}

/// F(4, 3), points 0, √½, −√½, √2, −√2, ∞.
pub(super) struct F4x3;

impl Transform<6, 4> for F4x3 {
    #[inline(always)]
    fn input_transform<L: Lanes>(l: L, [a, b, c, d, e, f]: [L::F; 6]) -> [L::F; 6] {
        let even = fma(l, -2.0, c, e);
        let odd = fma(l, FRAC_1_SQRT_2, d, l.mul(b, l.splat(-SQRT_2)));
        let even2 = fma(l, -0.5, c, e);
        let odd2 = fma(l, SQRT_2, d, l.mul(b, l.splat(-FRAC_1_SQRT_2)));
        [
            fma(l, -2.5, c, l.add(a, e)),
            l.add(even, odd),
            l.sub(even, odd),
            l.add(even2, odd2),
            l.sub(even2, odd2),
            fma(l, -2.5, d, l.add(b, f)),
        ]
    }
    #[inline(always)]
    fn output_transform<L: Lanes>(l: L, [a, b, c, d, e, f]: [L::F; 6]) -> [L::F; 4] {
        let (sum, difference) = (l.add(b, c), l.sub(b, c));
        let (sum2, difference2) = (l.add(d, e), l.sub(d, e));
        [
            l.add(l.add(a, sum), sum2),
            fma(l, SQRT_2, difference2, l.mul(difference, l.splat(FRAC_1_SQRT_2))),
            fma(l, 2.0, sum2, l.mul(sum, l.splat(0.5))),
            fma(l, 2.0 * SQRT_2, difference2, fma(l, 0.5 * FRAC_1_SQRT_2, difference, f)),
        ]
    }
    const DIFFUSION: [[f32; 6]; 6] = {
        const A: f32 = 0.6047;
        const B: f32 = 0.2558;
        const C: f32 = 0.6027;
        const D: f32 = 0.4504;
        const E: f32 = 0.9428;
        [
            [0.0; 6],
            [A, 0.0, 0.0, 0.0, 0.0, 0.0],
            [A, 0.0, 0.0, 0.0, 0.0, 0.0],
            [B, C, 0.0, 0.0, 0.0, 0.0],
            [B, 0.0, C, 0.0, 0.0, 0.0],
            [0.0, -D, D, -E, E, 0.0],
        ]
    };
}

/// factor · v + addend
#[inline(always)]
pub(super) fn fma<L: Lanes>(l: L, factor: f32, v: L::F, addend: L::F) -> L::F {
    l.fma(v, l.splat(factor), addend)
}
