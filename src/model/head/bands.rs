//! The state of the bands: views of the buffers that live through all bands, and how far each stage has come.
//! [`schedule`](super::schedule) explains the bands.

use super::conv::{ConvInput, ConvInputShape, scratch_sizes};
use super::products::{Products, ProductsShape};
use super::rings;
use super::sink::SinkBuffers;
use super::{level2, map, psp};
use crate::arena::{Buf, phase};
use crate::error::Error;
use crate::file::Model;
use crate::file::format::{Role, padded};
use crate::model::backbone::features;
use crate::model::context::{Context, HeadScratch, Planner, WorkerScratch};
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
    /// Values in the f32 rows at full resolution.
    fine_rows: usize,
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
        // Four rows of the head, or two rows of half the width between the deconvolutions.
        fine_rows: (rings::FINE_ROWS * w0 * c).max(2 * w1 * padded(f.channels)),
        logits_row: w0 * padded(f.classes),
    })
}

/// Two map rows of feature 0 after its first deconvolution, as rows for the second one.
pub(super) fn deconvolved_rows(model: &Model) -> Result<RowsShape, Error> {
    Ok(RowsShape::of(2 * model.facts().level(1).0, model.linear_shape(Role::DeconvLateral0, 0)?))
}

/// Four map rows of the output of the FPN bottleneck, as rows for the classifier.
pub(super) fn classifier_rows(model: &Model) -> Result<RowsShape, Error> {
    Ok(RowsShape::of(4 * model.facts().level(0).0, model.linear_shape(Role::Classifier, 0)?))
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
    p.layout.need_f32(Buf::FineRows, s.fine_rows, BANDS);
    p.layout.need(Buf::Lateral0Rows, s.lateral0_rows.bytes(), BANDS);
    p.layout.need(Buf::Fpn0Rows, s.fpn0_rows.bytes(), BANDS);
    p.layout.need_f32(Buf::Logits, rings::LOGITS * s.logits_row, BANDS);
    p.need_f32_per_worker(Buf::MapScratch, map::scratch(&p.facts, p.facts.level(0).0), BANDS);
    p.need_f32_per_worker(Buf::UpsampleScratch, upsample::scratch(w1 + w2 + w3, c, w0), BANDS);
    p.layout.need(Buf::Deconvolved, deconvolved_rows(p.model)?.bytes(), BANDS);
    p.layout.need(Buf::TransientRows, classifier_rows(p.model)?.bytes(), BANDS);
    let convolutions = [(Role::FpnConv, 0, w0), (Role::FpnConv, 1, w1), (Role::FpnBottleneck, 0, w0)];
    for (role, level, width) in convolutions {
        let (rows, workers) = scratch_sizes(p.linear_shape(role, level)?, width, rings::FINE_ROWS);
        p.layout.need(Buf::TransientRows, rows, BANDS);
        p.need_f32_per_worker(Buf::WinogradScratch, workers, BANDS);
    }
    Ok(())
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
    pub fpn1_rows: RowsMut<'a>,
    /// Rings of the products of levels 1, 2 and 3.
    pub products: [Products<'a>; 3],
    /// The f32 output of the current step, up to four map rows at full resolution.
    pub fine_rows: &'a mut [f32],
    pub lateral0_rows: ConvInput<'a>,
    pub fpn0_rows: ConvInput<'a>,
    /// Two map rows of feature 0 after its first deconvolution.
    pub deconvolved: &'a mut [u8],
    pub scratch: HeadScratch<'a>,
    /// The logits, and what else their receiver needs.
    pub sink: SinkBuffers<'a>,
    pub done: Progress,
}

/// How much of each map has been computed, from the top.
#[derive(Default)]
pub(super) struct Progress {
    /// Chunks of two rows of lateral 1.
    pub lateral1_chunks: usize,
    /// Chunks of four rows of lateral 0.
    pub lateral0_chunks: usize,
    /// Rows of level 0 after its convolution.
    pub fpn0: usize,
    /// Rows of level 1 after its convolution.
    pub fpn1: usize,
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
    pub fn new(cx: &Context, arena: &'a mut [u8]) -> Result<Self, Error> {
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
            fine_rows = FineRows,
            lateral0_rows = Lateral0Rows,
            fpn0_rows = Fpn0Rows,
            deconvolved = Deconvolved,
            transient_rows = TransientRows,
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
            fine_rows: typed(fine_rows, s.fine_rows),
            lateral0_rows: s.lateral0_rows.over(lateral0_rows),
            fpn0_rows: s.fpn0_rows.over(fpn0_rows),
            deconvolved,
            scratch: HeadScratch {
                rows: transient_rows,
                workers: WorkerScratch {
                    winograd: bytemuck::cast_slice_mut(winograd_scratch),
                    upsample: bytemuck::cast_slice_mut(upsample_scratch),
                },
            },
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
