//! 3x3 convolution with padding 1 in int8, by Winograd's F(M x M, 3x3) for M = 2 or 4.
//!
//! In: rows of a bfloat16 map ([`RowRing`]) and int8 weights, one matrix per Winograd point. Out: f32 rows,
//! `[M · strips][width][padded outputs]`.
//!
//! A tile of M x M outputs is Y = Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A, where d are the (M + 2)² input pixels around it and g is the 3x3
//! kernel (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"). The elements of the product ∘ are the
//! *Winograd points*. At each point the channels form a matrix product, so that a tile takes 16 products for 4 outputs
//! (M = 2) or 36 for 16 (M = 4); the direct convolution takes 36 or 144.
//!
//! The weight transform G·g·Gᵀ is in the file. The other steps are:
//! 1. [`transform_input`]: the input transform Bᵀ·d·B in f32, then quantisation. Each transformed pixel, the channels of one
//!    point, has its own scale and offset (Li et al. 2024, "Fast Convolution Meets Low Precision", LoWino). If pixels were
//!    quantised first, the transform would spread their rounding errors over all points. Error diffusion between the points
//!    removes part of the remaining noise ([`winograd_quantise`](Isa::winograd_quantise)).
//! 2. The matrix product at each point, in exact integers.
//! 3. The output transform Aᵀ·m·A with scales, bias and activation ([`OutputTransform`]).
//!
//! A *strip* is a row of tiles: M rows of the map.

use super::rows::{Rows, RowsMut};
use crate::file::format::{padded, winograd_points};
use crate::file::{Linear, Panels};
use crate::parallel::Tasks;
use crate::parallel::chunks::{Shared, chunk_range, fewest_tasks};
use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::kernels::winograd::output::OutputTransform;
use crate::simd::lanes::LANES;
use crate::simd::tile::TileI8;
use core::ops::Range;
use half::bf16;

/// The most tiles in a task of the input transform.
const TILES_PER_TASK: usize = 8;
/// Tiles that are multiplied at all points before their output transform. A point's weights are read once for all of them,
/// and their sums stay in a core's second-level cache.
const TILES_PER_GROUP: usize = 40;
/// The most panels that a group of tiles is multiplied by at a time: with more, their sums would not stay in that cache.
const PANELS_PER_GROUP: usize = 3;
/// Input pixels along a side of the largest tile.
const MAX_SIDE: usize = 6;

/// The scratch that each worker needs for pixels of `c` channels and tiles of `tile` outputs a side, in f32: the transformed
/// pixels of a tile and a row of zeros in bfloat16, or the integer sums of a group of tiles.
pub(crate) const fn scratch(tile: usize, c: usize) -> usize {
    let points = winograd_points(tile);
    let transform = points * c + (tile + 2) * c / 2;
    let sums = points * TILES_PER_GROUP * PANELS_PER_GROUP * LANES;
    if transform > sums { transform } else { sums }
}

/// The number of panels that tiles are multiplied by at a time.
pub(crate) fn panels_per_group(isa: Isa) -> usize {
    isa.shape_i8().panels.min(PANELS_PER_GROUP)
}

/// A ring buffer of rows of a bfloat16 map, each between two blank pixels.
#[derive(Clone, Copy)]
pub(crate) struct RowRing<'a> {
    /// `[slots][width + 2][padded channels]`; row y of the map is in slot y % slots.
    pub data: &'a [bf16],
    /// The number of slots.
    pub slots: usize,
    /// Width of the map, without the blank pixels.
    pub width: usize,
    /// Height of the map.
    pub height: usize,
}

impl<'a> RowRing<'a> {
    /// Pixels `x..x + count` of row y, where pixel 0 is the blank one on the left, of `c` channels each. `None` if the row is
    /// outside the map.
    fn pixels(&self, y: isize, x: usize, count: usize, c: usize) -> Option<&'a [bf16]> {
        let y = usize::try_from(y).ok().filter(|&y| y < self.height)?;
        Some(&self.data[(y % self.slots * (self.width + 2) + x) * c..][..count * c])
    }
}

/// The tasks of the input transform and quantisation of `strips` strips of tiles of `m` x `m` outputs, with `n` channels. The first
/// strip computes the rows from `first` on. Point p of tile t becomes row t · (m + 2)² + p of `rows`. `scratch` holds [`scratch`]
/// numbers for each of `workers` workers.
pub(crate) fn transform_input<'a>(
    (isa, m): (Isa, usize),
    ring: RowRing<'a>,
    (first, strips): (isize, usize),
    n: usize,
    rows: RowsMut<'a>,
    (workers, scratch): (usize, Shared<'a, f32>),
) -> Tasks<impl Fn(usize, usize) + Sync + 'a> {
    let RowsMut::Bytes { data, pitch, params } = rows else {
        unreachable!("transformed pixels are bytes");
    };
    let (side, points, tiles) = (m + 2, winograd_points(m), ring.width / m);
    let (c, count) = (padded(n), strips * tiles);
    let per_task = (count / fewest_tasks(workers)).clamp(1, TILES_PER_TASK);
    let (data, params) = (Shared::new(data), Shared::new(params));
    let run = move |task: usize, worker: usize| {
        // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint; so are the tiles of
        // different tasks.
        let scratch = unsafe { scratch.worker_slice(worker, workers) };
        let (transformed, zeros) = scratch[..points * c + side * c / 2].split_at_mut(points * c);
        zeros.fill(0.0);
        let zeros: &[bf16] = bytemuck::cast_slice(zeros);
        for tile in task * per_task..((task + 1) * per_task).min(count) {
            // SAFETY: as above.
            let (rows, params) = unsafe {
                (data.slice(tile * points * pitch, points * pitch), params.slice(tile * points, points))
            };
            let above = first - 1 + (tile / tiles * m) as isize;
            let mut pixels = [zeros; MAX_SIDE];
            for (y, pixels) in pixels[..side].iter_mut().enumerate() {
                *pixels = ring.pixels(above + y as isize, tile % tiles * m, side, c).unwrap_or(zeros);
            }
            isa.winograd_input(&pixels[..side], transformed);
            isa.winograd_quantise(transformed, n, rows, pitch, params);
        }
    };
    // SAFETY: as the first comment in `run` says.
    unsafe { Tasks::new(count.div_ceil(per_task), run) }
}

/// The products at all points and the output transform.
pub(crate) struct WinogradConv<'a> {
    pub isa: Isa,
    /// M: outputs along a side of a tile.
    pub tile: usize,
    /// One int8 matrix for each point.
    pub weights: &'a Linear<'a>,
    /// The padded bias, or none.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    /// Transformed pixels, as [`transform_input`] writes them.
    pub x: Rows<'a>,
    /// The number of tiles in a strip.
    pub tiles: usize,
    pub strips: usize,
}

impl WinogradConv<'_> {
    /// Multiply-accumulates of the products.
    pub fn macs(&self) -> u64 {
        self.weights.macs(self.tiles * self.strips * winograd_points(self.tile))
    }

    /// Checks that the tiles make `rows` rows of `width` pixels with `channels` padded outputs.
    ///
    /// # Panics
    /// If they do not.
    pub fn check(&self, (rows, width, channels): (usize, usize, usize)) {
        let size = (self.tile * self.strips, self.tile * self.tiles, self.weights.panel_count() * LANES);
        assert!(size == (rows, width, channels), "the tiles must cover the output exactly");
        assert!(
            self.bias.is_none_or(|b| b.len() == channels),
            "a bias must have the padded number of outputs"
        );
    }

    /// Computes some panels of some tiles, numbered strip by strip. It takes a group of tiles at a time: first their products at all
    /// points, then their outputs. `out` is `[rows][width][padded outputs]`; `scratch` holds [`scratch`] numbers.
    ///
    /// # Safety
    /// [`check`](WinogradConv::check) has accepted the size of `out`, and nothing else accesses these panels of these tiles' outputs.
    pub unsafe fn run(
        &self,
        (panels, tiles): (Range<usize>, Range<usize>),
        out: &Shared<f32>,
        scratch: &mut [f32],
    ) {
        assert!(tiles.end <= self.tiles * self.strips, "the tiles must exist");
        let rows = self.isa.shape_i8().rows;
        let sums = bytemuck::cast_slice_mut(scratch);
        // All groups but the last multiply whole tiles of the micro-kernel.
        let units = tiles.len().div_ceil(rows);
        let (tile_groups, panel_groups) =
            (units.div_ceil(TILES_PER_GROUP / rows), panels.len().div_ceil(panels_per_group(self.isa)));
        for i in 0..panel_groups {
            let group = chunk_range(panels.len(), panel_groups, i);
            let group = panels.start + group.start..panels.start + group.end;
            for j in 0..tile_groups {
                let units = chunk_range(units, tile_groups, j);
                let first = tiles.start + units.start * rows;
                let end = tiles.end.min(tiles.start + units.end * rows);
                // SAFETY: by this function's precondition.
                unsafe { self.compute_group(first..end, group.clone(), sums, out) };
            }
        }
    }

    /// Computes up to [`TILES_PER_GROUP`] tiles for a group of panels: first the products at all points, then the outputs.
    ///
    /// # Safety
    /// The preconditions of [`run`](WinogradConv::run).
    unsafe fn compute_group(
        &self,
        tiles: Range<usize>,
        panels: Range<usize>,
        sums: &mut [i32],
        out: &Shared<f32>,
    ) {
        self.multiply(&tiles, &panels, sums);
        let mut tile = tiles.start;
        while tile < tiles.end {
            let end = tiles.end.min((tile / self.tiles + 1) * self.tiles);
            // SAFETY: by this function's precondition; `multiply` has written the sums.
            unsafe { self.transform_output(&tiles, tile..end, &panels, sums, out) };
            tile = end;
        }
    }

    /// Multiplies transformed pixels at every point: `sums` becomes `[points][tiles][panels][16]`.
    fn multiply(&self, tiles: &Range<usize>, panels: &Range<usize>, sums: &mut [i32]) {
        let (Rows::Bytes { data, pitch, params }, Panels::Int8 { weights, sum, .. }) =
            (self.x, self.weights.panels)
        else {
            unreachable!("transformed pixels and their weights are int8");
        };
        let points = winograd_points(self.tile);
        let (groups, panel_count) = (self.weights.k.div_ceil(4), self.weights.panel_count());
        let (first, columns) = (tiles.start * points, panels.len() * LANES);
        let plane = tiles.len() * columns;
        let rows = first + tiles.len() * points;
        assert!(rows <= params.len() && rows * pitch <= data.len(), "all transformed pixels must exist");
        let count = tiles.len().div_ceil(self.isa.shape_i8().rows);
        for (point, sums) in sums[..points * plane].chunks_mut(plane).enumerate() {
            let panel = point * panel_count + panels.start;
            for i in 0..count {
                let rows = chunk_range(tiles.len(), count, i);
                // Each of the first tiles prefetches one of the next point's panels.
                let ahead = (panel + panel_count + i % panels.len()) * groups * 64;
                let a = &data[(first + rows.start * points + point) * pitch..];
                let mut tile = TileI8::new(
                    (rows.len(), panels.len()),
                    (a, points * pitch),
                    (&weights[panel * groups * 64..], groups * 64),
                    groups,
                    &sum[panel * LANES..],
                    &mut sums[rows.start * columns..rows.end * columns],
                );
                tile.prefetch = weights.as_ptr().wrapping_add(ahead);
                // SAFETY: the rows exist, as asserted, and `RowsShape` makes them at least as wide as the weights; `Linear`
                // has shown that the file holds the panels; `sums` holds these rows; the tile is at most `shape_i8`.
                unsafe { self.isa.tile_i8(rows.len(), panels.len(), &tile) };
            }
        }
    }

    /// Transforms the sums of tiles `range`, all in one strip, and writes their outputs. `sums` belongs to all of `tiles`.
    ///
    /// # Safety
    /// The preconditions of [`run`](WinogradConv::run), and [`multiply`](WinogradConv::multiply) has written the sums.
    unsafe fn transform_output(
        &self,
        tiles: &Range<usize>,
        range: Range<usize>,
        panels: &Range<usize>,
        sums: &[i32],
        out: &Shared<f32>,
    ) {
        let (Rows::Bytes { params, .. }, Panels::Int8 { scale, sum, .. }) = (self.x, self.weights.panels)
        else {
            unreachable!("transformed pixels and their weights are int8");
        };
        let (m, columns, first) = (self.tile, panels.len() * LANES, panels.start * LANES);
        let pixel_pitch = self.weights.panel_count() * LANES;
        let row_pitch = m * self.tiles * pixel_pitch;
        let (strip, x) = (range.start / self.tiles, range.start % self.tiles);
        // SAFETY: the output holds all rows, and nothing else accesses these panels of these tiles, by this function's precondition.
        // `multiply` has asserted that the rows and their factors exist; `Linear` has shown that every point has its scales and sums
        // of weights.
        unsafe {
            self.isa.winograd_output(&OutputTransform::new(
                (m, range.len(), panels.len()),
                (&sums[(range.start - tiles.start) * columns..], tiles.len() * columns),
                &params[range.start * winograd_points(m)..],
                (&scale[first..], &sum[first..], pixel_pitch),
                self.bias.map(|b| &b[first..]),
                self.activation,
                (out.ptr(strip * m * row_pitch + x * m * pixel_pitch + first), pixel_pitch, row_pitch),
            ));
        }
    }
}
