//! 3x3 convolution in int8 by Winograd's F(2x2, 3x3): 16 products for 4 outputs instead of 36.
//!
//! Y = Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): d is a tile
//! of 4x4 input pixels, g the nine taps, Y the 2x2 outputs in the tile's middle. The converter has stored G·g·Gᵀ. Pixels
//! are transformed in f32 and quantised *afterwards*, each of the sixteen transformed pixels with its own range (Li et
//! al. 2024, LoWino): quantised before, the transform would spread one pixel's rounding over all sixteen.

use super::gemm::{Rows, TASKS_PER_WORKER, part};
use super::micro::TileI8;
use super::rows::{Activation, Gather};
use super::split::{Shared, chunks2_with, with_scratch};
use super::{Isa, LANES, MAX_PANELS, MAX_ROWS};
use crate::activations::RowsMut;
use crate::format::{WINOGRAD_TAPS as POSITIONS, padded};
use crate::parallel::Parallel;
use crate::weights::{Linear, Panels};
use core::ops::Range;
use half::bf16;

/// Tiles that one task transforms.
const TILES: usize = 8;
/// Tiles whose sums of all positions wait for the way back: a position's weights are read once for so many, and the sums stay
/// in a core's second-level cache.
const WAITING: usize = 5 * MAX_ROWS;

/// f32 that each worker needs for pixels of `c` numbers: sixteen transformed pixels and four blank ones in bfloat16, or the
/// sums that wait.
pub(crate) const fn scratch(c: usize) -> usize {
    let (transform, sums) = ((POSITIONS + 2) * c, POSITIONS * WAITING * MAX_PANELS * LANES);
    if transform > sums { transform } else { sums }
}

/// Transforms the pixels under pairs of output lines. Pair i reads `lines(i)`: four lines, each with a blank pixel at
/// both ends, `None` where it lies outside the map. Position p of tile t of pair i becomes row (i · tiles + t) · 16 + p.
pub(crate) fn transform<'a>(
    (isa, par): (Isa, &dyn Parallel),
    pairs: usize,
    lines: &(dyn Fn(usize) -> [Option<&'a [bf16]>; 4] + Sync),
    tiles: usize,
    n: usize,
    rows: &mut RowsMut,
    scratch: &mut [f32],
) {
    let RowsMut::Bytes { data, pitch, params } = rows else {
        unreachable!("transformed pixels are bytes");
    };
    let (rows, pitch) = (pairs * tiles * POSITIONS, *pitch);
    let (data, params) = (&mut data[..rows * pitch], &mut params[..rows]);
    let c = padded(n);
    let (a, b) = ((data, TILES * POSITIONS * pitch), (params, TILES * POSITIONS));
    chunks2_with(par, a, b, scratch, |task, data, params, scratch| {
        let (zeros, transformed) = scratch[..(POSITIONS + 2) * c].split_at_mut(2 * c);
        zeros.fill(0.0);
        let zeros: &[bf16] = bytemuck::cast_slice(zeros);
        let rows = data.chunks_mut(POSITIONS * pitch).zip(params.chunks_mut(POSITIONS));
        for (i, (rows, params)) in rows.enumerate() {
            let (pair, tile) = ((task * TILES + i) / tiles, (task * TILES + i) % tiles);
            let four = lines(pair).map(|line| line.map_or(zeros, |l| &l[2 * tile * c..][..4 * c]));
            isa.winograd_input(four, transformed);
            let transformed = transformed.chunks(c).zip(rows.chunks_mut(pitch)).zip(params);
            for ((x, row), param) in transformed {
                *param = isa.quantise(x, n, row);
            }
        }
    });
}

/// The products and the way back.
pub(crate) struct Convolution<'a> {
    pub isa: Isa,
    /// Sixteen matrices, int8.
    pub weights: &'a Linear<'a>,
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    /// Transformed pixels, see [`transform`].
    pub x: Rows<'a>,
    /// Of an output line: half its width.
    pub tiles: usize,
}

impl Convolution<'_> {
    /// Writes `pairs` pairs of lines, `[2 · pairs][2 · tiles][padded outputs]`. `scratch`: [`scratch`] numbers for each worker.
    pub fn run(&self, par: &dyn Parallel, pairs: usize, out: &mut [f32], scratch: &mut [f32]) {
        let panels = self.weights.panel_count();
        assert!(out.len() >= 4 * pairs * self.tiles * panels * LANES, "the lines must fit");
        assert!(
            self.bias.is_none_or(|b| b.len() == panels * LANES),
            "a bias has the padded number of outputs"
        );
        let shape = self.isa.shape_i8();
        let n_tiles = panels.div_ceil(shape.panels);
        // Whole tiles of the kernel, but for the last.
        let units = self.tiles.div_ceil(shape.rows);
        let m_parts = units.div_ceil(WAITING / shape.rows);
        let m_tasks = pairs * m_parts;
        let n_tasks = (TASKS_PER_WORKER * par.workers()).div_ceil(m_tasks).min(n_tiles);
        let out = Shared::new(out);
        with_scratch(par, m_tasks * n_tasks, scratch, |task, scratch| {
            let (n, m) = (task / m_tasks, task % m_tasks);
            let units = part(units, m_parts, m % m_parts);
            let tiles = units.start * shape.rows..(units.end * shape.rows).min(self.tiles);
            let sums = bytemuck::cast_slice_mut(scratch);
            for group in part(n_tiles, n_tasks, n) {
                self.group(m / m_parts, tiles.clone(), part(panels, n_tiles, group), sums, &out);
            }
        });
    }

    /// Up to [`WAITING`] Winograd tiles of a pair of lines and a tile's panels: all sixteen positions, then four outputs each.
    fn group(
        &self,
        pair: usize,
        tiles: Range<usize>,
        panels: Range<usize>,
        sums: &mut [i32],
        out: &Shared<f32>,
    ) {
        let (Rows::Bytes { data, pitch, params }, Panels::Int8 { weights, scale, sum }) =
            (self.x, self.weights.panels)
        else {
            unreachable!("transformed pixels and their weights are int8");
        };
        let (groups, count) = (self.weights.k.div_ceil(4), self.weights.panel_count());
        let (first, wide) = ((pair * self.tiles + tiles.start) * POSITIONS, panels.len() * LANES);
        let plane = tiles.len() * wide;
        // The last row read exists, whatever the caller says.
        let rows = first + tiles.len() * POSITIONS;
        assert!(rows <= params.len() && rows * pitch <= data.len(), "transformed pixels must exist");
        let most = self.isa.shape_i8().rows;
        let parts = tiles.len().div_ceil(most);
        for (position, sums) in sums[..POSITIONS * plane].chunks_mut(plane).enumerate() {
            let panel = position * count + panels.start;
            for rows in (0..parts).map(|i| part(tiles.len(), parts, i)) {
                let tile = TileI8 {
                    a: data[(first + rows.start * POSITIONS + position) * pitch..].as_ptr(),
                    pitch: POSITIONS * pitch,
                    w: weights[panel * groups * 64..].as_ptr(),
                    panel: groups * 64,
                    groups,
                    sum: sum[panel * LANES..].as_ptr(),
                    out: sums[rows.start * wide..rows.end * wide].as_mut_ptr(),
                };
                // SAFETY: the rows exist, as asserted, and are as wide as the weights ask (`RowsMut`); `Linear` has compared
                // the panels with the file; the sums hold these rows; the counts are within the shape.
                unsafe { self.isa.tile_i8(rows.len(), panels.len(), &tile) };
            }
        }
        let (panel, width) = (panels.start, count * LANES);
        // SAFETY: as above; `run` has compared the lines with the slice, and this task alone writes these pixels and channels.
        unsafe {
            self.isa.gather(&Gather {
                sums: sums.as_ptr(),
                plane,
                rows: tiles.len(),
                panels: panels.len(),
                params: params[first..].as_ptr(),
                scale: scale[panel * LANES..].as_ptr(),
                weight_sum: sum[panel * LANES..].as_ptr(),
                position: width,
                bias: self.bias.map_or(core::ptr::null(), |b| b[panel * LANES..].as_ptr()),
                activation: self.activation,
                out: out.at((4 * pair * self.tiles + 2 * tiles.start) * width + panel * LANES),
                pitch: 2 * width,
                line: 2 * self.tiles * width,
            });
        }
    }
}
