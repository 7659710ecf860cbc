//! The nine taps of a 3x3 convolution as the sixteen matrices of Winograd's F(2x2, 3x3).

use beitle::format::WINOGRAD_TAPS;
use rayon::prelude::*;

/// G of F(2, 3).
const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// G·g·Gᵀ for every pair of channels: from `[9][outputs · inputs]` to `[16][outputs · inputs]`, in f64.
pub fn transform(taps: &[f32]) -> Vec<f32> {
    let pairs = taps.len() / 9;
    let mut out = vec![0f32; WINOGRAD_TAPS * pairs];
    out.par_chunks_mut(pairs.max(1)).enumerate().for_each(|(position, out)| {
        let (gy, gx) = (G[position / 4], G[position % 4]);
        for (i, w) in out.iter_mut().enumerate() {
            let tap = |t: usize| gy[t / 3] * gx[t % 3] * f64::from(taps[t * pairs + i]);
            *w = (0..9).map(tap).sum::<f64>() as f32;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A is the convolution, for every tap alone.
    #[test]
    fn sixteen_products_make_the_convolution() {
        const B: [[f64; 4]; 4] =
            [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
        const A: [[f64; 4]; 2] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];
        let d: [[f64; 4]; 4] =
            std::array::from_fn(|y| std::array::from_fn(|x| ((7 * y + 3 * x * x + y * x) % 11) as f64 - 5.0));
        for tap in 0..9 {
            let mut taps = [0f32; 9];
            taps[tap] = 1.0;
            let g = transform(&taps);
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut sum = 0.0;
                for (i, j) in (0..16).map(|p| (p / 4, p % 4)) {
                    let pixels = (0..16).map(|q| B[i][q / 4] * B[j][q % 4] * d[q / 4][q % 4]);
                    sum += A[y][i] * A[x][j] * f64::from(g[4 * i + j]) * pixels.sum::<f64>();
                }
                assert_eq!(sum, d[y + tap / 3][x + tap % 3], "tap {tap}, output {y} {x}");
            }
        }
    }
}
