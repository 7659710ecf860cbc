//! A task's rows times one group of panels, whose weights stay in the nearest caches meanwhile: tile by tile, tap by tap.

use super::epilogue::{Activation, Finish, FinishI8, Out};
use super::gemm::{Number, Product, Rows, Segment, part};
use super::micro::TileF;
use super::split::Shared;
use super::tap::{Int8, Tile};
use super::{LANES, MAX_PANELS, MAX_ROWS, Shape};
use crate::weights::Panels;
use core::ops::Range;

/// Panels of a product, and their weights where these are bytes: those of tap t from panel `first` + t · `step`.
pub(super) struct Columns<'a> {
    pub panels: Range<usize>,
    pub bytes: &'a [i8],
    pub first: usize,
    pub step: usize,
}

/// The most numbers of a tile.
const TILE: usize = MAX_ROWS * MAX_PANELS * LANES;

/// A task's tile: its numbers, and integer sums of two tiles in turn.
pub(super) struct Work {
    acc: [f32; TILE],
    sums: [[i32; TILE]; 2],
}

impl Work {
    pub fn new() -> Work {
        Work { acc: [0.0; TILE], sums: [[0; TILE]; 2] }
    }
}

/// The tiles of some rows, the first row of each, and where they go.
fn tiles<'a>(
    rows: Range<usize>,
    columns: &'a Columns,
    shape: Shape,
    to: Out,
) -> impl Iterator<Item = (Tile, usize, Out)> + use<'a> {
    let count = rows.len().div_ceil(shape.rows);
    (0..count).map(move |nth| {
        let r = part(rows.len(), count, nth);
        let at = r.start * to.pitch;
        let out = if to.half { to.out.wrapping_byte_add(2 * at) } else { to.out.wrapping_add(at) };
        let tile = Tile { nth, rows: r.len(), panels: columns.panels.clone() };
        (tile, rows.start + r.start, Out { rows: r.len(), out, ..to })
    })
}

impl Product<'_> {
    /// All rows of a task for one group of panels.
    pub(super) fn column<T: Number>(
        &self,
        segment: &Segment,
        rows: Range<usize>,
        columns: &Columns,
        shape: Shape,
        work: &mut Work,
        out: &Shared<T>,
    ) {
        let first = columns.panels.start;
        // SAFETY: `check` has compared every output row with the slice.
        let out = unsafe { out.at((segment.to + rows.start * self.step) * self.pitch + first * self.panel) };
        let to = Out {
            rows: 0,
            panels: columns.panels.len(),
            activation: self.activation,
            out: out.cast(),
            pitch: self.step * self.pitch,
            panel: self.panel,
            add: self.add,
            half: T::HALF,
        };
        let bias = self.bias.map_or(core::ptr::null(), |b| b[first * LANES..].as_ptr());
        let tiles = tiles(rows, columns, shape, to);
        match self.weights.is_int8() {
            true => self.column_int8(segment, columns, tiles, bias, work),
            false => self.column_float(segment, tiles, bias, work),
        }
    }

    /// Each tap's integer sums go out by way of `acc`, where there are several; where the instruction set wants it, while the next
    /// tap or tile is multiplied.
    fn column_int8(
        &self,
        segment: &Segment,
        columns: &Columns,
        tiles: impl Iterator<Item = (Tile, usize, Out)>,
        bias: *const f32,
        Work { acc, sums }: &mut Work,
    ) {
        let mut taps: [Option<(Int8, usize)>; 9] = [const { None }; 9];
        let mut count = 0;
        for (tap, from) in self.taps.clone().zip(segment.from) {
            if let Some(from) = from {
                taps[count] = Some((self.int8(tap, columns), from as usize));
                count += 1;
            }
        }
        let wide = columns.panels.len() * LANES;
        let mut waiting = None;
        let mut turn = 0;
        for (tile, first, to) in tiles {
            if count == 0 {
                acc.fill(0.0);
                // SAFETY: as below.
                unsafe { self.isa.finish(&Finish { acc: acc.as_ptr(), bias, to }) };
            }
            for (nth, (x, from)) in taps.iter().flatten().enumerate() {
                turn ^= 1;
                let (before, before_pitch) = if nth == 0 { (bias, 0) } else { (acc.as_ptr(), wide) };
                let to = match nth + 1 == count {
                    true => to,
                    false => Out {
                        activation: Activation::None,
                        out: acc.as_mut_ptr(),
                        pitch: wide,
                        panel: LANES,
                        add: false,
                        half: false,
                        ..to
                    },
                };
                // SAFETY: `check` and `Linear` have compared rows, panels and factors with what is there; sums and acc hold a tile, and
                // what waits reads the others' sums; this task alone writes these rows and columns; the bias has the padded number.
                unsafe {
                    let params = x.multiply(self.isa, from + first, &tile, &mut sums[turn], waiting.take());
                    let (sums, scale, weight_sum) = (sums[turn].as_ptr(), x.scale, x.weight_sum);
                    let done = FinishI8 { sums, params, scale, weight_sum, before, before_pitch, to };
                    match self.isa.finishes_later() {
                        true => waiting = Some(done),
                        false => self.isa.finish_i8(&done),
                    }
                }
            }
        }
        if let Some(last) = waiting {
            // SAFETY: as above.
            unsafe { self.isa.finish_i8(&last) };
        }
    }

    /// Taps are summed in `acc`.
    fn column_float(
        &self,
        segment: &Segment,
        tiles: impl Iterator<Item = (Tile, usize, Out)>,
        bias: *const f32,
        Work { acc, .. }: &mut Work,
    ) {
        for (tile, first, to) in tiles {
            let mut empty = true;
            for (tap, from) in self.taps.clone().zip(segment.from) {
                let Some(from) = from else { continue };
                self.tap_float(tap, from as usize + first, &tile, acc, empty);
                empty = false;
            }
            if empty {
                acc.fill(0.0);
            }
            // SAFETY: `check` has compared every output row with the slice; acc holds the tile, the bias the padded number.
            unsafe { self.isa.finish(&Finish { acc: acc.as_ptr(), bias, to }) };
        }
    }

    /// One tap of one tile into `acc`.
    fn tap_float(&self, tap: usize, from: usize, t: &Tile, acc: &mut [f32], first: bool) {
        let w = self.weights;
        let panel = tap * w.panel_count() + t.panels.start;
        match (self.x, w.panels) {
            (Rows::F32 { data, pitch }, Panels::F32(weights)) => {
                let tile = tile_f(data, from, pitch, weights, panel, w.k, first, acc);
                // SAFETY: `check` has compared the rows with the data, `Linear` the panels with the file; acc holds a tile.
                unsafe { self.isa.tile_f32(t.rows, t.panels.len(), &tile) }
            }
            (Rows::F32 { data, pitch }, Panels::F16(weights)) => {
                let tile = tile_f(data, from, pitch, weights, panel, w.k, first, acc);
                // SAFETY: as above.
                unsafe { self.isa.tile_f16(t.rows, t.panels.len(), &tile) }
            }
            _ => unreachable!("`check` has compared rows and weights"),
        }
    }

    /// One tap of a column.
    #[inline]
    fn int8<'b>(&'b self, tap: usize, columns: &'b Columns) -> Int8<'b> {
        let w = self.weights;
        let (
            Rows::Bytes { data, pitch, params },
            Panels::Int8 { scale, sum, .. } | Panels::Int4 { scale, sum, .. },
        ) = (self.x, w.panels)
        else {
            unreachable!("`check` has compared rows and weights")
        };
        let (wide, panels) = (w.panel_bytes(), columns.panels.len());
        let panel = (tap * w.panel_count() + columns.panels.start) * LANES;
        let stored = (columns.first + (tap - self.taps.start) * columns.step) * wide;
        Int8 {
            data,
            pitch,
            params,
            weights: &columns.bytes[stored..][..panels * wide],
            wide,
            groups: w.k.div_ceil(4),
            scale: scale[panel..].as_ptr(),
            weight_sum: sum[panel..].as_ptr(),
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn tile_f<W>(
    data: &[f32],
    from: usize,
    pitch: usize,
    weights: &[W],
    panel: usize,
    k: usize,
    first: bool,
    acc: &mut [f32],
) -> TileF<W> {
    TileF {
        a: data[from * pitch..].as_ptr(),
        pitch,
        w: weights[panel * k * LANES..].as_ptr(),
        panel: k * LANES,
        k,
        first,
        out: acc.as_mut_ptr(),
    }
}
