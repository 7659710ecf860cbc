//! Rows of activations in the form that the layer reading them wants: f32, or bytes with a scale and an offset per row.

use crate::file::LinearShape;
use crate::file::format::padded;
use crate::parallel::Parallel;
use crate::parallel::chunks::{chunks, chunks2, chunks2_with};
use crate::simd::isa::Isa;

/// Rows per task: enough work to be worth handing over, small enough for balance.
const ROWS: usize = 16;

/// Activations as a matrix product reads them.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Rows `pitch` numbers apart.
    F32 { data: &'a [f32], pitch: usize },
    /// Rows `pitch` bytes apart, with (scale, offset) of each row: x = scale · (q − 128) + offset. The bytes q are stored
    /// XORed with the instruction set's [`sign_flip`](Isa::sign_flip).
    Bytes { data: &'a [u8], pitch: usize, params: &'a [[f32; 2]] },
}

/// Rows of activations to be written.
pub(crate) enum RowsMut<'a> {
    F32 { data: &'a mut [f32], pitch: usize },
    Bytes { data: &'a mut [u8], pitch: usize, params: &'a mut [[f32; 2]] },
}

/// The number, width and type of rows of activations; what they take in memory follows from it.
#[derive(Clone, Copy)]
pub(crate) struct RowsShape {
    pub rows: usize,
    /// Numbers in a row.
    pub k: usize,
    /// Whether rows are bytes.
    pub int8: bool,
}

impl RowsShape {
    /// `rows` rows as `weights` reads them.
    pub fn of(rows: usize, weights: LinearShape) -> Self {
        RowsShape { rows, k: weights.k, int8: weights.int8 }
    }

    /// From one row to the next, in numbers or bytes.
    ///
    /// Bytes: whole cache lines, and not a multiple of 512, which would put many rows of a tile into the same few sets of
    /// the first-level cache.
    fn pitch(self) -> usize {
        let pitch = padded(self.k);
        match self.int8 {
            false => pitch,
            true if pitch.next_multiple_of(64).is_multiple_of(512) => pitch.next_multiple_of(64) + 64,
            true => pitch.next_multiple_of(64),
        }
    }

    /// Bytes of memory, a multiple of 64.
    #[inline(never)]
    pub fn bytes(self) -> usize {
        let row = if self.int8 { self.pitch() + size_of::<[f32; 2]>() } else { 4 * self.pitch() };
        (self.rows * row).next_multiple_of(64)
    }

    /// Lays the rows over a region of the arena of at least [`RowsShape::bytes`].
    #[inline(never)]
    pub fn over(self, region: &mut [u8]) -> RowsMut<'_> {
        let (rows, pitch) = (self.rows, self.pitch());
        if self.int8 {
            let (data, rest) = region.split_at_mut(rows * pitch);
            RowsMut::Bytes { data, pitch, params: typed(rest, rows) }
        } else {
            RowsMut::F32 { data: typed(region, rows * pitch), pitch }
        }
    }
}

/// The first `len` elements of a region of the arena as another type.
pub(crate) fn typed<T: bytemuck::Pod>(region: &mut [u8], len: usize) -> &mut [T] {
    bytemuck::cast_slice_mut(&mut region[..len * size_of::<T>()])
}

impl RowsMut<'_> {
    /// For reading.
    pub fn rows(&self) -> Rows<'_> {
        match self {
            RowsMut::F32 { data, pitch } => Rows::F32 { data, pitch: *pitch },
            RowsMut::Bytes { data, pitch, params } => Rows::Bytes { data, pitch: *pitch, params },
        }
    }

    /// Makes a row the zero of whatever layer reads it: a blank pixel at the border of a map.
    pub fn blank(&mut self, row: usize) {
        match self {
            RowsMut::F32 { data, pitch } => data[row * *pitch..][..*pitch].fill(0.0),
            RowsMut::Bytes { data, pitch, params } => {
                // Whatever the bytes are.
                data[row * *pitch..][..*pitch].fill(0);
                params[row] = [0.0; 2];
            }
        }
    }

    /// Rows `first..` from f32 rows that follow each other in `x`, padded, of which `n` numbers count.
    pub fn store(&mut self, par: &dyn Parallel, isa: Isa, first: usize, x: &[f32], n: usize) {
        let width = padded(n);
        let count = x.len() / width;
        match self {
            RowsMut::F32 { data, pitch } => {
                let data = &mut data[first * *pitch..][..count * *pitch];
                chunks(par, data, ROWS * *pitch, |i, rows| {
                    for (row, x) in rows.chunks_mut(*pitch).zip(x.chunks(width).skip(i * ROWS)) {
                        row.copy_from_slice(x);
                    }
                });
            }
            RowsMut::Bytes { data, pitch, params } => {
                let data = &mut data[first * *pitch..][..count * *pitch];
                let params = &mut params[first..][..count];
                chunks2(par, (data, ROWS * *pitch), (params, ROWS), |i, rows, params| {
                    let x = x.chunks(width).skip(i * ROWS);
                    for ((row, param), x) in rows.chunks_mut(*pitch).zip(params).zip(x) {
                        *param = isa.quantise(x, n, row);
                    }
                });
            }
        }
    }

    /// As [`store`](RowsMut::store) from row 0, each row normalised by LayerNorm on the way. `scratch` holds a padded
    /// row for each worker.
    pub fn store_normed(
        &mut self,
        par: &dyn Parallel,
        isa: Isa,
        x: &[f32],
        n: usize,
        eps: f32,
        scratch: &mut [f32],
    ) {
        let width = padded(n);
        let count = x.len() / width;
        match self {
            RowsMut::F32 { data, pitch } => {
                chunks(par, &mut data[..count * *pitch], ROWS * *pitch, |i, rows| {
                    for (row, x) in rows.chunks_mut(*pitch).zip(x.chunks(width).skip(i * ROWS)) {
                        isa.layer_norm(x, n, eps, row);
                    }
                });
            }
            RowsMut::Bytes { data, pitch, params } => {
                let (data, params) = (&mut data[..count * *pitch], &mut params[..count]);
                chunks2_with(
                    par,
                    (data, ROWS * *pitch),
                    (params, ROWS),
                    scratch,
                    |i, rows, params, scratch| {
                        let x = x.chunks(width).skip(i * ROWS);
                        for ((row, param), x) in rows.chunks_mut(*pitch).zip(params).zip(x) {
                            isa.layer_norm(x, n, eps, &mut scratch[..width]);
                            *param = isa.quantise(&scratch[..width], n, row);
                        }
                    },
                );
            }
        }
    }
}
