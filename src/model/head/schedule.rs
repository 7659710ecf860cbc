//! The fine half of the head in bands of rows: the features and the coarse maps in, rows of logits out. No map at full resolution
//! ever exists as a whole.
//!
//! Band r corresponds to row r of the patch grid and computes rows 4r to 4r + 3 of the logits:
//!
//! ```text
//! feature 1 -> lateral 1 (+ lateral 2 up) -> fpn 1 -> nine products --.
//! feature 0 -> deconvolution -> lateral 0 (+ lateral 1 up) -> fpn 0 --+-> fpn bottleneck -> classifier -> logits
//!                                   level 2, level 3 -> products -----'
//! ```
//!
//! A 3x3 convolution reads one row ahead (its halo), and so does an interpolation. Each stage therefore runs a little ahead of
//! the next one, and ring buffers keep the rows in between ([`rings`](super::rings)). Rows count from 0, and all ranges below
//! include their last row. Patch row r yields rows 2r and 2r + 1 of lateral 1, and rows 4r to 4r + 3 of lateral 0. Band r needs:
//!
//! - fpn 0 up to row 4r + 4, for rows 4r to 4r + 3 of the bottleneck. It is computed in pairs of rows (Winograd tiles of 2x2),
//!   so up to row 4r + 5.
//! - lateral 0 up to row 4r + 6, for fpn 0: patch row r + 1.
//! - lateral 1 up to row 2r + 4, for lateral 0: patch row r + 2.
//! - the products of level 1 up to row 2r + 2, which need the same rows of fpn 1. It is computed in pairs up to row 2r + 3 and
//!   reads lateral 1 up to row 2r + 4.
//!
//! Winograd tiles of 4x4 would compute fpn 0 up to row 4r + 7. They are shifted up by three rows instead: the first row of tiles begins
//! three rows above the map, and each band computes rows 4r + 1 to 4r + 4. The tiles of fpn 1 are shifted in the same way, and
//! only every second band computes a row of them: an even band r computes rows 2r + 1 to 2r + 4, which read lateral 1 up to row
//! 2r + 5, the end of patch row r + 2.
//!
//! # Steps
//!
//! Stages that work on different rows run together, as the loops of one step, so that threads meet only three times a band.
//! *Round* i works on three bands at once: levels 0 and 1 for band i, the bottleneck for band i − 1, the class map for band i − 2.
//!
//! | step | levels 0 and 1, band i | bottleneck, band i − 1 | band i − 2 |
//! | --- | --- | --- | --- |
//! | 1 | lateral 0 of patch row i + 1; input transform of fpn 1 | products; input transform | class map |
//! | 2 | input transform of fpn 0; fpn 1 | bottleneck | |
//! | 3 | fpn 0; rows of fpn 1 for its products; lateral 1 of patch row i + 3; deconvolution for later patch rows | classifier | |
//!
//! The loops of a step are listed in the order of their tasks' lengths, so that the workers finish together.
//!
//! A loop of a step neither reads what another one writes nor writes to the same buffer. Where a buffer is a ring, the rows that are
//! read and those that are overwritten belong to different steps, so the rings need no more rows than if the stages ran one
//! after another.

use super::bands::{Bands, Weights};
use super::bottleneck::{classify, products, rows_read, show_classifier_input};
use super::conv::{Conv, ConvRows};
use super::fine_levels::{deconvolution, lateral0, lateral1, store_level1};
use super::rings::{self, BAND};
use super::sink::LogitsSink;
use super::work::stage_loop;
use crate::error::Error;
use crate::file::Linear;
use crate::file::format::padded;
use crate::model::context::Context;
use crate::observe::{Stage, TensorName};
use crate::ops::map_step::Added;
use crate::parallel::Loop;
use crate::simd::kernels::epilogue::Activation;

/// From the features and the coarse maps to rows of logits.
pub(super) fn run(cx: &mut Context, arena: &mut [u8], sink: &mut dyn LogitsSink) -> Result<(), Error> {
    let weights = &Weights::of(cx)?;
    let mut bands = Bands::new(cx, arena)?;
    bands.begin(cx, weights)?;
    for i in 0..cx.facts.grid_height + 2 {
        bands.first_step(cx, weights, i, sink)?;
        bands.second_step(cx, weights, i)?;
        bands.third_step(cx, weights, i)?;
    }
    Ok(())
}

/// The band on which a stage `lag` rounds behind levels 0 and 1 works in round `i`; `None` if there is none.
fn band_behind(cx: &Context, i: usize, lag: usize) -> Option<usize> {
    i.checked_sub(lag).filter(|band| *band < cx.facts.grid_height)
}

/// The convolution of level 0 or 1.
fn level_conv<'a>(cx: &Context, weights: &'a Linear<'a>, level: usize) -> Conv<'a> {
    let slots = [rings::LATERAL0, rings::LATERAL1][level];
    let (isa, size) = (cx.isa, cx.facts.level(level));
    Conv { isa, weights, size, slots, activation: Activation::Relu, bias: true }
}

/// The part of the FPN bottleneck that reads level 0. Bias and activation follow when the coarser levels have been added.
fn bottleneck_conv<'a>(cx: &Context, weights: &'a Weights<'a>) -> Conv<'a> {
    let (isa, weights, size) = (cx.isa, &weights.bottleneck[0], cx.facts.level(0));
    Conv { isa, weights, size, slots: rings::FPN0, activation: Activation::None, bias: false }
}

impl Bands<'_> {
    /// Computes what round 0 reads: patch rows 0 to 2 of lateral 1, and patch row 0 of lateral 0.
    fn begin(&mut self, cx: &mut Context, w: &Weights) -> Result<(), Error> {
        let s = self.scratch;
        for patch_row in 0..3.min(cx.facts.grid_height) {
            let (from, to) =
                ((&self.feature1, self.lateral2), (&mut *self.lateral1, &mut self.lateral1_rows));
            lateral1(cx, w, patch_row, from, to, s).run(cx, Stage::Lateral)?;
            self.lateral1_done(cx, patch_row)?;
        }
        deconvolution(cx, w, 0, &self.feature0, self.deconvolved.reborrow(), s).run(cx, Stage::Lateral)?;
        let (from, to) = ((&self.deconvolved, &*self.lateral1), (&mut *self.map0, &mut self.lateral0_rows));
        lateral0(cx, w, 0, from, to, s).run(cx, Stage::Lateral)?;
        self.lateral0_done(cx, 0)
    }

    /// Step 1 of round `i`.
    fn first_step(
        &mut self,
        cx: &mut Context,
        w: &Weights,
        i: usize,
        sink: &mut dyn LogitsSink,
    ) -> Result<(), Error> {
        let (bands, s) = (cx.facts.grid_height, self.scratch);
        self.choose_rows1(cx, w, i)?;
        let patch_row = Some(i + 1).filter(|patch_row| *patch_row < bands);
        let mut lateral = patch_row.map(|patch_row| {
            let (from, to) =
                ((&self.deconvolved, &*self.lateral1), (&mut *self.map0, &mut self.lateral0_rows));
            lateral0(cx, w, patch_row, from, to, s)
        });
        let fpn1 = level_conv(cx, &w.fpn1, 1);
        let mut fpn1 = (self.done.pending1.as_ref())
            .and_then(|rows| fpn1.transform(&self.lateral1_rows, rows.span(), self.tiles1, s));
        let bottleneck_band = band_behind(cx, i, 1);
        let ([p1, p2, p3], [d1, d2, d3]) = (self.products.each_mut(), self.done.products.each_mut());
        // The row below the band: the halo of the 3x3 kernel.
        let last = bottleneck_band.map(|r| BAND * r + BAND);
        let mut level1 = last.map(|last| {
            products(cx, (1, last), &w.bottleneck[1], (self.fpn1_rows.rows(), Some(rings::FPN1)), d1, p1)
        });
        let mut level2 =
            last.map(|last| products(cx, (2, last), &w.bottleneck[2], (self.fpn2_rows.rows(), None), d2, p2));
        let mut level3 =
            last.map(|last| products(cx, (3, last), &w.bottleneck[3], (self.psp_rows.rows(), None), d3, p3));
        let bottleneck = bottleneck_conv(cx, w);
        let mut bottleneck = bottleneck_band.and_then(|r| {
            let rows = ((BAND * r) as isize, BAND);
            bottleneck.transform(&self.fpn0_rows, rows, self.bottleneck_rows, s)
        });
        let mut loops = Some([
            stage_loop(Stage::Lateral, &mut lateral),
            stage_loop(Stage::Products, &mut level1),
            stage_loop(Stage::Products, &mut level2),
            stage_loop(Stage::Products, &mut level3),
            stage_loop(Stage::Bottleneck, &mut bottleneck),
            stage_loop(Stage::Fpn1, &mut fpn1),
        ]);
        // The sink calls `run` once; a second call would find no loops.
        let mut run = |cx: &mut Context, map: Loop| match loops.take() {
            Some([a, b, c, d, e, f]) => cx.run_together([a, b, c, d, e, f, Some((Stage::Map, 0, map))]),
            None => Ok(()),
        };
        match band_behind(cx, i, 2) {
            Some(r) => sink.rows(cx, BAND * r + BAND, &mut self.sink, &mut run)?,
            None => run(cx, Loop::NONE)?,
        }
        drop((lateral, fpn1, level1, level2, level3, bottleneck));
        patch_row.map_or(Ok(()), |patch_row| self.lateral0_done(cx, patch_row))
    }

    /// Step 2 of round `i`.
    fn second_step(&mut self, cx: &mut Context, w: &Weights, i: usize) -> Result<(), Error> {
        let s = self.scratch;
        self.choose_rows0(cx, w, i)?;
        let (conv0, conv1, bottleneck) =
            (level_conv(cx, &w.fpn0, 0), level_conv(cx, &w.fpn1, 1), bottleneck_conv(cx, w));
        let mut fpn0 = (self.done.pending0.as_ref())
            .and_then(|rows| conv0.transform(&self.lateral0_rows, rows.span(), self.tiles0, s));
        let mut fpn1 = self.done.pending1.as_ref().map(|rows| {
            let then = (Added::Nothing, None);
            conv1.product(cx, (&self.lateral1_rows, self.tiles1), rows.span(), then, self.map1, s)
        });
        let maps = core::array::from_fn::<_, 3, _>(|level| {
            self.products[level].map(rings::PRODUCTS[level], cx.facts.level(level + 1))
        });
        let mut bottleneck = band_behind(cx, i, 1).map(|r| {
            let then = (Added::Products(&maps, w.bottleneck[0].bias(0).unwrap_or(&[])), None);
            let (x, rows) = ((&self.fpn0_rows, &mut *self.bottleneck_rows), ((BAND * r) as isize, BAND));
            bottleneck.product(cx, x, rows, then, self.bottleneck_map, s)
        });
        cx.run_together([
            stage_loop(Stage::Bottleneck, &mut bottleneck),
            stage_loop(Stage::Fpn1, &mut fpn1),
            stage_loop(Stage::Fpn0, &mut fpn0),
        ])
    }

    /// Step 3 of round `i`.
    fn third_step(&mut self, cx: &mut Context, w: &Weights, i: usize) -> Result<(), Error> {
        let (f, s, c) = (cx.facts, self.scratch, cx.head_pitch());
        let (bands, w0) = (f.grid_height, f.level(0).0);
        let conv0 = level_conv(cx, &w.fpn0, 0);
        let pending0 = self.done.pending0.take();
        let mut fpn0 = pending0.as_ref().map(|rows| {
            let then = (Added::Nothing, self.fpn0_rows.bf16_ring(rings::FPN0, rows.inside.clone()));
            conv0.product(cx, (&self.lateral0_rows, self.tiles0), rows.span(), then, self.map0, s)
        });
        let pending1 = self.done.pending1.take();
        let mut fpn1 =
            pending1.as_ref().map(|rows| store_level1(cx, rows, self.map1, self.fpn1_rows.reborrow()));
        let bottleneck_band = band_behind(cx, i, 1);
        let mut classifier = bottleneck_band.map(|r| {
            let row_len = w0 * padded(f.classes);
            let logits = &mut self.sink.logits[BAND * r % rings::LOGITS * row_len..][..BAND * row_len];
            let rows = self.classifier_rows.over(self.bottleneck_rows);
            classify(cx, &w.classifier, &self.bottleneck_map[..BAND * w0 * c], rows, logits, s)
        });
        let patch_row = Some(i + 3).filter(|patch_row| *patch_row < bands);
        let mut lateral = patch_row.map(|patch_row| {
            let (from, to) =
                ((&self.feature1, self.lateral2), (&mut *self.lateral1, &mut self.lateral1_rows));
            lateral1(cx, w, patch_row, from, to, s)
        });
        let deconvolved = Some(i + 2).filter(|c| *c < bands && c.is_multiple_of(rings::DECONVOLVED_AT_ONCE));
        let mut deconvolved = deconvolved
            .map(|patch_row| deconvolution(cx, w, patch_row, &self.feature0, self.deconvolved.reborrow(), s));
        cx.run_together([
            stage_loop(Stage::Fpn0, &mut fpn0),
            stage_loop(Stage::Lateral, &mut deconvolved),
            stage_loop(Stage::Lateral, &mut lateral),
            stage_loop(Stage::Classify, &mut classifier),
            stage_loop(Stage::Fpn1, &mut fpn1),
        ])?;
        drop((fpn0, fpn1, classifier, lateral, deconvolved));

        if let Some(rows) = pending0 {
            self.fpn0_done(cx, &rows)?;
        }
        if let Some(rows) = pending1 {
            self.fpn1_done(cx, &rows);
        }
        if bottleneck_band.is_some() {
            let rows = self.classifier_rows.over(self.bottleneck_rows);
            show_classifier_input(cx, &w.classifier, rows.rows(), BAND * w0);
        }
        patch_row.map_or(Ok(()), |patch_row| self.lateral1_done(cx, patch_row))
    }

    /// After the steps that compute a patch row of lateral 1.
    fn lateral1_done(&mut self, cx: &mut Context, patch_row: usize) -> Result<(), Error> {
        let (y, w) = (2 * patch_row, cx.facts.level(1).0);
        let row_len = w * cx.head_pitch();
        let rows = &self.lateral1[y % rings::LATERAL1 * row_len..][..2 * row_len];
        cx.show_head(TensorName::Lateral1(y), rows);
        self.lateral1_rows.store(cx, Stage::Lateral, (y, rings::LATERAL1, w), rows)
    }

    /// After the steps that compute a patch row of lateral 0.
    fn lateral0_done(&mut self, cx: &mut Context, patch_row: usize) -> Result<(), Error> {
        let (y, w) = (4 * patch_row, cx.facts.level(0).0);
        let rows = &self.map0[..4 * w * cx.head_pitch()];
        cx.show_head(TensorName::Lateral0(y), rows);
        self.lateral0_rows.store(cx, Stage::Lateral, (y, rings::LATERAL0, w), rows)
    }

    /// After the steps that compute rows of level 0.
    fn fpn0_done(&mut self, cx: &mut Context, computed: &ConvRows) -> Result<(), Error> {
        let (y, w) = (computed.first_inside(), cx.facts.level(0).0);
        let rows = computed.rows_of(w * cx.head_pitch(), self.map0);
        cx.show_head(TensorName::Fpn(0, y), rows);
        self.done.fpn0 += computed.inside.len();
        self.fpn0_rows.store(cx, Stage::Fpn0, (y, rings::FPN0, w), rows)
    }

    /// After the steps that compute rows of level 1.
    fn fpn1_done(&mut self, cx: &mut Context, computed: &ConvRows) {
        let rows = computed.rows_of(cx.facts.level(1).0 * cx.head_pitch(), self.map1);
        cx.show_head(TensorName::Fpn(1, computed.first_inside()), rows);
        self.done.fpn1 += computed.inside.len();
    }

    /// Chooses the rows of level 0 that round `i` computes. If it needs more than a step computes, the others run here: that happens in
    /// round 0.
    fn choose_rows0(&mut self, cx: &mut Context, w: &Weights, i: usize) -> Result<(), Error> {
        let (s, height) = (self.scratch, cx.facts.level(0).1);
        let end = (BAND * i + BAND + 1).min(height);
        while self.done.fpn0 < end {
            let rows = ConvRows::next(&w.fpn0, self.done.fpn0, end, height);
            if self.done.fpn0 + rows.inside.len() >= end {
                self.done.pending0 = Some(rows);
                break;
            }
            let conv = level_conv(cx, &w.fpn0, 0);
            if let Some(transform) = conv.transform(&self.lateral0_rows, rows.span(), self.tiles0, s) {
                transform.run(cx, Stage::Fpn0)?;
            }
            let then = (Added::Nothing, self.fpn0_rows.bf16_ring(rings::FPN0, rows.inside.clone()));
            conv.product(cx, (&self.lateral0_rows, self.tiles0), rows.span(), then, self.map0, s)
                .run(cx, Stage::Fpn0)?;
            self.fpn0_done(cx, &rows)?;
        }
        Ok(())
    }

    /// As [`choose_rows0`](Bands::choose_rows0), for level 1.
    fn choose_rows1(&mut self, cx: &mut Context, w: &Weights, i: usize) -> Result<(), Error> {
        let (s, height) = (self.scratch, cx.facts.level(1).1);
        let end = rows_read(&cx.facts, 1, BAND * i + BAND).min(height);
        while self.done.fpn1 < end {
            let rows = ConvRows::next(&w.fpn1, self.done.fpn1, end, height);
            if self.done.fpn1 + rows.inside.len() >= end {
                self.done.pending1 = Some(rows);
                break;
            }
            let conv = level_conv(cx, &w.fpn1, 1);
            if let Some(transform) = conv.transform(&self.lateral1_rows, rows.span(), self.tiles1, s) {
                transform.run(cx, Stage::Fpn1)?;
            }
            let then = (Added::Nothing, None);
            conv.product(cx, (&self.lateral1_rows, self.tiles1), rows.span(), then, self.map1, s)
                .run(cx, Stage::Fpn1)?;
            store_level1(cx, &rows, self.map1, self.fpn1_rows.reborrow()).run(cx, Stage::Fpn1)?;
            self.fpn1_done(cx, &rows);
        }
        Ok(())
    }
}
