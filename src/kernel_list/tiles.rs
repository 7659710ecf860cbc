//! Jobs on tiles: epilogues, Winograd's way back, attention's softmax.

use super::inputs::{KernelRun, Size, Source, prepare, restore_sign};
use crate::file::format::winograd_points;
use crate::simd::isa::Isa;
use crate::simd::kernels::attention::accumulate::AccumulateBlocks;
use crate::simd::kernels::attention::blocks::{BLOCK, BlockSums};
use crate::simd::kernels::attention::softmax::SoftmaxBlocks;
use crate::simd::kernels::epilogue::{Activation, DequantiseTile, StoreTile, TileOutput};
use crate::simd::kernels::winograd::output::OutputTransform;
use crate::simd::lanes::LANES;
use crate::simd::tile::{MAX_PANELS, MAX_ROWS};
use std::boxed::Box;
use std::vec::Vec;

/// Positions of the largest Winograd tile.
pub(super) const MOST: usize = winograd_points(4);

/// A tile's epilogue: integers and their factors in, a tile out; the inputs are those of every epilogue.
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
        let wide = panels * LANES;
        Tile {
            rows,
            panels,
            // For all positions of Winograd's tiles, which one kernel takes together.
            sums: source.ints(MOST * rows * wide),
            weight_sum: source.ints(MOST * wide),
            scale: source.floats(MOST * wide),
            bias: source.floats(rows * wide),
            params: source.params(MOST * rows),
            acc: source.floats(rows * wide),
        }
    }

    pub(super) fn work(size: Size) -> usize {
        size.rows.min(MAX_ROWS) * size.n.div_ceil(LANES).min(MAX_PANELS) * LANES
    }

    /// A job on tiles, the output as long as `planes` of them.
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

    pub(super) fn store_tile(&self, isa: Isa, out: &mut [f32], activation: Activation, add: bool) {
        let bias = if add { core::ptr::null() } else { self.bias.as_ptr() };
        // SAFETY: every field has what its comment asks for.
        unsafe {
            isa.store_tile(&StoreTile { acc: self.acc.as_ptr(), bias, to: self.to(out, activation, add) })
        };
    }

    pub(super) fn dequantise_tile(&self, isa: Isa, out: &mut [f32], activation: Activation, add: bool) {
        let before = if add { core::ptr::null() } else { self.bias.as_ptr() };
        // SAFETY: as above.
        unsafe { isa.dequantise_tile(&self.sums_to(before, 0, self.to(out, activation, add))) };
    }

    /// A tap after the first.
    pub(super) fn dequantise_more(&self, isa: Isa, out: &mut [f32]) {
        let to = self.to(out, Activation::None, false);
        // SAFETY: as above; what is there goes in and out.
        unsafe { isa.dequantise_tile(&self.sums_to(to.out, to.row_pitch, to)) };
    }

    pub(super) fn dequantise_bf16(&self, isa: Isa, out: &mut [f32]) {
        let to = TileOutput { bf16: true, ..self.to(out, Activation::None, false) };
        // SAFETY: as above; half as many bytes.
        unsafe { isa.dequantise_tile(&self.sums_to(core::ptr::null(), 0, to)) };
    }

    fn sums_to(&self, before: *const f32, before_pitch: usize, to: TileOutput) -> DequantiseTile {
        DequantiseTile {
            sums: self.sums.as_ptr(),
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            addend: before,
            addend_pitch: before_pitch,
            to,
        }
    }

    pub(super) fn to(&self, out: &mut [f32], activation: Activation, add: bool) -> TileOutput {
        TileOutput {
            rows: self.rows,
            panels: self.panels,
            activation,
            out: out.as_mut_ptr(),
            row_pitch: self.panels * LANES,
            panel_pitch: LANES,
            accumulate: add,
            bf16: false,
        }
    }

    pub(super) fn winograd_output(&self, isa: Isa, tile: usize, out: &mut [f32]) {
        let (n, wide) = (self.acc.len(), self.panels * LANES);
        let t = OutputTransform {
            tile,
            sums: self.sums.as_ptr(),
            plane_pitch: n,
            rows: self.rows,
            panels: self.panels,
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            point_pitch: wide,
            bias: self.bias.as_ptr(),
            activation: Activation::Relu,
            out: out.as_mut_ptr(),
            pixel_pitch: wide,
            row_pitch: tile * n,
        };
        // SAFETY: every field has what its comment asks for; `out` is `tile` lines of `tile` pixels a row.
        unsafe { isa.winograd_output(&t) };
    }

    pub(super) fn accumulate_blocks(&self, isa: Isa, out: &mut [f32]) {
        let mut sums = self.sums[..self.acc.len()].to_vec();
        let t = AccumulateBlocks {
            sums: block_sums(&mut sums, self.rows),
            blocks: 1,
            rows: self.rows,
            panels: self.panels,
            v_sum_128: self.weight_sum.as_ptr(),
            sum_pitch: 0,
            factor: self.bias.as_ptr(),
            factor_pitch: 1,
            overwrite: false,
            acc: out.as_mut_ptr(),
        };
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.accumulate_blocks(&t) };
    }
}

/// One panel after the other.
fn block_sums(sums: &mut [i32], rows: usize) -> BlockSums {
    BlockSums { start: sums.as_mut_ptr(), row_pitch: LANES, panel_pitch: rows * LANES }
}

/// Keys of a block and a tile of queries, with logits of the size that they have: within some octaves.
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
        let bias = source.ints(rows * BLOCK).into_iter().map(|x| (x >> 16) as i16).collect();
        // Twenty bits, five of which go.
        let sums = source.ints(rows * panels * LANES).into_iter().map(|x| x >> 8).collect();
        Block { rows, panels, sums, q, k, bias }
    }

    pub(super) fn work(size: Size) -> usize {
        size.rows.min(MAX_ROWS) * size.n.div_ceil(LANES).min(BLOCK / LANES) * LANES
    }

    /// Bytes of the rows, then of each row the largest logit and sixteen sums; bias rows forwards and backwards, as queries read
    /// them.
    pub(super) fn weights(&mut self, isa: Isa, out: &mut [f32]) {
        let wide = BLOCK as isize;
        for (out, (from, step)) in
            out.chunks_mut(BLOCK_OUT).zip([(0, wide), ((self.rows - 1) * BLOCK, -wide)])
        {
            let (bytes, rest) = out.split_at_mut(MAX_ROWS * BLOCK / 4);
            let (top, total) = rest.split_at_mut(MAX_ROWS);
            let t = SoftmaxBlocks {
                sums: block_sums(&mut self.sums, self.rows),
                blocks: 1,
                rows: self.rows,
                panels: self.panels,
                shift: 5,
                unit: if step > 0 { 10 } else { 3 },
                q_factor: self.q.as_ptr(),
                k_factor: self.k.as_ptr(),
                bias: self.bias[from..].as_ptr(),
                bias_step: step,
                out: bytes.as_mut_ptr().cast(),
                out_pitch: BLOCK,
                max: top.as_mut_ptr(),
                max_pitch: 1,
                total: total.as_mut_ptr().cast(),
                total_pitch: LANES,
            };
            // SAFETY: every field has what its comment asks for.
            unsafe { isa.softmax_blocks(&t) };
            for row in bytemuck::cast_slice_mut(bytes).chunks_mut(BLOCK).take(self.rows) {
                restore_sign(isa, &mut row[..self.panels * LANES]);
            }
        }
    }
}

/// What [`Block::weights`] gives for a block.
pub(super) const BLOCK_OUT: usize = MAX_ROWS * (BLOCK / 4 + 1 + LANES);
