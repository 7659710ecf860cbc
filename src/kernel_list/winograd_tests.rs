//! The Winograd transforms of the portable instruction set against their definitions, and the error diffusion against its
//! purpose: less noise in the outputs.

use super::inputs::Source;
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use proptest::prelude::*;
use std::vec::Vec;

fn portable() -> Isa {
    Isa::by_name("portable").unwrap()
}

/// The matrices of F(M, 3), named as by Lavin and Gray, and the error diffusion between the points of a side.
struct Winograd<const T: usize, const M: usize> {
    /// Bᵀ
    b: [[f64; T]; T],
    /// Aᵀ
    a: [[f64; T]; M],
    g: [[f64; 3]; T],
    /// Row j, column i < j: the share of the rounding error of point i that is added to point j.
    diffusion: [[f64; T]; T],
}

fn two() -> Winograd<4, 2> {
    let third = -1.0 / 3.0;
    Winograd {
        b: [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]],
        a: [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]],
        g: [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
        diffusion: [[0.0; 4], [third, 0.0, 0.0, 0.0], [third, 0.0, 0.0, 0.0], [0.0, 0.5, -0.5, 0.0]],
    }
}

fn four() -> Winograd<6, 4> {
    let (a, b) = (0.5f64.sqrt(), 2f64.sqrt());
    let points = [0.0, a, -a, b, -b];
    // Of each point x: the product of (x − q) over all other points q.
    let denominators = [1.0, -1.5, -1.5, 6.0, 6.0];
    Winograd {
        // A row for each point: the coefficients of the product of (x − q) over all other points q.
        b: [
            [1.0, 0.0, -2.5, 0.0, 1.0, 0.0],
            [0.0, -b, -2.0, a, 1.0, 0.0],
            [0.0, b, -2.0, -a, 1.0, 0.0],
            [0.0, -a, -0.5, b, 1.0, 0.0],
            [0.0, a, -0.5, -b, 1.0, 0.0],
            [0.0, 1.0, 0.0, -2.5, 0.0, 1.0],
        ],
        a: core::array::from_fn(|o| {
            core::array::from_fn(|p| points.get(p).map_or(f64::from(o == 3), |x| x.powi(o as i32)))
        }),
        g: core::array::from_fn(|p| {
            let row = |x: &f64| core::array::from_fn(|k| x.powi(k as i32) / denominators[p]);
            points.get(p).map_or([0.0, 0.0, 1.0], row)
        }),
        diffusion: [
            [0.0; 6],
            [0.6047, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.6047, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.2558, 0.6027, 0.0, 0.0, 0.0, 0.0],
            [0.2558, 0.0, 0.6027, 0.0, 0.0, 0.0],
            [0.0, -0.4504, 0.4504, -0.9428, 0.9428, 0.0],
        ],
    }
}

/// Compares the portable input transform with Bᵀ·d·B in f64, on random pixels.
fn input_transform_equals<const T: usize>(b: [[f64; T]; T], vectors: usize, seed: u64) {
    let c = vectors * LANES;
    let mut s = Source(seed);
    let rows: [Vec<half::bf16>; T] =
        core::array::from_fn(|_| s.floats(T * c).into_iter().map(half::bf16::from_f32).collect());
    let rows = rows.each_ref().map(|row| row.as_slice());
    let mut out = std::vec![0.0; T * T * c];
    portable().winograd_input(&rows, &mut out);
    let largest =
        rows.iter().flat_map(|row| row.iter()).fold(0f64, |m, x| m.max(f64::from(x.to_f32()).abs()));
    for (i, found) in out.iter().enumerate() {
        let (y, x, channel) = (i / c / T, i / c % T, i % c);
        let term =
            |p: usize| b[y][p / T] * b[x][p % T] * f64::from(rows[p / T][p % T * c + channel].to_f32());
        let exact: f64 = (0..T * T).map(term).sum();
        assert!((f64::from(*found) - exact).abs() <= 3e-6 * largest, "{found} is not {exact}");
    }
}

proptest! {
    #![proptest_config(super::tests::cases())]

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn input_transform_equals_its_definition(vectors in 1usize..5, seed: u64) {
        input_transform_equals(two().b, vectors, seed);
        input_transform_equals(four().b, vectors, seed);
    }
}

impl<const T: usize, const M: usize> Winograd<T, M> {
    /// Checks that Σ_p a_op · g_pk · b_pi is 1 if input i is o + k, else 0: the matrices compute a convolution.
    fn check_convolution(&self) {
        let Winograd { b, a, g, .. } = self;
        for (output, kernel, input) in (0..M * 3 * T).map(|i| (i / (3 * T), i / T % 3, i % T)) {
            let sum: f64 = (0..T).map(|p| a[output][p] * g[p][kernel] * b[p][input]).sum();
            let expected = f64::from(input == output + kernel);
            assert!((sum - expected).abs() < 1e-9, "{output} {kernel} {input}: {sum}");
        }
    }

    /// K = (AAᵀ) ∘ (GGᵀ) for one side of a tile: an error e of the points has the energy e·K·eᵀ in the outputs, for a random
    /// kernel.
    fn output_energy(&self) -> [[f64; T]; T] {
        core::array::from_fn(|p| {
            core::array::from_fn(|q| {
                let outputs: f64 = self.a.iter().map(|row| row[p] * row[q]).sum();
                outputs * self.g[p].iter().zip(&self.g[q]).map(|(x, y)| x * y).sum::<f64>()
            })
        })
    }

    /// Checks that each number of the diffusion matrix minimises the output energy, given the others of its column.
    fn check_diffusion_is_optimal(&self, k: &[[f64; T]; T]) {
        let diffusion = &self.diffusion;
        for (later, p) in (0..T * T).map(|i| (i / T, i % T)).filter(|&(later, p)| diffusion[later][p] != 0.0)
        {
            let slope: f64 = (0..T).map(|q| k[later][q] * if q == p { 1.0 } else { diffusion[q][p] }).sum();
            assert!(slope.abs() < 1e-3, "{later} of {p}: {slope}");
        }
    }

    /// Checks that the rounding of each point adds at most half a step. `errors` = S·r·Sᵀ, where S is the diffusion matrix with
    /// the identity; r is what the rounding of a point adds to the errors that earlier points have passed on to it. Points
    /// whose byte is at the end of its range are exempt: clamping may add more.
    fn check_rounding(
        &self,
        errors: &[[f64; T]; T],
        step: impl Fn(usize) -> f64,
        clamped: impl Fn(usize) -> bool,
    ) {
        let s = |i: usize, j: usize| if i == j { 1.0 } else { self.diffusion[i][j] };
        let mut r = [[0.0; T]; T];
        for (y, x) in (0..T * T).map(|p| (p / T, p % T)) {
            let passed_on: f64 = (0..T * T).map(|p| s(y, p / T) * s(x, p % T) * r[p / T][p % T]).sum();
            r[y][x] = errors[y][x] - passed_on;
            let half = 0.5001 * step(y * T + x);
            assert!(clamped(y * T + x) || r[y][x].abs() <= half, "{y} {x}: {} of {half}", r[y][x]);
        }
    }

    /// Random transformed pixels of `c` channels, of a size at which the rounding of every point has the same energy in the
    /// outputs, as on real maps.
    fn random_pixels(k: &[[f64; T]; T], c: usize) -> Vec<f32> {
        let size = |p: usize| 1.0 / (k[p / T][p / T] * k[p % T][p % T]).sqrt();
        let mut state = 1u32;
        (0..T * T * c)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 * size(i / c) as f32
            })
            .collect()
    }

    /// The energy in the outputs of the quantisation errors of `pixels`. If the bytes come from error diffusion, checks the
    /// rounding of every point.
    fn noise(
        &self,
        k: &[[f64; T]; T],
        pixels: &[f32],
        rows: &[u8],
        params: &[[f32; 2]],
        diffused: bool,
    ) -> f64 {
        let c = pixels.len() / (T * T);
        let mut noise = 0.0;
        for channel in 0..c {
            let errors: [[f64; T]; T] = core::array::from_fn(|y| {
                core::array::from_fn(|x| {
                    let (p, [scale, offset]) = (y * T + x, params[y * T + x]);
                    let value =
                        f64::from(scale) * (f64::from(rows[p * c + channel]) - 128.0) + f64::from(offset);
                    value - f64::from(pixels[p * c + channel])
                })
            });
            if diffused {
                let clamped = |p: usize| !(1..255).contains(&rows[p * c + channel]);
                self.check_rounding(&errors, |p| f64::from(params[p][0]), clamped);
            }
            for (p, q) in (0..T * T).flat_map(|p| (0..T * T).map(move |q| (p, q))) {
                noise += errors[p / T][p % T] * errors[q / T][q % T] * k[p / T][q / T] * k[p % T][q % T];
            }
        }
        noise
    }

    /// Checks the matrices, the rounding of every point, and that error diffusion lowers the noise of the outputs by `gain`
    /// decibels, compared with points that are rounded independently.
    fn check_gain(&self, gain: f64) {
        self.check_convolution();
        let k = self.output_energy();
        self.check_diffusion_is_optimal(&k);
        let c = 20 * LANES;
        let pixels = Self::random_pixels(&k, c);
        let (mut rows, mut params) = (std::vec![0u8; T * T * c], std::vec![[0f32; 2]; T * T]);
        let isa = portable();
        for ((x, row), params) in pixels.chunks(c).zip(rows.chunks_mut(c)).zip(&mut params) {
            *params = isa.quantise(x, c, row);
        }
        let independent = self.noise(&k, &pixels, &rows, &params, false);
        isa.winograd_quantise(&mut pixels.clone(), c, &mut rows, c, &mut params);
        let diffused = self.noise(&k, &pixels, &rows, &params, true);
        let found = 10.0 * (independent / diffused).log10();
        assert!((found - gain).abs() < 0.3, "{found} dB, not {gain}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many tiles")]
fn error_diffusion_of_2x2_tiles_lowers_the_output_noise_by_1_6_db() {
    two().check_gain(1.6);
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many tiles")]
fn error_diffusion_of_4x4_tiles_lowers_the_output_noise_by_4_3_db() {
    four().check_gain(4.3);
}
