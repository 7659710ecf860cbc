//! Every kernel as a job that any instruction set can do: the one list behind the property tests (the same bits everywhere)
//! and the benchmarks (`cargo bench --features bench`).

mod products;
mod tile;

use super::epilogue::Activation;
use super::interpolate::{Along, Lerp};
use super::{Isa, LANES};
use crate::format::{GROUP, padded, winograd_taps};
use half::bf16;
use products::{
    Inputs, Weights, attention, attention_work, by_winograd, conv_work, direct, linear, winograd_input,
};
use std::boxed::Box;
use std::vec::Vec;
use tile::{BLOCK_OUT, Tile};

/// How large a job is; each kernel takes from it what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Numbers in a row, outputs of a product, width of an attention head.
    pub n: usize,
    /// Rows, width of a map or of the patch grid.
    pub rows: usize,
    /// Inputs of a product, height of the patch grid.
    pub k: usize,
}

/// Work that can be done again and again.
pub trait Job {
    /// Does it once.
    fn run(&mut self, isa: Isa);
    /// What it wrote, as bits.
    fn bits(&self) -> Vec<u32>;
}

/// A kernel by its name.
pub struct Kernel {
    /// The function's name, or what the product is of.
    pub name: &'static str,
    /// What the rate counts: multiply-accumulates of a product, numbers of everything else.
    pub work: fn(Size) -> usize,
    /// Makes a job with inputs from a seed.
    pub job: fn(Size, Source) -> Box<dyn Job>,
}

/// Inputs, what to do with them, and the output.
struct Made<I, O, F> {
    inputs: I,
    out: O,
    run: F,
}

impl<I, O: Bits, F: Fn(Isa, &I, &mut O)> Job for Made<I, O, F> {
    fn run(&mut self, isa: Isa) {
        (self.run)(isa, &self.inputs, &mut self.out);
    }
    fn bits(&self) -> Vec<u32> {
        self.out.bits()
    }
}

fn made<I: 'static, O: Bits + 'static>(
    inputs: I,
    out: O,
    run: impl Fn(Isa, &I, &mut O) + 'static,
) -> Box<dyn Job> {
    Box::new(Made { inputs, out, run })
}

/// Outputs as bits.
trait Bits {
    fn bits(&self) -> Vec<u32>;
}
macro_rules! bits {
    ($($t:ty: $x:ident => $bits:expr;)*) => {
        $(impl Bits for $t {
            fn bits(&self) -> Vec<u32> {
                let $x = self;
                $bits
            }
        })*
    };
}
bits! {
    Vec<f32>: x => x.iter().map(|x| x.to_bits()).collect();
    Vec<u8>: x => x.iter().map(|&x| x.into()).collect();
    Vec<i8>: x => x.iter().map(|&x| x as u32).collect();
    Vec<bf16>: x => x.iter().map(|x| x.to_bits().into()).collect();
    u16: x => std::vec![u32::from(*x)];
    u32: x => std::vec![*x];
    f32: x => std::vec![x.to_bits()];
    [f32; 2]: x => x.map(f32::to_bits).to_vec();
}
impl<A: Bits, B: Bits> Bits for (A, B) {
    fn bits(&self) -> Vec<u32> {
        [self.0.bits(), self.1.bits()].concat()
    }
}

/// Numbers from a seed, extremes among them.
pub struct Source(pub u64);

impl Source {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
    pub(super) fn float(&mut self) -> f32 {
        match self.next() % 16 {
            0 => 0.0,
            1 => -0.0,
            2 => 100.0,
            3 => -1e-20,
            _ => (self.next() as f32 / u32::MAX as f32 - 0.5) * 8.0,
        }
    }
    pub(super) fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
    /// `n` numbers in a padded row, the padding zero.
    pub(super) fn row(&mut self, n: usize) -> Vec<f32> {
        let mut row = self.floats(n);
        row.resize(padded(n), 0.0);
        row
    }
    pub(super) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| [0, 255, 128, self.next() as u8][self.next() as usize % 4]).collect()
    }
    pub(super) fn weights(&mut self, n: usize) -> Vec<i8> {
        (0..n)
            .map(|_| [127, -127, 0, (self.next() % 255) as i8][self.next() as usize % 4].max(-127))
            .collect()
    }
    pub(super) fn ints(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| self.next() as i32 >> 4).collect()
    }
    fn params(&mut self, n: usize) -> Vec<[f32; 2]> {
        (0..n).map(|_| [self.float(), self.float()]).collect()
    }
}

/// A row kernel: a padded row in, something out.
macro_rules! row {
    ($name:literal, |$isa:ident, $size:ident, $x:ident, $y:ident, $out:ident| $run:expr, $start:expr) => {
        Kernel {
            name: $name,
            work: |s| s.n,
            job: |$size, mut source| {
                let inputs = (source.row($size.n), source.row($size.n));
                let start = $start(&mut source, padded($size.n));
                made(inputs, start, move |$isa, ($x, $y), $out| {
                    let _ = (&$x, &$y);
                    $run
                })
            },
        }
    };
}

/// A kernel on a tile, which writes a tile.
macro_rules! tile {
    ($name:literal, $run:expr) => {
        Kernel { name: $name, work: Tile::work, job: |size, source| Tile::job(size, source, 1, $run) }
    };
}

/// Three pairs of lines into one.
fn lerps<T: 'static>(
    lines: [Vec<T>; 6],
    run: impl Fn(Isa, &[Lerp<T>], &mut [f32]) + 'static,
) -> Box<dyn Job> {
    let out = std::vec![0.0; lines[0].len()];
    made(lines, out, move |isa, [a, b, c, d, e, f], out| {
        let runs =
            [(a, b, 0.3), (c, d, 0.0), (e, f, 0.75)].map(|(low, high, weight)| Lerp { low, high, weight });
        run(isa, &runs, out);
    })
}

/// Pixels of a small line in the interpolation jobs.
const SMALL: usize = 10;

fn zeros(_: &mut Source, n: usize) -> Vec<f32> {
    std::vec![0.0; n]
}
fn no_bytes(_: &mut Source, n: usize) -> Vec<u8> {
    std::vec![0; n]
}
fn floats(source: &mut Source, n: usize) -> Vec<f32> {
    source.floats(n)
}

/// Bytes of rows as they are on every instruction set.
fn unflip(isa: Isa, bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|q| *q ^= isa.flip());
}

/// All kernels.
pub const KERNELS: &[Kernel] = &[
    row!("layer_norm", |isa, size, x, y, out| isa.layer_norm(x, size.n, 1e-6, out), zeros),
    row!(
        "quantise",
        |isa, size, x, y, out| {
            out.1 = isa.quantise(x, size.n, &mut out.0);
            // The padding's may be any.
            out.0[size.n..].fill(isa.flip());
            unflip(isa, &mut out.0);
        },
        |s, n| (no_bytes(s, n), [0.0; 2])
    ),
    row!(
        "quantise_signed",
        |isa, size, x, y, out| out.1 = isa.quantise_signed(x, size.n, &mut out.0),
        |_: &mut Source, n| (std::vec![0i8; n], 0.0)
    ),
    row!(
        "quantise_by",
        |isa, size, x, y, out| isa.quantise_by(x, y, x, out),
        |_: &mut Source, n| std::vec![0i8; n]
    ),
    row!("spread", |isa, size, x, y, out| isa.spread(x, &mut out.0, &mut out.1), |s: &mut Source, n| (
        floats(s, n),
        floats(s, n)
    )),
    row!("lerp", |isa, size, x, y, out| isa.lerp(x, y, 0.3, out), zeros),
    row!("add_scaled", |isa, size, x, y, out| isa.add_scaled(x, -0.7, out), floats),
    row!("scale_and_add", |isa, size, x, y, out| isa.scale_and_add(x, 0.3, y, x, &mut out[..size.n]), floats),
    row!("max_into", |isa, size, x, y, out| isa.max_into(x, out), floats),
    row!("bias_relu", |isa, size, x, y, out| isa.bias_relu(x, out), floats),
    row!(
        "softmax",
        |isa, size, x, y, out| {
            out.0.copy_from_slice(x);
            out.1 = isa.softmax(&mut out.0, size.n);
        },
        |s, n| (zeros(s, n), 0.0)
    ),
    row!("to_bf16", |isa, size, x, y, out| isa.to_bf16(x, out), |_: &mut Source, n| std::vec![bf16::ZERO; n]),
    row!(
        "argmax_lerp",
        |isa, size, x, y, out| *out = isa.argmax_lerp(x, y, 0.6, size.n),
        |_: &mut Source, _| 0u16
    ),
    Kernel {
        name: "sum_lerps",
        work: |s| 3 * padded(s.n),
        job: |size, mut source| {
            let lines = core::array::from_fn(|_| source.row(size.n));
            lerps(lines, |isa, runs, out| isa.sum_lerps(runs, out))
        },
    },
    Kernel {
        name: "sum_lerps_bf16",
        work: |s| 3 * padded(s.n),
        job: |size, mut source| {
            let lines =
                core::array::from_fn(|_| source.row(size.n).into_iter().map(bf16::from_f32).collect());
            lerps(lines, |isa, runs, out| isa.sum_lerps_bf16(runs, out))
        },
    },
    Kernel {
        name: "add_along",
        work: |s| 4 * s.rows * padded(s.n),
        job: |size, mut source| {
            let count = padded(size.n);
            let columns = source.floats(SMALL * 3 * count);
            let out = source.floats(size.rows * count);
            let bias = source.floats(count);
            made((columns, bias), out, move |isa, (columns, bias), out| {
                let line = Along { columns, panel: LANES, pixel: count, taps: 1, small: SMALL };
                let (panel, pixel) = (SMALL * 3 * LANES, 3 * LANES);
                let tapped = Along { panel, pixel, taps: 3, ..line };
                for (lines, bias) in [(&[line][..], &[][..]), (&[tapped, tapped], bias)] {
                    let panels = count / LANES;
                    // SAFETY: `out` has rows · count numbers.
                    unsafe { isa.add_along(lines, bias, size.rows, panels, out.as_mut_ptr(), count) };
                }
            })
        },
    },
    Kernel {
        name: "winograd_input, 2x2",
        work: |s| winograd_taps(2) * padded(s.n),
        job: |size, source| winograd_input::<4>(size, source),
    },
    Kernel {
        name: "winograd_input, 4x4",
        work: |s| winograd_taps(4) * padded(s.n),
        job: |size, source| winograd_input::<6>(size, source),
    },
    Kernel {
        name: "unpack",
        work: |s| s.k * LANES,
        job: |size, mut source| {
            let k = size.k;
            let packed = source.bytes(k.div_ceil(8) * 4 * LANES);
            let multipliers = source.weights(k.div_ceil(GROUP) * LANES);
            made((packed, multipliers), std::vec![0i8; k.div_ceil(4) * 4 * LANES], |isa, (packed, m), out| {
                isa.unpack(packed, m, out)
            })
        },
    },
    tile!("accumulate", |isa, t, out| t.accumulate(isa, out, true)),
    tile!("accumulate, more", |isa, t, out| t.accumulate(isa, out, false)),
    tile!("finish", |isa, t, out| t.finish(isa, out, Activation::None, true)),
    tile!("finish, GELU", |isa, t, out| t.finish(isa, out, Activation::Gelu, false)),
    tile!("finish, ReLU", |isa, t, out| t.finish(isa, out, Activation::Relu, false)),
    tile!("finish_i8", |isa, t, out| t.finish_i8(isa, out, Activation::None, true)),
    tile!("finish_i8, bfloat16", |isa, t, out| t.finish_i8_bf16(isa, out)),
    tile!("finish_i8, ReLU", |isa, t, out| t.finish_i8(isa, out, Activation::Relu, false)),
    Kernel {
        name: "gather, 2x2",
        work: |s| winograd_taps(2) * Tile::work(s),
        job: |size, source| Tile::job(size, source, 4, |isa, t, out| t.gather(isa, 2, out)),
    },
    Kernel {
        name: "gather, 4x4",
        work: |s| winograd_taps(4) * Tile::work(s),
        job: |size, source| Tile::job(size, source, 16, |isa, t, out| t.gather(isa, 4, out)),
    },
    Kernel {
        name: "block_weights",
        work: |s| 2 * Tile::work(s),
        job: |size, mut source| {
            let tile = Tile::of_block(size, &mut source);
            made(tile, std::vec![0.0; 2 * BLOCK_OUT], |isa, t, out| t.block_weights(isa, out))
        },
    },
    tile!("blend", |isa, t, out| t.blend(isa, out)),
    Kernel {
        name: "block_factors",
        work: |s| s.n * LANES,
        job: |size, mut source| {
            let tops: Vec<f32> = source.row(size.n).iter().map(|x| x.clamp(-60.0, 60.0)).collect();
            let totals = source.ints(size.n * LANES);
            let out = (std::vec![0.0; padded(size.n)], 0.0);
            made((tops, totals), out, |isa, (tops, totals), (factors, sum)| {
                factors.copy_from_slice(tops);
                *sum = isa.block_factors(factors, totals);
            })
        },
    },
    Kernel {
        name: "product, int8",
        work: |s| s.rows * s.n * s.k,
        job: |size, mut s| {
            linear(size, Weights::int8(size, 1, &mut s), Inputs::bytes(size.rows, size.k, &mut s))
        },
    },
    Kernel {
        name: "product, f16",
        work: |s| s.rows * s.n * s.k,
        job: |size, mut s| linear(size, Weights::f16(size, &mut s), Inputs::f32(size.rows, size.k, &mut s)),
    },
    Kernel {
        name: "product, f32",
        work: |s| s.rows * s.n * s.k,
        job: |size, mut s| linear(size, Weights::f32(size, &mut s), Inputs::f32(size.rows, size.k, &mut s)),
    },
    Kernel { name: "3x3, int8", work: conv_work, job: direct },
    Kernel { name: "3x3 by Winograd 2x2, int8", work: conv_work, job: |size, s| by_winograd(2, size, s) },
    Kernel { name: "3x3 by Winograd 4x4, int8", work: conv_work, job: |size, s| by_winograd(4, size, s) },
    Kernel { name: "attention, int8", work: attention_work, job: |size, s| attention(size, s, true) },
    Kernel { name: "attention, f32", work: attention_work, job: |size, s| attention(size, s, false) },
];
