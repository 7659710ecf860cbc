//! Levels 0 and 1, in bands: features 0 and 1 in, the rings of levels 0 and 1 out. Each level is a deconvolution of its feature,
//! plus the up-sampled coarser level, through a 3x3 convolution.

use super::bands::{Bands, deconvolved_rows};
use super::conv::{Conv, Strip};
use super::rings;
use crate::error::Error;
use crate::file::format::Role;
use crate::model::context::Context;
use crate::observe::{Stage, TensorName};
use crate::ops::gemm::{Gemm, PanelProduct, Segment};
use crate::ops::map_step::{Added, MapStep, Product};
use crate::ops::upsample::LowResMap;
use crate::simd::kernels::epilogue::Activation;

/// The segments of a 2x2 deconvolution with stride 2 of two map rows of `width` pixels, from pixel `first` on: each becomes two rows,
/// each twice as wide.
fn deconvolution_segments(first: usize, width: usize) -> [Segment; 2] {
    core::array::from_fn(|row| Segment::rows(first + row * width, 4 * row * width))
}

impl Bands<'_> {
    /// Computes the next chunk of lateral 1: two rows, with the up-sampled lateral 2 added.
    pub(super) fn lateral1(&mut self, cx: &mut Context) -> Result<(), Error> {
        let (c, grid, r) = (cx.head_pitch(), cx.facts.grid_width, self.done.lateral1_chunks);
        let (size, (width, height)) = (cx.facts.level(1), cx.facts.level(2));
        let (w, y) = (size.0, 2 * r);
        let weights = cx.linear(Role::DeconvLateral1, 0)?;
        let out = &mut self.lateral1[y % rings::LATERAL1 * w * c..][..2 * w * c];
        let gemm = Gemm::new(&weights, self.feature1.rows()).activation(Activation::Relu).deconvolution(grid);
        let segments = &deconvolution_segments(r * grid, grid)[..1];
        let product = Product::Gemm(PanelProduct { gemm, segments, len: grid });
        let added = Added::Map(LowResMap { data: self.lateral2, ring: height, width, height });
        let ring = self.lateral1_rows.ring(rings::LATERAL1, 0..2);
        let (map, y0) = (cx.upsample(size), y as isize);
        cx.map_step(MapStep { product, added, ring, map, y0, out: &mut *out }, &mut self.scratch.workers);
        cx.show_head(TensorName::Lateral1(y), out);
        self.lateral1_rows.store(cx, (y, rings::LATERAL1, w), out);
        self.done.lateral1_chunks += 1;
        cx.done(Stage::Lateral)
    }

    /// Computes the next chunk of lateral 0: four rows, with the up-sampled lateral 1 added.
    pub(super) fn lateral0(&mut self, cx: &mut Context) -> Result<(), Error> {
        let (c, grid, r) = (cx.head_pitch(), cx.facts.grid_width, self.done.lateral0_chunks);
        let (size, (w1, h1)) = (cx.facts.level(0), cx.facts.level(1));
        let (w, y) = (size.0, 4 * r);
        let weights = cx.linear(Role::Deconv0, 0)?;
        let out = &mut self.fine_rows[..2 * w1 * cx.pitch()];
        let gemm = Gemm::new(&weights, self.feature0.rows()).activation(Activation::Gelu).deconvolution(grid);
        cx.gemm(gemm, &deconvolution_segments(r * grid, grid)[..1], grid, out);
        let weights = cx.linear(Role::DeconvLateral0, 0)?;
        let mut rows = deconvolved_rows(cx.model)?.over(self.deconvolved);
        cx.store(&mut rows, 0, out);

        let out = &mut self.fine_rows[..4 * w * c];
        let gemm = Gemm::new(&weights, rows.rows()).activation(Activation::Relu).deconvolution(w1);
        let product = Product::Gemm(PanelProduct { gemm, segments: &deconvolution_segments(0, w1), len: w1 });
        let added =
            Added::Map(LowResMap { data: self.lateral1, ring: rings::LATERAL1, width: w1, height: h1 });
        let ring = self.lateral0_rows.ring(rings::LATERAL0, 0..4);
        let (map, y0) = (cx.upsample(size), y as isize);
        cx.map_step(MapStep { product, added, ring, map, y0, out: &mut *out }, &mut self.scratch.workers);
        cx.show_head(TensorName::Lateral0(y), out);
        self.lateral0_rows.store(cx, (y, rings::LATERAL0, w), out);
        self.done.lateral0_chunks += 1;
        cx.done(Stage::Lateral)
    }

    /// Computes the 3x3 convolution of level 0 up to the last row that band `r` reads, in whole tiles.
    pub(super) fn fpn0(&mut self, cx: &mut Context, r: usize) -> Result<(), Error> {
        let (c, size) = (cx.head_pitch(), cx.facts.level(0));
        let (w, h) = size;
        let weights = cx.linear(Role::FpnConv, 0)?;
        let conv = Conv {
            weights: &weights,
            x: &self.lateral0_rows,
            size,
            ring: rings::LATERAL0,
            activation: Activation::Relu,
            bias: true,
        };
        let end = (4 * r + 5).min(h);
        while self.done.fpn0 < end {
            let (y, strip) = (self.done.fpn0, Strip::next(&weights, self.done.fpn0, end, h));
            let out = &mut self.fine_rows[..strip.rows * w * c];
            let ring = self.fpn0_rows.ring(rings::FPN0, strip.inside.clone());
            conv.run(cx, strip.first, &mut self.scratch, out, (Added::Nothing, ring));
            let out = &out[strip.inside.start * w * c..strip.inside.end * w * c];
            cx.show_head(TensorName::Fpn(0, y), out);
            self.fpn0_rows.store(cx, (y, rings::FPN0, w), out);
            self.done.fpn0 += strip.inside.len();
        }
        cx.done(Stage::Fpn0)
    }

    /// Computes the 3x3 convolution of level 1 until the rows below `end` exist, in whole tiles.
    pub(super) fn fpn1(&mut self, cx: &mut Context, end: usize) -> Result<(), Error> {
        let (c, size) = (cx.head_pitch(), cx.facts.level(1));
        let (w, h) = size;
        let weights = cx.linear(Role::FpnConv, 1)?;
        let conv = Conv {
            weights: &weights,
            x: &self.lateral1_rows,
            size,
            ring: rings::LATERAL1,
            activation: Activation::Relu,
            bias: true,
        };
        let end = end.min(h);
        while self.done.fpn1 < end {
            let (y, strip) = (self.done.fpn1, Strip::next(&weights, self.done.fpn1, end, h));
            let out = &mut self.fine_rows[..strip.rows * w * c];
            conv.run(cx, strip.first, &mut self.scratch, out, (Added::Nothing, None));
            let out = &out[strip.inside.start * w * c..strip.inside.end * w * c];
            cx.show_head(TensorName::Fpn(1, y), out);
            let n = cx.facts.head_channels;
            self.fpn1_rows.store_map(cx.workers, cx.isa, out, (w, n, 0), |i| (y + i) % rings::FPN1);
            self.done.fpn1 += strip.inside.len();
        }
        cx.done(Stage::Fpn1)
    }
}
