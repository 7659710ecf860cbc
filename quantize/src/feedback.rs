//! Rounding that makes up for itself: the error of the weights rounded so far is taken back by those still to come.
//!
//! For an output w and inputs x the error that counts is e·H·eᵀ, e what rounding changed and H the mean of xᵀx. With
//! H = (U + I)·D·(U + I)ᵀ, U strictly upper triangular, it is Σ_k d_k·(e_k + Σ_i<k e_i·U_ik)²; rounding w_k + Σ_i<k e_i·U_ik
//! in place of w_k keeps every term at one rounding (LDLQ, Chee et al. 2023, "QuIP"; the same numbers as GPTQ, Frantar
//! et al. 2022). Plain sums in a fixed order: the same file on every machine.

use crate::calibrate::Samples;
use rayon::prelude::*;

/// Added to H's diagonal, of its mean: what the samples do not show must not run away.
const DAMPING: f64 = 0.02;
/// Columns that are factorised at a time.
const BLOCK: usize = 64;

/// U of a layer's inputs.
pub struct Feedback {
    k: usize,
    /// Row k holds U_ik for all i < k.
    rows: Vec<f32>,
}

impl Feedback {
    /// From samples; `None` where they are all zero or not finite.
    pub fn new(samples: &Samples) -> Option<Feedback> {
        let k = samples.k;
        let mut h = gram(samples);
        let mean = (0..k).map(|i| h[i * k + i]).sum::<f64>() / k as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        (0..k).for_each(|i| h[i * k + i] += DAMPING * mean);
        cholesky(&mut h, k)?;
        // The Gram matrix was of the inputs backwards: L_rs is U of k − 1 − r and k − 1 − s.
        let mut rows = vec![0f32; k * k];
        rows.par_chunks_mut(k).enumerate().for_each(|(j, row)| {
            let s = k - 1 - j;
            for (i, u) in row[..j].iter_mut().enumerate() {
                *u = (h[(k - 1 - i) * k + s] / h[s * k + s]) as f32;
            }
        });
        Some(Feedback { k, rows })
    }

    /// Rounds sixteen outputs at once. `weights[i]` are the sixteen weights of input i, `round(i, lane, value)` gives the number
    /// to store, the byte it runs as and what that stands for; `store(i, lane, number, byte, value)` takes them.
    pub fn round(
        &self,
        weights: &[[f32; 16]],
        round: impl Fn(usize, usize, f32) -> (i8, i8, f32),
        mut store: impl FnMut(usize, usize, i8, i8, f32),
    ) {
        let mut errors: Vec<[f32; 16]> = Vec::with_capacity(self.k);
        for (j, weights) in weights.iter().enumerate() {
            let mut owed = [0f32; 16];
            for (u, error) in self.rows[j * self.k..].iter().zip(&errors) {
                for (o, e) in owed.iter_mut().zip(error) {
                    *o += u * e;
                }
            }
            errors.push(core::array::from_fn(|lane| {
                let (number, byte, value) = round(j, lane, weights[lane] + owed[lane]);
                store(j, lane, number, byte, value);
                weights[lane] - value
            }));
        }
    }

    /// Inputs.
    pub fn k(&self) -> usize {
        self.k
    }
}

/// Σ xᵀx with the inputs in reverse order, the lower triangle.
fn gram(samples: &Samples) -> Vec<f64> {
    let k = samples.k;
    let count = samples.rows.len() / k;
    let wide = count.next_multiple_of(16);
    let mut columns = vec![0f32; k * wide];
    columns.par_chunks_mut(wide).enumerate().for_each(|(r, column)| {
        for (x, row) in column.iter_mut().zip(samples.rows.chunks(k)) {
            *x = row[k - 1 - r].to_f32();
        }
    });
    let mut h = vec![0f64; k * k];
    h.par_chunks_mut(BLOCK * k).enumerate().for_each(|(block, rows)| {
        let first = block * BLOCK;
        for s in 0..k.min(first + BLOCK) {
            let column = &columns[s * wide..][..wide];
            for (i, row) in rows.chunks_mut(k).enumerate().filter(|(i, _)| s <= first + i) {
                row[s] = f64::from(dot32(&columns[(first + i) * wide..][..wide], column));
            }
        }
    });
    h
}

/// A product of whole sixteens.
fn dot32(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    }
    sums.iter().sum()
}

fn dot64(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; 8];
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a8.iter().zip(b8) {
        for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// A = C·Cᵀ in place, the lower triangle, block column after block column. `None` where A is not positive.
fn cholesky(a: &mut [f64], k: usize) -> Option<()> {
    for first in (0..k).step_by(BLOCK) {
        let width = BLOCK.min(k - first);
        // Rows of the block as far as they are done.
        let done: Vec<f64> =
            (first..first + width).flat_map(|r| a[r * k..][..first].iter().copied()).collect();
        let rows = &mut a[first * k..];
        rows.par_chunks_mut(k).for_each(|row| {
            let (before, here) = row.split_at_mut(first);
            for (s, x) in here[..width].iter_mut().enumerate() {
                *x -= dot64(before, &done[s * first..][..first]);
            }
        });
        let (block, below) = rows.split_at_mut(width * k);
        for r in 0..width {
            for s in 0..=r {
                let sum = dot64(&block[r * k + first..][..s], &block[s * k + first..][..s]);
                let x = block[r * k + first + s] - sum;
                block[r * k + first + s] = match r == s {
                    true if x > 0.0 && x.is_finite() => x.sqrt(),
                    true => return None,
                    false => x / block[s * k + first + s],
                };
            }
        }
        below.par_chunks_mut(k).for_each(|row| {
            for s in 0..width {
                let solved = &block[s * k + first..][..=s];
                let sum = dot64(&row[first..][..s], &solved[..s]);
                row[first + s] = (row[first + s] - sum) / solved[s];
            }
        });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    fn samples(k: usize, count: usize) -> Samples {
        let mut x = 7u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut rows = Vec::new();
        for _ in 0..count {
            // Strongly related inputs with a large common part.
            let (common, tilt) = (2.0 + next(), next());
            rows.extend((0..k).map(|i| bf16::from_f32(common + tilt * (i as f32 / k as f32) + 0.1 * next())));
        }
        Samples { k, rows }
    }

    #[test]
    fn the_factor_is_the_matrix() {
        let k = 150;
        let s = samples(k, 400);
        let mut h = gram(&s);
        (0..k).for_each(|i| h[i * k + i] += 1.0);
        let whole = h.clone();
        cholesky(&mut h, k).unwrap();
        for r in 0..k {
            for c in 0..=r {
                let back: f64 = (0..=c).map(|t| h[r * k + t] * h[c * k + t]).sum();
                assert!((back - whole[r * k + c]).abs() < 1e-9 * whole[0], "{r} {c}");
            }
        }
        assert!(cholesky(&mut [-1.0], 1).is_none());
    }

    #[test]
    fn what_comes_out_is_closer_than_with_nearest_rounding() {
        let k = 96;
        let s = samples(k, 300);
        let feedback = Feedback::new(&s).unwrap();
        let weights: Vec<[f32; 16]> =
            (0..k).map(|i| core::array::from_fn(|l| ((i * 37 + l * 11) % 64) as f32 / 13.0 - 2.3)).collect();
        let round = |_: usize, _: usize, w: f32| (w.round() as i8, w.round() as i8, w.round());
        let mut compensated = vec![[0i8; 16]; k];
        feedback.round(&weights, round, |i, lane, q, _, _| compensated[i][lane] = q);
        let error = |stored: &dyn Fn(usize, usize) -> f32| -> f64 {
            let row_error = |row: &[bf16], lane: usize| -> f64 {
                (0..k).map(|i| f64::from(row[i].to_f32() * (weights[i][lane] - stored(i, lane)))).sum()
            };
            s.rows.chunks(k).flat_map(|row| (0..16).map(move |lane| row_error(row, lane).powi(2))).sum()
        };
        let nearest = error(&|i, lane| weights[i][lane].round());
        let fed = error(&|i, lane| f32::from(compensated[i][lane]));
        assert!(fed < 0.05 * nearest, "{fed} against {nearest}");
    }

    #[test]
    fn dead_inputs_are_no_feedback() {
        assert!(Feedback::new(&Samples { k: 4, rows: vec![bf16::ZERO; 40] }).is_none());
    }
}
