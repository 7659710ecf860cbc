//! The rows of a task times one group of panels, tile by tile and matrix by matrix. The group's weights stay in the nearest
//! caches meanwhile.

use super::matrix::{Int8Matrix, TileRows};
use super::product::{Gemm, OutputElement, Segment};
use crate::file::Panels;
use crate::ops::rows::Rows;
use crate::parallel::chunks::{Shared, part};
use crate::simd::isa::{Isa, TileShape};
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, StoreTile, TileOutput};
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_PANELS, MAX_ROWS, TileF};
use core::ops::Range;

/// A group of panels. If the weights are bytes, those of the matrix that is summed m-th start at panel
/// `first` + m · `step` of `bytes`.
pub(super) struct PanelGroup<'a> {
    pub panels: Range<usize>,
    pub bytes: &'a [i8],
    pub first: usize,
    pub step: usize,
}

/// The most numbers in a tile.
const TILE: usize = MAX_ROWS * MAX_PANELS * LANES;

/// The buffers of a task: a tile of f32, and the integer sums of two tiles, used in turn.
pub(super) struct TileBuffers {
    acc: [f32; TILE],
    sums: [[i32; TILE]; 2],
}

impl TileBuffers {
    pub fn new() -> TileBuffers {
        TileBuffers { acc: [0.0; TILE], sums: [[0; TILE]; 2] }
    }
}

/// Cuts rows into tiles: each tile, its first row, and where its outputs go.
fn tiles<'a>(
    rows: Range<usize>,
    group: &'a PanelGroup,
    shape: TileShape,
    to: TileOutput,
) -> impl Iterator<Item = (TileRows, usize, TileOutput)> + use<'a> {
    let count = rows.len().div_ceil(shape.rows);
    (0..count).map(move |nth| {
        let r = part(rows.len(), count, nth);
        let at = r.start * to.row_pitch;
        let out = if to.bf16 { to.out.wrapping_byte_add(2 * at) } else { to.out.wrapping_add(at) };
        let tile = TileRows { nth, rows: r.len(), panels: group.panels.clone() };
        (tile, rows.start + r.start, TileOutput { rows: r.len(), out, ..to })
    })
}

impl Gemm<'_> {
    /// All rows of a task times one group of panels.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn column<T: OutputElement>(
        &self,
        isa: Isa,
        segment: &Segment,
        rows: Range<usize>,
        group: &PanelGroup,
        shape: TileShape,
        buffers: &mut TileBuffers,
        out: &Shared<T>,
    ) {
        let first = group.panels.start;
        let at = (segment.to + rows.start * self.row_step) * self.row_pitch + first * self.panel_pitch;
        // SAFETY: `Gemm::check` has compared every output row with the slice.
        let out = unsafe { out.at(at) };
        let to = TileOutput {
            rows: 0,
            panels: group.panels.len(),
            activation: self.activation,
            out: out.cast(),
            row_pitch: self.row_step * self.row_pitch,
            panel_pitch: self.panel_pitch,
            accumulate: self.accumulate,
            bf16: T::BF16,
        };
        let bias = self.bias_row().map_or(core::ptr::null(), |b| b[first * LANES..].as_ptr());
        let tiles = tiles(rows, group, shape, to);
        match self.weights.is_int8() {
            true => self.column_int8(isa, segment, group, tiles, bias, buffers),
            false => self.column_float(isa, segment, tiles, bias, buffers),
        }
    }

    /// Multiplies in int8. With several matrices, each one's integer sums are dequantised and accumulated in `acc`; the last
    /// one writes the output. Where the instruction set can, an epilogue runs while the next matrix or tile is multiplied.
    fn column_int8(
        &self,
        isa: Isa,
        segment: &Segment,
        group: &PanelGroup,
        tiles: impl Iterator<Item = (TileRows, usize, TileOutput)>,
        bias: *const f32,
        TileBuffers { acc, sums }: &mut TileBuffers,
    ) {
        let mut matrices: [Option<(Int8Matrix, usize)>; 9] = [const { None }; 9];
        let mut count = 0;
        for (matrix, from) in self.matrices.clone().zip(segment.from) {
            if let Some(from) = from {
                matrices[count] = Some((self.int8_matrix(matrix, group), from as usize));
                count += 1;
            }
        }
        let columns = group.panels.len() * LANES;
        if count == 0 {
            acc.fill(0.0);
        }
        let acc = acc.as_mut_ptr();
        let mut pending = None;
        let mut turn = 0;
        for (tile, first, to) in tiles {
            if count == 0 {
                // SAFETY: as below.
                unsafe { isa.store_tile(&StoreTile { acc, bias, to }) };
            }
            for (nth, (x, from)) in matrices.iter().flatten().enumerate() {
                turn ^= 1;
                let (before, before_pitch) = if nth == 0 { (bias, 0) } else { (acc.cast_const(), columns) };
                let to = if nth + 1 == count { to } else { partial_sums(acc, columns, to) };
                // SAFETY: `Gemm::check` and `Linear` have compared rows, panels and factors with what exists; `sums` and
                // `acc` hold a tile, and the pending epilogue reads the other sums; this task alone writes these rows and
                // columns; the bias has the padded number of outputs.
                unsafe {
                    let params = x.multiply(isa, from + first, &tile, &mut sums[turn], pending.take());
                    let epilogue = DequantiseTile {
                        sums: sums[turn].as_ptr(),
                        params,
                        scale: x.scale.as_ptr(),
                        weight_sum: x.weight_sum.as_ptr(),
                        addend: before,
                        addend_pitch: before_pitch,
                        to,
                    };
                    match isa.fuses_epilogue() {
                        true => pending = Some(epilogue),
                        false => isa.dequantise_tile(&epilogue),
                    }
                }
            }
        }
        if let Some(last) = pending {
            // SAFETY: as above.
            unsafe { isa.dequantise_tile(&last) };
        }
    }

    /// Multiplies in f32, accumulating all matrices in `acc`.
    fn column_float(
        &self,
        isa: Isa,
        segment: &Segment,
        tiles: impl Iterator<Item = (TileRows, usize, TileOutput)>,
        bias: *const f32,
        TileBuffers { acc, .. }: &mut TileBuffers,
    ) {
        for (tile, first, to) in tiles {
            let mut overwrite = true;
            for (matrix, from) in self.matrices.clone().zip(segment.from) {
                let Some(from) = from else { continue };
                self.float_tile(isa, matrix, from as usize + first, &tile, acc, overwrite);
                overwrite = false;
            }
            if overwrite {
                acc.fill(0.0);
            }
            // SAFETY: `Gemm::check` has compared every output row with the slice; `acc` holds the tile, the bias the padded
            // number of outputs.
            unsafe { isa.store_tile(&StoreTile { acc: acc.as_ptr(), bias, to }) };
        }
    }

    /// One matrix times one tile of f32 rows, into `acc`.
    fn float_tile(
        &self,
        isa: Isa,
        matrix: usize,
        from: usize,
        t: &TileRows,
        acc: &mut [f32],
        overwrite: bool,
    ) {
        let w = self.weights;
        let (shape, k) = ((t.rows, t.panels.len()), w.k);
        let panel = (matrix * w.panel_count() + t.panels.start) * k * LANES;
        match (self.x, w.panels) {
            (Rows::F32 { data, pitch }, Panels::F32(weights)) => {
                let rows = (&data[from * pitch..], pitch);
                let tile = TileF::new(shape, rows, (&weights[panel..], k * LANES), k, overwrite, acc);
                // SAFETY: `Gemm::check` has compared the rows with the data, `Linear` the panels with the file; `acc` holds a
                // tile.
                unsafe { isa.tile_f32(t.rows, t.panels.len(), &tile) }
            }
            (Rows::F32 { data, pitch }, Panels::F16(weights)) => {
                let rows = (&data[from * pitch..], pitch);
                let tile = TileF::new(shape, rows, (&weights[panel..], k * LANES), k, overwrite, acc);
                // SAFETY: as above.
                unsafe { isa.tile_f16(t.rows, t.panels.len(), &tile) }
            }
            _ => unreachable!("`Gemm::check` has compared rows and weights"),
        }
    }

    /// One int8 matrix, restricted to a group of panels.
    #[inline]
    fn int8_matrix<'b>(&'b self, matrix: usize, group: &'b PanelGroup) -> Int8Matrix<'b> {
        let w = self.weights;
        let (
            Rows::Bytes { data, pitch, params },
            Panels::Int8 { scale, sum, .. } | Panels::Int4 { scale, sum, .. },
        ) = (self.x, w.panels)
        else {
            unreachable!("`Gemm::check` has compared rows and weights")
        };
        let (panel_bytes, panels) = (w.panel_bytes(), group.panels.len());
        let output = (matrix * w.panel_count() + group.panels.start) * LANES;
        let stored = (group.first + (matrix - self.matrices.start) * group.step) * panel_bytes;
        Int8Matrix {
            data,
            pitch,
            params,
            weights: &group.bytes[stored..][..panels * panel_bytes],
            panel_bytes,
            groups: w.k.div_ceil(4),
            scale: &scale[output..][..panels * LANES],
            weight_sum: &sum[output..][..panels * LANES],
        }
    }
}

/// The output of all matrices but the last: partial sums in `acc`, rows of `columns` numbers.
fn partial_sums(acc: *mut f32, columns: usize, to: TileOutput) -> TileOutput {
    TileOutput {
        activation: Activation::None,
        out: acc,
        row_pitch: columns,
        panel_pitch: LANES,
        accumulate: false,
        bf16: false,
        ..to
    }
}
