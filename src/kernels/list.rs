//! Every kernel as a job that any instruction set can do: the one list behind the property tests (the same bits everywhere)
//! and the benchmarks (`cargo bench --features bench`).

use super::attention::int8::Sums;
use super::attention::softmax::{self, Blend};
use super::attention::{BLOCK, Dims, Head};
use super::gemm::{Product, Rows, Segment};
use super::rows::{Accumulate, Activation, Along, Finish, FinishI8, Lerp};
use super::transform::Gather;
use super::{Isa, LANES, MAX_PANELS, MAX_ROWS, winograd};
use crate::activations::{RowsMut, rows_bytes};
use crate::format::{GROUP, Role, padded, winograd_taps};
use crate::model::conv_segment;
use crate::parallel::Serial;
use crate::weights::{Linear, Panels};
use half::{bf16, f16};
use std::boxed::Box;
use std::vec::Vec;

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

/// Positions of the largest Winograd tile.
const MOST: usize = winograd_taps(4);

/// A tile's epilogue: integers and their factors in, a tile out; the inputs are those of every epilogue.
struct Tile {
    rows: usize,
    panels: usize,
    sums: Vec<i32>,
    weight_sum: Vec<i32>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    params: Vec<[f32; 2]>,
    acc: Vec<f32>,
}

impl Tile {
    fn new(size: Size, source: &mut Source) -> Tile {
        Tile::with_panels(size, size.n.div_ceil(LANES).min(MAX_PANELS), source)
    }

    /// Keys of a block, with logits of the size that they have: within some octaves.
    fn of_block(size: Size, source: &mut Source) -> Tile {
        let mut tile = Tile::with_panels(size, size.n.div_ceil(LANES).min(BLOCK / LANES), source);
        let few = |x: &mut f32, most: f32| *x = x.clamp(-most, most);
        tile.sums.iter_mut().chain(&mut tile.weight_sum).for_each(|x| *x >>= 16);
        tile.scale.iter_mut().chain(tile.params.as_flattened_mut()).for_each(|x| few(x, 1.5));
        tile.bias.iter_mut().for_each(|x| few(x, 8000.0));
        tile
    }

    fn with_panels(size: Size, panels: usize, source: &mut Source) -> Tile {
        let rows = size.rows.min(MAX_ROWS);
        let wide = panels * LANES;
        Tile {
            rows,
            panels,
            // For all positions of Winograd's tiles, which one kernel takes together.
            sums: source.ints(MOST * rows * wide),
            weight_sum: source.ints(MOST * wide),
            scale: source.floats(MOST * wide),
            bias: source.floats(rows * wide),
            params: source.params(MOST * rows),
            acc: source.floats(rows * wide),
        }
    }

    fn work(size: Size) -> usize {
        size.rows.min(MAX_ROWS) * size.n.div_ceil(LANES).min(MAX_PANELS) * LANES
    }

    /// A job on tiles, the output as long as `planes` of them.
    fn job(
        size: Size,
        mut source: Source,
        planes: usize,
        run: impl Fn(Isa, &Tile, &mut Vec<f32>) + 'static,
    ) -> Box<dyn Job> {
        let tile = Tile::new(size, &mut source);
        let out = source.floats(planes * tile.acc.len());
        made(tile, out, run)
    }

    fn accumulate(&self, isa: Isa, out: &mut [f32], first: bool) {
        let t = Accumulate {
            sums: self.sums.as_ptr(),
            rows: self.rows,
            panels: self.panels,
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            acc: out.as_mut_ptr(),
            first,
        };
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.accumulate(&t) };
    }

    fn finish(&self, isa: Isa, out: &mut [f32], activation: Activation, add: bool) {
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.finish(&self.to(out, activation, add)) };
    }

    fn finish_i8(&self, isa: Isa, out: &mut [f32], activation: Activation, add: bool) {
        let t = FinishI8 {
            sums: self.sums.as_ptr(),
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            to: self.to(out, activation, add),
        };
        // SAFETY: as above.
        unsafe { isa.finish_i8(&t) };
    }

    fn finish_i8_bf16(&self, isa: Isa, out: &mut [f32]) {
        let to = Finish { half: true, ..self.to(out, Activation::None, false) };
        let (params, scale, weight_sum) =
            (self.params.as_ptr(), self.scale.as_ptr(), self.weight_sum.as_ptr());
        // SAFETY: as above; half as many bytes.
        unsafe { isa.finish_i8(&FinishI8 { sums: self.sums.as_ptr(), params, scale, weight_sum, to }) };
    }

    fn to(&self, out: &mut [f32], activation: Activation, add: bool) -> Finish {
        Finish {
            acc: self.acc.as_ptr(),
            rows: self.rows,
            panels: self.panels,
            bias: if add { core::ptr::null() } else { self.bias.as_ptr() },
            activation,
            out: out.as_mut_ptr(),
            pitch: self.panels * LANES,
            panel: LANES,
            add,
            half: false,
        }
    }

    fn gather(&self, isa: Isa, tile: usize, out: &mut [f32]) {
        let (n, wide) = (self.acc.len(), self.panels * LANES);
        let t = Gather {
            tile,
            sums: self.sums.as_ptr(),
            plane: n,
            rows: self.rows,
            panels: self.panels,
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            position: wide,
            bias: self.bias.as_ptr(),
            activation: Activation::Relu,
            out: out.as_mut_ptr(),
            pixel: wide,
            line: tile * n,
        };
        // SAFETY: every field has what its comment asks for; `out` is `tile` lines of `tile` pixels a row.
        unsafe { isa.gather(&t) };
    }

    /// Bytes of the rows, then of each row the largest logit and sixteen sums; bias rows forwards and backwards, as queries read
    /// them.
    fn block_weights(&self, isa: Isa, out: &mut [f32]) {
        let wide = self.panels * LANES;
        for (out, (from, step)) in
            out.chunks_mut(BLOCK_OUT).zip([(0, wide as isize), ((self.rows - 1) * wide, -(wide as isize))])
        {
            let mut sums = self.sums[..self.acc.len()].to_vec();
            let (bytes, rest) = out.split_at_mut(MAX_ROWS * BLOCK / 4);
            let (top, total) = rest.split_at_mut(MAX_ROWS);
            let t = softmax::Weights {
                sums: self.block_sums(&mut sums),
                blocks: 1,
                rows: self.rows,
                panels: self.panels,
                params: self.params.as_ptr(),
                param_step: 2,
                k_scale: self.scale.as_ptr(),
                k_sum: self.weight_sum.as_ptr(),
                bias: self.bias[from..].as_ptr(),
                bias_step: step,
                out: bytes.as_mut_ptr().cast(),
                pitch: wide,
                top: top.as_mut_ptr(),
                top_pitch: 1,
                total: total.as_mut_ptr().cast(),
                total_pitch: LANES,
            };
            // SAFETY: every field has what its comment asks for.
            unsafe { isa.block_weights(&t) };
        }
    }

    fn blend(&self, isa: Isa, out: &mut [f32]) {
        let mut sums = self.sums[..self.acc.len()].to_vec();
        let t = Blend {
            sums: self.block_sums(&mut sums),
            blocks: 1,
            rows: self.rows,
            panels: self.panels,
            weight_sum: self.weight_sum.as_ptr(),
            sum_pitch: 0,
            factor: self.bias.as_ptr(),
            factor_pitch: 1,
            acc: out.as_mut_ptr(),
        };
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.blend(&t) };
    }

    /// One panel after the other.
    fn block_sums(&self, sums: &mut [i32]) -> Sums {
        Sums { at: sums.as_mut_ptr(), row: LANES, panel: self.rows * LANES }
    }
}

/// What `block_weights` gives for a block.
const BLOCK_OUT: usize = MAX_ROWS * (BLOCK / 4 + 1 + LANES);

/// Weights of a product as the file holds them.
struct Weights {
    n: usize,
    k: usize,
    taps: usize,
    kind: Stored,
}

enum Stored {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Int8(Vec<i8>, Vec<f32>, Vec<i32>),
}

impl Weights {
    fn floats(size: Size, taps: usize, source: &mut Source) -> (usize, Vec<f32>) {
        let count = taps * size.n.div_ceil(LANES) * LANES * size.k;
        (count, source.floats(count))
    }

    fn f32(size: Size, source: &mut Source) -> Self {
        Weights { n: size.n, k: size.k, taps: 1, kind: Stored::F32(Self::floats(size, 1, source).1) }
    }

    fn f16(size: Size, source: &mut Source) -> Self {
        let weights = Self::floats(size, 1, source).1.into_iter().map(f16::from_f32).collect();
        Weights { n: size.n, k: size.k, taps: 1, kind: Stored::F16(weights) }
    }

    fn int8(size: Size, taps: usize, source: &mut Source) -> Self {
        let (panels, groups) = (taps * size.n.div_ceil(LANES), size.k.div_ceil(4));
        let weights = source.weights(panels * groups * 4 * LANES);
        let mut sums = std::vec![0; panels * LANES];
        for (panel, sums) in weights.chunks(groups * 4 * LANES).zip(sums.chunks_mut(LANES)) {
            for (i, w) in panel.iter().enumerate() {
                sums[i / 4 % LANES] += i32::from(*w);
            }
        }
        let kind = Stored::Int8(weights, source.floats(panels * LANES), sums);
        Weights { n: size.n, k: size.k, taps, kind }
    }

    fn linear(&self) -> Linear<'_> {
        let panels = match &self.kind {
            Stored::F32(w) => Panels::F32(w),
            Stored::F16(w) => Panels::F16(w),
            Stored::Int8(weights, scale, sum) => Panels::Int8 { weights, scale, sum },
        };
        Linear::bare(Role::Qkv, (self.n, self.k, self.taps), panels)
    }
}

/// Activations as a product reads them.
enum Inputs {
    F32(Vec<f32>, usize),
    Bytes(Vec<u8>, usize, Vec<[f32; 2]>),
}

impl Inputs {
    fn f32(rows: usize, k: usize, source: &mut Source) -> Self {
        Inputs::F32(source.floats(rows * padded(k)), padded(k))
    }
    fn bytes(rows: usize, k: usize, source: &mut Source) -> Self {
        let pitch = padded(k) + 64;
        Inputs::Bytes(source.bytes(rows * pitch), pitch, source.params(rows))
    }
    fn rows(&self) -> Rows<'_> {
        match self {
            Inputs::F32(data, pitch) => Rows::F32 { data, pitch: *pitch },
            Inputs::Bytes(data, pitch, params) => Rows::Bytes { data, pitch: *pitch, params },
        }
    }
}

/// A linear layer over `size.rows` rows.
fn linear(size: Size, weights: Weights, x: Inputs) -> Box<dyn Job> {
    let out = std::vec![0.0; size.rows * padded(size.n)];
    made((weights, x), out, move |isa, (weights, x), out| {
        product(isa, &weights.linear(), x.rows(), &[Segment::line(0, 0)], size.rows, out)
    })
}

fn product(isa: Isa, weights: &Linear, x: Rows, segments: &[Segment], len: usize, out: &mut [f32]) {
    let (taps, activation, pitch) = (0..weights.taps, Activation::None, padded(weights.n));
    Product { isa, weights, taps, bias: None, x, activation, step: 1, pitch, panel: LANES, add: false }.run(
        (&Serial, &mut []),
        segments,
        len,
        out,
    );
}

/// Lines of a map that a convolution is timed on: a band's.
const LINES: usize = 4;

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

/// The width of a map for a convolution, whole Winograd tiles.
fn map_width(size: Size) -> usize {
    size.rows.next_multiple_of(4)
}

/// Taps on lines outside the map are left out: of a map of four lines, two of twelve.
fn conv_work(size: Size) -> usize {
    3 * (3 * LINES - 2) * map_width(size) * size.n * size.k
}

/// A 3x3 convolution, directly.
fn direct(size: Size, mut source: Source) -> Box<dyn Job> {
    let w = map_width(size);
    let x = Inputs::bytes(LINES * (w + 2) + 1, size.k, &mut source);
    let weights = Weights::int8(size, 9, &mut source);
    made((weights, x), std::vec![0.0; LINES * w * padded(size.n)], move |isa, (weights, x), out| {
        let segments: [Segment; LINES] = core::array::from_fn(|y| conv_segment(y, (w, LINES), LINES, y * w));
        product(isa, &weights.linear(), x.rows(), &segments, w, out);
    })
}

/// The same by Winograd's F(m x m, 3x3): transform, products, way back.
fn by_winograd(m: usize, size: Size, mut source: Source) -> Box<dyn Job> {
    let (w, c) = (map_width(size), padded(size.k));
    let lines: Vec<bf16> = source.floats(LINES * (w + 2) * c).into_iter().map(bf16::from_f32).collect();
    let weights = Weights::int8(size, winograd_taps(m), &mut source);
    let (tiles, pixels) = (w / m, w / m * winograd_taps(m));
    let rows = std::vec![0u64; rows_bytes(pixels, size.k, true) / 8];
    let out =
        (std::vec![0.0; LINES * w * padded(size.n)], Work(rows, std::vec![0.0; winograd::scratch(m, c)]));
    made((weights, lines), out, move |isa, (weights, lines), (out, Work(rows, scratch))| {
        let line = |y: usize| lines.chunks((w + 2) * c).nth(y);
        for (i, out) in out.chunks_mut(m * w * padded(size.n)).enumerate() {
            let strip = core::array::from_fn(|j| (m * i + j).checked_sub(1).and_then(line));
            let mut rows = RowsMut::new(bytemuck::cast_slice_mut(rows), pixels, size.k, true);
            winograd::transform((isa, &Serial), (m, tiles), &strip, size.k, &mut rows, scratch);
            let (weights, x) = (&weights.linear(), rows.rows());
            let activation = Activation::Relu;
            winograd::Convolution { isa, tile: m, weights, bias: None, activation, x, tiles }
                .run(&Serial, out, scratch);
        }
    })
}

/// A tile of pixels into the transform's domain.
fn winograd_input<const T: usize>(size: Size, mut source: Source) -> Box<dyn Job> {
    let c = padded(size.n);
    let lines: [Vec<bf16>; T] =
        core::array::from_fn(|_| source.floats(T * c).into_iter().map(bf16::from_f32).collect());
    made(lines, std::vec![0.0; T * T * c], |isa, lines, out| {
        isa.winograd_input(&lines.each_ref().map(|line| line.as_slice()), out)
    })
}

/// Working memory, which is no output.
struct Work<T>(Vec<T>, Vec<f32>);

impl<T> Bits for Work<T> {
    fn bits(&self) -> Vec<u32> {
        Vec::new()
    }
}

/// Attention of one head over a grid of `size.rows` x `size.k` patches.
fn attention(size: Size, mut source: Source, int8: bool) -> Box<dyn Job> {
    let head_padded = padded(size.n);
    let dims = Dims {
        grid_width: size.rows,
        grid_height: size.k,
        head: size.n,
        head_padded,
        out_pitch: head_padded,
    };
    let tokens = size.rows * size.k + 1;
    let qkv: Vec<f32> =
        (0..3 * tokens).flat_map(|_| source.row(size.n)).map(|x| x.clamp(-4.0, 4.0) / 4.0).collect();
    let bias = source.floats((2 * size.rows - 1) * (2 * size.k - 1) + 3);
    let work = Work(std::vec![0u64; dims.packed_bytes(int8) / 8], std::vec![0.0; dims.scratch()]);
    let out = (std::vec![0.0; tokens * head_padded], work);
    made((qkv, bias), out, move |isa, (qkv, bias), (out, Work(packed, scratch))| {
        Head { isa, par: &Serial, dims, qkv, bias: Some(bias) }.run(
            int8,
            bytemuck::cast_slice_mut(packed),
            scratch,
            out,
        );
    })
}

fn attention_work(size: Size) -> usize {
    2 * (size.rows * size.k + 1).pow(2) * size.n
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

/// All kernels.
pub const KERNELS: &[Kernel] = &[
    row!("layer_norm", |isa, size, x, y, out| isa.layer_norm(x, size.n, 1e-6, out), zeros),
    row!("quantise", |isa, size, x, y, out| out.1 = isa.quantise(x, size.n, &mut out.0), |s, n| (
        no_bytes(s, n),
        [0.0; 2]
    )),
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
    Kernel {
        name: "accumulate",
        work: Tile::work,
        job: |size, source| Tile::job(size, source, 1, |isa, t, out| t.accumulate(isa, out, true)),
    },
    Kernel {
        name: "accumulate, more",
        work: Tile::work,
        job: |size, source| Tile::job(size, source, 1, |isa, t, out| t.accumulate(isa, out, false)),
    },
    Kernel {
        name: "finish",
        work: Tile::work,
        job: |size, source| {
            Tile::job(size, source, 1, |isa, t, out| t.finish(isa, out, Activation::None, true))
        },
    },
    Kernel {
        name: "finish, GELU",
        work: Tile::work,
        job: |size, source| {
            Tile::job(size, source, 1, |isa, t, out| t.finish(isa, out, Activation::Gelu, false))
        },
    },
    Kernel {
        name: "finish, ReLU",
        work: Tile::work,
        job: |size, source| {
            Tile::job(size, source, 1, |isa, t, out| t.finish(isa, out, Activation::Relu, false))
        },
    },
    Kernel {
        name: "finish_i8",
        work: Tile::work,
        job: |size, source| {
            Tile::job(size, source, 1, |isa, t, out| t.finish_i8(isa, out, Activation::None, true))
        },
    },
    Kernel {
        name: "finish_i8, bfloat16",
        work: Tile::work,
        job: |size, source| Tile::job(size, source, 1, |isa, t, out| t.finish_i8_bf16(isa, out)),
    },
    Kernel {
        name: "finish_i8, ReLU",
        work: Tile::work,
        job: |size, source| {
            Tile::job(size, source, 1, |isa, t, out| t.finish_i8(isa, out, Activation::Relu, false))
        },
    },
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
    Kernel {
        name: "blend",
        work: Tile::work,
        job: |size, source| Tile::job(size, source, 1, |isa, t, out| t.blend(isa, out)),
    },
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
