//! Runs on tiles of integer sums or f32: epilogues, the Winograd output transform, softmax and accumulation of attention.

use super::inputs::{KernelRun, Size, Source, prepare, restore_sign};
use crate::file::format::winograd_points;
use crate::simd::isa::Isa;
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::{BLOCK, BlockSums};
use crate::simd::kernels::attention::softmax::{SoftmaxBlocks, SoftmaxOutput};
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, StoreTile, TileOutput};
use crate::simd::kernels::winograd::output::OutputTransform;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_PANELS, MAX_ROWS};
use std::boxed::Box;
use std::vec::Vec;

/// Points of the largest Winograd tile.
pub(super) const MAX_POINTS: usize = winograd_points(4);

/// The inputs of all epilogues: integer sums with their factors, or a tile of f32 (`acc`).
pub(super) struct Tile {
    rows: usize,
    panels: usize,
    sums: Vec<i32>,
    weight_sum: Vec<i32>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    params: Vec<[f32; 2]>,
    acc: Vec<f32>,
}

impl Tile {
    pub(super) fn new(size: Size, source: &mut Source) -> Tile {
        Tile::with_panels(size, size.n.div_ceil(LANES).min(MAX_PANELS), source)
    }

    pub(super) fn with_panels(size: Size, panels: usize, source: &mut Source) -> Tile {
        let rows = size.rows.min(MAX_ROWS);
        let columns = panels * LANES;
        Tile {
            rows,
            panels,
            // The Winograd output transform reads the sums and factors of all points.
            sums: source.ints(MAX_POINTS * rows * columns),
            weight_sum: source.ints(MAX_POINTS * columns),
            scale: source.floats(MAX_POINTS * columns),
            bias: source.floats(rows * columns),
            params: source.params(MAX_POINTS * rows),
            acc: source.floats(rows * columns),
        }
    }

    pub(super) fn work(size: Size) -> usize {
        size.rows.min(MAX_ROWS) * size.n.div_ceil(LANES).min(MAX_PANELS) * LANES
    }

    /// A run of an epilogue whose output is as long as `planes` tiles.
    pub(super) fn prepare(
        size: Size,
        mut source: Source,
        planes: usize,
        run: impl Fn(Isa, &Tile, &mut Vec<f32>) + 'static,
    ) -> Box<dyn KernelRun> {
        let tile = Tile::new(size, &mut source);
        let out = source.floats(planes * tile.acc.len());
        prepare(tile, out, run)
    }

    /// Without `accumulate` it adds the bias and overwrites the output; with it, it adds to the output.
    pub(super) fn store_tile(&self, isa: Isa, out: &mut [f32], activation: Activation, accumulate: bool) {
        let bias = (!accumulate).then_some(&*self.bias);
        // SAFETY: `acc`, the bias and `out` hold the tile, by `Tile::with_panels` and `Tile::prepare`.
        unsafe { isa.store_tile(&StoreTile::new(&self.acc, bias, self.output(out, activation, accumulate))) };
    }

    /// Without `accumulate` it adds the bias and overwrites the output; with it, it adds to the output.
    pub(super) fn dequantise_tile(
        &self,
        isa: Isa,
        out: &mut [f32],
        activation: Activation,
        accumulate: bool,
    ) {
        let bias = (!accumulate).then_some(&*self.bias);
        let tile = self.dequantise(self.output(out, activation, accumulate)).with_bias(bias);
        // SAFETY: sums, factors, bias and `out` hold the tile, by `Tile::with_panels` and `Tile::prepare`.
        unsafe { isa.dequantise_tile(&tile) };
    }

    /// Adds to partial sums in the output, as a matrix after the first does.
    pub(super) fn dequantise_partial_sums(&self, isa: Isa, out: &mut [f32]) {
        let to = self.output(out, Activation::None, false);
        // SAFETY: as in `dequantise_tile`; the rows that are added are those of `out`.
        unsafe { isa.dequantise_tile(&self.dequantise(to).with_rows(to.out, to.row_pitch)) };
    }

    pub(super) fn dequantise_bf16(&self, isa: Isa, out: &mut [f32]) {
        let to = TileOutput { bf16: true, ..self.output(out, Activation::None, false) };
        // SAFETY: as in `dequantise_tile`; bfloat16 takes half of `out`.
        unsafe { isa.dequantise_tile(&self.dequantise(to)) };
    }

    fn dequantise(&self, to: TileOutput) -> DequantiseTile {
        DequantiseTile::new(&self.sums, &self.params, &self.scale, &self.weight_sum, to)
    }

    pub(super) fn output(&self, out: &mut [f32], activation: Activation, accumulate: bool) -> TileOutput {
        TileOutput {
            rows: self.rows,
            panels: self.panels,
            activation,
            out: out.as_mut_ptr(),
            row_pitch: self.panels * LANES,
            panel_pitch: LANES,
            accumulate,
            bf16: false,
        }
    }

    pub(super) fn winograd_output(&self, isa: Isa, tile: usize, out: &mut [f32]) {
        let (n, columns) = (self.acc.len(), self.panels * LANES);
        let t = OutputTransform::new(
            (tile, self.rows, self.panels),
            (&self.sums, n),
            &self.params,
            (&self.scale, &self.weight_sum, columns),
            Some(&self.bias),
            Activation::Relu,
            (out.as_mut_ptr(), columns, tile * n),
        );
        // SAFETY: the slices hold all points, by `Tile::with_panels`; `out` holds `tile` x `tile` pixels for each row.
        unsafe { isa.winograd_output(&t) };
    }

    pub(super) fn accumulate_blocks(&self, isa: Isa, out: &mut [f32]) {
        let mut sums = self.sums[..self.acc.len()].to_vec();
        let t = AccumulateBlocks::new(
            (1, self.rows, self.panels),
            block_sums(&mut sums, self.rows),
            (&self.bias, 1),
            false,
            out,
        );
        // SAFETY: `sums` holds one block of the tile's rows and panels, and so does `out`.
        unsafe { isa.accumulate_blocks(&t) };
    }
}

/// The sums of one block, one panel after the other.
fn block_sums(sums: &mut [i32], rows: usize) -> BlockSums {
    BlockSums::new(sums.as_mut_ptr(), rows, 0, false)
}

/// The inputs of the softmax: integer sums of a tile of queries with a block of keys, of a size that spreads the logits over
/// some octaves, as in a model.
pub(super) struct Block {
    rows: usize,
    panels: usize,
    sums: Vec<i32>,
    q: Vec<i16>,
    k: Vec<i16>,
    bias: Vec<i16>,
}

impl Block {
    pub(super) fn new(size: Size, source: &mut Source) -> Block {
        let rows = size.rows.min(MAX_ROWS);
        let panels = size.n.div_ceil(LANES).min(BLOCK / LANES);
        let mut factors = |n: usize| source.ints(n).into_iter().map(|x| (x & 0x7FFF) as i16).collect();
        let (q, k) = (factors(rows), factors(BLOCK));
        let bias = source.ints(rows * BLOCK).into_iter().map(|x| (x >> 18) as i16).collect();
        // Twenty bits, of which the shift removes five.
        let sums = source.ints(rows * panels * LANES).into_iter().map(|x| x >> 12).collect();
        Block { rows, panels, sums, q, k, bias }
    }

    pub(super) fn work(size: Size) -> usize {
        size.rows.min(MAX_ROWS) * size.n.div_ceil(LANES).min(BLOCK / LANES) * LANES
    }

    /// Runs the softmax twice: with bias rows that follow one another forwards, and backwards, as in a bias plane. Each output
    /// is the bytes of all rows, then their largest logits, then their partial sums.
    pub(super) fn softmax(&mut self, isa: Isa, out: &mut [f32]) {
        let pitch = BLOCK as isize;
        for (out, (from, step)) in
            out.chunks_mut(BLOCK_OUT).zip([(0, pitch), ((self.rows - 1) * BLOCK, -pitch)])
        {
            let (bytes, rest) = out.split_at_mut(MAX_ROWS * BLOCK / 4);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
            let (max, total) = rest.split_at_mut(MAX_ROWS);
            let t = SoftmaxBlocks::new(
                (1, self.rows, self.panels),
                block_sums(&mut self.sums, self.rows),
                (5, if step > 0 { 10 } else { 3 }),
                (&self.q, &self.k),
                (self.bias.as_ptr().wrapping_add(from), step),
                SoftmaxOutput {
                    bytes: (bytes, BLOCK),
                    max: (max, 1),
                    total: (bytemuck::cast_slice_mut(total), LANES),
                },
            );
            // SAFETY: the sums hold the block, by `Block::new`, and the bias a row of a block for each query, from the first
            // or the last one on.
            unsafe { isa.softmax_blocks(&t) };
            for row in bytes.chunks_mut(BLOCK).take(self.rows) {
                restore_sign(isa, &mut row[..self.panels * LANES]);
            }
        }
    }
}

/// The size of one output of [`Block::softmax`] in f32.
pub(super) const BLOCK_OUT: usize = MAX_ROWS * (BLOCK / 4 + 1 + LANES);
