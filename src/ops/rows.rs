//! Rows of activations in the type that the next layer reads: f32, or bytes with a scale and an offset per row.
//!
//! In: f32 rows, one per token or pixel, `[rows][padded(n)]`, optionally to be normalised (LayerNorm). Out: a matrix of rows at
//! a pitch that suits the micro-kernels. Bytes are quantised per row and asymmetrically, over the row's own range:
//! x ≈ scale · (q − 128) + offset.

use crate::file::LinearShape;
use crate::file::format::padded;
use crate::parallel::chunks::{Shared, chunks, chunks2, chunks2_with};
use crate::parallel::{Tasks, Workers};
use crate::simd::isa::Isa;

/// Rows per task: enough work to outweigh the cost of a task, few enough for load balance.
const ROWS_PER_TASK: usize = 16;

/// Activations, as a matrix product reads them.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Rows of f32, `pitch` numbers apart.
    F32 { data: &'a [f32], pitch: usize },
    /// Rows of bytes, `pitch` bytes apart, and (scale, offset) of each row: x = scale · (q − 128) + offset. The bytes q are
    /// stored XORed with the instruction set's [`sign_flip`](Isa::sign_flip).
    Bytes { data: &'a [u8], pitch: usize, params: &'a [[f32; 2]] },
}

/// Activations to be written; the layouts are those of [`Rows`].
pub(crate) enum RowsMut<'a> {
    F32 { data: &'a mut [f32], pitch: usize },
    Bytes { data: &'a mut [u8], pitch: usize, params: &'a mut [[f32; 2]] },
}

/// The number, width and type of rows of activations, which determine their size in memory.
#[derive(Clone, Copy)]
pub(crate) struct RowsShape {
    pub rows: usize,
    /// The number of activations in a row.
    pub k: usize,
    /// Whether the rows are bytes.
    pub int8: bool,
}

impl RowsShape {
    /// `rows` rows as `weights` reads them.
    pub fn of(rows: usize, weights: LinearShape) -> Self {
        RowsShape { rows, k: weights.k, int8: weights.int8 }
    }

    /// The distance between rows, in numbers (f32) or bytes.
    ///
    /// Rows of bytes take whole cache lines. The pitch is not a multiple of 512, which would map the rows of a tile to the same
    /// few sets of the first-level cache.
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

    /// Places the rows in a region of the arena of at least [`RowsShape::bytes`].
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

/// The first `len` elements of a region of the arena, as another type.
///
/// # Panics
/// If the region is too small or not aligned for `T`.
pub(crate) fn typed<T: bytemuck::Pod>(region: &mut [u8], len: usize) -> &mut [T] {
    bytemuck::cast_slice_mut(&mut region[..len * size_of::<T>()])
}

impl RowsMut<'_> {
    /// The same rows for reading.
    pub fn rows(&self) -> Rows<'_> {
        match self {
            RowsMut::F32 { data, pitch } => Rows::F32 { data, pitch: *pitch },
            RowsMut::Bytes { data, pitch, params } => Rows::Bytes { data, pitch: *pitch, params },
        }
    }

    /// Sets a row to zeros: a blank pixel at the border of a map.
    pub fn blank(&mut self, row: usize) {
        match self {
            RowsMut::F32 { data, pitch } => data[row * *pitch..][..*pitch].fill(0.0),
            RowsMut::Bytes { data, pitch, params } => {
                // Scale and offset 0 make every byte stand for 0.
                data[row * *pitch..][..*pitch].fill(0);
                params[row] = [0.0; 2];
            }
        }
    }

    /// Writes rows from `first` on. `x` holds contiguous f32 rows, padded from `n` numbers.
    pub fn store(&mut self, workers: Workers, isa: Isa, first: usize, x: &[f32], n: usize) {
        let width = padded(n);
        let count = x.len() / width;
        match self {
            RowsMut::F32 { data, pitch } => {
                let data = &mut data[first * *pitch..][..count * *pitch];
                chunks(workers, data, ROWS_PER_TASK * *pitch, |i, rows| {
                    for (row, x) in rows.chunks_mut(*pitch).zip(x.chunks(width).skip(i * ROWS_PER_TASK)) {
                        row.copy_from_slice(x);
                    }
                });
            }
            RowsMut::Bytes { data, pitch, params } => {
                let data = &mut data[first * *pitch..][..count * *pitch];
                let params = &mut params[first..][..count];
                chunks2(
                    workers,
                    (data, ROWS_PER_TASK * *pitch),
                    (params, ROWS_PER_TASK),
                    |i, rows, params| {
                        let x = x.chunks(width).skip(i * ROWS_PER_TASK);
                        for ((row, param), x) in rows.chunks_mut(*pitch).zip(params).zip(x) {
                            *param = isa.quantise(x, n, row);
                        }
                    },
                );
            }
        }
    }

    /// Writes `count` rows of `n` numbers, from 0 on. `row(i, out)` computes row i as padded f32. `scratch` holds a padded row for
    /// each worker.
    pub fn store_from(
        &mut self,
        workers: Workers,
        isa: Isa,
        (count, n): (usize, usize),
        scratch: &mut [f32],
        row: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let width = padded(n);
        match self {
            RowsMut::F32 { data, pitch } => {
                chunks(workers, &mut data[..count * *pitch], ROWS_PER_TASK * *pitch, |i, rows| {
                    for (j, out) in rows.chunks_mut(*pitch).enumerate() {
                        row(i * ROWS_PER_TASK + j, out);
                    }
                });
            }
            RowsMut::Bytes { data, pitch, params } => {
                let (data, params) = (&mut data[..count * *pitch], &mut params[..count]);
                chunks2_with(
                    workers,
                    (data, ROWS_PER_TASK * *pitch),
                    (params, ROWS_PER_TASK),
                    scratch,
                    |i, rows, params, scratch| {
                        for (j, (out, param)) in rows.chunks_mut(*pitch).zip(params).enumerate() {
                            row(i * ROWS_PER_TASK + j, &mut scratch[..width]);
                            *param = isa.quantise(&scratch[..width], n, out);
                        }
                    },
                );
            }
        }
    }
}

impl<'a> RowsMut<'a> {
    /// The same rows, for reading only.
    pub fn into_rows(self) -> Rows<'a> {
        match self {
            RowsMut::F32 { data, pitch } => Rows::F32 { data, pitch },
            RowsMut::Bytes { data, pitch, params } => Rows::Bytes { data, pitch, params },
        }
    }

    /// The same rows, borrowed again.
    pub fn reborrow(&mut self) -> RowsMut<'_> {
        match self {
            RowsMut::F32 { data, pitch } => RowsMut::F32 { data, pitch: *pitch },
            RowsMut::Bytes { data, pitch, params } => RowsMut::Bytes { data, pitch: *pitch, params },
        }
    }

    /// The tasks that write map rows of `width` pixels of `n` numbers. `x` holds them as contiguous f32 rows, padded. Map row i goes
    /// to slot `slot(i)`; a slot is a map row, with `border` (0 or 1) blank pixels at both ends. No two map rows share a slot.
    pub fn store_map(
        self,
        isa: Isa,
        x: &'a [f32],
        (width, n, border): (usize, usize, usize),
        slot: impl Fn(usize) -> usize + Sync + 'a,
    ) -> Tasks<impl Fn(usize, usize) + Sync + 'a> {
        let c = padded(n);
        let (map_rows, parts) = (x.len() / (width * c), width.div_ceil(ROWS_PER_TASK));
        let rows = self.into_shared();
        let run = move |task: usize, _: usize| {
            let (map_row, part) = (task / parts, task % parts);
            let (first, len) = (part * ROWS_PER_TASK, ROWS_PER_TASK.min(width - part * ROWS_PER_TASK));
            let start = slot(map_row) * (width + 2 * border) + border;
            // SAFETY: the pixels of different tasks are disjoint, because slots are, and each border belongs to the first or last
            // task of its map row.
            unsafe {
                let x = &x[(map_row * width + first) * c..][..len * c];
                rows.rows(start + first, len).store(Workers::alone(), isa, 0, x, n);
                if border > 0 && part == 0 {
                    rows.rows(start - 1, 1).blank(0);
                }
                if border > 0 && part + 1 == parts {
                    rows.rows(start + width, 1).blank(0);
                }
            }
        };
        // SAFETY: as the comment in `run` says.
        unsafe { Tasks::new(map_rows * parts, run) }
    }

    /// The same rows, for tasks that each write some of them.
    pub fn into_shared(self) -> SharedRows<'a> {
        match self {
            RowsMut::F32 { data, pitch } => SharedRows::F32 { data: Shared::new(data), pitch },
            RowsMut::Bytes { data, pitch, params } => {
                SharedRows::Bytes { data: Shared::new(data), pitch, params: Shared::new(params) }
            }
        }
    }
}

/// [`RowsMut`] that several tasks write at the same time, each to its own rows.
pub(crate) enum SharedRows<'a> {
    F32 { data: Shared<'a, f32>, pitch: usize },
    Bytes { data: Shared<'a, u8>, pitch: usize, params: Shared<'a, [f32; 2]> },
}

impl SharedRows<'_> {
    /// `count` rows from `first` on.
    ///
    /// # Panics
    /// If they do not exist.
    ///
    /// # Safety
    /// As long as the result lives, nothing else accesses these rows.
    pub unsafe fn rows(&self, first: usize, count: usize) -> RowsMut<'_> {
        // SAFETY: the caller guarantees exclusive access to the rows.
        unsafe {
            match self {
                SharedRows::F32 { data, pitch } => {
                    RowsMut::F32 { data: data.slice(first * pitch, count * pitch), pitch: *pitch }
                }
                SharedRows::Bytes { data, pitch, params } => RowsMut::Bytes {
                    data: data.slice(first * pitch, count * pitch),
                    pitch: *pitch,
                    params: params.slice(first, count),
                },
            }
        }
    }
}
