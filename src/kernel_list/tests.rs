//! Every kernel on every instruction set: the bits are those of the portable instruction set, for odd sizes, extremes and
//! random numbers. The portable micro-kernels and transforms themselves are compared with their definitions.

use super::fma_tests::{same, vector};
use super::inputs::{Kernel, Size, Source};
use super::list::KERNELS;
use crate::file::format::GROUP;
use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, TileOutput};
use crate::simd::lanes::LANES;
use crate::simd::tile::{TileF, TileI8};
use half::f16;
use proptest::prelude::*;
use std::vec::Vec;

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn portable() -> Isa {
    Isa::by_name("portable").unwrap()
}

/// Numbers after the output of a tile that must not change.
const GUARD: usize = 64;

/// The sums of an int8 tile on random inputs; checks that the numbers after them do not change.
fn int8_tile(isa: Isa, (rows, panels, groups): (usize, usize, usize), unsigned: bool, seed: u64) -> Vec<i32> {
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
    let mut tile = TileI8::new((rows, panels), (&a, pitch), (&w, panel), groups, &sum, &mut out);
    tile.unsigned = unsigned;
    // SAFETY: all slices have the sizes that `TileI8` requires, and the caller's counts are within the shape.
    unsafe { isa.tile_i8(rows, panels, &tile) };
    assert!(out[n..].iter().all(|&x| x == 0x5A5A_5A5A), "{} wrote past its tile", isa.name());
    out.truncate(n);
    out
}

/// The bits of a floating-point tile on random inputs; checks that the numbers after it do not change.
fn float_tile<W>(
    isa: Isa,
    (rows, panels, k, overwrite): (usize, usize, usize, bool),
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
    run(isa, &TileF::new((rows, panels), (&a, pitch), (&w, k * LANES), k, overwrite, &mut out));
    assert_eq!(bits(&out[n..]), guard, "{} wrote past its tile", isa.name());
    bits(&out[..n])
}

#[test]
fn int8_tiles_of_every_shape_equal_exact_sums() {
    for isa in Isa::available() {
        let shape = isa.shape_i8();
        for rows in 1..=shape.rows {
            for panels in 1..=shape.panels {
                for &groups in if cfg!(miri) { &[3][..] } else { &[1, 2, 3, 4, 5, 7, 12, 16, 33, 259] } {
                    let seed = (rows * 100 + panels * 10 + groups) as u64;
                    let name = isa.name();
                    for unsigned in [false, true] {
                        let got = int8_tile(isa, (rows, panels, groups), unsigned, seed);
                        let want = reference_i8(rows, panels, groups, unsigned, seed);
                        let kind = if unsigned { "unsigned" } else { "signed" };
                        assert_eq!(
                            got, want,
                            "{name}: {rows} rows, {panels} panels, {groups} groups, {kind}"
                        );
                    }
                }
            }
        }
    }
}

/// Σ (q − 128) · w, or Σ q · w, in 64 bits, for the inputs of [`int8_tile`].
fn reference_i8(rows: usize, panels: usize, groups: usize, unsigned: bool, seed: u64) -> Vec<i32> {
    let mut s = Source(seed);
    let pitch = 4 * groups + 12;
    let (a, w) = (s.bytes((rows - 1) * pitch + 4 * groups), s.weights(panels * groups * 64));
    let mut out = Vec::new();
    for r in 0..rows {
        for o in 0..panels * LANES {
            let sum: i64 = (0..4 * groups)
                .map(|k| {
                    let w = w[(o / LANES * groups + k / 4) * 64 + o % LANES * 4 + k % 4];
                    (i64::from(a[r * pitch + k]) - if unsigned { 0 } else { 128 }) * i64::from(w)
                })
                .sum();
            out.push(sum as i32);
        }
    }
    out
}

#[test]
#[cfg_attr(miri, ignore = "arithmetic at the limits; the test above runs the same code")]
fn int8_tiles_do_not_saturate_for_4096_inputs_at_the_limits() {
    for isa in Isa::available() {
        for (q, w) in [(0u8, 127i8), (0, -127), (255, 127), (255, -127)] {
            let groups = 1024;
            let (a, weights) = (std::vec![q ^ isa.sign_flip(); 4096], std::vec![w; 4096 * LANES]);
            let (sum, mut out) = ([4096 * i32::from(w); LANES], [0; LANES]);
            let tile = TileI8::new((1, 1), (&a, 4096), (&weights, 4096 * LANES), groups, &sum, &mut out);
            // SAFETY: the slices hold one row, one panel, its sums of weights, and one output vector.
            unsafe { isa.tile_i8(1, 1, &tile) };
            assert_eq!(out, [4096 * (i32::from(q) - 128) * i32::from(w); LANES], "{}", isa.name());
        }
    }
}

#[test]
fn float_tiles_of_every_shape_equal_a_chain_of_fused_multiply_adds() {
    for isa in Isa::available() {
        let max = isa.shape_f();
        for rows in 1..=max.rows {
            for panels in 1..=max.panels {
                for &k in if cfg!(miri) { &[3][..] } else { &[1, 2, 3, 7, 64, 65] } {
                    for overwrite in [true, false] {
                        let shape = (rows, panels, k, overwrite);
                        let seed = (rows * 1000 + panels * 100 + k) as u64;
                        // SAFETY: `float_tile` passes slices of the sizes that `TileF` requires.
                        let run32 = |isa: Isa, t: &TileF<f32>| unsafe { isa.tile_f32(rows, panels, t) };
                        let got = float_tile(isa, shape, seed, |w| w, run32);
                        assert_eq!(got, reference_f(shape, seed, |w| w), "{} f32 {shape:?}", isa.name());
                        // SAFETY: as for f32 weights.
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

/// The bits of out + Σ a · w (or Σ a · w, with `overwrite`), one fused multiply-add after the other, for the inputs of
/// [`float_tile`].
fn reference_f(
    (rows, panels, k, overwrite): (usize, usize, usize, bool),
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
        let start = if overwrite { 0.0 } else { before[i] };
        (0..k).fold(start, |sum, k_at| {
            a[r * pitch + k_at].mul_add(w[(o / LANES * k + k_at) * LANES + o % LANES], sum)
        })
    };
    (0..n).map(|i| at(i).to_bits()).collect()
}

#[test]
fn every_f16_is_widened_exactly() {
    let every: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let vectors = every.as_chunks::<LANES>().0;
    for isa in Isa::available() {
        // Tiles may treat whole numbers, others and tiny ones differently.
        for a in [[1.0], [0.3], [1e-30f32]] {
            for w in vectors.iter().step_by(if cfg!(miri) { 199 } else { 1 }) {
                let mut out = [0.0; LANES];
                let tile = TileF::new((1, 1), (&a, 1), (w, LANES), 1, true, &mut out);
                // SAFETY: the slices hold one row, one panel and one output vector.
                unsafe { isa.tile_f16(1, 1, &tile) };
                for (got, w) in out.into_iter().zip(w) {
                    let want = a[0].mul_add(w.to_f32(), 0.0);
                    assert!(same(got, want), "{}: {a:?} · {w} = {got}, expected {want}", isa.name());
                }
            }
        }
    }
}

/// Float tiles of numbers for which an instruction set may have a shorter way: bytes, few bits, tiny and large ones.
#[test]
fn float_tiles_of_special_rows_are_chains_of_fused_multiply_adds() {
    let mut s = Source(4);
    let k = if cfg!(miri) { 3 } else { 90 };
    let kinds: [fn(u32) -> f32; 5] = [
        |x| (x % 256) as f32 - 128.0,
        |x| (x % 256) as f32 * 0.125,
        |x| ((x % 1024) as f32 - 512.0) * 64.0,
        |x| f32::from_bits(x % (1 << 23)),
        |x| (x as f32 - 2e9) * 1e-28,
    ];
    for (a_kind, w_kind) in (0..25).map(|i| (kinds[i / 5], kinds[i % 5])) {
        for overwrite in [true, false] {
            let start = vector(|| w_kind(s.next()));
            let a: Vec<f32> = (0..k).map(|_| a_kind(s.next())).collect();
            let w: Vec<f32> = (0..k * LANES).map(|_| w_kind(s.next())).collect();
            let w16: Vec<f16> = w.iter().map(|w| f16::from_f32(w * 2e-4)).collect();
            let want = |at: &dyn Fn(usize) -> f32| {
                let mut lanes = 0..LANES;
                vector(|| {
                    let o = lanes.next().unwrap();
                    let start = if overwrite { 0.0 } else { start[o] };
                    (0..k).fold(start, |sum, i| a[i].mul_add(at(i * LANES + o), sum))
                })
            };
            let (want, want16) = (want(&|i| w[i]), want(&|i| w16[i].to_f32()));
            for isa in Isa::available() {
                let (mut out, mut out16) = (start, start);
                let tile = TileF::new((1, 1), (&a, k), (&w, k * LANES), k, overwrite, &mut out);
                let tile16 = TileF::new((1, 1), (&a, k), (&w16, k * LANES), k, overwrite, &mut out16);
                // SAFETY: the slices hold one row, one panel and one output vector.
                unsafe {
                    isa.tile_f32(1, 1, &tile);
                    isa.tile_f16(1, 1, &tile16);
                }
                assert_eq!(out.map(f32::to_bits), want.map(f32::to_bits), "{} f32", isa.name());
                assert_eq!(out16.map(f32::to_bits), want16.map(f32::to_bits), "{} f16", isa.name());
            }
        }
    }
}

/// Runs a kernel on every instruction set and compares its bits with those of the portable one.
fn same_bits_everywhere(kernel: &Kernel, size: Size, seed: u64) -> Result<(), TestCaseError> {
    let run = |isa: Isa| {
        let mut kernel_run = (kernel.prepare)(size, Source(seed));
        kernel_run.run(isa);
        kernel_run.bits()
    };
    let want = run(portable());
    for isa in Isa::available() {
        prop_assert_eq!(run(isa), want.clone(), "{} on {}, {:?}", kernel.name, isa.name(), size);
    }
    Ok(())
}

/// Some instruction sets flush subnormal numbers to zero, unless they are told not to or their kernels notice.
#[test]
fn subnormal_numbers_are_not_flushed() {
    const N: usize = 4 * LANES;
    // Factors of the numbers: all subnormal, around the smallest normal number, and normal numbers with subnormal products.
    for scale in [1e-41, 3e-38, 1e-25, 1.0] {
        for low in [0.0, -2.0] {
            let x: [f32; N] = core::array::from_fn(|i| (low + i as f32 * 0.37) * scale);
            let sums: [i32; LANES] = core::array::from_fn(|i| i as i32 * 1000 - 5000);
            let results = |isa: Isa| {
                let mut quantised = [0; N];
                let (row_params, scales) = ([[scale, low]], [1e-15; LANES]);
                let params = isa.quantise(&x, N, &mut quantised);
                quantised.iter_mut().for_each(|q| *q ^= isa.sign_flip());
                let mut all: Vec<f32> = quantised.iter().map(|q| f32::from(*q)).chain(params).collect();
                for activation in [Activation::None, Activation::Gelu, Activation::Relu] {
                    let mut out = x;
                    let to = TileOutput {
                        rows: 1,
                        panels: 1,
                        activation,
                        out: out.as_mut_ptr(),
                        row_pitch: LANES,
                        panel_pitch: LANES,
                        accumulate: activation == Activation::None,
                        bf16: false,
                    };
                    let tile = DequantiseTile::new(&sums, &row_params, &scales, &sums, to);
                    // SAFETY: the tile is sixteen numbers of `out`.
                    unsafe { isa.dequantise_tile(&tile) };
                    all.extend(out);
                }
                let (mut out, weights) = ([1e-39; LANES], [1e-20; 4 * LANES]);
                let tile = TileF::new((1, 1), (&x, N), (&weights, 4 * LANES), 4, false, &mut out);
                // SAFETY: the slices have the sizes that `TileF` requires.
                unsafe { isa.tile_f32(1, 1, &tile) };
                let mut sum = x;
                isa.add_scaled(&x, 1e-14, &mut sum);
                all.extend(out.into_iter().chain(sum));
                bits(&all)
            };
            let want = results(portable());
            for isa in Isa::available() {
                assert_eq!(results(isa), want, "{}, {scale:e}, {low}", isa.name());
            }
        }
    }
}

/// Miri takes seconds for what takes microseconds elsewhere.
pub(super) fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 64 })
}

/// Heads as wide as a block or wider, and several whole blocks of keys, which the sizes of the next test do not reach.
#[test]
#[cfg_attr(miri, ignore = "takes minutes, and the next test runs the same code")]
fn attention_with_whole_blocks_has_the_same_bits_on_every_instruction_set() {
    let attention = KERNELS.iter().find(|k| k.name == "attention, int8").unwrap();
    for (n, rows, k) in
        [(64, 12, 11), (64, 16, 16), (64, 9, 7), (60, 13, 15), (80, 10, 13), (80, 24, 24), (128, 20, 21)]
    {
        same_bits_everywhere(attention, Size { n, rows, k }, (n + rows + k) as u64).unwrap();
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_kernel_has_the_same_bits_on_every_instruction_set(n in 1usize..200, rows in 1usize..20, k in 1usize..70, seed: u64) {
        for kernel in KERNELS {
            // Kernels with a variant in their name, which include all operators, would take long on the portable instruction set,
            // and minutes in Miri.
            if cfg!(miri) && kernel.name.contains(", ") {
                continue;
            }
            let small = Size { n: n % 40 + 1, rows: rows % 9 + 1, k: k % 9 + 1 };
            let size = if kernel.name.contains(", ") { small } else { Size { n, rows, k } };
            let size = if cfg!(miri) { Size { n: 17, rows: 2, k: 3 } } else { size };
            prop_assert!((kernel.work)(size) > 0);
            same_bits_everywhere(kernel, size, seed)?;
        }
    }

    /// Several tiles of every number of rows and panels: the epilogue of a tile may run while the next one is multiplied.
    #[test]
    fn int8_products_of_several_tiles_have_the_same_bits_on_every_instruction_set(n in 1usize..100, rows in 1usize..40, k in 1usize..70, seed: u64) {
        let (n, rows, k) = if cfg!(miri) { (20, 9, 5) } else { (n, rows, k) };
        for kernel in KERNELS.iter().filter(|k| k.name.starts_with("gemm, int8")) {
            same_bits_everywhere(kernel, Size { n, rows, k }, seed)?;
        }
    }

    #[test]
    fn unpacked_int4_weights_equal_their_definition(k in 1usize..150, seed: u64) {
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
}
