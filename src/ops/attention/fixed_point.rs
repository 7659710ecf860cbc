//! The fixed point of a head's logits: the finest one in which no logit overflows 16 bits.
//!
//! In: the scale and squared norm of every quantised token of q and k, and the largest |bias|. Out: [`FixedPoint`].
//!
//! With int8 rows Q_i and K_j, their scales s_i and t_j, and the bias b_ij, a logit in octaves (powers of two) is
//! x_ij = log₂e · (s_i · t_j · Q_i·K_j + b_ij). The kernels compute it as a whole number of steps of 2^−unit octaves, by two
//! multiplications of 16-bit factors:
//!
//! X_ij = ⌊Q_i·K_j / 2^shift⌋ · k_j / 2¹⁵ · q_i / 2¹⁵ + B_ij
//!
//! By the Cauchy–Schwarz inequality |Q_i·K_j| ≤ ‖Q_i‖ · ‖K_j‖, and |x_ij| ≤ log₂e · (s_i‖Q_i‖ · t_j‖K_j‖ + |b_ij|). With the
//! largest norms on the right:
//! - `shift` is the smallest that fits the shifted products into 16 bits;
//! - `unit` is the largest, up to 10, that keeps |X| below 2¹⁴ and the factors within 16 bits.
//!
//! Keys that do not exist have the logit −2¹⁵, at least 2¹⁴ steps or sixteen octaves below every other.

use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;
use crate::simd::math::sqrt;
use core::f32::consts::LOG2_E;

/// The largest magnitude in `x`.
pub(super) fn largest(x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut max = [0f32; LANES];
    for x in whole {
        max.iter_mut().zip(x).for_each(|(m, x)| *m = if x.abs() > *m { x.abs() } else { *m });
    }
    rest.iter().chain(&max).fold(0.0, |m, x| if x.abs() > m { x.abs() } else { m })
}

/// The fixed point of a head's logits, as [`SoftmaxBlocks`](crate::simd::kernels::attention::softmax::SoftmaxBlocks) uses it.
#[derive(Clone, Copy, Default, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct FixedPoint {
    /// Bits by which integer products are shifted right.
    pub shift: u32,
    /// An octave is 2^unit steps.
    pub unit: u32,
    /// The factor q_i of a token of q is its scale times this.
    pub q: f32,
    /// The factor k_j of a token of k is its scale times this.
    pub k: f32,
}

/// The largest scale, the largest Σ Q², and the largest scale² · Σ Q² of some tokens.
fn maxima(tokens: &[Token]) -> (f32, f32, f32) {
    tokens.iter().fold((0f32, 0f32, 0f32), |(scale, norm, length), token| {
        let squares = token.squares as f32;
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        (
            larger(scale, token.scale),
            larger(norm, squares),
            larger(length, token.scale * token.scale * squares),
        )
    })
}

impl FixedPoint {
    /// The finest fixed point for the tokens of q and k and biases of at most `bias`.
    pub fn of(q: &[Token], k: &[Token], bias: f32) -> FixedPoint {
        let ((q_scale, q_norm, q_length), (k_scale, k_norm, k_length)) = (maxima(q), maxima(k));
        let sum = sqrt(q_norm) * sqrt(k_norm);
        let shift = (0..15).find(|&shift| sum < 32700.0 * (1u32 << shift) as f32).unwrap_or(15);
        // Both in octaves: the largest logit, and one step of a shifted product with the largest scales.
        let logit = LOG2_E * (sqrt(q_length) * sqrt(k_length) + bias);
        let step = LOG2_E * q_scale * k_scale * (1u32 << shift) as f32;
        let fits =
            |&unit: &u32| logit * (1u32 << unit) as f32 <= 16300.0 && step * (1u32 << unit) as f32 <= 1.0;
        let unit = (0..=10).rev().find(fits).unwrap_or(0);
        let k = if k_scale > 0.0 { 32767.0 / k_scale } else { 0.0 };
        // If every scale of q is 0 this is NaN, and the factors, converted to integers, are 0.
        FixedPoint { shift, unit, q: step * (1u32 << unit) as f32 / q_scale * 32767.0, k }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Twenty rows of 64 int8 numbers and their tokens, one of which has a scale `massive` times as large.
    fn rows(seed: u64, scale: f32, massive: f32) -> (Vec<[i32; 64]>, Vec<Token>) {
        let mut state = seed;
        let rows: Vec<[i32; 64]> = (0..20)
            .map(|_| {
                core::array::from_fn(|i| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if i == 0 { 127 } else { ((state >> 33) % 255) as i32 - 127 }
                })
            })
            .collect();
        let tokens = rows.iter().enumerate().map(|(i, row)| Token {
            scale: if i == 7 { scale * massive } else { scale },
            sum: row.iter().sum(),
            squares: row.iter().map(|q| q * q).sum(),
        });
        let tokens = tokens.collect();
        (rows, tokens)
    }

    #[test]
    fn logits_stay_below_2_to_14_and_near_the_exact_value() {
        for (scale, massive, bias) in
            [(1e-6, 1.0, 0.0), (0.005, 1.0, 3.0), (0.005, 30.0, 3.0), (0.05, 1.0, 0.1), (0.0, 1.0, 1.0)]
        {
            let ((q, q_tokens), (k, k_tokens)) = (rows(1, scale, massive), rows(2, scale, massive));
            let fixed = FixedPoint::of(&q_tokens, &k_tokens, bias);
            let unit = (1u32 << fixed.unit) as f32;
            // There are three roundings: of the shifted product, whose largest step this is, and of the two multiplications.
            let max_scale = |tokens: &[Token]| tokens.iter().fold(0.0, |m: f32, t| m.max(t.scale));
            let step =
                (1u32 << fixed.shift) as f32 * max_scale(&q_tokens) * max_scale(&k_tokens) * LOG2_E * unit;
            for (q, q_token) in q.iter().zip(&q_tokens) {
                let q_factor = (q_token.scale * fixed.q + 0.5) as i16;
                for (k, k_token) in k.iter().zip(&k_tokens) {
                    let k_factor = (k_token.scale * fixed.k + 0.5) as i16;
                    let sum: i32 = q.iter().zip(k).map(|(q, k)| q * k).sum();
                    let times = |a: i32, b: i16| (a * i32::from(b) + (1 << 14)) >> 15;
                    let x = times(times(sum >> fixed.shift, k_factor), q_factor) as f32;
                    let want = sum as f32 * q_token.scale * k_token.scale * LOG2_E * unit;
                    assert!(x.abs() + bias * LOG2_E * unit <= 16384.0, "{x}: {fixed:?}");
                    assert!(
                        (x - want).abs() <= 1.0 + 2.5 * step + want.abs() * 2e-3,
                        "{x}, not {want}: {fixed:?}"
                    );
                }
            }
        }
    }
}
