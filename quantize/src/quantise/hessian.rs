//! The matrix H = Σ xᵀx of a layer's inputs and its Cholesky factor, in blocks and on all threads. Sums have a fixed order,
//! so the result does not depend on the machine or the number of threads.

use crate::calibrate::Samples;
use rayon::prelude::*;

/// Columns in a block.
const BLOCK: usize = 64;

/// H with the inputs in reverse order, `[k][k]`. Only the lower triangle is computed.
pub(super) fn reversed_gram(samples: &Samples) -> Vec<f64> {
    let k = samples.k;
    let count = samples.rows.len() / k;
    // One column per input, padded with zeros to whole vectors.
    let padded = count.next_multiple_of(16);
    let mut columns = vec![0f32; k * padded];
    columns.par_chunks_mut(padded).enumerate().for_each(|(r, column)| {
        for (x, row) in column.iter_mut().zip(samples.rows.chunks(k)) {
            *x = row[k - 1 - r].to_f32();
        }
    });
    let mut h = vec![0f64; k * k];
    h.par_chunks_mut(BLOCK * k).enumerate().for_each(|(block, rows)| {
        let first = block * BLOCK;
        for s in 0..k.min(first + BLOCK) {
            let column = &columns[s * padded..][..padded];
            for (i, row) in rows.chunks_mut(k).enumerate().filter(|(i, _)| s <= first + i) {
                row[s] = f64::from(dot_f32(&columns[(first + i) * padded..][..padded], column));
            }
        }
    });
    h
}

/// Dot product of vectors whose length is a multiple of 16.
fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    }
    sums.iter().sum()
}

fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; 8];
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a8.iter().zip(b8) {
        for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Replaces the lower triangle of A, `[k][k]`, by the lower triangular C with A = C·Cᵀ, one block of columns at a time.
/// `None` if A is not positive definite.
pub(super) fn cholesky(a: &mut [f64], k: usize) -> Option<()> {
    for first in (0..k).step_by(BLOCK) {
        let width = BLOCK.min(k - first);
        // The block's rows of C in the columns before the block.
        let before_block: Vec<f64> =
            (first..first + width).flat_map(|r| a[r * k..][..first].iter().copied()).collect();
        let rows = &mut a[first * k..];
        rows.par_chunks_mut(k).for_each(|row| {
            let (before, rest) = row.split_at_mut(first);
            for (s, x) in rest[..width].iter_mut().enumerate() {
                *x -= dot_f64(before, &before_block[s * first..][..first]);
            }
        });
        let (block, below) = rows.split_at_mut(width * k);
        factor_diagonal_block(block, k, first, width)?;
        below.par_chunks_mut(k).for_each(|row| {
            for s in 0..width {
                let solved = &block[s * k + first..][..=s];
                let sum = dot_f64(&row[first..][..s], &solved[..s]);
                row[first + s] = (row[first + s] - sum) / solved[s];
            }
        });
    }
    Some(())
}

/// The Cholesky factor of the square of side `width` on the diagonal. `rows` are the square's rows of the matrix.
fn factor_diagonal_block(rows: &mut [f64], k: usize, first: usize, width: usize) -> Option<()> {
    for r in 0..width {
        for s in 0..=r {
            let sum = dot_f64(&rows[r * k + first..][..s], &rows[s * k + first..][..s]);
            let x = rows[r * k + first + s] - sum;
            rows[r * k + first + s] = match r == s {
                true if x > 0.0 && x.is_finite() => x.sqrt(),
                true => return None,
                false => x / rows[s * k + first + s],
            };
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::correlated_samples;

    #[test]
    fn the_factor_times_its_transpose_is_the_matrix() {
        let k = 150;
        let s = correlated_samples(k, 400);
        let mut h = reversed_gram(&s);
        (0..k).for_each(|i| h[i * k + i] += 1.0);
        let matrix = h.clone();
        cholesky(&mut h, k).unwrap();
        for r in 0..k {
            for c in 0..=r {
                let product: f64 = (0..=c).map(|t| h[r * k + t] * h[c * k + t]).sum();
                assert!((product - matrix[r * k + c]).abs() < 1e-9 * matrix[0], "{r} {c}");
            }
        }
        assert!(cholesky(&mut [-1.0], 1).is_none());
    }
}
