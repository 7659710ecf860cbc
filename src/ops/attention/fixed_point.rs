//! The fixed point of a head's logits: the finest in which none can leave sixteen bits.

use crate::simd::kernels::attention::quantise::Token;
use crate::simd::lanes::LANES;
use crate::simd::math::sqrt;
use core::f32::consts::LOG2_E;

/// The largest of the numbers' magnitudes.
pub(super) fn largest(x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut most = [0f32; LANES];
    for x in whole {
        most.iter_mut().zip(x).for_each(|(m, x)| *m = if x.abs() > *m { x.abs() } else { *m });
    }
    rest.iter().chain(&most).fold(0.0, |m, x| if x.abs() > m { x.abs() } else { m })
}

/// How a head's logits are whole numbers of sixteen bits: see [`SoftmaxBlocks`](crate::simd::kernels::attention::softmax::SoftmaxBlocks).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct FixedPoint {
    pub shift: u32,
    pub unit: u32,
    /// What a token's scale is multiplied by, to be its factor.
    pub q: f32,
    pub k: f32,
}

impl FixedPoint {
    /// |Σ q·k| ≤ ‖q‖ · ‖k‖ bounds sums and logits. Logits keep within ±2¹⁴, so that keys that do not exist, at −2¹⁵, are sixteen
    /// octaves below.
    pub fn of(q: &[Token], k: &[Token], bias: f32) -> FixedPoint {
        let most = |tokens: &[Token]| {
            tokens.iter().fold((0f32, 0f32, 0f32), |(scale, norm, length), token| {
                let squares = token.squares as f32;
                let larger = |a: f32, b: f32| if a > b { a } else { b };
                (
                    larger(scale, token.scale),
                    larger(norm, squares),
                    larger(length, token.scale * token.scale * squares),
                )
            })
        };
        let ((q_scale, q_norm, q_length), (k_scale, k_norm, k_length)) = (most(q), most(k));
        let sum = sqrt(q_norm) * sqrt(k_norm);
        let shift = (0..15).find(|&shift| sum < 32700.0 * (1u32 << shift) as f32).unwrap_or(15);
        // An octave's share of the largest logit, and what the largest scales make of a step of the shifted sum.
        let logit = LOG2_E * (sqrt(q_length) * sqrt(k_length) + bias);
        let step = LOG2_E * q_scale * k_scale * (1u32 << shift) as f32;
        let fits =
            |&unit: &u32| logit * (1u32 << unit) as f32 <= 16300.0 && step * (1u32 << unit) as f32 <= 1.0;
        let unit = (0..=10).rev().find(fits).unwrap_or(0);
        let k = if k_scale > 0.0 { 32767.0 / k_scale } else { 0.0 };
        FixedPoint { shift, unit, q: step * (1u32 << unit) as f32 / q_scale * 32767.0, k }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Rows of 64 numbers, one of them `massive` times as large, and what is known of them.
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
    fn logits_stay_in_range_and_close() {
        for (scale, massive, bias) in
            [(1e-6, 1.0, 0.0), (0.005, 1.0, 3.0), (0.005, 30.0, 3.0), (0.05, 1.0, 0.1), (0.0, 1.0, 1.0)]
        {
            let ((q, q_tokens), (k, k_tokens)) = (rows(1, scale, massive), rows(2, scale, massive));
            let fixed = FixedPoint::of(&q_tokens, &k_tokens, bias);
            let unit = (1u32 << fixed.unit) as f32;
            // Three roundings: of the sum, in proportion to what a step of it can be, and of the two products.
            let most = |tokens: &[Token]| tokens.iter().fold(0.0, |m: f32, t| m.max(t.scale));
            let step = (1u32 << fixed.shift) as f32 * most(&q_tokens) * most(&k_tokens) * LOG2_E * unit;
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
