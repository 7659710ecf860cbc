//! From logits to classes: rows of logits in, rows of the class map out. The logits are interpolated bilinearly to the size of
//! the class map (`align_corners = false`), and each pixel gets the class with the largest logit.

use super::rings;
use super::sink::{LogitsSink, SinkBuffers};
use crate::file::Facts;
use crate::file::format::padded;
use crate::model::context::Context;
use crate::ops::upsample::source_position;
use crate::output::{ClassMapMut, Output};
use crate::parallel::Workers;
use crate::parallel::chunks::chunks2_with;
use crate::simd::isa::Isa;
use core::ops::Range;

/// Computes rows of the class map as soon as the logits that they read exist, and copies logits.
pub(in crate::model) struct ClassMapRows<'a, 'o> {
    shape: Shape,
    output: &'a mut Output<'o>,
    /// The first row of the class map that has not been computed.
    next: usize,
}

/// The sizes of the map of logits and of the class map.
#[derive(Clone, Copy)]
struct Shape {
    /// Width and height of the map of logits, and the number of classes.
    width: usize,
    height: usize,
    classes: usize,
    /// Width and height of the class map.
    size: (usize, usize),
}

impl LogitsSink for ClassMapRows<'_, '_> {
    fn rows(&mut self, cx: &Context, ready: usize, buffers: &mut SinkBuffers) {
        self.copy_logits(ready - 4..ready, buffers.logits);
        self.compute(cx, ready, buffers.logits, buffers.scratch);
    }
}

impl<'a, 'o> ClassMapRows<'a, 'o> {
    /// Starts the class map of `output`.
    pub fn new(f: &Facts, output: &'a mut Output<'o>) -> Self {
        let (width, height) = f.level(0);
        let shape = Shape { width, height, classes: f.classes, size: output.size };
        ClassMapRows { shape, output, next: 0 }
    }

    /// Copies rows of logits from their ring to `[classes][height][width]`, if the caller asked for logits.
    fn copy_logits(&mut self, rows: Range<usize>, logits: &[f32]) {
        let (Shape { width, height, classes, .. }, row_len) = (self.shape, self.shape.row_len());
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

    /// Computes all rows that read only the first `ready` rows of logits. `scratch` holds a row of logits for each worker.
    fn compute(&mut self, cx: &Context, ready: usize, logits: &[f32], scratch: &mut [f32]) {
        let (shape, first) = (self.shape, self.next);
        let (width, height) = shape.size;
        while self.next < height && source_position(self.next, shape.height, height).high < ready {
            self.next += 1;
        }
        let pixels = first * width..self.next * width;
        let (isa, workers) = (cx.isa, cx.workers);
        match &mut self.output.map {
            None => {}
            Some(ClassMapMut::U8(map)) => {
                shape.fill(isa, workers, first, logits, scratch, &mut map[pixels], |c| c as u8)
            }
            Some(ClassMapMut::U16(map)) => {
                shape.fill(isa, workers, first, logits, scratch, &mut map[pixels], |c| c)
            }
        }
    }
}

impl Shape {
    /// Values in a row of logits, `[x][padded classes]`.
    fn row_len(self) -> usize {
        self.width * padded(self.classes)
    }

    /// Fills `map`, which begins with row `first`: interpolates two rows of logits vertically, then along the row while
    /// taking the argmax of each pixel.
    #[allow(clippy::too_many_arguments)]
    fn fill<T: Send>(
        self,
        isa: Isa,
        workers: Workers,
        first: usize,
        logits: &[f32],
        scratch: &mut [f32],
        map: &mut [T],
        cast: impl Fn(u16) -> T + Sync,
    ) {
        let (width, height) = self.size;
        let (row_len, pitch) = (self.row_len(), padded(self.classes));
        chunks2_with(workers, (map, width), (&mut [] as &mut [()], 0), scratch, |i, out, _, row| {
            let p = source_position(first + i, self.height, height);
            let (low, high) = (p.low % rings::LOGITS * row_len, p.high % rings::LOGITS * row_len);
            let row = &mut row[..row_len];
            isa.lerp_pixels(&logits[low..][..row_len], &logits[high..][..row_len], p.weight, row_len, row);
            for (x, class) in out.iter_mut().enumerate() {
                let p = source_position(x, self.width, width);
                let (a, b) = (&row[p.low * pitch..][..pitch], &row[p.high * pitch..][..pitch]);
                *class = cast(isa.argmax_lerp(a, b, p.weight, self.classes));
            }
        });
    }
}
