//! Chains of two operators on independent rows. A task takes some rows through both, so that no thread waits for another in
//! between.

use super::gemm::{Gemm, Segments};
use super::map_step::WorkerScratch;
use super::rows::RowsMut;
use crate::file::Linear;
use crate::file::format::padded;
use crate::parallel::chunks::{Shared, chunk_range};
use crate::parallel::{Tasks, Workers};
use crate::simd::isa::Isa;

/// Rows in a task of [`multiply`].
const ROWS_PER_TASK: usize = 32;
/// The most pixels in a task of [`Deconvolution`]: each task reads all weights.
const MAX_PIXELS: usize = 32;

/// Stores f32 rows for a layer, and multiplies them: `out` = W · x + bias.
///
/// `x`: f32 rows of `padded(weights.k)`; `rows`: room for as many in the layer's input form; `out`: f32 rows of
/// `padded(weights.n)`.
pub(crate) fn multiply<'a>(
    isa: Isa,
    weights: &'a Linear,
    x: &'a [f32],
    rows: RowsMut<'a>,
    out: &'a mut [f32],
    scratch: WorkerScratch<'a>,
) -> Tasks<impl Fn(usize, usize) + Sync + use<'a>> {
    let (k, n) = (padded(weights.k), padded(weights.n));
    let (count, rows, out) = (x.len() / k, rows.into_shared(), Shared::new(out));
    let run = move |task: usize, worker: usize| {
        let first = task * ROWS_PER_TASK;
        let len = ROWS_PER_TASK.min(count - first);
        // SAFETY: different tasks have different rows.
        let (mut rows, out) = unsafe { (rows.rows(first, len), out.slice(first * n, len * n)) };
        rows.store(Workers::alone(), isa, 0, &x[first * k..][..len * k], weights.k);
        let own = (Workers::alone(), scratch.unpacked.worker_part(worker, scratch.workers));
        Gemm::new(weights, rows.rows()).run(isa, own, Segments::rows(0, 0), len, out);
    };
    // SAFETY: as the comment in `run` says.
    unsafe { Tasks::new(count.div_ceil(ROWS_PER_TASK), run) }
}

/// The numbers of scratch that [`Deconvolution`] needs for each worker, in [`WorkerScratch::winograd`].
pub(crate) fn deconvolution_scratch(weights_n: usize, width: usize) -> usize {
    4 * MAX_PIXELS.min(width) * padded(weights_n)
}

/// A 2x2 deconvolution with stride 2, to rows for the next layer.
pub(crate) struct Deconvolution<'a> {
    pub isa: Isa,
    /// The product with the four matrices.
    pub gemm: Gemm<'a>,
    /// Map rows of `width` pixels: the first one of the input, and how many.
    pub first: usize,
    pub count: usize,
    pub width: usize,
    /// Slots of the output ring, each a map row of twice the width: row y of the output is in slot y % slots.
    pub slots: usize,
}

impl<'a> Deconvolution<'a> {
    /// The tasks, which write to the ring `rows`.
    pub fn tasks(
        self,
        rows: RowsMut<'a>,
        scratch: WorkerScratch<'a>,
    ) -> Tasks<impl Fn(usize, usize) + Sync + use<'a>> {
        let Deconvolution { isa, gemm, first, count, width, slots } = self;
        let (parts, rows) = (width.div_ceil(MAX_PIXELS), rows.into_shared());
        let run = move |task: usize, worker: usize| {
            let (y, x) = (first + task / parts, chunk_range(width, parts, task % parts));
            let gemm = gemm.clone().deconvolution(x.len());
            let (n, c, segments) =
                (gemm.weights.n, padded(gemm.weights.n), Segments::rows(y * width + x.start, 0));
            // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint.
            let out =
                &mut unsafe { scratch.winograd.worker_slice(worker, scratch.workers) }[..4 * x.len() * c];
            gemm.run(
                isa,
                (Workers::alone(), scratch.unpacked.worker_part(worker, scratch.workers)),
                segments,
                x.len(),
                out,
            );
            for (ky, out) in out.chunks(2 * x.len() * c).enumerate() {
                let at = (2 * y + ky) % slots * 2 * width + 2 * x.start;
                // SAFETY: different tasks have different pixels.
                unsafe { rows.rows(at, 2 * x.len()) }.store(Workers::alone(), isa, 0, out, n);
            }
        };
        // SAFETY: as the comments in `run` say.
        unsafe { Tasks::new(count * parts, run) }
    }
}
