//! The coarse half of the pyramid, whole maps: level 3 with its pooling module, lateral 2, level 2's convolution.

use super::conv::{Conv, Lines, Passing};
use super::products::Products;
use super::{GemmCall, Context, bordered, conv_segment};
use crate::activations::{RowsMut, typed};
use crate::error::Error;
use crate::format::Role;
use crate::kernels::epilogue::Activation;
use crate::kernels::gemm::Segment;
use crate::kernels::interpolate::LowResMap;
use crate::observe::{Stage, TensorName};
use crate::plan::Buf;
use core::ops::Range;

/// From the last tap (in [`Buf::Stream`]) and tap 2 to [`Buf::TopRows`], [`Buf::Lateral2`] and [`Buf::Fpn2Rows`].
pub(crate) fn run(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    max_pool(cx, arena)?;
    pooling_module(cx, arena)?;
    lateral2(cx, arena)?;
    fpn2(cx, arena)
}

/// Level 3: the largest of each 2x2 of the last tap; an odd last row or column is left out, as PyTorch does.
fn max_pool(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let (c, w) = (cx.pitch(), cx.facts.grid_width);
    let (w3, h3) = cx.facts.level(3);
    let [stream, map] = cx.buffers(arena, [Buf::Stream, Buf::Map3])?;
    let (x, map) = (typed::<f32>(stream, cx.facts.patches() * c), typed::<f32>(map, w3 * h3 * c));
    for (i, out) in map.chunks_mut(c).enumerate() {
        let at = 2 * (i / w3 * w + i % w3);
        out.copy_from_slice(&x[at * c..][..c]);
        for from in [at + 1, at + w, at + w + 1] {
            cx.isa.max_into(&x[from * c..][..c], out);
        }
    }
    cx.show(TensorName::Level3, map);
    Ok(())
}

/// PyTorch's `AdaptiveAvgPool2d`: the inputs of one of `out` outputs.
fn pool_range(i: usize, size: usize, out: usize) -> Range<usize> {
    i * size / out..((i + 1) * size).div_ceil(out)
}

/// The pooling module: 3x3 convolution over the map and its up-sampled pooling branches, each part multiplied where it
/// is small.
fn pooling_module(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let f = cx.facts;
    let (c, size) = (cx.pitch(), f.level(3));
    let (w3, h3) = size;
    let bufs = [
        Buf::Map3,
        Buf::Map3Rows,
        Buf::PoolIn,
        Buf::PoolRows,
        Buf::PoolOut,
        Buf::PoolTaps,
        Buf::Top,
        Buf::TopRows,
        Buf::UpsampleScratch,
    ];
    let [map, map_rows, pool_in, pool_rows, pool_out, pool_taps, top, top_rows, scratch] =
        cx.buffers(arena, bufs)?;
    let map = typed::<f32>(map, w3 * h3 * c);
    let top = typed::<f32>(top, w3 * h3 * c);
    let scratch: &mut [f32] = bytemuck::cast_slice_mut(scratch);

    let weights = cx.linear(Role::Top, 0)?;
    let mut rows = RowsMut::new(map_rows, h3 * (w3 + 2), f.channels, weights.is_int8());
    for y in 0..h3 {
        store_bordered(cx, &mut rows, y, w3, &map[y * w3 * c..][..w3 * c]);
    }
    for y in 0..h3 {
        let out = &mut top[y * w3 * c..][..w3 * c];
        cx.product(GemmCall::new(&weights, rows.rows()).conv().bare(), &[conv_segment(y, size, h3, 0)], w3, out);
    }

    for (i, &scale) in f.pool_scales[..f.pools].iter().enumerate() {
        let count = scale * scale;
        let pooled = typed::<f32>(pool_in, count * c);
        pooled.fill(0.0);
        for (p, out) in pooled.chunks_mut(c).enumerate() {
            let (ys, xs) = (pool_range(p / scale, h3, scale), pool_range(p % scale, w3, scale));
            let share = 1.0 / (ys.len() * xs.len()) as f32;
            for y in ys {
                for x in xs.clone() {
                    cx.isa.add_scaled(&map[(y * w3 + x) * c..][..c], share, out);
                }
            }
        }
        let branch = cx.linear(Role::Pool, i)?;
        let mut rows = RowsMut::new(pool_rows, count, f.channels, branch.is_int8());
        cx.store(&mut rows, 0, pooled);
        let out = typed::<f32>(pool_out, count * c);
        let call = GemmCall::new(&branch, rows.rows()).activation(Activation::Relu);
        cx.product(call, &[Segment::line(0, 0)], count, out);
        let taps = cx.linear(Role::TopPool, i)?;
        let mut rows = RowsMut::new(pool_rows, count, f.channels, taps.is_int8());
        cx.store(&mut rows, 0, out);
        let mut products = Products::new(pool_taps, &taps, count, c);
        products.make(cx, &taps, &rows, (0..scale).map(|y| (y * scale, y)), scale);
        cx.upsample(size).add_products(&[products.map(scale, (scale, scale))], &[], 0, top, scratch);
    }
    let bias = weights.bias(0).unwrap_or(&[]);
    top.chunks_mut(c).for_each(|x| cx.isa.bias_relu(bias, x));
    cx.show(TensorName::Top, top);
    let int8 = cx.linear(Role::Fuse, 3)?.is_int8();
    let mut rows = RowsMut::new(top_rows, w3 * h3, f.channels, int8);
    cx.store(&mut rows, 0, top);
    cx.done(Stage::Top)
}

/// Lateral 2, with the up-sampled top added.
fn lateral2(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let f = cx.facts;
    let c = cx.pitch();
    let (w3, h3) = f.level(3);
    let [tap, lateral, top, scratch] =
        cx.buffers(arena, [Buf::Tap2, Buf::Lateral2, Buf::Top, Buf::UpsampleScratch])?;
    let weights = cx.linear(Role::Lateral2, 0)?;
    let rows = RowsMut::new(tap, f.patches(), f.channels, weights.is_int8());
    let lateral = typed::<f32>(lateral, f.patches() * c);
    let call = GemmCall::new(&weights, rows.rows()).activation(Activation::Relu);
    cx.product(call, &[Segment::line(0, 0)], f.patches(), lateral);
    cx.done(Stage::Lateral)?;
    let small = LowResMap { data: typed(top, w3 * h3 * c), ring: h3, width: w3, height: h3 };
    cx.upsample(f.level(2)).add(&small, 0, lateral, bytemuck::cast_slice_mut(scratch));
    cx.show(TensorName::Lateral2, lateral);
    cx.done(Stage::Upsample)
}

/// Level 2's 3x3 convolution.
fn fpn2(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let f = cx.facts;
    let c = cx.pitch();
    let (w, h) = f.level(2);
    let bufs =
        [Buf::Lateral2, Buf::Lateral2Rows, Buf::Fpn2, Buf::Fpn2Rows, Buf::PassingRows, Buf::WinogradScratch];
    let [lateral, bordered_rows, map, rows, passing, scratch] = cx.buffers(arena, bufs)?;
    let lateral = typed::<f32>(lateral, w * h * c);
    let weights = cx.linear(Role::Fpn, 2)?;
    let mut x = Lines::new(bordered_rows, &weights, h, w, f.channels);
    for (y, line) in lateral.chunks(w * c).enumerate() {
        x.store(cx, y, w, line);
    }
    let conv =
        Conv { weights: &weights, x: &x, size: (w, h), ring: h, activation: Activation::Relu, bias: true };
    let map = typed::<f32>(map, w * fpn2_lines(h) * c);
    // Whole tiles may end below the map.
    let lines = h.next_multiple_of(weights.winograd_tile().unwrap_or(1));
    let mut passing = Passing { rows: passing, scratch: bytemuck::cast_slice_mut(scratch) };
    conv.run(cx, 0, &mut passing, &mut map[..lines * w * c]);
    let map = &map[..h * w * c];
    cx.show(TensorName::Fpn(2, 0), map);
    let mut rows = RowsMut::new(rows, w * h, f.channels, cx.linear(Role::Fuse, 2)?.is_int8());
    cx.store(&mut rows, 0, map);
    cx.done(Stage::Fpn2)
}

/// Lines that level 2's convolution may write for a map of `height`: whole tiles of any size.
pub(crate) fn fpn2_lines(height: usize) -> usize {
    height.next_multiple_of(4)
}

/// Stores a line of pixels between two blank ones.
pub(super) fn store_bordered(cx: &Context, rows: &mut RowsMut, slot: usize, width: usize, line: &[f32]) {
    let first = bordered(slot, width);
    rows.blank(first - 1);
    cx.store(rows, first, line);
    rows.blank(first + width);
}
