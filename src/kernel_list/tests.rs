//! Every kernel of every instruction set against the portable one, bit by bit: odd sizes, extremes, random numbers.

use super::inputs::{Kernel, Size, Source};
use super::list::KERNELS;
use crate::file::format::GROUP;
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use crate::simd::tile::{TileF, TileI8};
use half::f16;
use proptest::prelude::*;
use std::vec::Vec;

/// What a kernel writes, as bits.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn portable() -> Isa {
    Isa::by_name("portable").unwrap()
}

/// Behind every output: must stay as it is.
const GUARD: usize = 64;

fn int8_tile(isa: Isa, rows: usize, panels: usize, groups: usize, seed: u64) -> Vec<i32> {
    let mut s = Source(seed);
    let pitch = 4 * groups + 12;
    let (mut a, w) = (s.bytes((rows - 1) * pitch + 4 * groups), s.weights(panels * groups * 64));
    a.iter_mut().for_each(|q| *q ^= isa.sign_flip());
    let mut sum = std::vec![0; panels * LANES];
    for (p, panel) in w.chunks(groups * 64).enumerate() {
        for (i, w) in panel.iter().enumerate() {
            sum[p * LANES + i / 4 % LANES] += i32::from(*w);
        }
    }
    let n = rows * panels * LANES;
    let mut out = std::vec![0x5A5A_5A5A; n + GUARD];
    let panel = groups * 64;
    let tile = TileI8::new((rows, panels), (&a, pitch), (&w, panel), groups, &sum, &mut out);
    // SAFETY: sizes as the tile's contract asks for.
    unsafe { isa.tile_i8(rows, panels, &tile) };
    assert!(out[n..].iter().all(|&x| x == 0x5A5A_5A5A), "{} wrote behind its tile", isa.name());
    out.truncate(n);
    out
}

fn float_tile<W>(
    isa: Isa,
    (rows, panels, k, first): (usize, usize, usize, bool),
    seed: u64,
    weight: impl Fn(f32) -> W,
    run: impl Fn(Isa, &TileF<W>),
) -> Vec<u32> {
    let mut s = Source(seed);
    let pitch = k + 3;
    let (a, n) = (s.floats(rows * pitch), rows * panels * LANES);
    let w: Vec<W> = s.floats(panels * k * LANES).into_iter().map(weight).collect();
    let mut out = s.floats(n + GUARD);
    let guard = bits(&out[n..]);
    run(isa, &TileF::new((rows, panels), (&a, pitch), (&w, k * LANES), k, first, &mut out));
    assert_eq!(bits(&out[n..]), guard, "{} wrote behind its tile", isa.name());
    bits(&out[..n])
}

#[test]
fn int8_tiles_are_exact_for_every_shape() {
    for isa in Isa::available() {
        let shape = isa.shape_i8();
        for rows in 1..=shape.rows {
            for panels in 1..=shape.panels {
                for groups in [1, 2, 3, 4, 5, 7, 16, 33, 259] {
                    let seed = (rows * 100 + panels * 10 + groups) as u64;
                    let name = isa.name();
                    // One portable panel and row at a time is the definition.
                    let got = int8_tile(isa, rows, panels, groups, seed);
                    let want = reference_i8(rows, panels, groups, seed);
                    assert_eq!(got, want, "{name}: {rows} rows, {panels} panels, {groups} groups");
                }
            }
        }
    }
}

/// Σ (q − 128) · w, in 64 bits, straight from the definition.
fn reference_i8(rows: usize, panels: usize, groups: usize, seed: u64) -> Vec<i32> {
    let mut s = Source(seed);
    let pitch = 4 * groups + 12;
    let (a, w) = (s.bytes((rows - 1) * pitch + 4 * groups), s.weights(panels * groups * 64));
    let mut out = Vec::new();
    for r in 0..rows {
        for o in 0..panels * LANES {
            let sum: i64 = (0..4 * groups)
                .map(|k| {
                    let w = w[(o / LANES * groups + k / 4) * 64 + o % LANES * 4 + k % 4];
                    (i64::from(a[r * pitch + k]) - 128) * i64::from(w)
                })
                .sum();
            out.push(sum as i32);
        }
    }
    out
}

#[test]
fn int8_tiles_do_not_saturate() {
    // The largest sums there are: 4096 inputs at both ends of the range.
    for isa in Isa::available() {
        for (q, w) in [(0u8, 127i8), (0, -127), (255, 127), (255, -127)] {
            let groups = 1024;
            let (a, weights) = (std::vec![q ^ isa.sign_flip(); 4096], std::vec![w; 4096 * LANES]);
            let (sum, mut out) = ([4096 * i32::from(w); LANES], [0; LANES]);
            let tile = TileI8::new((1, 1), (&a, 4096), (&weights, 4096 * LANES), groups, &sum, &mut out);
            // SAFETY: one row, one panel, as sized above.
            unsafe { isa.tile_i8(1, 1, &tile) };
            assert_eq!(out, [4096 * (i32::from(q) - 128) * i32::from(w); LANES], "{}", isa.name());
        }
    }
}

#[test]
fn float_tiles_are_one_fused_chain_for_every_shape() {
    for isa in Isa::available() {
        let most = isa.shape_f();
        for rows in 1..=most.rows {
            for panels in 1..=most.panels {
                for k in [1, 2, 3, 7, 64, 65] {
                    for first in [true, false] {
                        let shape = (rows, panels, k, first);
                        let seed = (rows * 1000 + panels * 100 + k) as u64;
                        // SAFETY: sizes as the tile's contract asks for.
                        let run32 = |isa: Isa, t: &TileF<f32>| unsafe { isa.tile_f32(rows, panels, t) };
                        let got = float_tile(isa, shape, seed, |w| w, run32);
                        assert_eq!(got, reference_f(shape, seed, |w| w), "{} f32 {shape:?}", isa.name());
                        // SAFETY: as above.
                        let run16 = |isa: Isa, t: &TileF<f16>| unsafe { isa.tile_f16(rows, panels, t) };
                        let got = float_tile(isa, shape, seed, f16::from_f32, run16);
                        let want = reference_f(shape, seed, |w| f16::from_f32(w).to_f32());
                        assert_eq!(got, want, "{} f16 {shape:?}", isa.name());
                    }
                }
            }
        }
    }
}

fn reference_f(
    (rows, panels, k, first): (usize, usize, usize, bool),
    seed: u64,
    weight: impl Fn(f32) -> f32,
) -> Vec<u32> {
    let mut s = Source(seed);
    let pitch = k + 3;
    let (a, n) = (s.floats(rows * pitch), rows * panels * LANES);
    let w: Vec<f32> = s.floats(panels * k * LANES).into_iter().map(weight).collect();
    let before = s.floats(n + GUARD);
    let at = |i: usize| {
        let (r, o) = (i / (panels * LANES), i % (panels * LANES));
        let start = if first { 0.0 } else { before[i] };
        (0..k).fold(start, |sum, k_at| {
            a[r * pitch + k_at].mul_add(w[(o / LANES * k + k_at) * LANES + o % LANES], sum)
        })
    };
    (0..n).map(|i| at(i).to_bits()).collect()
}

/// A kernel's job on every instruction set.
fn same_everywhere(kernel: &Kernel, size: Size, seed: u64) -> Result<(), TestCaseError> {
    let run = |isa: Isa| {
        let mut job = (kernel.prepare)(size, Source(seed));
        job.run(isa);
        job.bits()
    };
    let want = run(portable());
    for isa in Isa::available() {
        prop_assert_eq!(run(isa), want.clone(), "{} on {}, {:?}", kernel.name, isa.name(), size);
    }
    Ok(())
}

/// Heads as wide as a block and wider, grids of several whole blocks: what small jobs do not reach.
#[test]
fn attention_is_the_same_everywhere() {
    let attention = KERNELS.iter().find(|k| k.name == "attention, int8").unwrap();
    for (n, rows, k) in
        [(64, 12, 11), (64, 16, 16), (64, 9, 7), (60, 13, 15), (80, 10, 13), (80, 24, 24), (128, 20, 21)]
    {
        same_everywhere(attention, Size { n, rows, k }, (n + rows + k) as u64).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_kernel_of_the_list_is_the_same_everywhere(n in 1usize..200, rows in 1usize..20, k in 1usize..70, seed: u64) {
        for kernel in KERNELS {
            // Products and attention of this size take long where nothing is fast.
            let small = if kernel.name.contains(", ") { Size { n: n % 40 + 1, rows: rows % 9 + 1, k: k % 9 + 1 } } else { Size { n, rows, k } };
            prop_assert!((kernel.work)(small) > 0);
            same_everywhere(kernel, small, seed)?;
        }
    }

    /// Tiles one after the other, of all the panels and rows that there are: some do what follows one while they multiply the next.
    #[test]
    fn products_are_the_same_everywhere(n in 1usize..100, rows in 1usize..40, k in 1usize..70, seed: u64) {
        for kernel in KERNELS.iter().filter(|k| k.name.starts_with("product, int8")) {
            same_everywhere(kernel, Size { n, rows, k }, seed)?;
        }
    }

    #[test]
    fn unpacked_weights_are_their_definition(k in 1usize..150, seed: u64) {
        let mut s = Source(seed);
        let packed = s.bytes(k.div_ceil(8) * 64);
        let multipliers = s.weights(k.div_ceil(GROUP) * LANES);
        let mut out = std::vec![0i8; k.div_ceil(4) * 64];
        portable().unpack(&packed, &multipliers, &mut out);
        for (at, found) in out.iter().enumerate() {
            let (i, lane) = (at / 64 * 4 + at % 4, at / 4 % LANES);
            let u = packed[(i / 8 * LANES + lane) * 4 + i % 4] >> (i / 4 % 2 * 4) & 15;
            let m = i32::from(multipliers[i / GROUP * LANES + lane]);
            assert_eq!(*found, ((i32::from(u) - 8) * m) as i8, "input {i} of output {lane}");
        }
    }

    #[test]
    fn winograd_input_is_its_definition(vectors in 1usize..5, seed: u64) {
        input_is_defined_by(two().b, vectors, seed);
        input_is_defined_by(four().b, vectors, seed);
    }
}

/// The matrices of F(M, 3), as Lavin and Gray name them, and what is spread of each position's rounding.
struct Winograd<const T: usize, const M: usize> {
    /// Bᵀ
    b: [[f64; T]; T],
    /// Aᵀ
    a: [[f64; T]; M],
    g: [[f64; 3]; T],
    spread: [[f64; T]; T],
}

fn two() -> Winograd<4, 2> {
    let third = -1.0 / 3.0;
    Winograd {
        b: [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]],
        a: [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]],
        g: [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
        spread: [[0.0; 4], [third, 0.0, 0.0, 0.0], [third, 0.0, 0.0, 0.0], [0.0, 0.5, -0.5, 0.0]],
    }
}

fn four() -> Winograd<6, 4> {
    let (a, b) = (0.5f64.sqrt(), 2f64.sqrt());
    let points = [0.0, a, -a, b, -b];
    let others = [1.0, -1.5, -1.5, 6.0, 6.0];
    Winograd {
        // Rows are the coefficients of the product of (x − q) over all points q but one.
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
            let row = |x: &f64| core::array::from_fn(|tap| x.powi(tap as i32) / others[p]);
            points.get(p).map_or([0.0, 0.0, 1.0], row)
        }),
        spread: [
            [0.0; 6],
            [0.6047, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.6047, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.2558, 0.6027, 0.0, 0.0, 0.0, 0.0],
            [0.2558, 0.0, 0.6027, 0.0, 0.0, 0.0],
            [0.0, -0.4504, 0.4504, -0.9428, 0.9428, 0.0],
        ],
    }
}

/// Bᵀ·d·B for this Bᵀ, on random pixels.
fn input_is_defined_by<const T: usize>(b: [[f64; T]; T], vectors: usize, seed: u64) {
    let c = vectors * LANES;
    let mut s = Source(seed);
    let lines: [Vec<half::bf16>; T] =
        core::array::from_fn(|_| s.floats(T * c).into_iter().map(half::bf16::from_f32).collect());
    let lines = lines.each_ref().map(|line| line.as_slice());
    let mut out = std::vec![0.0; T * T * c];
    portable().winograd_input(&lines, &mut out);
    let most = lines.iter().flat_map(|l| l.iter()).fold(0f64, |m, x| m.max(f64::from(x.to_f32()).abs()));
    for (i, found) in out.iter().enumerate() {
        let (y, x, channel) = (i / c / T, i / c % T, i % c);
        let term =
            |p: usize| b[y][p / T] * b[x][p % T] * f64::from(lines[p / T][p % T * c + channel].to_f32());
        let exact: f64 = (0..T * T).map(term).sum();
        assert!((f64::from(*found) - exact).abs() <= 3e-6 * most, "{found} is not {exact}");
    }
}

/// What each rounding adds, the part of the errors that earlier positions have not sent, is half a step at most; and the outputs'
/// noise is less than if each position were rounded alone, by the decibels the log states.
fn positions_make_up_for_each_other<const T: usize, const M: usize>(winograd: &Winograd<T, M>, gain: f64) {
    let Winograd { b, a, g, spread } = winograd;
    // These are the matrices of a convolution.
    for (output, tap, input) in (0..M * 3 * T).map(|i| (i / (3 * T), i / T % 3, i % T)) {
        let sum: f64 = (0..T).map(|p| a[output][p] * g[p][tap] * b[p][input]).sum();
        assert!((sum - f64::from(input == output + tap)).abs() < 1e-9, "{output} {tap} {input}: {sum}");
    }
    let k: [[f64; T]; T] = core::array::from_fn(|p| {
        core::array::from_fn(|q| {
            let outputs: f64 = a.iter().map(|row| row[p] * row[q]).sum();
            outputs * g[p].iter().zip(&g[q]).map(|(x, y)| x * y).sum::<f64>()
        })
    });
    // Each number is the best one, the others of its column given.
    for (later, p) in (0..T * T).map(|i| (i / T, i % T)).filter(|&(later, p)| spread[later][p] != 0.0) {
        let slope: f64 = (0..T).map(|q| k[later][q] * if q == p { 1.0 } else { spread[q][p] }).sum();
        assert!(slope.abs() < 1e-3, "{later} of {p}: {slope}");
    }
    // All positions alike in what their noise does to the outputs, as those of real maps are.
    let size = |p: usize| 1.0 / (k[p / T][p / T] * k[p % T][p % T]).sqrt();
    let c = 20 * LANES;
    let mut state = 1u32;
    let pixels: Vec<f32> = (0..T * T * c)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 * size(i / c) as f32
        })
        .collect();
    let noise = |rows: &[u8], params: &[[f32; 2]], diffuse_and_store: bool| -> f64 {
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
            // r of E = S·r·Sᵀ, one after the other.
            let mut r = [[0.0; T]; T];
            for (y, x) in (0..T * T).map(|p| (p / T, p % T)) {
                let share = |i: usize, j: usize| if i == j { 1.0 } else { spread[i][j] };
                let sent: f64 = (0..T * T).map(|p| share(y, p / T) * share(x, p % T) * r[p / T][p % T]).sum();
                r[y][x] = errors[y][x] - sent;
                let half = 0.5001 * f64::from(params[y * T + x][0]);
                // What the range cuts off may be more.
                let inside = (1..255).contains(&rows[(y * T + x) * c + channel]);
                assert!(
                    !diffuse_and_store || !inside || r[y][x].abs() <= half,
                    "{y} {x}: {} of {half}",
                    r[y][x]
                );
            }
            for (p, q) in (0..T * T).flat_map(|p| (0..T * T).map(move |q| (p, q))) {
                noise += errors[p / T][p % T] * errors[q / T][q % T] * k[p / T][q / T] * k[p % T][q % T];
            }
        }
        noise
    };
    let (mut rows, mut params) = (std::vec![0u8; T * T * c], std::vec![[0f32; 2]; T * T]);
    let isa = portable();
    for ((x, row), params) in pixels.chunks(c).zip(rows.chunks_mut(c)).zip(&mut params) {
        *params = isa.quantise(x, c, row);
    }
    let alone = noise(&rows, &params, false);
    isa.winograd_quantise(&mut pixels.clone(), c, &mut rows, c, &mut params);
    let found = 10.0 * (alone / noise(&rows, &params, true)).log10();
    assert!((found - gain).abs() < 0.3, "{found} dB, not {gain}");
}

#[test]
fn positions_of_two_make_up_for_each_other() {
    positions_make_up_for_each_other(&two(), 1.6);
}

#[test]
fn positions_of_four_make_up_for_each_other() {
    positions_make_up_for_each_other(&four(), 4.3);
}
