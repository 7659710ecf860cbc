//! The nine taps of a 3x3 convolution as the matrices of Winograd's F(2x2, 3x3) or F(4x4, 3x3).

use beitle::format::winograd_taps;
use rayon::prelude::*;

/// G of F(2, 3), points 0, 1, −1, ∞.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// G of F(4, 3), points 0, ±√½, ±√2, ∞: [1, p, p²] over the product of (p − q) over the other points q.
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

/// Bᵀ of F(4, 3): the coefficients of Π (x − q) over the other points q.
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

/// Bᵀ·d·B of one channel of a tile, pixel (tile + 2) · row + column being `at` of that number.
pub fn input(tile: usize, at: impl Fn(usize) -> f64) -> Vec<f32> {
    match tile {
        2 => transformed(&B2, at),
        _ => transformed(&B4, at),
    }
}

fn transformed<const T: usize>(b: &[[f64; T]; T], at: impl Fn(usize) -> f64) -> Vec<f32> {
    let mut down = [[0f64; T]; T];
    for (x, column) in (0..T).flat_map(|y| (0..T).map(move |x| (x, y))) {
        down[column][x] = (0..T).map(|i| b[column][i] * at(T * i + x)).sum();
    }
    let across = |p: usize| (0..T).map(|i| b[p % T][i] * down[p / T][i]).sum::<f64>();
    (0..T * T).map(|p| across(p) as f32).collect()
}

/// G·g·Gᵀ for every pair of channels and tiles of `tile` outputs a side (2 or 4): from `[9][outputs · inputs]` to
/// `[(tile + 2)²][outputs · inputs]`, in f64.
pub fn transform(taps: &[f32], tile: usize) -> Vec<f32> {
    let g: &[[f64; 3]] = if tile == 2 { &G2 } else { &G4 };
    let pairs = taps.len() / 9;
    let mut out = vec![0f32; winograd_taps(tile) * pairs];
    out.par_chunks_mut(pairs.max(1)).enumerate().for_each(|(position, out)| {
        let (gy, gx) = (g[position / g.len()], g[position % g.len()]);
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
    fn products_make_the_convolution<const T: usize, const M: usize>(a: [[f64; T]; M]) {
        let d: [[f64; T]; T] =
            std::array::from_fn(|y| std::array::from_fn(|x| ((7 * y + 3 * x * x + y * x) % 11) as f64 - 5.0));
        let pixels = input(M, |p| d[p / T][p % T]);
        for tap in 0..9 {
            let mut taps = [0f32; 9];
            taps[tap] = 1.0;
            let g = transform(&taps, M);
            for (y, x) in (0..M * M).map(|i| (i / M, i % M)) {
                let product = |p: usize| a[y][p / T] * a[x][p % T] * f64::from(g[p]) * f64::from(pixels[p]);
                let sum: f64 = (0..T * T).map(product).sum();
                let exact = d[y + tap / 3][x + tap % 3];
                assert!((sum - exact).abs() < 1e-4, "tap {tap}, output {y} {x}: {sum}, not {exact}");
            }
        }
    }

    #[test]
    fn sixteen_products_make_four_outputs() {
        products_make_the_convolution([[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]]);
    }

    #[test]
    fn thirty_six_products_make_sixteen_outputs() {
        let points = [0.0, 0.5f64.sqrt(), -0.5f64.sqrt(), 2f64.sqrt(), -2f64.sqrt()];
        let power = |y: usize, i: usize| points.get(i).map_or(f64::from(y == 3), |p| p.powi(y as i32));
        products_make_the_convolution::<6, 4>(std::array::from_fn(|y| std::array::from_fn(|i| power(y, i))));
    }
}
