//! The list: row kernels, kernels of interpolation, Winograd transforms and attention, epilogues, operators, pictures.

use super::inputs::{Kernel, KernelRun, Source, prepare, restore_sign};
use super::operators::{
    Inputs, Weights, attention, attention_work, conv_direct, conv_winograd, conv_work, linear, linear_with,
    winograd_input, winograd_quantise,
};
use super::pictures::{resize, yuv_row};
use super::tiles::{BLOCK_OUT, Block, Tile};
use crate::file::format::{GROUP, padded, winograd_points};
use crate::image::PixelFormat;
use crate::image::resize::Filter;
use crate::image::yuv::Samples;
use crate::ops::upsample::source_pixels;
use crate::simd::isa::Isa;
use crate::simd::kernels::attention::quantise::Token;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::kernels::interpolate::{HorizontalLerp, Lerp, SourcePixel};
use crate::simd::lanes::LANES;
use half::bf16;
use std::boxed::Box;
use std::vec::Vec;

/// A row kernel: two padded rows in, of which a kernel may use one; the type of the output is that of `$start`.
macro_rules! row {
    ($name:literal, |$isa:ident, $size:ident, $x:ident, $y:ident, $out:ident| $run:expr, $start:expr) => {
        Kernel {
            name: $name,
            work: |s| s.n,
            prepare: |$size, mut source| {
                let inputs = (source.row($size.n), source.row($size.n));
                let start = $start(&mut source, padded($size.n));
                prepare(inputs, start, move |$isa, ($x, $y), $out| {
                    let _ = (&$x, &$y);
                    $run
                })
            },
        }
    };
}

/// An epilogue: a tile in, a tile out.
macro_rules! tile {
    ($name:literal, $run:expr) => {
        Kernel { name: $name, work: Tile::work, prepare: |size, source| Tile::prepare(size, source, 1, $run) }
    };
}

/// Prepares a kernel that interpolates between the rows of three pairs and sums the results.
fn lerps<T: 'static>(
    rows: [Vec<T>; 6],
    run: impl Fn(Isa, &[Lerp<T>], &mut [f32]) + 'static,
) -> Box<dyn KernelRun> {
    let out = std::vec![0.0; rows[0].len()];
    prepare(rows, out, move |isa, [a, b, c, d, e, f], out| {
        let runs =
            [(a, b, 0.3), (c, d, 0.0), (e, f, 0.75)].map(|(low, high, weight)| Lerp { low, high, weight });
        run(isa, &runs, out);
    })
}

/// A row of YUV: the samples of three planes in.
macro_rules! yuv {
    ($name:literal, $samples:expr) => {
        Kernel { name: $name, work: |s| s.n, prepare: |size, source| yuv_row(size, source, $samples) }
    };
}

/// A picture, resized.
macro_rules! picture {
    ($name:literal, $format:ident, $filter:ident) => {
        Kernel {
            name: $name,
            work: |s| s.k * s.k,
            prepare: |size, source| resize(size, source, PixelFormat::$format, Filter::$filter),
        }
    };
}

/// Pixels in a row of the small map that interpolation kernels read.
const SMALL: usize = 10;

/// The number of rows for kernels that read several.
const ROWS: usize = 13;

fn zeros(_: &mut Source, n: usize) -> Vec<f32> {
    std::vec![0.0; n]
}
fn no_bytes(_: &mut Source, n: usize) -> Vec<u8> {
    std::vec![0; n]
}
fn floats(source: &mut Source, n: usize) -> Vec<f32> {
    source.floats(n)
}

/// All kernels and operators.
pub const KERNELS: &[Kernel] = &[
    row!("layer_norm", |isa, size, x, y, out| isa.layer_norm(x, size.n, 1e-6, out), zeros),
    row!(
        "quantise",
        |isa, size, x, y, out| {
            out.1 = isa.quantise(x, size.n, &mut out.0);
            // The bytes of the padding are unspecified.
            out.0[size.n..].fill(isa.sign_flip());
            restore_sign(isa, &mut out.0);
        },
        |s, n| (no_bytes(s, n), [0.0; 2])
    ),
    Kernel {
        name: "column_sums",
        work: |s| ROWS * padded(s.n),
        prepare: |size, mut source| {
            let (rows, start) = (source.floats(ROWS * padded(size.n)), source.row(size.n));
            prepare(rows, start, move |isa, rows, out| isa.column_sums(rows, padded(size.n), out))
        },
    },
    Kernel {
        name: "column_min_max",
        work: |s| ROWS * padded(s.n),
        prepare: |size, mut source| {
            let rows = source.floats(ROWS * padded(size.n));
            let start = (source.row(size.n), source.row(size.n));
            prepare(rows, start, move |isa, rows, (low, high)| {
                isa.column_min_max(rows, padded(size.n), low, high)
            })
        },
    },
    Kernel {
        name: "quantise_tokens",
        work: |s| ROWS * padded(s.n),
        prepare: |size, mut source| {
            let inputs = (source.floats(ROWS * padded(size.n)), source.row(size.n));
            let out = (std::vec![0i8; ROWS * padded(size.n)], std::vec![Token::default(); ROWS]);
            prepare(inputs, out, move |isa, (rows, centre), (out, tokens)| {
                isa.quantise_tokens(rows, padded(size.n), centre, out, tokens)
            })
        },
    },
    Kernel {
        name: "quantise_values",
        work: |s| s.rows * LANES,
        prepare: |size, mut source| {
            let pitch = LANES + 3;
            let rows = source.floats(size.rows * pitch);
            let grid: [[f32; LANES]; 2] = core::array::from_fn(|_| core::array::from_fn(|_| source.float()));
            // The last group is past the last token.
            let first: Vec<usize> = (0..=size.rows.div_ceil(4)).map(|g| 4 * g).collect();
            let out = (std::vec![0i8; first.len() * 4 * LANES], [0i32; LANES]);
            prepare((rows, grid), out, move |isa, (rows, grid), (out, sums)| {
                isa.quantise_values(rows, pitch, &first, grid, out, sums)
            })
        },
    },
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
        name: "lerp_pixels",
        work: |s| SMALL * padded(s.n),
        prepare: |size, mut source| {
            let (channels, pitch) = (padded(size.n), 2 * padded(size.n));
            let rows: [Vec<f32>; 2] = core::array::from_fn(|_| source.floats((SMALL - 1) * pitch + channels));
            prepare(rows, std::vec![0.0; SMALL * channels], move |isa, [low, high], out| {
                isa.lerp_pixels(low, high, 0.3, pitch, out)
            })
        },
    },
    Kernel {
        name: "sum_lerps",
        work: |s| 3 * padded(s.n),
        prepare: |size, mut source| {
            let rows = core::array::from_fn(|_| source.row(size.n));
            lerps(rows, |isa, runs, out| isa.sum_lerps(runs, out))
        },
    },
    Kernel {
        name: "sum_lerps_bf16",
        work: |s| 3 * padded(s.n),
        prepare: |size, mut source| {
            let rows = core::array::from_fn(|_| source.row(size.n).into_iter().map(bf16::from_f32).collect());
            lerps(rows, |isa, runs, out| isa.sum_lerps_bf16(runs, out))
        },
    },
    Kernel {
        name: "add_horizontal_lerps",
        work: |s| 4 * s.rows * padded(s.n),
        prepare: |size, mut source| {
            let count = padded(size.n);
            let columns = source.floats(SMALL * 3 * count);
            let out = source.floats(size.rows * count);
            let bias = source.floats(count);
            prepare((columns, bias), out, move |isa, (columns, bias), out| {
                let [of_map, of_products] = [count, 3 * LANES].map(|pitch| {
                    let mut sources = std::vec![SourcePixel::default(); size.rows];
                    source_pixels(SMALL, pitch, &mut sources);
                    sources
                });
                let map = HorizontalLerp { columns, panel_pitch: LANES, kernel_width: 1, sources: &of_map };
                let panel_pitch = SMALL * 3 * LANES;
                let products = HorizontalLerp { panel_pitch, kernel_width: 3, sources: &of_products, ..map };
                for (maps, bias) in [(&[map][..], &[][..]), (&[products, products], bias)] {
                    let panels = count / LANES;
                    // In two parts, as for two threads. The portable run, with which the others are compared, is not divided.
                    let middle = if isa.name() == "portable" { 0 } else { size.rows / 2 };
                    for pixels in [0..middle, middle..size.rows] {
                        let out = out[pixels.start * count..].as_mut_ptr();
                        // SAFETY: there are `count` numbers at `out` for each of the pixels, and `panels` panels are `count` numbers.
                        unsafe { isa.add_horizontal_lerps(maps, bias, pixels, panels, out, count) };
                    }
                }
            })
        },
    },
    Kernel {
        name: "winograd_input, 2x2",
        work: |s| winograd_points(2) * padded(s.n),
        prepare: |size, source| winograd_input::<4>(size, source),
    },
    Kernel {
        name: "winograd_input, 4x4",
        work: |s| winograd_points(4) * padded(s.n),
        prepare: |size, source| winograd_input::<6>(size, source),
    },
    Kernel {
        name: "winograd_quantise, 2x2",
        work: |s| winograd_points(2) * padded(s.n),
        prepare: |size, source| winograd_quantise::<4>(size, source),
    },
    Kernel {
        name: "winograd_quantise, 4x4",
        work: |s| winograd_points(4) * padded(s.n),
        prepare: |size, source| winograd_quantise::<6>(size, source),
    },
    Kernel {
        name: "unpack",
        work: |s| s.k * LANES,
        prepare: |size, mut source| {
            let k = size.k;
            let packed = source.bytes(k.div_ceil(8) * 4 * LANES);
            let multipliers = source.weights(k.div_ceil(GROUP) * LANES);
            prepare(
                (packed, multipliers),
                std::vec![0i8; k.div_ceil(4) * 4 * LANES],
                |isa, (packed, m), out| isa.unpack(packed, m, out),
            )
        },
    },
    yuv!("yuv_row, I420", |planes| Samples::Planar(planes)),
    yuv!("yuv_row, NV12", |[y, uv, _]| Samples::UvInTurn([y, uv])),
    yuv!("yuv_row, NV21", |[y, vu, _]| Samples::VuInTurn([y, vu])),
    yuv!("yuv_row, YUYV", |[all, ..]| Samples::Yuyv(all)),
    yuv!("yuv_row, UYVY", |[all, ..]| Samples::Uyvy(all)),
    tile!("store_tile", |isa, t, out| t.store_tile(isa, out, Activation::None, true)),
    tile!("store_tile, GELU", |isa, t, out| t.store_tile(isa, out, Activation::Gelu, false)),
    tile!("store_tile, GELU by tanh", |isa, t, out| t.store_tile(isa, out, Activation::GeluTanh, false)),
    tile!("store_tile, ReLU", |isa, t, out| t.store_tile(isa, out, Activation::Relu, false)),
    tile!("dequantise_tile", |isa, t, out| t.dequantise_tile(isa, out, Activation::None, true)),
    tile!("dequantise_tile, partial sums", |isa, t, out| t.dequantise_partial_sums(isa, out)),
    tile!("dequantise_tile, bfloat16", |isa, t, out| t.dequantise_bf16(isa, out)),
    tile!("dequantise_tile, GELU by tanh", |isa, t, out| {
        t.dequantise_tile(isa, out, Activation::GeluTanh, false)
    }),
    tile!("dequantise_tile, ReLU", |isa, t, out| t.dequantise_tile(isa, out, Activation::Relu, false)),
    Kernel {
        name: "winograd_output, 2x2",
        work: |s| winograd_points(2) * Tile::work(s),
        prepare: |size, source| Tile::prepare(size, source, 4, |isa, t, out| t.winograd_output(isa, 2, out)),
    },
    Kernel {
        name: "winograd_output, 4x4",
        work: |s| winograd_points(4) * Tile::work(s),
        prepare: |size, source| Tile::prepare(size, source, 16, |isa, t, out| t.winograd_output(isa, 4, out)),
    },
    Kernel {
        name: "softmax_blocks",
        work: |s| 2 * Block::work(s),
        prepare: |size, mut source| {
            let block = std::cell::RefCell::new(Block::new(size, &mut source));
            prepare(block, std::vec![0.0; 2 * BLOCK_OUT], |isa, t, out| t.borrow_mut().softmax(isa, out))
        },
    },
    tile!("accumulate_blocks", |isa, t, out| t.accumulate_blocks(isa, out)),
    Kernel {
        name: "block_factors",
        work: |s| s.rows * s.n * LANES,
        prepare: |size, mut source| {
            let (rows, blocks) = (size.rows, size.n);
            let max: Vec<f32> =
                source.floats(rows * padded(blocks)).iter().map(|x| x.clamp(-60.0, 60.0) * 8.0).collect();
            let totals = source.ints(rows * blocks * LANES);
            let out = (std::vec![0.0; max.len()], std::vec![0.0; rows]);
            prepare((max, totals), out, |isa, (max, totals), (factors, inverse_sums)| {
                factors.copy_from_slice(max);
                isa.block_factors(factors, totals, 3, inverse_sums);
            })
        },
    },
    Kernel {
        name: "gemm, int8",
        work: |s| s.rows * s.n * s.k,
        prepare: |size, mut s| {
            linear(size, Weights::int8(size, 1, &mut s), Inputs::bytes(size.rows, size.k, &mut s))
        },
    },
    Kernel {
        name: "gemm, int8, GELU",
        work: |s| s.rows * s.n * s.k,
        prepare: |size, mut s| {
            let weights = Weights::int8(size, 1, &mut s);
            linear_with(Activation::Gelu, size, weights, Inputs::bytes(size.rows, size.k, &mut s))
        },
    },
    Kernel {
        name: "gemm, f16",
        work: |s| s.rows * s.n * s.k,
        prepare: |size, mut s| {
            linear(size, Weights::f16(size, &mut s), Inputs::f32(size.rows, size.k, &mut s))
        },
    },
    Kernel {
        name: "gemm, f32",
        work: |s| s.rows * s.n * s.k,
        prepare: |size, mut s| {
            linear(size, Weights::f32(size, &mut s), Inputs::f32(size.rows, size.k, &mut s))
        },
    },
    Kernel { name: "conv3x3, int8", work: conv_work, prepare: conv_direct },
    Kernel { name: "winograd_conv, 2x2", work: conv_work, prepare: |size, s| conv_winograd(2, size, s) },
    Kernel { name: "winograd_conv, 4x4", work: conv_work, prepare: |size, s| conv_winograd(4, size, s) },
    Kernel { name: "attention, int8", work: attention_work, prepare: |size, s| attention(size, s, true) },
    Kernel { name: "attention, f32", work: attention_work, prepare: |size, s| attention(size, s, false) },
    picture!("resize, bicubic, RGB", Rgb8, Bicubic),
    picture!("resize, bicubic, NV12", Nv12, Bicubic),
    picture!("resize, OpenCV, RGB", Rgb8, LinearCv),
    picture!("resize, OpenCV, NV12", Nv12, LinearCv),
    picture!("resize, OpenCV, YUYV", Yuyv, LinearCv),
];
