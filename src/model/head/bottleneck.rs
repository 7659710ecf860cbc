//! The FPN bottleneck and the classifier, in bands: the four levels in, rows of logits out.
//!
//! The bottleneck is a 3x3 convolution over the four levels together, split by its inputs. Level 0 is convolved at full
//! resolution. Levels 1 to 3 are multiplied at their own resolution, and the products are interpolated and added
//! ([`products`](super::products)).
//!
//! The functions return loops, which [`schedule`](super::schedule) runs together with loops of other stages.

use super::products::Products;
use super::rings;
use super::work::Work;
use crate::file::{Facts, Linear};
use crate::model::context::Context;
use crate::ops::gemm::{Gemm, Segments};
use crate::ops::map_step::WorkerScratch;
use crate::ops::row_chains;
use crate::ops::rows::{Rows, RowsMut};
use crate::ops::upsample::source_position;

/// Rows of `level`, counted from the top, that rows 0 to `last` of the level up-sampled to level 0 read.
pub(super) fn rows_read(f: &Facts, level: usize, last: usize) -> usize {
    let height = f.level(0).1;
    source_position(last.min(height - 1), f.level(level).1, height).high + 1
}

/// The products of a level with the nine kernel positions, as far as row `last` of the up-sampled level reads them. `done` rows of the
/// level have been multiplied. The level's rows are in a ring of map rows with the given number of slots, or all of them if that is `None`.
pub(super) fn products<'t, 'a: 't>(
    cx: &mut Context<'a>,
    (level, last): (usize, usize),
    weights: &'t Linear,
    rows: (Rows<'t>, Option<usize>),
    done: &mut usize,
    products: &'t mut Products<'_>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let (width, slots) = (cx.facts.level(level).0, rings::PRODUCTS[level - 1]);
    let wanted = *done..rows_read(&cx.facts, level, last);
    *done = wanted.end;
    products.tasks(cx, weights, rows, (wanted, width, slots))
}

/// The classifier on rows of the bottleneck's output, `x`, to rows of logits.
pub(super) fn classify<'t>(
    cx: &Context,
    weights: &'t Linear,
    x: &'t [f32],
    rows: RowsMut<'t>,
    logits: &'t mut [f32],
    scratch: WorkerScratch<'t>,
) -> Work<impl Fn(usize, usize) + Sync + use<'t>> {
    let macs = weights.macs(x.len() / cx.head_pitch());
    Work::new(macs, row_chains::multiply(cx.isa, weights, x, rows, logits, scratch))
}

/// Shows the input of the classifier, which [`classify`] has stored in `rows`, to the observer.
pub(super) fn show_classifier_input(cx: &mut Context, weights: &Linear, rows: Rows, count: usize) {
    cx.show_inputs(&Gemm::new(weights, rows), &Segments::rows(0, 0), count);
}
