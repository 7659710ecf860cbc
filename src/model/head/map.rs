//! Logits to classes: bilinear to the picture's size (`align_corners = false`), then the largest, line by line.

use super::rings;
use crate::file::Facts;
use crate::file::format::padded;
use crate::ops::upsample::source_position;
use crate::output::{ClassMapMut, Output};
use crate::parallel::Parallel;
use crate::parallel::chunks::chunks2_with;
use crate::simd::isa::Isa;
use core::ops::Range;

/// Emits the map's rows as soon as the logits they read are there.
pub(crate) struct MapRows {
    /// Of the logits, and their number.
    width: usize,
    height: usize,
    classes: usize,
    /// Picture.
    picture: (usize, usize),
    next: usize,
}

impl MapRows {
    pub fn new(f: &Facts, output: &Output) -> Self {
        let (width, height) = f.level(0);
        MapRows { width, height, classes: f.classes, picture: output.size, next: 0 }
    }

    /// Numbers in a line of logits.
    fn line(&self) -> usize {
        self.width * padded(self.classes)
    }

    /// Copies lines of logits out, `[classes][height][width]`, where the caller asked for them.
    pub fn copy_logits(&self, lines: Range<usize>, logits: &[f32], output: &mut Output) {
        let Some(out) = &mut output.logits else { return };
        for y in lines {
            let line = &logits[y % rings::LOGITS * self.line()..][..self.line()];
            for (x, pixel) in line.chunks(padded(self.classes)).enumerate() {
                for (class, &v) in pixel[..self.classes].iter().enumerate() {
                    out[(class * self.height + y) * self.width + x] = v;
                }
            }
        }
    }

    /// All rows of the picture that read only the first `lines` lines of logits. `scratch`: a line for each worker.
    pub fn rows(
        &mut self,
        isa: Isa,
        par: &dyn Parallel,
        lines: usize,
        logits: &[f32],
        scratch: &mut [f32],
        output: &mut Output,
    ) {
        let (width, height) = self.picture;
        let first = self.next;
        while self.next < height && source_position(self.next, self.height, height).high < lines {
            self.next += 1;
        }
        let pixels = first * width..self.next * width;
        match &mut output.map {
            ClassMapMut::U8(map) => {
                self.fill(isa, par, first, logits, scratch, &mut map[pixels], |c| c as u8)
            }
            ClassMapMut::U16(map) => self.fill(isa, par, first, logits, scratch, &mut map[pixels], |c| c),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn fill<T: Send>(
        &self,
        isa: Isa,
        par: &dyn Parallel,
        first: usize,
        logits: &[f32],
        scratch: &mut [f32],
        map: &mut [T],
        cast: impl Fn(u16) -> T + Sync,
    ) {
        let (width, height) = self.picture;
        let (line, pitch) = (self.line(), padded(self.classes));
        chunks2_with(par, (map, width), (&mut [] as &mut [()], 0), scratch, |i, row, _, scratch| {
            let p = source_position(first + i, self.height, height);
            let (low, high) = (p.low % rings::LOGITS * line, p.high % rings::LOGITS * line);
            let scratch = &mut scratch[..line];
            isa.lerp_pixels(&logits[low..][..line], &logits[high..][..line], p.weight, line, scratch);
            for (x, out) in row.iter_mut().enumerate() {
                let p = source_position(x, self.width, width);
                let (a, b) = (&scratch[p.low * pitch..][..pitch], &scratch[p.high * pitch..][..pitch]);
                *out = cast(isa.argmax_lerp(a, b, p.weight, self.classes));
            }
        });
    }
}
