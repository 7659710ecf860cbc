//! Level 2, as a whole map: feature 2 and the output of the pooling module in, lateral 2 and level 2 out.

use super::conv::{Conv, ConvInputShape, scratch_sizes};
use super::work::Work;
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Model;
use crate::file::format::Role;
use crate::model::backbone::features;
use crate::model::context::{Context, Planner};
use crate::observe::{Stage, TensorName};
use crate::ops::gemm::{Gemm, MAX_SEGMENTS, PanelProduct, Segments};
use crate::ops::map_step::{Added, MapStep, Product};
use crate::ops::rows::{RowsShape, typed};
use crate::ops::upsample::{self, LowResMap};
use crate::simd::kernels::epilogue::Activation;

/// Level 2 as rows for the FPN bottleneck, one per pixel.
#[inline(never)]
pub(super) fn output_rows(model: &Model) -> Result<RowsShape, Error> {
    let (w, h) = model.facts().level(2);
    Ok(RowsShape::of(w * h, model.linear_shape(Role::FpnBottleneck, 2)?))
}

/// Lateral 2 as the input of the 3x3 convolution.
fn conv_input(model: &Model) -> Result<ConvInputShape, Error> {
    let (w, h) = model.facts().level(2);
    Ok(ConvInputShape::of(h, w, model.linear_shape(Role::FpnConv, 2)?))
}

/// Map rows that the convolution may write for a map of `height` rows: it writes whole Winograd tiles, which may end below the
/// map.
fn whole_tiles(height: usize) -> usize {
    height.next_multiple_of(4)
}

pub(super) fn buffers(p: &mut Planner) -> Result<(), Error> {
    use phase::{BANDS, COARSE, HEAD, LEVEL2};
    let c = p.head_pitch();
    let ((w, h), w3) = (p.facts.level(2), p.facts.level(3).0);
    p.layout.need_f32(Buf::Lateral2, w * h * c, HEAD);
    p.need_f32_per_worker(Buf::UpsampleScratch, upsample::scratch(w3, c, w), COARSE | LEVEL2);
    p.layout.need(Buf::Lateral2Rows, conv_input(p.model)?.bytes(), LEVEL2);
    p.layout.need_f32(Buf::Fpn2, w * whole_tiles(h) * c, LEVEL2);
    p.layout.need(Buf::Fpn2Rows, output_rows(p.model)?.bytes(), LEVEL2 | BANDS);
    let (rows, workers) = scratch_sizes(p.linear_shape(Role::FpnConv, 2)?, w, whole_tiles(h));
    p.layout.need(Buf::Level2Tiles, rows, LEVEL2);
    p.need_f32_per_worker(Buf::WinogradScratch, workers, COARSE | LEVEL2);
    Ok(())
}

/// From [`Buf::Feature2`] and [`Buf::Psp`] to [`Buf::Lateral2`] and [`Buf::Fpn2Rows`].
pub(super) fn run(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    lateral(cx, arena)?;
    convolve(cx, arena)
}

/// Lateral 2: a 1x1 convolution of feature 2, plus the up-sampled output of the pooling module.
fn lateral(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let (c, patches, size) = (cx.head_pitch(), cx.facts.patches(), cx.facts.level(2));
    let (width, height) = cx.facts.level(3);
    let [feature, lateral, psp, winograd, upsample] = cx.buffers(
        arena,
        [Buf::Feature2, Buf::Lateral2, Buf::Psp, Buf::WinogradScratch, Buf::UpsampleScratch],
    )?;
    let weights = cx.linear(Role::Lateral2, 0)?;
    let rows = features::shape(cx.model, 2)?.over(feature);
    let out = typed::<f32>(lateral, patches * c);
    let gemm = Gemm::new(&weights, rows.rows()).activation(Activation::Relu);
    let product = Product::Gemm(PanelProduct { gemm, segments: Segments::rows(0, 0), len: patches });
    let macs = cx.show_product(&product);
    let psp = LowResMap { data: typed(psp, width * height * c), slots: height, width, height };
    let (added, copy_to, map, y0) = (Added::Map(psp), None, cx.upsample(size), 0);
    let step = MapStep { product, added, copy_to, map, y0, out: &mut *out };
    let scratch = cx.worker_scratch(bytemuck::cast_slice_mut(winograd), bytemuck::cast_slice_mut(upsample));
    Work::new(macs, step.tasks(scratch)).run(cx, Stage::Lateral)?;
    cx.show_head(TensorName::Lateral2, out);
    Ok(())
}

/// The 3x3 convolution of lateral 2.
fn convolve(cx: &mut Context, arena: &mut [u8]) -> Result<(), Error> {
    let c = cx.head_pitch();
    let size = cx.facts.level(2);
    let (w, h) = size;
    let bufs = [
        Buf::Lateral2,
        Buf::Lateral2Rows,
        Buf::Fpn2,
        Buf::Fpn2Rows,
        Buf::Level2Tiles,
        Buf::WinogradScratch,
        Buf::UpsampleScratch,
    ];
    let [lateral, input, out, output, tiles, winograd, upsample] = cx.buffers(arena, bufs)?;
    let scratch = cx.worker_scratch(bytemuck::cast_slice_mut(winograd), bytemuck::cast_slice_mut(upsample));
    let weights = cx.linear(Role::FpnConv, 2)?;
    let mut x = conv_input(cx.model)?.over(input);
    let lateral = typed::<f32>(lateral, w * h * c);
    let map = cx.upsample(size);
    // A Winograd convolution reads the bfloat16 copy; a direct one reads the rows that `store` writes.
    if let Some(ring) = x.bf16_ring(h, 0..h) {
        let (product, added, y0) = (Product::Given, Added::Nothing, 0);
        let copy = MapStep { product, added, copy_to: Some(ring), map, y0, out: &mut *lateral };
        Work::new(0, copy.tasks(scratch)).run(cx, Stage::Fpn2)?;
    }
    x.store(cx, Stage::Fpn2, (0, h, w), lateral)?;

    let (isa, weights) = (cx.isa, &weights);
    let conv = Conv { isa, weights, size, slots: h, activation: Activation::Relu, bias: true };
    // The last tiles may end below the map; the rows there are dropped.
    let rows = h.next_multiple_of(weights.winograd_tile().unwrap_or(1));
    let out = typed::<f32>(out, w * rows * c);
    if let Some(transform) = conv.transform(&x, (0, rows), tiles, scratch) {
        transform.run(cx, Stage::Fpn2)?;
    }
    let at_once = if x.is_direct() { MAX_SEGMENTS } else { rows };
    for (i, out) in out.chunks_mut(at_once * w * c).enumerate() {
        let (first, rows) = ((i * at_once) as isize, out.len() / (w * c));
        let then = (Added::Nothing, None);
        conv.product(cx, (&x, tiles), (first, rows), then, out, scratch).run(cx, Stage::Fpn2)?;
    }
    let out = &out[..h * w * c];
    cx.show_head(TensorName::Fpn(2, 0), out);
    let mut rows = output_rows(cx.model)?.over(output);
    cx.store_head(&mut rows, 0, out);
    cx.done(Stage::Fpn2)
}
