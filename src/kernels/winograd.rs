//! 3x3 convolution in int8 by Winograd's F(2x2, 3x3): 16 products for 4 outputs instead of 36.
//!
//! Y = Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): d is a tile
//! of 4x4 input pixels, g the nine taps, Y the 2x2 outputs in the tile's middle. The converter has stored G·g·Gᵀ. Pixels
//! are transformed in f32 and quantised *afterwards*, each of the sixteen transformed pixels with its own range (Li et
//! al. 2024, LoWino): quantised before, the transform would spread one pixel's rounding over all sixteen.

use super::gemm::{ROWS_PER_TASK, Rows, TASKS_PER_WORKER, part};
use super::micro::TileI8;
use super::rows::{Activation, Finish, Spread};
use super::split::{Shared, chunks2_with};
use super::{Isa, LANES, MAX_PANELS, MAX_ROWS};
use crate::activations::RowsMut;
use crate::format::{WINOGRAD_TAPS as POSITIONS, padded};
use crate::parallel::Parallel;
use crate::weights::{Linear, Panels};
use core::ops::Range;
use half::bf16;

const TILE: usize = MAX_ROWS * MAX_PANELS * LANES;
/// Tiles that one task transforms.
const TILES: usize = 8;

/// f32 that each worker needs to transform pixels of `c` numbers: sixteen transformed pixels and four blank ones in bfloat16.
pub(crate) const fn scratch(c: usize) -> usize {
    (POSITIONS + 2) * c
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
        let (zeros, transformed) = scratch[..self::scratch(c)].split_at_mut(2 * c);
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
    /// Writes `pairs` pairs of lines, `[2 · pairs][2 · tiles][padded outputs]`.
    pub fn run(&self, par: &dyn Parallel, pairs: usize, out: &mut [f32]) {
        let panels = self.weights.panel_count();
        assert!(out.len() >= 4 * pairs * self.tiles * panels * LANES, "the lines must fit");
        assert!(
            self.bias.is_none_or(|b| b.len() == panels * LANES),
            "a bias has the padded number of outputs"
        );
        let shape = self.isa.shape_i8();
        let n_tiles = panels.div_ceil(shape.panels);
        let m_parts = self.tiles.div_ceil(ROWS_PER_TASK / 2);
        let m_tasks = pairs * m_parts;
        let n_tasks = (TASKS_PER_WORKER * par.workers()).div_ceil(m_tasks).min(n_tiles);
        let out = Shared::new(out);
        par.run(m_tasks * n_tasks, &|task, _| {
            let (n, m) = (task / m_tasks, task % m_tasks);
            let tiles = part(self.tiles, m_parts, m % m_parts);
            for group in part(n_tiles, n_tasks, n) {
                let panels = part(panels, n_tiles, group);
                let parts = tiles.len().div_ceil(shape.rows);
                for i in 0..parts {
                    let rows = part(tiles.len(), parts, i);
                    let tiles = tiles.start + rows.start..tiles.start + rows.end;
                    self.tile(m / m_parts, tiles, panels.clone(), &out);
                }
            }
        });
    }

    /// Up to a tile's rows of Winograd tiles and its panels: all sixteen positions, four outputs each.
    fn tile(&self, pair: usize, tiles: Range<usize>, panels: Range<usize>, out: &Shared<f32>) {
        let (Rows::Bytes { data, pitch, params }, Panels::Int8 { weights, scale, sum }) =
            (self.x, self.weights.panels)
        else {
            unreachable!("transformed pixels and their weights are int8");
        };
        let (mut sums, mut acc) = ([0i32; TILE], [[0f32; TILE]; 4]);
        let (groups, count) = (self.weights.k.div_ceil(4), self.weights.panel_count());
        let first = (pair * self.tiles + tiles.start) * POSITIONS;
        // The last row read exists, whatever the caller says.
        let rows = first + (tiles.len() - 1) * POSITIONS + POSITIONS;
        assert!(rows <= params.len() && rows * pitch <= data.len(), "transformed pixels must exist");
        for position in 0..POSITIONS {
            let panel = position * count + panels.start;
            let tile = TileI8 {
                a: data[(first + position) * pitch..].as_ptr(),
                pitch: POSITIONS * pitch,
                w: weights[panel * groups * 64..].as_ptr(),
                panel: groups * 64,
                groups,
                sum: sum[panel * LANES..].as_ptr(),
                out: sums.as_mut_ptr(),
            };
            // SAFETY: the rows exist, as asserted, and are as wide as the weights ask (`RowsMut`); `Linear` has compared
            // the panels with the file; sums and acc hold MAX_ROWS x MAX_PANELS x 16; the counts are within the shape.
            unsafe {
                self.isa.tile_i8(tiles.len(), panels.len(), &tile);
                self.isa.spread(&Spread {
                    sums: sums.as_ptr(),
                    rows: tiles.len(),
                    panels: panels.len(),
                    params: params[first + position..].as_ptr(),
                    param_step: POSITIONS,
                    scale: scale[panel * LANES..].as_ptr(),
                    weight_sum: sum[panel * LANES..].as_ptr(),
                    acc: acc.as_mut_ptr().cast(),
                    plane: TILE,
                    position,
                });
            }
        }
        let width = count * LANES;
        for (output, acc) in acc.iter().enumerate() {
            let (y, x) = (2 * pair + output / 2, 2 * tiles.start + output % 2);
            let at = (y * 2 * self.tiles + x) * width + panels.start * LANES;
            // SAFETY: `run` has compared the lines with the slice; this task alone writes these pixels and channels.
            unsafe {
                self.isa.finish(&Finish {
                    acc: acc.as_ptr(),
                    rows: tiles.len(),
                    panels: panels.len(),
                    bias: self.bias.map_or(core::ptr::null(), |b| b[panels.start * LANES..].as_ptr()),
                    activation: self.activation,
                    out: out.at(at),
                    pitch: 2 * width,
                    add: false,
                });
            }
        }
    }
}
