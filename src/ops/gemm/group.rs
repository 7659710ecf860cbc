//! The rows of a task times one group of panels. The group's weights stay in the nearest caches while all tiles of rows are
//! multiplied with them.
//!
//! Loops: tiles of rows, then matrices. An int8 product dequantises the integer sums of each matrix and accumulates them in a
//! tile of f32 (`acc`); the last matrix writes to the output. A floating-point product accumulates all matrices in `acc`, then
//! stores the tile.

use super::matrix::{Int8Matrix, TileRows};
use super::product::{Gemm, OutputElement, Segment};
use crate::file::Panels;
use crate::ops::rows::Rows;
use crate::parallel::chunks::{Shared, chunk_range};
use crate::simd::isa::{Isa, TileShape};
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, StoreTile, TileOutput};
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_SUMS, TileF};
use core::ops::Range;

/// A group of panels. If its weights are bytes, those of the m-th summed matrix start at panel `first + m · step` of `bytes`.
pub(super) struct PanelGroup<'a> {
    pub panels: Range<usize>,
    pub bytes: &'a [i8],
    pub first: usize,
    pub step: usize,
}

/// The buffers of a task: a tile of f32, and integer sums of two tiles, used in turn.
pub(super) struct TileBuffers {
    acc: [f32; MAX_SUMS],
    sums: [[i32; MAX_SUMS]; 2],
}

impl TileBuffers {
    pub fn new() -> TileBuffers {
        TileBuffers { acc: [0.0; MAX_SUMS], sums: [[0; MAX_SUMS]; 2] }
    }
}

/// Cuts rows into tiles of at most `shape.rows` rows. Yields each tile, the number of its first row, and its output.
fn tiles<'a>(
    rows: Range<usize>,
    group: &'a PanelGroup,
    shape: TileShape,
    to: TileOutput,
) -> impl Iterator<Item = (TileRows, usize, TileOutput)> + use<'a> {
    let count = rows.len().div_ceil(shape.rows);
    (0..count).map(move |index| {
        let r = chunk_range(rows.len(), count, index);
        let at = r.start * to.row_pitch;
        let out = if to.bf16 { to.out.wrapping_byte_add(2 * at) } else { to.out.wrapping_add(at) };
        let tile = TileRows { index, rows: r.len(), panels: group.panels.clone() };
        (tile, rows.start + r.start, TileOutput { rows: r.len(), out, ..to })
    })
}

impl Gemm<'_> {
    /// Computes rows `rows` of a segment for one group of panels.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn compute_group<T: OutputElement>(
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
        // SAFETY: `Gemm::check` has shown that the output contains every output row of the segment.
        let out = unsafe { out.ptr(at) };
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
        let bias = self.bias_row().map(|b| &b[first * LANES..]);
        let tiles = tiles(rows, group, shape, to);
        match self.weights.is_int8() {
            true => self.group_int8(isa, segment, group, tiles, bias, buffers),
            false => self.group_float(isa, segment, tiles, bias, buffers),
        }
    }

    /// Computes tiles in int8. Where the instruction set fuses epilogues, the epilogue of a tile runs while the next matrix or
    /// tile is multiplied.
    fn group_int8(
        &self,
        isa: Isa,
        segment: &Segment,
        group: &PanelGroup,
        tiles: impl Iterator<Item = (TileRows, usize, TileOutput)>,
        bias: Option<&[f32]>,
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
        if count == 0 {
            return store_bias(isa, tiles, bias, acc);
        }
        let columns = group.panels.len() * LANES;
        // One pointer for all accesses: each matrix's epilogue reads and writes the tile.
        let acc = acc.as_mut_ptr();
        let mut pending = None;
        let mut turn = 0;
        for (tile, first, to) in tiles {
            for (nth, (x, from)) in matrices.iter().flatten().enumerate() {
                turn ^= 1;
                let to = if nth + 1 == count { to } else { partial_sums(acc, columns, to) };
                // SAFETY: `Gemm::check` has shown that all input and output rows exist and are wide enough, and `Linear` that
                // the file holds the panels and their factors; the bias has the padded number of outputs. `sums[turn]` and
                // `acc` hold a tile, and the pending epilogue reads the other sums. No other task writes these rows and
                // columns.
                unsafe {
                    let params = x.multiply(isa, from + first, &tile, &mut sums[turn], pending.take());
                    let epilogue = DequantiseTile::new(&sums[turn], params, x.scale, x.weight_sum, to);
                    let epilogue = match nth {
                        0 => epilogue.with_bias(bias),
                        _ => epilogue.with_rows(acc.cast_const(), columns),
                    };
                    match isa.fuses_epilogue() {
                        true => pending = Some(epilogue),
                        false => isa.dequantise_tile(&epilogue),
                    }
                }
            }
        }
        if let Some(last) = pending {
            // SAFETY: as for the other epilogues.
            unsafe { isa.dequantise_tile(&last) };
        }
    }

    /// Computes tiles in f32.
    fn group_float(
        &self,
        isa: Isa,
        segment: &Segment,
        tiles: impl Iterator<Item = (TileRows, usize, TileOutput)>,
        bias: Option<&[f32]>,
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
            // SAFETY: `Gemm::check` has shown that the output contains these rows; `acc` holds the tile, and the bias has the
            // padded number of outputs.
            unsafe { isa.store_tile(&StoreTile::new(acc, bias, to)) };
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
                // SAFETY: `Gemm::check` has shown that the rows exist, and `Linear` that the file holds the panels; `acc`
                // holds a tile.
                unsafe { isa.tile_f32(t.rows, t.panels.len(), &tile) }
            }
            (Rows::F32 { data, pitch }, Panels::F16(weights)) => {
                let rows = (&data[from * pitch..], pitch);
                let tile = TileF::new(shape, rows, (&weights[panel..], k * LANES), k, overwrite, acc);
                // SAFETY: as for f32 weights.
                unsafe { isa.tile_f16(t.rows, t.panels.len(), &tile) }
            }
            _ => unreachable!("`Gemm::check` has compared the types of rows and weights"),
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
            unreachable!("`Gemm::check` has compared the types of rows and weights")
        };
        let (panel_bytes, panels) = (w.shape().panel_bytes(), group.panels.len());
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

/// Stores the output of tiles without any matrix: activation(bias).
fn store_bias(
    isa: Isa,
    tiles: impl Iterator<Item = (TileRows, usize, TileOutput)>,
    bias: Option<&[f32]>,
    acc: &mut [f32],
) {
    acc.fill(0.0);
    for (_, _, to) in tiles {
        // SAFETY: `Gemm::check` has shown that the output contains these rows; `acc` holds the tile, and the bias has the
        // padded number of outputs.
        unsafe { isa.store_tile(&StoreTile::new(acc, bias, to)) };
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
