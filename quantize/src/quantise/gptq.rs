//! Rounding with error compensation: each weight also makes up for the rounding errors of the weights before it.
//!
//! For an output with weights w and layer inputs x, the error that matters is e·H·eᵀ, where e is the rounding error of w and
//! H the sum of xᵀx over the samples. Factor H = (U + I)·D·(U + I)ᵀ with U strictly upper triangular; then the error is
//! Σ_k d_k·(e_k + Σ_i<k e_i·U_ik)². Rounding w_k + Σ_i<k e_i·U_ik instead of w_k keeps every term at a single rounding error.
//! This is LDLQ (Chee et al. 2023, "QuIP: 2-Bit Quantization of Large Language Models With Guarantees"), which gives the same
//! numbers as GPTQ (Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
//! Transformers"). All sums have a fixed order, so files are the same on every machine.

use super::hessian::{cholesky, reversed_gram};
use super::panel_format::RoundedWeight;
use crate::calibrate::Samples;
use beitle::file::format::LANES;
use rayon::prelude::*;

/// Added to H's diagonal, as a fraction of its mean, to bound the feedback along directions that the samples do not cover.
const DAMPING: f64 = 0.02;

/// The feedback matrix U of a layer.
pub struct GptqFeedback {
    k: usize,
    /// Row k holds U_ik for all i < k; the rest is zero.
    rows: Vec<f32>,
}

impl GptqFeedback {
    /// From samples of the layer's inputs; `None` if they are all zero or not finite.
    pub fn new(samples: &Samples) -> Option<GptqFeedback> {
        let k = samples.k;
        let mut h = reversed_gram(samples);
        let mean = (0..k).map(|i| h[i * k + i]).sum::<f64>() / k as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        (0..k).for_each(|i| h[i * k + i] += DAMPING * mean);
        cholesky(&mut h, k)?;
        // Reversing the inputs turned the upper triangular U into the lower triangular Cholesky factor, up to the scale of
        // its columns: entry (r, s) of the factor belongs to inputs k − 1 − r and k − 1 − s.
        let mut rows = vec![0f32; k * k];
        rows.par_chunks_mut(k).enumerate().for_each(|(j, row)| {
            let s = k - 1 - j;
            for (i, u) in row[..j].iter_mut().enumerate() {
                *u = (h[(k - 1 - i) * k + s] / h[s * k + s]) as f32;
            }
        });
        Some(GptqFeedback { k, rows })
    }

    /// Rounds the rows of a panel. `weights[i]` are the weights of input i in all lanes, `round(i, lane, w)` rounds one weight
    /// and `store(i, lane, rounded)` receives the result.
    pub(super) fn round(
        &self,
        weights: &[[f32; LANES]],
        round: impl Fn(usize, usize, f32) -> RoundedWeight,
        mut store: impl FnMut(usize, usize, RoundedWeight),
    ) {
        let mut errors: Vec<[f32; LANES]> = Vec::with_capacity(self.k);
        for (j, weights) in weights.iter().enumerate() {
            let mut correction = [0f32; LANES];
            for (u, error) in self.rows[j * self.k..].iter().zip(&errors) {
                for (c, e) in correction.iter_mut().zip(error) {
                    *c += u * e;
                }
            }
            errors.push(core::array::from_fn(|lane| {
                let rounded = round(j, lane, weights[lane] + correction[lane]);
                store(j, lane, rounded);
                weights[lane] - rounded.value
            }));
        }
    }

    /// The layer's number of inputs.
    pub fn k(&self) -> usize {
        self.k
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::correlated_samples;
    use half::bf16;

    #[test]
    fn outputs_are_closer_than_with_nearest_rounding() {
        let k = 96;
        let s = correlated_samples(k, 300);
        let feedback = GptqFeedback::new(&s).unwrap();
        let weights: Vec<[f32; 16]> =
            (0..k).map(|i| core::array::from_fn(|l| ((i * 37 + l * 11) % 64) as f32 / 13.0 - 2.3)).collect();
        let round = |_: usize, _: usize, w: f32| {
            let stored = w.round() as i8;
            RoundedWeight { stored, operand: stored, value: w.round() }
        };
        let mut compensated = vec![[0i8; 16]; k];
        feedback.round(&weights, round, |i, lane, rounded| compensated[i][lane] = rounded.stored);
        let output_error = |stored: &dyn Fn(usize, usize) -> f32| -> f64 {
            let row_error = |row: &[bf16], lane: usize| -> f64 {
                (0..k).map(|i| f64::from(row[i].to_f32() * (weights[i][lane] - stored(i, lane)))).sum()
            };
            s.rows.chunks(k).flat_map(|row| (0..16).map(move |lane| row_error(row, lane).powi(2))).sum()
        };
        let nearest = output_error(&|i, lane| weights[i][lane].round());
        let compensated = output_error(&|i, lane| f32::from(compensated[i][lane]));
        assert!(compensated < 0.05 * nearest, "{compensated} against {nearest}");
    }

    #[test]
    fn inputs_that_are_all_zero_give_no_feedback() {
        assert!(GptqFeedback::new(&Samples { k: 4, rows: vec![bf16::ZERO; 40] }).is_none());
    }
}
