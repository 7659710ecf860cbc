//! Levels 0 and 1, in bands: features 0 and 1 in, the rings of levels 0 and 1 out. Each level is a deconvolution of its feature,
//! plus the up-sampled coarser level, through a 3x3 convolution.

use super::bands::{Bands, deconvolved_rows};
use super::conv::{Conv, next_rows};
use super::rings;
use crate::error::Error;
use crate::file::Linear;
use crate::file::format::Role;
use crate::model::context::Context;
use crate::observe::{Stage, TensorName};
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::rows::RowsMut;
use crate::ops::upsample::LowResMap;
use crate::simd::kernels::epilogue::Activation;

/// A 2x2 deconvolution of stride 2: `rows` map rows (at most 2) of `width` pixels, from pixel `first` of `x` on, become twice as
/// many rows, each twice as wide, in `out`. Each kernel position computes one pixel of every 2x2.
fn deconvolve(
    cx: &mut Context,
    weights: &Linear,
    x: &RowsMut,
    (first, rows, width): (usize, usize, usize),
    activation: Activation,
    out: &mut [f32],
) {
    for position in 0..4 {
        let (ky, kx) = (position / 2, position % 2);
        let gemm = Gemm::new(weights, x.rows()).matrix(position).activation(activation).every_second_row();
        let segments: [Segment; 2] =
            core::array::from_fn(|row| Segment::rows(first + row * width, (2 * row + ky) * 2 * width + kx));
        cx.gemm(gemm, &segments[..rows], width, out);
    }
}

impl Bands<'_> {
    /// Computes the next chunk of lateral 1: two rows, with the up-sampled lateral 2 added.
    pub(super) fn lateral1(&mut self, cx: &mut Context) -> Result<(), Error> {
        let (c, grid, r) = (cx.head_pitch(), cx.facts.grid_width, self.done.lateral1_chunks);
        let (size, (width, height)) = (cx.facts.level(1), cx.facts.level(2));
        let w = size.0;
        let weights = cx.linear(Role::DeconvLateral1, 0)?;
        let slot = 2 * r % rings::LATERAL1;
        let out = &mut self.lateral1[slot * w * c..][..2 * w * c];
        deconvolve(cx, &weights, &self.feature1, (r * grid, 1, grid), Activation::Relu, out);
        cx.done(Stage::Lateral)?;
        let lateral2 = LowResMap { data: self.lateral2, ring: height, width, height };
        cx.upsample(size).add(&lateral2, 2 * r, out, self.upsample_scratch);
        cx.show_head(TensorName::Lateral1(2 * r), out);
        for (i, row) in out.chunks(w * c).enumerate() {
            self.lateral1_rows.store(cx, slot + i, w, row);
        }
        self.done.lateral1_chunks += 1;
        cx.done(Stage::Upsample)
    }

    /// Computes the next chunk of lateral 0: four rows, with the up-sampled lateral 1 added.
    pub(super) fn lateral0(&mut self, cx: &mut Context) -> Result<(), Error> {
        let (c, grid, r) = (cx.head_pitch(), cx.facts.grid_width, self.done.lateral0_chunks);
        let (size, (w1, h1)) = (cx.facts.level(0), cx.facts.level(1));
        let w = size.0;
        let weights = cx.linear(Role::Deconv0, 0)?;
        let out = &mut self.fine_rows[..2 * w1 * cx.pitch()];
        deconvolve(cx, &weights, &self.feature0, (r * grid, 1, grid), Activation::Gelu, out);
        let weights = cx.linear(Role::DeconvLateral0, 0)?;
        let mut rows = deconvolved_rows(cx.model)?.over(self.conv_scratch.rows);
        cx.store(&mut rows, 0, out);
        let out = &mut self.fine_rows[..4 * w * c];
        deconvolve(cx, &weights, &rows, (0, 2, w1), Activation::Relu, out);
        cx.done(Stage::Lateral)?;
        let lateral1 = LowResMap { data: self.lateral1, ring: rings::LATERAL1, width: w1, height: h1 };
        cx.upsample(size).add(&lateral1, 4 * r, out, self.upsample_scratch);
        cx.show_head(TensorName::Lateral0(4 * r), out);
        for (i, row) in out.chunks(w * c).enumerate() {
            self.lateral0_rows.store(cx, (4 * r + i) % rings::LATERAL0, w, row);
        }
        self.done.lateral0_chunks += 1;
        cx.done(Stage::Upsample)
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
            let first = self.done.fpn0;
            let out = next_rows(cx, &conv, end, &mut self.done.fpn0, &mut self.conv_scratch, self.fine_rows);
            cx.show_head(TensorName::Fpn(0, first), out);
            for (i, row) in out.chunks(w * c).enumerate() {
                self.fpn0_rows.store(cx, (first + i) % rings::FPN0, w, row);
            }
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
            let first = self.done.fpn1;
            let out = next_rows(cx, &conv, end, &mut self.done.fpn1, &mut self.conv_scratch, self.fine_rows);
            cx.show_head(TensorName::Fpn(1, first), out);
            for (i, row) in out.chunks(w * c).enumerate() {
                cx.store_head(&mut self.fpn1_rows, (first + i) % rings::FPN1 * w, row);
            }
        }
        cx.done(Stage::Fpn1)
    }
}
