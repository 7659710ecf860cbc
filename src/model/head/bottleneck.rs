//! The FPN bottleneck and the classifier, in bands: the four levels in, rows of logits out.
//!
//! The bottleneck is a 3x3 convolution over the four levels together, split by its inputs. Level 0 is convolved at full
//! resolution. Levels 1 to 3 are multiplied at their own resolution, and the products are interpolated and added
//! ([`products`](super::products)).

use super::bands::{Bands, classifier_rows};
use super::conv::Conv;
use super::rings;
use crate::error::Error;
use crate::file::format::{Role, padded};
use crate::model::context::Context;
use crate::observe::Stage;
use crate::ops::gemm::{Gemm, Segment};
use crate::ops::map_step::Added;
use crate::ops::upsample::source_position;
use crate::simd::kernels::epilogue::Activation;

impl Bands<'_> {
    /// Computes the products of levels 1 to 3 with the nine kernel positions, as far as full-resolution row `last` reads them.
    pub(super) fn products(&mut self, cx: &mut Context, last: usize) -> Result<(), Error> {
        let f = cx.facts;
        let last = last.min(f.level(0).1 - 1);
        // Rows of a level that the interpolation reads up to row `last`.
        let needed = |level| source_position(last, f.level(level).1, f.level(0).1).high + 1;
        self.fpn1(cx, needed(1))?;
        let weights = cx.linear(Role::FpnBottleneck, 1)?;
        let (w1, ring) = (f.level(1).0, rings::PRODUCTS[0]);
        let wanted = self.done.products[0]..needed(1);
        // The new rows in ascending order of their slots.
        let rows = (0..ring).filter_map(|slot| {
            let y = wanted.clone().find(|y| y % ring == slot)?;
            Some((y % rings::FPN1 * w1, slot))
        });
        self.products[0].compute(cx, &weights, &self.fpn1_rows, rows, w1);
        self.done.products[0] = wanted.end;
        for (level, rows) in [(2, &self.fpn2_rows), (3, &self.psp_rows)] {
            let weights = cx.linear(Role::FpnBottleneck, level)?;
            let (w, ring) = (f.level(level).0, rings::PRODUCTS[level - 1]);
            let (products, done) = (&mut self.products[level - 1], &mut self.done.products[level - 1]);
            while *done < needed(level) {
                products.compute(cx, &weights, rows, core::iter::once((*done * w, *done % ring)), w);
                *done += 1;
            }
        }
        cx.done(Stage::Products)
    }

    /// Computes rows 4r to 4r + 3 of the bottleneck and of the logits.
    pub(super) fn bottleneck(&mut self, cx: &mut Context, r: usize) -> Result<(), Error> {
        let (f, c, size) = (cx.facts, cx.head_pitch(), cx.facts.level(0));
        let w = size.0;
        let weights = cx.linear(Role::FpnBottleneck, 0)?;
        let out = &mut self.fine_rows[..4 * w * c];
        let maps =
            core::array::from_fn::<_, 3, _>(|i| self.products[i].map(rings::PRODUCTS[i], f.level(i + 1)));
        let conv = Conv {
            weights: &weights,
            x: &self.fpn0_rows,
            size,
            ring: rings::FPN0,
            // Bias and activation follow when the coarser levels have been added.
            activation: Activation::None,
            bias: false,
        };
        let added = Added::Products(&maps, weights.bias(0).unwrap_or(&[]));
        conv.run(cx, 4 * r as isize, &mut self.scratch, out, (added, None));
        cx.done(Stage::Bottleneck)?;

        let weights = cx.linear(Role::Classifier, 0)?;
        let mut rows = classifier_rows(cx.model)?.over(self.scratch.rows);
        cx.store_head(&mut rows, 0, out);
        let row_len = w * padded(f.classes);
        let logits = &mut self.sink.logits[4 * r % rings::LOGITS * row_len..][..4 * row_len];
        cx.gemm(Gemm::new(&weights, rows.rows()), &[Segment::rows(0, 0)], 4 * w, logits);
        cx.done(Stage::Classify)
    }
}
