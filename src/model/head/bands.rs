//! The state of the bands: views of the buffers that live through all bands, and how far each stage has come.
//! [`schedule`](super::schedule) explains the bands.

use super::conv::{ConvInput, ConvInputShape, ConvRows, scratch_sizes};
use super::products::{Products, ProductsShape};
use super::rings;
use super::sink::SinkBuffers;
use super::{level2, map, psp};
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::format::{Role, padded};
use crate::file::{Linear, Model};
use crate::model::backbone::features;
use crate::model::context::{Context, Planner};
use crate::ops::map_step::WorkerScratch;
use crate::ops::row_chains::deconvolution_scratch;
use crate::ops::rows::{RowsMut, RowsShape, typed};
use crate::ops::upsample;

/// The shapes of the buffers that only the bands use.
struct Shapes {
    lateral1_rows: ConvInputShape,
    fpn1_rows: RowsShape,
    products: [ProductsShape; 3],
    lateral0_rows: ConvInputShape,
    fpn0_rows: ConvInputShape,
    /// Values in the f32 ring of lateral 1.
    lateral1: usize,
    deconvolved: RowsShape,
    classifier_rows: RowsShape,
    /// Values in the f32 rows of one step: of level 0 (and of the bottleneck), and of level 1.
    map0: usize,
    map1: usize,
    /// Values in a row of logits.
    logits_row: usize,
}

#[inline(never)]
fn shapes(model: &Model) -> Result<Shapes, Error> {
    let f = model.facts();
    let (c, [w0, w1, w2, w3]) = (padded(f.head_channels), core::array::from_fn(|level| f.level(level).0));
    let bottleneck = |level| model.linear_shape(Role::FpnBottleneck, level);
    let conv = |level| model.linear_shape(Role::FpnConv, level);
    let products = |level: usize, width: usize| {
        Ok(ProductsShape::of(rings::PRODUCTS[level - 1] * width, bottleneck(level)?))
    };
    Ok(Shapes {
        lateral1_rows: ConvInputShape::of(rings::LATERAL1, w1, conv(1)?),
        fpn1_rows: RowsShape::of(rings::FPN1 * w1, bottleneck(1)?),
        products: [products(1, w1)?, products(2, w2)?, products(3, w3)?],
        lateral0_rows: ConvInputShape::of(rings::LATERAL0, w0, conv(0)?),
        fpn0_rows: ConvInputShape::of(rings::FPN0, w0, bottleneck(0)?),
        lateral1: rings::LATERAL1 * w1 * c,
        deconvolved: RowsShape::of(rings::DECONVOLVED * w1, model.linear_shape(Role::DeconvLateral0, 0)?),
        classifier_rows: RowsShape::of(rings::FINE_ROWS * w0, model.linear_shape(Role::Classifier, 0)?),
        map0: rings::FINE_ROWS * w0 * c,
        map1: rings::FINE_ROWS * w1 * c,
        logits_row: w0 * padded(f.classes),
    })
}

pub(super) fn buffers(p: &mut Planner) -> Result<(), Error> {
    use phase::BANDS;
    let s = shapes(p.model)?;
    let (c, [w0, w1, w2, w3]) = (p.head_pitch(), core::array::from_fn(|level| p.facts.level(level).0));
    p.layout.need_f32(Buf::Lateral1, s.lateral1, BANDS);
    p.layout.need(Buf::Lateral1Rows, s.lateral1_rows.bytes(), BANDS);
    p.layout.need(Buf::Fpn1Rows, s.fpn1_rows.bytes(), BANDS);
    for (buf, shape) in [Buf::Products1, Buf::Products2, Buf::Products3].into_iter().zip(s.products) {
        p.layout.need(buf, shape.bytes(), BANDS);
    }
    p.layout.need_f32(Buf::Map0, s.map0, BANDS);
    p.layout.need_f32(Buf::Map1, s.map1, BANDS);
    p.layout.need_f32(Buf::BottleneckMap, s.map0, BANDS);
    p.layout.need(Buf::Lateral0Rows, s.lateral0_rows.bytes(), BANDS);
    p.layout.need(Buf::Fpn0Rows, s.fpn0_rows.bytes(), BANDS);
    p.layout.need(Buf::Deconvolved, s.deconvolved.bytes(), BANDS);
    p.layout.need(Buf::BottleneckRows, s.classifier_rows.bytes(), BANDS);
    p.layout.need_f32(Buf::Logits, rings::LOGITS * s.logits_row, BANDS);
    p.need_f32_per_worker(Buf::MapScratch, map::scratch(&p.facts, p.facts.level(0).0), BANDS);
    p.need_f32_per_worker(Buf::UpsampleScratch, upsample::scratch(w1 + w2 + w3, c, w0), BANDS);
    let deconvolution = deconvolution_scratch(p.linear_shape(Role::Deconv0, 0)?.n, w2);
    p.need_f32_per_worker(Buf::WinogradScratch, deconvolution, BANDS);
    let convolutions = [
        (Role::FpnConv, 0, w0, Buf::Tiles0),
        (Role::FpnConv, 1, w1, Buf::Tiles1),
        (Role::FpnBottleneck, 0, w0, Buf::BottleneckRows),
    ];
    for (role, level, width, tiles) in convolutions {
        let (bytes, workers) = scratch_sizes(p.linear_shape(role, level)?, width, rings::FINE_ROWS);
        p.layout.need(tiles, bytes, BANDS);
        p.need_f32_per_worker(Buf::WinogradScratch, workers, BANDS);
    }
    Ok(())
}

/// The layers of the bands.
pub(super) struct Weights<'a> {
    pub deconv0: Linear<'a>,
    pub deconv_lateral0: Linear<'a>,
    pub deconv_lateral1: Linear<'a>,
    pub fpn0: Linear<'a>,
    pub fpn1: Linear<'a>,
    /// The parts of the FPN bottleneck that read levels 0 to 3.
    pub bottleneck: [Linear<'a>; 4],
    pub classifier: Linear<'a>,
}

impl<'a> Weights<'a> {
    pub fn of(cx: &Context<'a>) -> Result<Self, Error> {
        let bottleneck = |level| cx.linear(Role::FpnBottleneck, level);
        Ok(Weights {
            deconv0: cx.linear(Role::Deconv0, 0)?,
            deconv_lateral0: cx.linear(Role::DeconvLateral0, 0)?,
            deconv_lateral1: cx.linear(Role::DeconvLateral1, 0)?,
            fpn0: cx.linear(Role::FpnConv, 0)?,
            fpn1: cx.linear(Role::FpnConv, 1)?,
            bottleneck: [bottleneck(0)?, bottleneck(1)?, bottleneck(2)?, bottleneck(3)?],
            classifier: cx.linear(Role::Classifier, 0)?,
        })
    }
}

/// The buffers of the bands, and how far each stage has come.
pub(super) struct Bands<'a> {
    pub feature0: RowsMut<'a>,
    pub feature1: RowsMut<'a>,
    pub psp_rows: RowsMut<'a>,
    pub fpn2_rows: RowsMut<'a>,
    pub lateral2: &'a [f32],
    pub lateral1: &'a mut [f32],
    pub lateral1_rows: ConvInput<'a>,
    /// Transformed tiles of lateral 1, for the next rows of level 1.
    pub tiles1: &'a mut [u8],
    /// The rows of level 1 that a step computes.
    pub map1: &'a mut [f32],
    pub fpn1_rows: RowsMut<'a>,
    /// Rings of the products of levels 1, 2 and 3.
    pub products: [Products<'a>; 3],
    /// Feature 0 after its first deconvolution.
    pub deconvolved: RowsMut<'a>,
    pub lateral0_rows: ConvInput<'a>,
    /// Transformed tiles of lateral 0, for the next rows of level 0.
    pub tiles0: &'a mut [u8],
    /// The rows of lateral 0, or of level 0, that a step computes.
    pub map0: &'a mut [f32],
    pub fpn0_rows: ConvInput<'a>,
    /// Transformed tiles of level 0 for the bottleneck; later the rows for the classifier.
    pub bottleneck_rows: &'a mut [u8],
    pub classifier_rows: RowsShape,
    /// The output of the bottleneck in a band.
    pub bottleneck_map: &'a mut [f32],
    pub scratch: WorkerScratch<'a>,
    /// The logits, and what else their receiver needs.
    pub sink: SinkBuffers<'a>,
    pub done: Progress,
}

/// How much of each map has been computed, from the top.
#[derive(Default)]
pub(super) struct Progress {
    /// Rows of level 0 after its convolution.
    pub fpn0: usize,
    /// Rows of level 1 after its convolution.
    pub fpn1: usize,
    /// The next rows of level 0, chosen but not computed yet.
    pub pending0: Option<ConvRows>,
    /// The next rows of level 1, chosen but not computed yet.
    pub pending1: Option<ConvRows>,
    /// Rows of the products of levels 1, 2 and 3.
    pub products: [usize; 3],
}

/// Binds buffers of the arena to variables of the given names.
macro_rules! take_buffers {
    ($cx:ident, $arena:ident: $($name:ident = $buf:ident,)*) => {
        let [$($name,)*] = $cx.buffers($arena, [$(Buf::$buf,)*])?;
    };
}

impl<'a> Bands<'a> {
    /// Views of the buffers, with nothing computed yet.
    pub fn new<'c: 'a>(cx: &Context<'c>, arena: &'a mut [u8]) -> Result<Self, Error> {
        take_buffers!(cx, arena:
            feature0 = Feature0,
            feature1 = Feature1,
            psp_rows = PspRows,
            fpn2_rows = Fpn2Rows,
            lateral2 = Lateral2,
            lateral1 = Lateral1,
            lateral1_rows = Lateral1Rows,
            fpn1_rows = Fpn1Rows,
            products1 = Products1,
            products2 = Products2,
            products3 = Products3,
            tiles1 = Tiles1,
            map1 = Map1,
            deconvolved = Deconvolved,
            lateral0_rows = Lateral0Rows,
            tiles0 = Tiles0,
            map0 = Map0,
            fpn0_rows = Fpn0Rows,
            bottleneck_rows = BottleneckRows,
            bottleneck_map = BottleneckMap,
            winograd_scratch = WinogradScratch,
            upsample_scratch = UpsampleScratch,
            logits = Logits,
            map_scratch = MapScratch,
            kept_tiles = KeptTiles,
            kept_index = KeptIndex,
        );
        let s = shapes(cx.model)?;
        let [p1, p2, p3] = s.products;
        Ok(Bands {
            feature0: features::shape(cx.model, 0)?.over(feature0),
            feature1: features::shape(cx.model, 1)?.over(feature1),
            psp_rows: psp::output_rows(cx.model)?.over(psp_rows),
            fpn2_rows: level2::output_rows(cx.model)?.over(fpn2_rows),
            lateral2: typed(lateral2, cx.facts.patches() * cx.head_pitch()),
            lateral1: typed(lateral1, s.lateral1),
            lateral1_rows: s.lateral1_rows.over(lateral1_rows),
            fpn1_rows: s.fpn1_rows.over(fpn1_rows),
            products: [p1.over(products1), p2.over(products2), p3.over(products3)],
            tiles1,
            map1: typed(map1, s.map1),
            deconvolved: s.deconvolved.over(deconvolved),
            lateral0_rows: s.lateral0_rows.over(lateral0_rows),
            tiles0,
            map0: typed(map0, s.map0),
            fpn0_rows: s.fpn0_rows.over(fpn0_rows),
            bottleneck_rows,
            classifier_rows: s.classifier_rows,
            bottleneck_map: typed(bottleneck_map, s.map0),
            scratch: cx.worker_scratch(
                bytemuck::cast_slice_mut(winograd_scratch),
                bytemuck::cast_slice_mut(upsample_scratch),
            ),
            sink: SinkBuffers {
                logits: typed(logits, rings::LOGITS * s.logits_row),
                scratch: bytemuck::cast_slice_mut(map_scratch),
                kept_tiles: bytemuck::cast_slice_mut(kept_tiles),
                kept_index: bytemuck::cast_slice_mut(kept_index),
            },
            done: Progress::default(),
        })
    }
}
