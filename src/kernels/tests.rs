//! Every kernel of every instruction set against the portable one, bit by bit: odd sizes, extremes, random numbers.

use super::micro::{TileF, TileI8};
use super::rows::{Accumulate, Activation, Along, Finish, Scores, Spread};
use super::{Isa, LANES};
use crate::format::padded;
use half::f16;
use proptest::prelude::*;
use std::vec::Vec;

/// Numbers from a seed, extremes among them.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
    fn float(&mut self) -> f32 {
        match self.next() % 16 {
            0 => 0.0,
            1 => -0.0,
            2 => 100.0,
            3 => -1e-20,
            _ => (self.next() as f32 / u32::MAX as f32 - 0.5) * 8.0,
        }
    }
    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
    /// `n` numbers in a padded row, the padding zero.
    fn row(&mut self, n: usize) -> Vec<f32> {
        let mut row = self.floats(n);
        row.resize(padded(n), 0.0);
        row
    }
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| [0, 255, 128, self.next() as u8][self.next() as usize % 4]).collect()
    }
    fn weights(&mut self, n: usize) -> Vec<i8> {
        (0..n)
            .map(|_| [127, -127, 0, (self.next() % 255) as i8][self.next() as usize % 4].max(-127))
            .collect()
    }
    fn ints(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| self.next() as i32 >> 4).collect()
    }
}

/// What a kernel writes, as bits.
fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn portable() -> Isa {
    Isa::by_name("portable").unwrap()
}

/// Runs `kernel` with every instruction set and compares what it returns with the portable one's.
fn same<T: PartialEq + core::fmt::Debug>(what: &str, kernel: impl Fn(Isa) -> T) {
    let want = kernel(portable());
    for isa in Isa::available() {
        assert_eq!(kernel(isa), want, "{what} on {}", isa.name());
    }
}

/// Behind every output: must stay as it is.
const GUARD: usize = 64;

fn int8_tile(isa: Isa, rows: usize, panels: usize, groups: usize, seed: u64) -> Vec<i32> {
    let mut s = Source(seed);
    let pitch = 4 * groups + 12;
    let (a, w) = (s.bytes((rows - 1) * pitch + 4 * groups), s.weights(panels * groups * 64));
    let mut sum = std::vec![0; panels * LANES];
    for (p, panel) in w.chunks(groups * 64).enumerate() {
        for (i, w) in panel.iter().enumerate() {
            sum[p * LANES + i / 4 % LANES] += i32::from(*w);
        }
    }
    let n = rows * panels * LANES;
    let mut out = std::vec![0x5A5A_5A5A; n + GUARD];
    let panel = groups * 64;
    let tile = TileI8 {
        a: a.as_ptr(),
        pitch,
        w: w.as_ptr(),
        panel,
        groups,
        sum: sum.as_ptr(),
        out: out.as_mut_ptr(),
    };
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
    run(
        isa,
        &TileF { a: a.as_ptr(), pitch, w: w.as_ptr(), panel: k * LANES, k, first, out: out.as_mut_ptr() },
    );
    assert_eq!(bits(&out[n..]), guard, "{} wrote behind its tile", isa.name());
    bits(&out[..n])
}

#[test]
fn int8_tiles_are_exact_for_every_shape() {
    for isa in Isa::available() {
        let shape = isa.shape_i8();
        for rows in 1..=shape.rows {
            for panels in 1..=shape.panels {
                for groups in [1, 2, 3, 4, 5, 7, 16, 33] {
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
            let (a, weights) = (std::vec![q; 4096], std::vec![w; 4096 * LANES]);
            let (sum, mut out) = ([4096 * i32::from(w); LANES], [0; LANES]);
            let tile = TileI8 {
                a: a.as_ptr(),
                pitch: 4096,
                w: weights.as_ptr(),
                panel: 4096 * LANES,
                groups,
                sum: sum.as_ptr(),
                out: out.as_mut_ptr(),
            };
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn row_kernels_are_the_same_everywhere(n in 1usize..200, seed: u64, w in -2f32..2.0) {
        let wide = padded(n);
        let x = Source(seed).row(n);
        let y = Source(seed ^ 1).row(n);
        same("layer_norm", |isa| { let mut o = std::vec![9.0; wide]; isa.layer_norm(&x, n, 1e-6, &mut o); bits(&o) });
        same("quantise", |isa| { let mut o = std::vec![0; wide]; let p = isa.quantise(&x, n, &mut o); (o, bits(&p)) });
        same("quantise_signed", |isa| {
            let mut o = std::vec![0; wide];
            let s = isa.quantise_signed(&x, n, &mut o);
            (o, s.to_bits())
        });
        same("quantise_by", |isa| { let mut o = std::vec![0; wide]; isa.quantise_by(&x, &y, &mut o); o });
        same("abs_max", |isa| { let mut o = y.clone(); isa.abs_max(&x, &mut o); bits(&o) });
        same("lerp", |isa| { let mut o = std::vec![0.0; wide]; isa.lerp(&x, &y, w, &mut o); bits(&o) });
        same("add_scaled", |isa| { let mut o = y.clone(); isa.add_scaled(&x, w, &mut o); bits(&o) });
        same("max_into", |isa| { let mut o = y.clone(); isa.max_into(&x, &mut o); bits(&o) });
        same("bias_relu", |isa| { let mut o = y.clone(); isa.bias_relu(&x, &mut o); bits(&o) });
        same("softmax", |isa| { let mut o = x.clone(); let s = isa.softmax(&mut o, n); (bits(&o), s.to_bits()) });
        same("softmax_bytes", |isa| {
            let mut logits = x.clone();
            logits[n..].fill(f32::NEG_INFINITY);
            let (mut high, mut low) = (std::vec![1; wide], std::vec![1; wide]);
            let sum = isa.softmax_bytes(&logits, n, &mut high, &mut low);
            let p = |i: usize| u32::from(high[i]) * 256 + u32::from(low[i]);
            assert_eq!((0..wide).map(p).sum::<u32>(), sum, "{}", isa.name());
            assert!((0..n).any(|i| p(i) == 65535) && (n..wide).all(|i| p(i) == 0), "{}", isa.name());
            (high, low)
        });
        same("to_bf16", |isa| { let mut o = std::vec![half::bf16::ONE; wide]; isa.to_bf16(&x, &mut o); o });
        same("argmax_lerp", |isa| isa.argmax_lerp(&x, &y, w, n));
    }

    #[test]
    fn interpolation_is_the_same_everywhere(small in 1usize..12, large in 1usize..40, vectors in 1usize..5, seed: u64) {
        let count = vectors * LANES;
        let columns = Source(seed).floats(small * count);
        let pixel = 3 * count;
        let low = Source(seed ^ 2).floats(small * pixel);
        let high = Source(seed ^ 3).floats(small * pixel);
        same("add_columns", |isa| {
            let mut o = columns.clone();
            isa.add_columns(&low, &high, pixel, 0.3, count, &mut o);
            bits(&o)
        });
        for shift in -1..=1 {
            same("add_along", |isa| {
                let mut o = Source(seed ^ 4).floats(large * pixel);
                let along = Along { columns: &columns, small, large, shift };
                // SAFETY: `o` has large · pixel numbers.
                unsafe { isa.add_along(&along, count, o.as_mut_ptr(), pixel, large * pixel) };
                bits(&o)
            });
        }
    }

    #[test]
    fn winograd_transforms_are_the_same_everywhere(vectors in 1usize..5, seed: u64) {
        let c = vectors * LANES;
        let mut s = Source(seed);
        let lines: [Vec<half::bf16>; 4] =
            core::array::from_fn(|_| s.floats(4 * c).into_iter().map(half::bf16::from_f32).collect());
        let lines = lines.each_ref().map(|line| line.as_slice());
        same("winograd_input", |isa| { let mut o = std::vec![9.0; 16 * c]; isa.winograd_input(lines, &mut o); bits(&o) });
        // The definition, Bᵀ·d·B, whose sums of four numbers of few bits are exact in f64.
        let b = [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
        let mut out = std::vec![0.0; 16 * c];
        portable().winograd_input(lines, &mut out);
        for (i, found) in out.iter().enumerate() {
            let (y, x, channel) = (i / c / 4, i / c % 4, i % c);
            let term = |p: usize| b[y][p / 4] * b[x][p % 4] * f64::from(lines[p / 4][p % 4 * c + channel].to_f32());
            let exact: f64 = (0..16).map(term).sum();
            assert!((f64::from(*found) - exact).abs() <= 1e-4, "{found} is not {exact}");
        }
    }

    #[test]
    fn tile_epilogues_are_the_same_everywhere(rows in 1usize..9, panels in 1usize..4, seed: u64) {
        let wide = panels * LANES;
        let mut s = Source(seed);
        let (sums, weight_sum) = (s.ints(rows * wide), s.ints(wide));
        let (scale, bias) = (s.floats(wide), s.floats(rows * wide));
        let params: Vec<[f32; 2]> = (0..2 * rows).map(|_| [s.float(), s.float()]).collect();
        let start = s.floats(rows * wide);
        for first in [true, false] {
            same("accumulate", |isa| {
                let mut acc = start.clone();
                let t = Accumulate {
                    sums: sums.as_ptr(), rows, panels, params: params.as_ptr(), scale: scale.as_ptr(),
                    weight_sum: weight_sum.as_ptr(), acc: acc.as_mut_ptr(), first,
                };
                // SAFETY: every slice has the size its field asks for.
                unsafe { isa.accumulate(&t) };
                bits(&acc)
            });
        }
        for position in 0..16 {
            same("spread", |isa| {
                let mut acc = start.repeat(4);
                let t = Spread {
                    sums: sums.as_ptr(), rows, panels, params: params.as_ptr(), param_step: 2, scale: scale.as_ptr(),
                    weight_sum: weight_sum.as_ptr(), acc: acc.as_mut_ptr(), plane: rows * wide, position,
                };
                // SAFETY: as above.
                unsafe { isa.spread(&t) };
                bits(&acc)
            });
        }
        for activation in [Activation::None, Activation::Gelu, Activation::Relu] {
            for (add, bias) in [(false, core::ptr::null()), (true, bias.as_ptr())] {
                same("finish", |isa| {
                    let mut out = scale.repeat(rows + 1);
                    let t = Finish { acc: start.as_ptr(), rows, panels, bias, activation, out: out.as_mut_ptr(), pitch: wide, add };
                    // SAFETY: as above; the last row stays as it is.
                    unsafe { isa.finish(&t) };
                    assert_eq!(bits(&out[rows * wide..]), bits(&scale), "{}", isa.name());
                    bits(&out)
                });
            }
        }
        for step in [wide as isize, -(wide as isize)] {
            same("scores", |isa| {
                let mut out = std::vec![0.0; rows * wide];
                let first_row = if step > 0 { 0 } else { (rows - 1) * wide };
                let t = Scores {
                    sums: sums.as_ptr(), rows, panels, params: params.as_ptr(), param_step: 2, k_scale: scale.as_ptr(),
                    k_sum: weight_sum.as_ptr(), bias: bias[first_row..].as_ptr(), bias_step: step,
                    out: out.as_mut_ptr(), pitch: wide,
                };
                // SAFETY: as above.
                unsafe { isa.scores(&t) };
                bits(&out)
            });
        }
        same("weigh", |isa| {
            let mut out = std::vec![0.0; wide];
            // SAFETY: all have `wide` numbers.
            unsafe {
                isa.weigh(sums.as_ptr(), sums[..wide].as_ptr(), weight_sum.as_ptr(), scale.as_ptr(), 0.1, &mut out);
            }
            bits(&out)
        });
    }
}
