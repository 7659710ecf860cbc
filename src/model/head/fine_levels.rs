//! Levels 0 and 1, in bands: features 0 and 1 in, the rings of levels 0 and 1 out. Each level is a deconvolution of its feature,
//! plus the up-sampled coarser level, through a 3x3 convolution.
//!
//! The functions return loops, which [`schedule`](super::schedule) runs together with loops of other stages.

use super::bands::Weights;
use super::conv::{ConvInput, ConvRows};
use super::rings;
use super::work::Work;
use crate::file::Linear;
use crate::model::context::Context;
use crate::ops::gemm::{Gemm, PanelProduct, Segment, Segments};
use crate::ops::map_step::{Added, Bf16Ring, MapStep, Product, WorkerScratch};
use crate::ops::row_chains::Deconvolution;
use crate::ops::rows::{Rows, RowsMut};
use crate::ops::upsample::LowResMap;
use crate::simd::kernels::epilogue::Activation;

/// Patch row `patch_row` of lateral 1: two rows of `out`, the ring in f32, and of `rows`, the ring for the convolution.
pub(super) fn lateral1<'t>(
    cx: &mut Context,
    weights: &'t Weights,
    patch_row: usize,
    (feature1, lateral2): (&'t RowsMut<'_>, &'t [f32]),
    (out, rows): (&'t mut [f32], &'t mut ConvInput<'_>),
    scratch: WorkerScratch<'t>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let (grid, size, (width, height)) = (cx.facts.grid_width, cx.facts.level(1), cx.facts.level(2));
    let (y, row_len) = (2 * patch_row, size.0 * cx.head_pitch());
    let out = &mut out[y % rings::LATERAL1 * row_len..][..2 * row_len];
    let input = LateralInput { x: feature1.rows(), first: patch_row * grid, rows: 1, width: grid };
    let coarser = LowResMap { data: lateral2, slots: height, width, height };
    let copy_to = rows.bf16_ring(rings::LATERAL1, 0..2);
    lateral(cx, &weights.deconv_lateral1, input, (coarser, size, y), (out, copy_to), scratch)
}

/// The first deconvolution of feature 0 for lateral 0, of the patch rows from `patch_row` on, to the ring `rows`.
pub(super) fn deconvolution<'t>(
    cx: &mut Context,
    weights: &'t Weights,
    patch_row: usize,
    feature0: &'t RowsMut<'_>,
    rows: RowsMut<'t>,
    scratch: WorkerScratch<'t>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let (width, height) = (cx.facts.grid_width, cx.facts.grid_height);
    let count = rings::DECONVOLVED_AT_ONCE.min(height - patch_row);
    let gemm = Gemm::new(&weights.deconv0, feature0.rows()).activation(Activation::Gelu).deconvolution(width);
    let macs = cx.show_gemm(&gemm, &Segments::rows(patch_row * width, 0), count * width);
    let deconvolution =
        Deconvolution { isa: cx.isa, gemm, first: patch_row, count, width, slots: rings::DECONVOLVED };
    Work::new(macs, deconvolution.tasks(rows, scratch))
}

/// Patch row `patch_row` of lateral 0: four rows, to `out` and to `rows`, the ring for the convolution.
pub(super) fn lateral0<'t>(
    cx: &mut Context,
    weights: &'t Weights,
    patch_row: usize,
    (deconvolved, lateral1): (&'t RowsMut<'_>, &'t [f32]),
    (out, rows): (&'t mut [f32], &'t mut ConvInput<'_>),
    scratch: WorkerScratch<'t>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let (size, (width, height)) = (cx.facts.level(0), cx.facts.level(1));
    let first = 2 * patch_row % rings::DECONVOLVED * width;
    let input = LateralInput { x: deconvolved.rows(), first, rows: 2, width };
    let coarser = LowResMap { data: lateral1, slots: rings::LATERAL1, width, height };
    let out = &mut out[..4 * size.0 * cx.head_pitch()];
    let copy_to = rows.bf16_ring(rings::LATERAL0, 0..4);
    lateral(cx, &weights.deconv_lateral0, input, (coarser, size, 4 * patch_row), (out, copy_to), scratch)
}

/// The input of a lateral: `rows` map rows (at most 2) of `width` pixels, from pixel `first` on of `x`.
struct LateralInput<'a> {
    x: Rows<'a>,
    first: usize,
    rows: usize,
    width: usize,
}

/// The deconvolution and lateral convolution of a level of `size`, and the coarser level on top: each map row of the input becomes
/// two rows of `out`, from row `y` of the level on.
fn lateral<'t>(
    cx: &mut Context,
    weights: &'t Linear,
    input: LateralInput<'t>,
    (coarser, size, y): (LowResMap<'t>, (usize, usize), usize),
    (out, copy_to): (&'t mut [f32], Option<Bf16Ring<'t>>),
    scratch: WorkerScratch<'t>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let LateralInput { x, first, rows, width } = input;
    let gemm = Gemm::new(weights, x).activation(Activation::Relu).deconvolution(width);
    let segments = Segments::new((0..rows).map(|r| Segment::rows(first + r * width, 4 * r * width)));
    let product = Product::Gemm(PanelProduct { gemm, segments, len: width });
    let macs = cx.show_product(&product);
    let (added, map, y0) = (Added::Map(coarser), cx.upsample(size), y as isize);
    Work::new(macs, MapStep { product, added, copy_to, map, y0, out }.tasks(scratch))
}

/// Stores the rows of level 1 that a step has computed, `map`, in their ring, for the products with the FPN bottleneck.
pub(super) fn store_level1<'t>(
    cx: &Context,
    computed: &ConvRows,
    map: &'t [f32],
    rows: RowsMut<'t>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let (width, y) = (cx.facts.level(1).0, computed.first_inside());
    let x = computed.rows_of(width * cx.head_pitch(), map);
    let slot = move |row| (y + row) % rings::FPN1;
    Work::new(0, rows.store_map(cx.isa, x, (width, cx.facts.head_channels, 0), slot))
}
