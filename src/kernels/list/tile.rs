//! Jobs on tiles: epilogues, Winograd's way back, attention's softmax.

use super::super::attention::BLOCK;
use super::super::attention::int8::Sums;
use super::super::attention::softmax::{self, Blend};
use super::super::epilogue::{Accumulate, Activation, Finish, FinishI8};
use super::super::transform::Gather;
use super::super::{Isa, LANES, MAX_PANELS, MAX_ROWS};
use super::{Job, Size, Source, made, unflip};
use crate::format::winograd_taps;
use std::boxed::Box;
use std::vec::Vec;

/// Positions of the largest Winograd tile.
pub(super) const MOST: usize = winograd_taps(4);

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

    /// Keys of a block, with logits of the size that they have: within some octaves.
    pub(super) fn of_block(size: Size, source: &mut Source) -> Tile {
        let mut tile = Tile::with_panels(size, size.n.div_ceil(LANES).min(BLOCK / LANES), source);
        let few = |x: &mut f32, most: f32| *x = x.clamp(-most, most);
        tile.sums.iter_mut().chain(&mut tile.weight_sum).for_each(|x| *x >>= 16);
        tile.scale.iter_mut().chain(tile.params.as_flattened_mut()).for_each(|x| few(x, 1.5));
        tile.bias.iter_mut().for_each(|x| few(x, 8000.0));
        tile
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
    pub(super) fn job(
        size: Size,
        mut source: Source,
        planes: usize,
        run: impl Fn(Isa, &Tile, &mut Vec<f32>) + 'static,
    ) -> Box<dyn Job> {
        let tile = Tile::new(size, &mut source);
        let out = source.floats(planes * tile.acc.len());
        made(tile, out, run)
    }

    pub(super) fn accumulate(&self, isa: Isa, out: &mut [f32], first: bool) {
        let t = Accumulate {
            sums: self.sums.as_ptr(),
            rows: self.rows,
            panels: self.panels,
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            acc: out.as_mut_ptr(),
            first,
        };
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.accumulate(&t) };
    }

    pub(super) fn finish(&self, isa: Isa, out: &mut [f32], activation: Activation, add: bool) {
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.finish(&self.to(out, activation, add)) };
    }

    pub(super) fn finish_i8(&self, isa: Isa, out: &mut [f32], activation: Activation, add: bool) {
        let t = FinishI8 {
            sums: self.sums.as_ptr(),
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            to: self.to(out, activation, add),
        };
        // SAFETY: as above.
        unsafe { isa.finish_i8(&t) };
    }

    pub(super) fn finish_i8_bf16(&self, isa: Isa, out: &mut [f32]) {
        let to = Finish { half: true, ..self.to(out, Activation::None, false) };
        let (params, scale, weight_sum) =
            (self.params.as_ptr(), self.scale.as_ptr(), self.weight_sum.as_ptr());
        // SAFETY: as above; half as many bytes.
        unsafe { isa.finish_i8(&FinishI8 { sums: self.sums.as_ptr(), params, scale, weight_sum, to }) };
    }

    pub(super) fn to(&self, out: &mut [f32], activation: Activation, add: bool) -> Finish {
        Finish {
            acc: self.acc.as_ptr(),
            rows: self.rows,
            panels: self.panels,
            bias: if add { core::ptr::null() } else { self.bias.as_ptr() },
            activation,
            out: out.as_mut_ptr(),
            pitch: self.panels * LANES,
            panel: LANES,
            add,
            half: false,
        }
    }

    pub(super) fn gather(&self, isa: Isa, tile: usize, out: &mut [f32]) {
        let (n, wide) = (self.acc.len(), self.panels * LANES);
        let t = Gather {
            tile,
            sums: self.sums.as_ptr(),
            plane: n,
            rows: self.rows,
            panels: self.panels,
            params: self.params.as_ptr(),
            scale: self.scale.as_ptr(),
            weight_sum: self.weight_sum.as_ptr(),
            position: wide,
            bias: self.bias.as_ptr(),
            activation: Activation::Relu,
            out: out.as_mut_ptr(),
            pixel: wide,
            line: tile * n,
        };
        // SAFETY: every field has what its comment asks for; `out` is `tile` lines of `tile` pixels a row.
        unsafe { isa.gather(&t) };
    }

    /// Bytes of the rows, then of each row the largest logit and sixteen sums; bias rows forwards and backwards, as queries read
    /// them.
    pub(super) fn block_weights(&self, isa: Isa, out: &mut [f32]) {
        let wide = self.panels * LANES;
        for (out, (from, step)) in
            out.chunks_mut(BLOCK_OUT).zip([(0, wide as isize), ((self.rows - 1) * wide, -(wide as isize))])
        {
            let mut sums = self.sums[..self.acc.len()].to_vec();
            let (bytes, rest) = out.split_at_mut(MAX_ROWS * BLOCK / 4);
            let (top, total) = rest.split_at_mut(MAX_ROWS);
            let t = softmax::Weights {
                sums: self.block_sums(&mut sums),
                blocks: 1,
                rows: self.rows,
                panels: self.panels,
                params: self.params.as_ptr(),
                param_step: 2,
                k_scale: self.scale.as_ptr(),
                k_sum: self.weight_sum.as_ptr(),
                bias: self.bias[from..].as_ptr(),
                bias_step: step,
                out: bytes.as_mut_ptr().cast(),
                pitch: wide,
                top: top.as_mut_ptr(),
                top_pitch: 1,
                total: total.as_mut_ptr().cast(),
                total_pitch: LANES,
            };
            // SAFETY: every field has what its comment asks for.
            unsafe { isa.block_weights(&t) };
            unflip(isa, &mut bytemuck::cast_slice_mut(bytes)[..self.rows * wide]);
        }
    }

    pub(super) fn blend(&self, isa: Isa, out: &mut [f32]) {
        let mut sums = self.sums[..self.acc.len()].to_vec();
        let t = Blend {
            sums: self.block_sums(&mut sums),
            blocks: 1,
            rows: self.rows,
            panels: self.panels,
            weight_sum: self.weight_sum.as_ptr(),
            sum_pitch: 0,
            factor: self.bias.as_ptr(),
            factor_pitch: 1,
            acc: out.as_mut_ptr(),
        };
        // SAFETY: every field has what its comment asks for.
        unsafe { isa.blend(&t) };
    }

    /// One panel after the other.
    pub(super) fn block_sums(&self, sums: &mut [i32]) -> Sums {
        Sums { at: sums.as_mut_ptr(), row: LANES, panel: self.rows * LANES }
    }
}

/// What `block_weights` gives for a block.
pub(super) const BLOCK_OUT: usize = MAX_ROWS * (BLOCK / 4 + 1 + LANES);
