//! 3x3 convolution in int8 by Winograd's F(M x M, 3x3): 16 products for 4 outputs (M = 2) or 36 for 16 (M = 4) instead of 9 each.
//!
//! Y = Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): d is a tile
//! of (M + 2)² input pixels, g the nine taps, Y the M x M outputs in the tile's middle. The converter has stored G·g·Gᵀ.
//! Pixels are transformed in f32 and quantised *afterwards*, each transformed pixel with its own range (Li et al. 2024,
//! LoWino): quantised before, the transform would spread one pixel's rounding over all positions. Positions make up for
//! each other's rounding ([`winograd_quantise`](Isa::winograd_quantise)).

use super::rows::{Rows, RowsMut};
use crate::file::format::{padded, winograd_points};
use crate::file::{Linear, Panels};
use crate::parallel::Parallel;
use crate::parallel::chunks::{Shared, TASKS_PER_WORKER, chunks2_with, part, with_scratch};
use crate::simd::isa::Isa;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::kernels::winograd::output::OutputTransform;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_PANELS, TileI8};
use core::ops::Range;
use half::bf16;

/// Tiles that one task transforms.
const TILES: usize = 8;
/// Tiles whose sums of all positions wait for the way back: a position's weights are read once for so many, and the sums stay
/// in a core's second-level cache.
const TILES_PER_GROUP: usize = 40;
/// RowRing that the largest tile reads.
pub(crate) const MAX_LINES: usize = 6;

/// f32 that each worker needs for pixels of `c` numbers and tiles of `tile` outputs a side: all transformed pixels of a tile
/// and a line of blank ones in bfloat16, or the sums that wait.
pub(crate) const fn scratch(tile: usize, c: usize) -> usize {
    let positions = winograd_points(tile);
    let (transform, sums) =
        (positions * c + (tile + 2) * c / 2, positions * TILES_PER_GROUP * MAX_PANELS * LANES);
    if transform > sums { transform } else { sums }
}

/// Strips of `tiles` tiles that are worth taking together out of `most`: a position's weights are read once for [`TILES_PER_GROUP`] tiles.
pub(crate) fn strips(tiles: usize, most: usize) -> usize {
    TILES_PER_GROUP.div_ceil(tiles).min(most)
}

/// A map in bfloat16 with a blank pixel at both ends of each line, some lines of which are in memory.
#[derive(Clone, Copy)]
pub(crate) struct RowRing<'a> {
    /// `[ring][width + 2][padded channels]`; line y is at y % ring.
    pub data: &'a [bf16],
    pub ring: usize,
    pub width: usize,
    pub height: usize,
}

impl<'a> RowRing<'a> {
    /// Pixels `x..x + count` of line y, counted from the blank one; `None` where the line lies outside the map.
    fn pixels(&self, y: isize, x: usize, count: usize, c: usize) -> Option<&'a [bf16]> {
        let y = usize::try_from(y).ok().filter(|&y| y < self.height)?;
        Some(&self.data[(y % self.ring * (self.width + 2) + x) * c..][..count * c])
    }
}

/// Transforms the pixels under whole strips of tiles of M x M outputs, of lines `first..` of the map, as many as fill `rows`.
/// SourcePosition p of tile t becomes row t · (M + 2)² + p.
pub(crate) fn transform(
    (isa, par): (Isa, &dyn Parallel),
    m: usize,
    lines: &RowRing,
    (first, strips): (isize, usize),
    n: usize,
    rows: &mut RowsMut,
    scratch: &mut [f32],
) {
    let RowsMut::Bytes { data, pitch, params } = rows else {
        unreachable!("transformed pixels are bytes");
    };
    let (side, positions, tiles) = (m + 2, winograd_points(m), lines.width / m);
    let (rows, pitch) = (strips * tiles * positions, *pitch);
    let (data, params) = (&mut data[..rows * pitch], &mut params[..rows]);
    let c = padded(n);
    let (a, b) = ((data, TILES * positions * pitch), (params, TILES * positions));
    chunks2_with(par, a, b, scratch, |task, data, params, scratch| {
        let (transformed, zeros) = scratch[..positions * c + side * c / 2].split_at_mut(positions * c);
        zeros.fill(0.0);
        let zeros: &[bf16] = bytemuck::cast_slice(zeros);
        let rows = data.chunks_mut(positions * pitch).zip(params.chunks_mut(positions));
        for (i, (rows, params)) in rows.enumerate() {
            let tile = task * TILES + i;
            let above = first - 1 + (tile / tiles * m) as isize;
            let mut pixels = [zeros; MAX_LINES];
            for (y, pixels) in pixels[..side].iter_mut().enumerate() {
                *pixels = lines.pixels(above + y as isize, tile % tiles * m, side, c).unwrap_or(zeros);
            }
            isa.winograd_input(&pixels[..side], transformed);
            isa.winograd_quantise(transformed, n, rows, pitch, params);
        }
    });
}

/// The products and the way back.
pub(crate) struct WinogradConv<'a> {
    pub isa: Isa,
    /// Outputs along a side of a tile.
    pub tile: usize,
    /// A matrix for each position, int8.
    pub weights: &'a Linear<'a>,
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    /// Transformed pixels, see [`transform`].
    pub x: Rows<'a>,
    /// In a strip.
    pub tiles: usize,
    pub strips: usize,
}

impl WinogradConv<'_> {
    /// Writes M lines for each strip, `[M · strips][M · tiles][padded outputs]`. `scratch`: [`scratch`] numbers for each worker.
    pub fn run(&self, par: &dyn Parallel, out: &mut [f32], scratch: &mut [f32]) {
        let panels = self.weights.panel_count();
        let tiles = self.tiles * self.strips;
        let outputs = self.tile * self.tile * tiles;
        assert!(out.len() >= outputs * panels * LANES, "the lines must fit");
        assert!(
            self.bias.is_none_or(|b| b.len() == panels * LANES),
            "a bias has the padded number of outputs"
        );
        let shape = self.isa.shape_i8();
        let n_tiles = panels.div_ceil(shape.panels);
        // Whole tiles of the kernel, but for the last.
        let units = tiles.div_ceil(shape.rows);
        let m_tasks = units.div_ceil(TILES_PER_GROUP / shape.rows);
        let n_tasks = (TASKS_PER_WORKER * par.workers()).div_ceil(m_tasks).min(n_tiles);
        let out = Shared::new(out);
        with_scratch(par, m_tasks * n_tasks, scratch, |task, scratch| {
            let (n, m) = (task / m_tasks, task % m_tasks);
            let units = part(units, m_tasks, m);
            let tiles = units.start * shape.rows..(units.end * shape.rows).min(tiles);
            let sums = bytemuck::cast_slice_mut(scratch);
            for group in part(n_tiles, n_tasks, n) {
                self.group(tiles.clone(), part(panels, n_tiles, group), sums, &out);
            }
        });
    }

    /// Up to [`TILES_PER_GROUP`] Winograd tiles and a kernel tile's panels: all positions, then the outputs.
    fn group(&self, tiles: Range<usize>, panels: Range<usize>, sums: &mut [i32], out: &Shared<f32>) {
        let (Rows::Bytes { data, pitch, params }, Panels::Int8 { weights, scale, sum }) =
            (self.x, self.weights.panels)
        else {
            unreachable!("transformed pixels and their weights are int8");
        };
        let positions = winograd_points(self.tile);
        let (groups, count) = (self.weights.k.div_ceil(4), self.weights.panel_count());
        let (first, wide) = (tiles.start * positions, panels.len() * LANES);
        let plane = tiles.len() * wide;
        // The last row read exists, whatever the caller says.
        let rows = first + tiles.len() * positions;
        assert!(rows <= params.len() && rows * pitch <= data.len(), "transformed pixels must exist");
        let most = self.isa.shape_i8().rows;
        let parts = tiles.len().div_ceil(most);
        for (position, sums) in sums[..positions * plane].chunks_mut(plane).enumerate() {
            let panel = position * count + panels.start;
            for i in 0..parts {
                let rows = part(tiles.len(), parts, i);
                // The next position's panels, one with each of the first tiles.
                let ahead = (panel + count + i % panels.len()) * groups * 64;
                let a = &data[(first + rows.start * positions + position) * pitch..];
                let mut tile = TileI8::new(
                    (rows.len(), panels.len()),
                    (a, positions * pitch),
                    (&weights[panel * groups * 64..], groups * 64),
                    groups,
                    &sum[panel * LANES..],
                    &mut sums[rows.start * wide..rows.end * wide],
                );
                tile.prefetch = weights.as_ptr().wrapping_add(ahead);
                // SAFETY: the rows exist, as asserted, and are as wide as the weights ask (`RowsMut`); `Linear` has compared
                // the panels with the file; the sums hold these rows; the counts are within the shape.
                unsafe { self.isa.tile_i8(rows.len(), panels.len(), &tile) };
            }
        }
        let (panel, width, m) = (panels.start, count * LANES, self.tile);
        let line = m * self.tiles * width;
        let mut tile = tiles.start;
        while tile < tiles.end {
            // As far as the strip goes.
            let (strip, x) = (tile / self.tiles, tile % self.tiles);
            let (done, rows) = (tile - tiles.start, (self.tiles - x).min(tiles.end - tile));
            // SAFETY: as above; `run` has compared the lines with the slice, and this task alone writes these pixels and channels.
            unsafe {
                self.isa.winograd_output(&OutputTransform {
                    tile: m,
                    sums: sums[done * wide..].as_ptr(),
                    plane_pitch: plane,
                    rows,
                    panels: panels.len(),
                    params: params[first + done * positions..].as_ptr(),
                    scale: scale[panel * LANES..].as_ptr(),
                    weight_sum: sum[panel * LANES..].as_ptr(),
                    point_pitch: width,
                    bias: self.bias.map_or(core::ptr::null(), |b| b[panel * LANES..].as_ptr()),
                    activation: self.activation,
                    out: out.at(strip * m * line + x * m * width + panel * LANES),
                    pixel_pitch: width,
                    row_pitch: line,
                });
            }
            tile += rows;
        }
    }
}
