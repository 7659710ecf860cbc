//! The fine half of the pyramid and the head, in bands: nothing at full resolution is ever whole.
//!
//! Step r makes lines 4r .. 4r + 4 of the logits, from one row of patches' worth of everything below:
//!
//! ```text
//! tap 1 -> lateral 1 (+ lateral 2 up) -> fpn 1 -> nine products --.
//! tap 0 -> deconvolution -> lateral 0 (+ lateral 1 up) -> fpn 0 --+-> bottleneck -> classifier -> map
//!                                  level 2, level 3 -> products --'
//! ```
//!
//! A 3x3 convolution needs a line ahead, an interpolation one too, so each stage runs a little further than the next;
//! rings keep the lines in between. With h lines of the logits in step r, counting from 0:
//! bottleneck 4r .. 4r+3 reads fpn 0 to 4r+4, made in pairs of lines (Winograd's tiles of 2x2), so to 4r+5, which
//! reads lateral 0 to 4r+6 (chunk r+1), which reads lateral 1 to 2r+4 (chunk r+2); the products of level 1 are read to line
//! 2r+2 of fpn 1, made in pairs to 2r+3, which reads lateral 1 to 2r+4. Tiles of 4x4 would make fpn 0 to 4r+7: they lie three
//! lines higher instead, each step's being lines 4r+1 .. 4r+4. So do those of fpn 1, in every second step: of an even one they are
//! lines 2r+1 .. 2r+4, which read lateral 1 to 2r+5, the end of chunk r+2.

use super::conv::{Conv, Lines, Passing};
use super::map::MapRows;
use super::products::Products;
use super::{Call, Context};
use crate::activations::{RowsMut, typed};
use crate::engine::Output;
use crate::error::Error;
use crate::format::{Role, padded};
use crate::kernels::epilogue::Activation;
use crate::kernels::gemm::Segment;
use crate::kernels::interpolate::{Small, position};
use crate::observe::{Stage, TensorName};
use crate::plan::{Buf, ring};
use crate::weights::Linear;

/// The buffers of the bands and how far each stage has come.
struct Bands<'a> {
    tap0: RowsMut<'a>,
    tap1: RowsMut<'a>,
    top_rows: RowsMut<'a>,
    fpn2_rows: RowsMut<'a>,
    lateral2: &'a [f32],
    scratch: &'a mut [f32],
    lateral1: &'a mut [f32],
    lateral1_lines: Lines<'a>,
    fpn1_rows: RowsMut<'a>,
    product1: Products<'a>,
    product2: Products<'a>,
    product3: Products<'a>,
    lines: &'a mut [f32],
    lateral0_lines: Lines<'a>,
    fpn0_lines: Lines<'a>,
    passing: Passing<'a>,
    logits: &'a mut [f32],
    map_scratch: &'a mut [f32],
    done: Progress,
}

/// Chunks and lines finished, from the top of each map.
#[derive(Default)]
struct Progress {
    lateral1_chunks: usize,
    lateral0_chunks: usize,
    fpn0: usize,
    fpn1: usize,
    product1: usize,
    product2: usize,
    product3: usize,
}

/// From the taps and the coarse maps to the picture's classes.
pub(crate) fn run(cx: &mut Context, arena: &mut [u8], output: &mut Output) -> Result<(), Error> {
    let f = cx.facts;
    let mut bands = Bands::new(cx, arena)?;
    let mut map = MapRows::new(&f, output);
    for r in 0..f.grid_height {
        let last = f.grid_height - 1;
        while bands.done.lateral1_chunks <= (r + 2).min(last) {
            bands.lateral1(cx)?;
        }
        while bands.done.lateral0_chunks <= (r + 1).min(last) {
            bands.lateral0(cx)?;
        }
        bands.fpn0(cx, r)?;
        bands.products(cx, 4 * r + 4)?;
        bands.fuse(cx, r)?;
        map.logits_lines(4 * r..4 * r + 4, bands.logits, output);
        map.rows(cx.isa, cx.par, 4 * r + 4, bands.logits, bands.map_scratch, output);
        cx.done(Stage::Map)?;
    }
    Ok(())
}

impl<'a> Bands<'a> {
    fn new(cx: &Context, arena: &'a mut [u8]) -> Result<Self, Error> {
        let f = cx.facts;
        let (c, n) = (cx.pitch(), f.channels);
        let [(w0, _), (w1, _), (w2, h2), (w3, h3)] = core::array::from_fn(|i| f.level(i));
        let bufs = [
            Buf::Tap0,
            Buf::Tap1,
            Buf::TopRows,
            Buf::Fpn2Rows,
            Buf::Lateral2,
            Buf::UpsampleScratch,
            Buf::Lateral1,
            Buf::Lateral1Rows,
            Buf::Fpn1Rows,
            Buf::Product1,
            Buf::Product2,
            Buf::Product3,
            Buf::Lines,
            Buf::Lateral0Rows,
            Buf::Fpn0Rows,
            Buf::PassingRows,
            Buf::WinogradScratch,
            Buf::Logits,
            Buf::MapScratch,
        ];
        let [
            tap0,
            tap1,
            top_rows,
            fpn2_rows,
            lateral2,
            scratch,
            lateral1,
            lateral1_rows,
            fpn1_rows,
            product1,
            product2,
            product3,
            lines,
            lateral0_rows,
            fpn0_rows,
            passing,
            winograd_scratch,
            logits,
            map_scratch,
        ] = cx.buffers(arena, bufs)?;
        let int8 = |role, layer| cx.linear(role, layer).map(|l| l.is_int8());
        let line = w0 * padded(f.classes);
        Ok(Bands {
            tap0: RowsMut::new(tap0, f.patches(), n, int8(Role::Up0a, 0)?),
            tap1: RowsMut::new(tap1, f.patches(), n, int8(Role::Up1, 0)?),
            top_rows: RowsMut::new(top_rows, w3 * h3, n, int8(Role::Fuse, 3)?),
            fpn2_rows: RowsMut::new(fpn2_rows, w2 * h2, n, int8(Role::Fuse, 2)?),
            lateral2: typed(lateral2, w2 * h2 * c),
            scratch: bytemuck::cast_slice_mut(scratch),
            lateral1: typed(lateral1, ring::LATERAL1 * w1 * c),
            lateral1_lines: Lines::new(lateral1_rows, &cx.linear(Role::Fpn, 1)?, ring::LATERAL1, w1, n),
            fpn1_rows: RowsMut::new(fpn1_rows, ring::FPN1 * w1, n, int8(Role::Fuse, 1)?),
            product1: Products::new(product1, &cx.linear(Role::Fuse, 1)?, ring::PRODUCT1 * w1, c),
            product2: Products::new(product2, &cx.linear(Role::Fuse, 2)?, ring::PRODUCT2 * w2, c),
            product3: Products::new(product3, &cx.linear(Role::Fuse, 3)?, ring::PRODUCT3 * w3, c),
            lines: typed(lines, ring::LINES * w0 * c),
            lateral0_lines: Lines::new(lateral0_rows, &cx.linear(Role::Fpn, 0)?, ring::LATERAL0, w0, n),
            fpn0_lines: Lines::new(fpn0_rows, &cx.linear(Role::Fuse, 0)?, ring::FPN0, w0, n),
            passing: Passing { rows: passing, scratch: bytemuck::cast_slice_mut(winograd_scratch) },
            logits: typed(logits, ring::LOGITS * line),
            map_scratch: typed(map_scratch, cx.par.workers() * line),
            done: Progress::default(),
        })
    }

    /// Lines 2r, 2r + 1 of lateral 1, with lateral 2 added.
    fn lateral1(&mut self, cx: &mut Context) -> Result<(), Error> {
        let (f, c, r) = (cx.facts, cx.pitch(), self.done.lateral1_chunks);
        let size = f.level(1);
        let w1 = size.0;
        let weights = cx.linear(Role::Up1, 0)?;
        let slot = 2 * r % ring::LATERAL1;
        let out = &mut self.lateral1[slot * w1 * c..][..2 * w1 * c];
        let call =
            |tap| Call::new(&weights, self.tap1.rows()).tap(tap).activation(Activation::Relu).every_second();
        for tap in 0..4 {
            let to = tap / 2 * w1 + tap % 2;
            cx.product(call(tap), &[Segment::line(r * f.grid_width, to)], f.grid_width, out);
        }
        cx.done(Stage::Lateral)?;
        let (w2, h2) = f.level(2);
        let small = Small { data: self.lateral2, ring: h2, width: w2, height: h2 };
        cx.upsample(size).add(&small, 2 * r, out, self.scratch);
        cx.show(TensorName::Lateral1(2 * r), out);
        for (i, line) in out.chunks(w1 * c).enumerate() {
            self.lateral1_lines.store(cx, slot + i, w1, line);
        }
        self.done.lateral1_chunks += 1;
        cx.done(Stage::Upsample)
    }

    /// Lines 4r .. 4r + 4 of lateral 0, with lateral 1 added.
    fn lateral0(&mut self, cx: &mut Context) -> Result<(), Error> {
        let (f, c, r) = (cx.facts, cx.pitch(), self.done.lateral0_chunks);
        let [size, (w1, h1)] = [f.level(0), f.level(1)];
        let w0 = size.0;
        let weights = cx.linear(Role::Up0a, 0)?;
        let out = &mut self.lines[..2 * w1 * c];
        for tap in 0..4 {
            let call =
                Call::new(&weights, self.tap0.rows()).tap(tap).activation(Activation::Gelu).every_second();
            let to = tap / 2 * w1 + tap % 2;
            cx.product(call, &[Segment::line(r * f.grid_width, to)], f.grid_width, out);
        }
        let weights = cx.linear(Role::Up0b, 0)?;
        let mut rows = RowsMut::new(self.passing.rows, 2 * w1, f.channels, weights.is_int8());
        cx.store(&mut rows, 0, out);
        let out = &mut self.lines[..4 * w0 * c];
        for tap in 0..4 {
            let call = Call::new(&weights, rows.rows()).tap(tap).activation(Activation::Relu).every_second();
            let segments = [0, 1].map(|line| Segment::line(line * w1, (2 * line + tap / 2) * w0 + tap % 2));
            cx.product(call, &segments, w1, out);
        }
        cx.done(Stage::Lateral)?;
        let small = Small { data: self.lateral1, ring: ring::LATERAL1, width: w1, height: h1 };
        cx.upsample(size).add(&small, 4 * r, out, self.scratch);
        cx.show(TensorName::Lateral0(4 * r), out);
        for (i, line) in out.chunks(w0 * c).enumerate() {
            self.lateral0_lines.store(cx, (4 * r + i) % ring::LATERAL0, w0, line);
        }
        self.done.lateral0_chunks += 1;
        cx.done(Stage::Upsample)
    }

    /// Level 0's 3x3 convolution, as far as step r reads it.
    fn fpn0(&mut self, cx: &mut Context, r: usize) -> Result<(), Error> {
        let (c, size) = (cx.pitch(), cx.facts.level(0));
        let (w, h) = size;
        let weights = cx.linear(Role::Fpn, 0)?;
        let conv = Conv {
            weights: &weights,
            x: &self.lateral0_lines,
            size,
            ring: ring::LATERAL0,
            activation: Activation::Relu,
            bias: true,
        };
        let end = (4 * r + 5).min(h);
        while self.done.fpn0 < end {
            let first = self.done.fpn0;
            let out = more(cx, &conv, (0, end), &mut self.done.fpn0, &mut self.passing, self.lines);
            for (i, line) in out.chunks(w * c).enumerate() {
                self.fpn0_lines.store(cx, (first + i) % ring::FPN0, w, line);
            }
        }
        cx.done(Stage::Fpn0)
    }

    /// The products of levels 1 to 3 with the bottleneck's nine taps, as far as full-resolution line `last` reads them.
    fn products(&mut self, cx: &mut Context, last: usize) -> Result<(), Error> {
        let f = cx.facts;
        let last = last.min(f.level(0).1 - 1);
        let needed = |level| position(last, f.level(level).1, f.level(0).1).high + 1;
        let weights = cx.linear(Role::Fuse, 1)?;
        self.fpn1(cx, needed(1))?;
        let (w1, _) = f.level(1);
        let wanted = self.done.product1..needed(1);
        let lines = (0..ring::PRODUCT1).filter_map(|slot| {
            let y = wanted.clone().find(|y| y % ring::PRODUCT1 == slot)?;
            Some((y % ring::FPN1 * w1, slot))
        });
        self.product1.make(cx, &weights, &self.fpn1_rows, lines, w1);
        self.done.product1 = wanted.end;
        let coarse = [
            (2, &mut self.done.product2, &self.fpn2_rows, &mut self.product2, ring::PRODUCT2),
            (3, &mut self.done.product3, &self.top_rows, &mut self.product3, ring::PRODUCT3),
        ];
        for (level, done, rows, products, ring) in coarse {
            let weights = cx.linear(Role::Fuse, level)?;
            let w = f.level(level).0;
            while *done < needed(level) {
                products.make(cx, &weights, rows, core::iter::once((*done * w, *done % ring)), w);
                *done += 1;
            }
        }
        cx.done(Stage::Products)
    }

    /// Level 1's 3x3 convolution to line `end`, in whole tiles: some lines may wait for the next step.
    fn fpn1(&mut self, cx: &mut Context, end: usize) -> Result<(), Error> {
        let (c, size) = (cx.pitch(), cx.facts.level(1));
        let (w, h) = size;
        let weights = cx.linear(Role::Fpn, 1)?;
        let conv = Conv {
            weights: &weights,
            x: &self.lateral1_lines,
            size,
            ring: ring::LATERAL1,
            activation: Activation::Relu,
            bias: true,
        };
        let end = end.min(h);
        while self.done.fpn1 < end {
            let first = self.done.fpn1;
            let out = more(cx, &conv, (1, end), &mut self.done.fpn1, &mut self.passing, self.lines);
            for (i, line) in out.chunks(w * c).enumerate() {
                cx.store(&mut self.fpn1_rows, (first + i) % ring::FPN1 * w, line);
            }
        }
        cx.done(Stage::Fpn1)
    }

    /// Lines 4r .. 4r + 4 of the bottleneck and the classifier.
    fn fuse(&mut self, cx: &mut Context, r: usize) -> Result<(), Error> {
        let (f, c, size) = (cx.facts, cx.pitch(), cx.facts.level(0));
        let w = size.0;
        let at = self.logits_at(cx, 4 * r);
        let weights = cx.linear(Role::Fuse, 0)?;
        let out = &mut self.lines[..4 * w * c];
        // The bias comes with the coarser levels.
        let conv = Conv {
            weights: &weights,
            x: &self.fpn0_lines,
            size,
            ring: ring::FPN0,
            activation: Activation::None,
            bias: false,
        };
        conv.run(cx, 4 * r as isize, &mut self.passing, out);
        cx.done(Stage::Fuse)?;
        let maps = [
            self.product1.map(ring::PRODUCT1, f.level(1)),
            self.product2.map(ring::PRODUCT2, f.level(2)),
            self.product3.map(ring::PRODUCT3, f.level(3)),
        ];
        cx.upsample(size).add_tapped(&maps, weights.bias(0).unwrap_or(&[]), 4 * r, out, self.scratch);
        cx.done(Stage::Upsample)?;
        let weights = cx.linear(Role::Classify, 0)?;
        let mut rows = RowsMut::new(self.passing.rows, 4 * w, f.channels, weights.is_int8());
        cx.store(&mut rows, 0, out);
        let logits = &mut self.logits[at..][..4 * w * padded(f.classes)];
        cx.product(Call::new(&weights, rows.rows()), &[Segment::line(0, 0)], 4 * w, logits);
        cx.done(Stage::Classify)
    }

    /// Where a line of logits starts in the ring.
    fn logits_at(&self, cx: &Context, line: usize) -> usize {
        line % ring::LOGITS * cx.facts.level(0).0 * padded(cx.facts.classes)
    }
}

/// The next lines of a level's 3x3 convolution, `done` of which are there and `end` needed, in `buffer`.
fn more<'b>(
    cx: &mut Context,
    conv: &Conv,
    (level, end): (usize, usize),
    done: &mut usize,
    passing: &mut Passing,
    buffer: &'b mut [f32],
) -> &'b [f32] {
    let ((w, h), first) = (conv.size, *done);
    let line = w * cx.pitch();
    let (above, lines) = next_lines(conv.weights, first, end, h);
    let out = &mut buffer[..(above + lines) * line];
    conv.run(cx, first as isize - above as isize, passing, out);
    let lines = lines.min(h - first);
    let out = &out[above * line..][..lines * line];
    cx.show(TensorName::Fpn(level, first), out);
    *done += lines;
    out
}

/// What a 3x3 convolution makes next, `done` of its map's `height` lines being there and `end` needed: lines above the map and
/// lines of it. Tiles of 4x4 make one strip, the first of which has three lines above the map, the others whole pairs.
fn next_lines(weights: &Linear, done: usize, end: usize, height: usize) -> (usize, usize) {
    match (weights.winograd_tile(), done) {
        (Some(4), 0) => (3, 1),
        (Some(4), _) => (0, 4),
        _ => (0, (end.next_multiple_of(2).min(height) - done).min(ring::LINES)),
    }
}
