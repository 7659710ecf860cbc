//! Level 3 and the pyramid pooling module: feature 3 in, the output of the module out (Zhao et al. 2017, "Pyramid Scene Parsing
//! Network", PSP).
//!
//! The module pools the map to grids of a few cells (the branches), up-samples them, and convolves map and branches together
//! with a 3x3 kernel, the PSP bottleneck. Here the bottleneck is split by its inputs: the part that reads a branch multiplies the
//! cells, and the products are interpolated and added ([`products`](super::products)).

use super::products::ProductsShape;
use super::work::Work;
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Model;
use crate::file::format::Role;
use crate::model::context::{Context, Planner};
use crate::observe::{Stage, TensorName};
use crate::ops::gemm::conv3x3::conv_segment;
use crate::ops::gemm::{Gemm, MAX_SEGMENTS, Segments};
use crate::ops::map_step::{Added, MapStep, Product};
use crate::ops::rows::{RowsShape, typed};
use crate::ops::upsample;
use crate::simd::kernels::epilogue::Activation;
use core::ops::Range;

/// The output of the pooling module as rows for the FPN bottleneck, one per pixel.
#[inline(never)]
pub(super) fn output_rows(model: &Model) -> Result<RowsShape, Error> {
    let (w, h) = model.facts().level(3);
    Ok(RowsShape::of(w * h, model.linear_shape(Role::FpnBottleneck, 3)?))
}

/// Level 3 as rows for the 3x3 convolution, with a blank pixel at both ends of each map row.
fn bordered_rows(model: &Model) -> Result<RowsShape, Error> {
    let (w, h) = model.facts().level(3);
    Ok(RowsShape::of(h * (w + 2), model.linear_shape(Role::PspBottleneck, 0)?))
}

/// The shapes of a pooling branch.
struct Branch {
    /// Cells along a side of the grid.
    scale: usize,
    /// Cells as rows, for the branch's 1x1 convolution.
    pooled_rows: RowsShape,
    /// The output of that convolution as rows, for the PSP bottleneck.
    branch_rows: RowsShape,
    products: ProductsShape,
}

/// The shapes of pooling branch `i`.
fn branch(model: &Model, i: usize) -> Result<Branch, Error> {
    let scale = model.facts().pool_scales[i];
    let cells = scale * scale;
    let bottleneck = model.linear_shape(Role::PspBottleneckBranch, i)?;
    Ok(Branch {
        scale,
        pooled_rows: RowsShape::of(cells, model.linear_shape(Role::PspBranch, i)?),
        branch_rows: RowsShape::of(cells, bottleneck),
        products: ProductsShape::of(cells, bottleneck),
    })
}

pub(super) fn buffers(p: &mut Planner) -> Result<(), Error> {
    use phase::{COARSE, HEAD};
    let (c, ch) = (p.pitch(), p.head_pitch());
    let (w, h) = p.facts.level(3);
    p.layout.need_f32(Buf::Level3, w * h * c, COARSE);
    p.layout.need(Buf::Level3Rows, bordered_rows(p.model)?.bytes(), COARSE);
    for i in 0..p.facts.pool_count {
        let b = branch(p.model, i)?;
        let cells = b.scale * b.scale;
        p.layout.need_f32(Buf::Pooled, cells * c, COARSE);
        p.layout.need(Buf::PooledRows, b.pooled_rows.bytes().max(b.branch_rows.bytes()), COARSE);
        p.layout.need_f32(Buf::PspBranch, cells * ch, COARSE);
        p.layout.need(Buf::PspProducts, b.products.bytes(), COARSE);
        p.need_f32_per_worker(Buf::UpsampleScratch, upsample::scratch(b.scale, ch, w), COARSE);
    }
    p.layout.need_f32(Buf::Psp, w * h * ch, COARSE);
    p.layout.need(Buf::PspRows, output_rows(p.model)?.bytes(), HEAD);
    Ok(())
}

/// From feature 3, in [`Buf::Stream`], to [`Buf::Psp`] and [`Buf::PspRows`].
pub(super) fn run(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    max_pool(cx, arena)?;
    let (c, (w, h)) = (cx.head_pitch(), cx.facts.level(3));
    convolve_map(cx, arena)?;
    for i in 0..cx.facts.pool_count {
        add_branch(cx, arena, i)?;
    }
    let [psp, rows] = cx.buffers(arena, [Buf::Psp, Buf::PspRows])?;
    let psp = typed::<f32>(psp, w * h * c);
    let bias = cx.linear(Role::PspBottleneck, 0)?.bias(0).unwrap_or(&[]);
    psp.chunks_mut(c).for_each(|x| cx.isa.bias_relu(bias, x));
    cx.show_head(TensorName::Psp, psp);
    let mut rows = output_rows(cx.model)?.over(rows);
    cx.store_head(&mut rows, 0, psp);
    cx.done(Stage::Psp)
}

/// Level 3: the maximum of each 2x2 of feature 3. An odd last row or column is left out, as PyTorch does.
fn max_pool(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let (c, grid) = (cx.pitch(), cx.facts.grid_width);
    let (w, h) = cx.facts.level(3);
    let [stream, map] = cx.buffers(arena, [Buf::Stream, Buf::Level3])?;
    let (x, map) = (typed::<f32>(stream, cx.facts.patches() * c), typed::<f32>(map, w * h * c));
    for (i, out) in map.chunks_mut(c).enumerate() {
        let corner = 2 * (i / w * grid + i % w);
        out.copy_from_slice(&x[corner * c..][..c]);
        for patch in [corner + 1, corner + grid, corner + grid + 1] {
            cx.isa.max_into(&x[patch * c..][..c], out);
        }
    }
    cx.show(TensorName::Level3, map);
    Ok(())
}

/// The part of the PSP bottleneck that reads the map itself, to [`Buf::Psp`]. Bias and activation follow after the branches.
fn convolve_map(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let (c, size) = (cx.pitch(), cx.facts.level(3));
    let (w, h) = size;
    let [map, rows, psp] = cx.buffers(arena, [Buf::Level3, Buf::Level3Rows, Buf::Psp])?;
    let (map, psp) = (typed::<f32>(map, w * h * c), typed::<f32>(psp, w * h * cx.head_pitch()));
    let weights = cx.linear(Role::PspBottleneck, 0)?;
    let mut rows = bordered_rows(cx.model)?.over(rows);
    let store = rows.reborrow().store_map(cx.isa, map, (w, cx.facts.channels, 1), |y| y);
    Work::new(0, store).run(cx, Stage::Psp)?;
    let row_len = w * cx.head_pitch();
    for (i, out) in psp.chunks_mut(MAX_SEGMENTS * row_len).enumerate() {
        let segment = |j| conv_segment(i * MAX_SEGMENTS + j, size, h, j * w);
        let gemm = Gemm::new(&weights, rows.rows()).conv3x3().without_bias();
        cx.gemm(gemm, Segments::new((0..out.len() / row_len).map(segment)), w, out);
    }
    Ok(())
}

/// Adds pooling branch `i` to [`Buf::Psp`]: average pooling, 1x1 convolution, products with the nine kernel positions of the
/// bottleneck, interpolation.
fn add_branch(cx: &mut Context, arena: &mut [u8], i: usize) -> Result<(), Error> {
    let (c, ch, size) = (cx.pitch(), cx.head_pitch(), cx.facts.level(3));
    let pixels = size.0 * size.1;
    let bufs = [
        Buf::Level3,
        Buf::Pooled,
        Buf::PooledRows,
        Buf::PspBranch,
        Buf::PspProducts,
        Buf::Psp,
        Buf::UpsampleScratch,
    ];
    let [map, pooled, rows_region, output, products, psp, scratch] = cx.buffers(arena, bufs)?;
    let b = branch(cx.model, i)?;
    let (scale, cells) = (b.scale, b.scale * b.scale);
    let pooled = typed::<f32>(pooled, cells * c);
    average_pool(cx, typed(map, pixels * c), scale, pooled);

    let weights = cx.linear(Role::PspBranch, i)?;
    let mut rows = b.pooled_rows.over(rows_region);
    cx.store(&mut rows, 0, pooled);
    let output = typed::<f32>(output, cells * ch);
    let gemm = Gemm::new(&weights, rows.rows()).activation(Activation::Relu);
    cx.gemm(gemm, Segments::rows(0, 0), cells, output);

    let weights = cx.linear(Role::PspBottleneckBranch, i)?;
    let mut rows = b.branch_rows.over(rows_region);
    cx.store_head(&mut rows, 0, output);
    let mut products = b.products.over(products);
    for first in (0..scale).step_by(MAX_SEGMENTS) {
        let wanted = first..(first + MAX_SEGMENTS).min(scale);
        products.tasks(cx, &weights, (rows.rows(), None), (wanted, scale, scale)).run(cx, Stage::Psp)?;
    }
    let maps = [products.map(scale, (scale, scale))];
    let (product, added, copy_to, y0) = (Product::Given, Added::Products(&maps, &[]), None, 0);
    let step = MapStep { product, added, copy_to, map: cx.upsample(size), y0, out: typed(psp, pixels * ch) };
    let scratch = cx.worker_scratch(&mut [], bytemuck::cast_slice_mut(scratch));
    Work::new(0, step.tasks(scratch)).run(cx, Stage::Psp)
}

/// Average pooling of level 3 to `scale` x `scale` cells, as PyTorch's `AdaptiveAvgPool2d` does it.
fn average_pool(cx: &Context, map: &[f32], scale: usize, pooled: &mut [f32]) {
    let (c, (w, h)) = (cx.pitch(), cx.facts.level(3));
    pooled.fill(0.0);
    for (cell, out) in pooled.chunks_mut(c).enumerate() {
        let (ys, xs) = (pool_range(cell / scale, h, scale), pool_range(cell % scale, w, scale));
        let weight = 1.0 / (ys.len() * xs.len()) as f32;
        for y in ys {
            for x in xs.clone() {
                cx.isa.add_scaled(&map[(y * w + x) * c..][..c], weight, out);
            }
        }
    }
}

/// The pixels of cell `i` of `cells`, along an axis of `size` pixels. Cells overlap if `size` is no multiple of `cells`.
fn pool_range(i: usize, size: usize, cells: usize) -> Range<usize> {
    i * size / cells..((i + 1) * size).div_ceil(cells)
}
