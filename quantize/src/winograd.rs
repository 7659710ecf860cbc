//! The transforms of Winograd's convolution algorithms F(2x2, 3x3) and F(4x4, 3x3) (Lavin and Gray 2015, "Fast Algorithms for
//! Convolutional Neural Networks"): weights to the matrices that the file stores, input tiles to what these matrices read.
//! The engine applies the output transform.

use beitle::file::format::winograd_points;
use rayon::prelude::*;

/// G of F(2, 3) with interpolation points 0, 1, −1, ∞.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// G of F(4, 3) with interpolation points 0, ±√½, ±√2, ∞: a point p has the row [1, p, p²] / Π (p − q) over the other finite
/// points q.
const G4: [[f64; 3]; 6] = {
    const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const B: f64 = std::f64::consts::SQRT_2;
    [
        [1.0, 0.0, 0.0],
        [-1.0 / 1.5, -A / 1.5, -0.5 / 1.5],
        [-1.0 / 1.5, A / 1.5, -0.5 / 1.5],
        [1.0 / 6.0, B / 6.0, 2.0 / 6.0],
        [1.0 / 6.0, -B / 6.0, 2.0 / 6.0],
        [0.0, 0.0, 1.0],
    ]
};

/// Bᵀ of F(2, 3).
const B2: [[f64; 4]; 4] =
    [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];

/// Bᵀ of F(4, 3): a point has the coefficients of Π (x − q) over the other finite points q.
const B4: [[f64; 6]; 6] = {
    const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const B: f64 = std::f64::consts::SQRT_2;
    [
        [1.0, 0.0, -2.5, 0.0, 1.0, 0.0],
        [0.0, -B, -2.0, A, 1.0, 0.0],
        [0.0, B, -2.0, -A, 1.0, 0.0],
        [0.0, -A, -0.5, B, 1.0, 0.0],
        [0.0, A, -0.5, -B, 1.0, 0.0],
        [0.0, 1.0, 0.0, -2.5, 0.0, 1.0],
    ]
};

/// The input transform Bᵀ·d·B of one channel of an input tile, for output tiles of side `tile` (2 or 4). `pixel(i)` is pixel i
/// of the input tile, row-major. Returns one value for each of the (tile + 2)² Winograd points.
pub fn input_transform(tile: usize, pixel: impl Fn(usize) -> f64) -> Vec<f32> {
    match tile {
        2 => transform_tile(&B2, pixel),
        _ => transform_tile(&B4, pixel),
    }
}

fn transform_tile<const T: usize>(b: &[[f64; T]; T], pixel: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut columns = [[0f64; T]; T];
    for (x, row) in (0..T).flat_map(|y| (0..T).map(move |x| (x, y))) {
        columns[row][x] = (0..T).map(|i| b[row][i] * pixel(T * i + x)).sum();
    }
    let point = |p: usize| (0..T).map(|i| b[p % T][i] * columns[p / T][i]).sum::<f64>();
    (0..T * T).map(|p| point(p) as f32).collect()
}

/// The weight transform G·g·Gᵀ of every pair of output and input channel, for output tiles of side `tile` (2 or 4): from
/// `[9][outputs · inputs]` to `[(tile + 2)²][outputs · inputs]`, computed in f64.
pub fn weight_transform(kernels: &[f32], tile: usize) -> Vec<f32> {
    let g: &[[f64; 3]] = if tile == 2 { &G2 } else { &G4 };
    let pairs = kernels.len() / 9;
    let mut out = vec![0f32; winograd_points(tile) * pairs];
    out.par_chunks_mut(pairs.max(1)).enumerate().for_each(|(point, out)| {
        let (gy, gx) = (g[point / g.len()], g[point % g.len()]);
        for (i, w) in out.iter_mut().enumerate() {
            let term = |p: usize| gy[p / 3] * gx[p % 3] * f64::from(kernels[p * pairs + i]);
            *w = (0..9).map(term).sum::<f64>() as f32;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A is the convolution, for each kernel position on its own.
    fn assert_equals_convolution<const T: usize, const M: usize>(a: [[f64; T]; M]) {
        let d: [[f64; T]; T] =
            std::array::from_fn(|y| std::array::from_fn(|x| ((7 * y + 3 * x * x + y * x) % 11) as f64 - 5.0));
        let pixels = input_transform(M, |p| d[p / T][p % T]);
        for position in 0..9 {
            let mut kernel = [0f32; 9];
            kernel[position] = 1.0;
            let g = weight_transform(&kernel, M);
            for (y, x) in (0..M * M).map(|i| (i / M, i % M)) {
                let product = |p: usize| a[y][p / T] * a[x][p % T] * f64::from(g[p]) * f64::from(pixels[p]);
                let sum: f64 = (0..T * T).map(product).sum();
                let exact = d[y + position / 3][x + position % 3];
                assert!(
                    (sum - exact).abs() < 1e-4,
                    "position {position}, output {y} {x}: {sum}, not {exact}"
                );
            }
        }
    }

    #[test]
    fn f2x2_equals_direct_convolution() {
        assert_equals_convolution([[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]]);
    }

    #[test]
    fn f4x4_equals_direct_convolution() {
        let points = [0.0, 0.5f64.sqrt(), -0.5f64.sqrt(), 2f64.sqrt(), -2f64.sqrt()];
        let power = |y: usize, i: usize| points.get(i).map_or(f64::from(y == 3), |p| p.powi(y as i32));
        assert_equals_convolution::<6, 4>(std::array::from_fn(|y| std::array::from_fn(|i| power(y, i))));
    }
}
