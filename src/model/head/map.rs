//! From logits to classes: rows of logits in, rows of the class map out. The logits are interpolated bilinearly to the size of
//! the class map (`align_corners = false`), and each pixel gets the class with the largest logit.

use super::rings;
use super::sink::{LogitsSink, RunLoop, SinkBuffers};
use crate::error::Error;
use crate::file::Facts;
use crate::file::format::padded;
use crate::model::context::Context;
use crate::model::results::{MapValues, PixelResults};
use crate::ops::upsample::source_position;
use crate::output::Output;
use crate::parallel::chunks::Shared;
use crate::parallel::{Loop, Tasks};
use crate::simd::isa::Isa;
use core::ops::Range;

/// f32 values of scratch for each worker: a row of logits of `width` pixels, and one pixel.
pub(super) fn scratch(f: &Facts, width: usize) -> usize {
    (width + 1) * padded(f.classes)
}

/// Computes rows of the class map as soon as the logits that they read exist, and copies logits.
pub(in crate::model) struct ClassMapRows<'a, 'o> {
    /// Width and height of the map of logits, and the number of classes.
    width: usize,
    height: usize,
    classes: usize,
    output: &'a mut Output<'o>,
    /// The first row of the class map that has not been computed.
    next: usize,
}

impl LogitsSink for ClassMapRows<'_, '_> {
    fn rows(
        &mut self,
        cx: &mut Context,
        ready: usize,
        buffers: &mut SinkBuffers,
        run: &mut RunLoop,
    ) -> Result<(), Error> {
        self.copy_logits(ready - rings::BAND..ready, buffers.logits);
        if !self.output.wants_pixels() {
            return run(cx, Loop::NONE);
        }
        let mut tasks = self.tasks(cx, ready, buffers.logits, buffers.scratch);
        run(cx, tasks.as_loop())
    }
}

impl<'a, 'o> ClassMapRows<'a, 'o> {
    /// Starts the class map of `output`.
    pub fn new(f: &Facts, output: &'a mut Output<'o>) -> Self {
        let (width, height) = f.level(0);
        ClassMapRows { width, height, classes: f.classes, output, next: 0 }
    }

    /// Values in a row of logits, `[x][padded classes]`.
    fn row_len(&self) -> usize {
        self.width * padded(self.classes)
    }

    /// Copies rows of logits from their ring to `[classes][height][width]`, if the caller asked for logits.
    fn copy_logits(&mut self, rows: Range<usize>, logits: &[f32]) {
        let (width, height, classes, row_len) = (self.width, self.height, self.classes, self.row_len());
        let Some(out) = &mut self.output.logits else { return };
        for y in rows {
            let row = &logits[y % rings::LOGITS * row_len..][..row_len];
            for (x, pixel) in row.chunks(padded(classes)).enumerate() {
                for (class, &v) in pixel[..classes].iter().enumerate() {
                    out[(class * height + y) * width + x] = v;
                }
            }
        }
    }

    /// The tasks that compute all rows that read only the first `ready` rows of logits: a task interpolates two rows of logits
    /// vertically, then along the row while taking the argmax of each pixel.
    fn tasks<'t>(
        &'t mut self,
        cx: &Context,
        ready: usize,
        logits: &'t [f32],
        scratch: &'t mut [f32],
    ) -> Tasks<impl Fn(usize, usize) + Sync + use<'t, 'o>> {
        let (first, (width, height)) = (self.next, self.output.size);
        while self.next < height && source_position(self.next, self.height, height).high < ready {
            self.next += 1;
        }
        let (row_len, pitch, classes) = (self.row_len(), padded(self.classes), self.classes);
        let (logits_width, logits_height, isa) = (self.width, self.height, cx.isa);
        let (count, workers, scratch) = (self.next - first, cx.workers.count(), Shared::new(scratch));
        let results = PixelResults::new(isa, classes, self.output);
        let run = move |i: usize, worker: usize| {
            // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint.
            let scratch = unsafe { scratch.worker_slice(worker, workers) };
            let y = first + i;
            let (row, pixel) = scratch.split_at_mut(row_len);
            let p = source_position(y, logits_height, height);
            let (low, high) = (p.low % rings::LOGITS * row_len, p.high % rings::LOGITS * row_len);
            isa.lerp_pixels(&logits[low..][..row_len], &logits[high..][..row_len], p.weight, row_len, row);
            let row = Row { isa, logits: row, width: logits_width, classes, map_width: width };
            let mut put = |x: usize, with_points| {
                let ((a, b, weight), pixel) = (row.source(x), &mut pixel[..pitch]);
                isa.lerp_pixels(a, b, weight, pitch, pixel);
                // SAFETY: the pixels of row y belong to one task.
                unsafe { results.put(y * width + x, row.at(x), pixel, with_points) };
            };
            if results.need_probabilities() {
                (0..width).for_each(|x| put(x, false));
            } else {
                // SAFETY: the pixels of row y belong to one task.
                unsafe { results.put_classes(y * width, width, row) };
            }
            results.points_in_row(y).for_each(|x| put(x, true));
        };
        // SAFETY: as the comments in `run` say.
        unsafe { Tasks::new(count, run) }
    }
}

/// The logits of a row of the class map, interpolated vertically only.
#[derive(Clone, Copy)]
struct Row<'a> {
    isa: Isa,
    /// `[width][padded classes]`
    logits: &'a [f32],
    width: usize,
    classes: usize,
    /// Width of the class map.
    map_width: usize,
}

impl<'a> Row<'a> {
    /// The pixels that pixel x of the class map lies between, and the weight of the second one.
    #[inline(always)]
    fn source(self, x: usize) -> (&'a [f32], &'a [f32], f32) {
        let (p, pitch) = (source_position(x, self.width, self.map_width), padded(self.classes));
        (&self.logits[p.low * pitch..][..pitch], &self.logits[p.high * pitch..][..pitch], p.weight)
    }
}

impl MapValues for Row<'_> {
    /// The class of pixel x of the class map.
    #[inline(always)]
    fn at(self, x: usize) -> u16 {
        let (a, b, weight) = self.source(x);
        self.isa.argmax_lerp(a, b, weight, self.classes)
    }
}
