//! Rows of activations in the form that the layer reading them wants: f32, or bytes with a scale and offset a row.

use crate::format::padded;
use crate::kernels::Isa;
use crate::kernels::gemm::Rows;
use crate::kernels::split::{chunks, chunks2, chunks2_with};
use crate::parallel::Parallel;

/// Rows per task: enough work for a hand-over, small enough for balance.
const ROWS: usize = 16;

/// Rows that are being written.
pub(crate) enum RowsMut<'a> {
    F32 { data: &'a mut [f32], pitch: usize },
    Bytes { data: &'a mut [u8], pitch: usize, params: &'a mut [[f32; 2]] },
}

/// Bytes from one row of `k` to the next: whole cache lines, and not a multiple of 512, which would put many rows of a
/// tile into the same few sets of a first-level cache.
fn byte_pitch(k: usize) -> usize {
    let pitch = padded(k).next_multiple_of(64);
    if pitch.is_multiple_of(512) { pitch + 64 } else { pitch }
}

/// What `rows` rows of `k` numbers take, a multiple of 64.
pub(crate) fn rows_bytes(rows: usize, k: usize, int8: bool) -> usize {
    let bytes = if int8 { rows * (byte_pitch(k) + size_of::<[f32; 2]>()) } else { rows * padded(k) * 4 };
    bytes.next_multiple_of(64)
}

/// The first elements of a region of the arena as another type.
pub(crate) fn typed<T: bytemuck::Pod>(region: &mut [u8], len: usize) -> &mut [T] {
    bytemuck::cast_slice_mut(&mut region[..len * size_of::<T>()])
}

impl<'a> RowsMut<'a> {
    /// Lays `rows` rows of `k` numbers over a region of the arena of at least [`rows_bytes`].
    pub fn new(region: &'a mut [u8], rows: usize, k: usize, int8: bool) -> Self {
        if int8 {
            let pitch = byte_pitch(k);
            let (data, rest) = region.split_at_mut(rows * pitch);
            RowsMut::Bytes { data, pitch, params: typed(rest, rows) }
        } else {
            let pitch = padded(k);
            RowsMut::F32 { data: typed(region, rows * pitch), pitch }
        }
    }

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
