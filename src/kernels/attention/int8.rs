//! Attention in int8, keys in blocks.
//!
//! q per token over its own range; k per token, minus its mean over the tokens (softmax does not see a constant per query, and
//! it removes k's outlier channels; Zhang et al. 2024, SageAttention); v per channel, around the middle of its range. A block's weights are bytes,
//! p_j = 255 · 2^(x_j − m_b), m_b the largest logit of the block, so that no block's weights vanish beside another's; the exact
//! sums Σ p_j·v_j of the blocks are added in f32, each times 2^(m_b − m). Logits are in 1024ths of powers of two, whole numbers
//! for the exponential: k's scales and the biases carry the 1024 · log₂ e.

use super::super::gemm::Rows;
use super::super::micro::TileI8;
use super::super::split::{Shared, chunks, chunks2};
use super::super::{Isa, LANES, MAX_ROWS};
use super::softmax::{self, Blend, Weights};
use super::{BLOCK, Bias, Head, Queries, SPAN, TILE};
use crate::activations::{RowsMut, rows_bytes, typed};
use crate::format::padded;
use core::f32::consts::LOG2_E;
use core::ops::Range;

/// A head's operands, ready to multiply.
pub(super) struct Keys<'a> {
    head: &'a Head<'a>,
    q: RowsMut<'a>,
    /// Panels, and of each key its scale and the sum of its weights.
    k: &'a mut [i8],
    k_scale: &'a mut [f32],
    k_sum: &'a mut [i32],
    /// Panels, of each channel its scale and the middle of its range, and `[blocks][channels]` sums, as they are and times 128.
    v: &'a mut [i8],
    v_scale: &'a mut [f32],
    v_centre: &'a mut [f32],
    v_sum: &'a mut [i32],
    v_back: &'a mut [i32],
}

impl<'a> Keys<'a> {
    pub fn pack(head: &'a Head, packed: &'a mut [u8], scratch: &mut [f32]) -> Keys<'a> {
        let dims = &head.dims;
        let (tokens, t, d) = (dims.tokens(), dims.padded_tokens(), dims.head_padded);
        let (q, rest) = packed.split_at_mut(rows_bytes(tokens, d, true));
        let (k, rest) = rest.split_at_mut(t * d);
        let (v, rest) = rest.split_at_mut(t * d);
        let (k_scale, rest) = rest.split_at_mut(4 * t);
        let (k_sum, rest) = rest.split_at_mut(4 * t);
        let (v_scale, rest) = rest.split_at_mut(4 * d);
        let (v_centre, rest) = rest.split_at_mut(4 * d);
        let (v_sum, v_back) = rest.split_at_mut(4 * d * dims.blocks());
        let mut keys = Keys {
            head,
            q: RowsMut::new(q, tokens, d, true),
            k: typed(k, t * d),
            k_scale: typed(k_scale, t),
            k_sum: typed(k_sum, t),
            v: typed(v, t * d),
            v_scale: typed(v_scale, d),
            v_centre: typed(v_centre, d),
            v_sum: typed(v_sum, d * dims.blocks()),
            v_back: typed(v_back, d * dims.blocks()),
        };
        // k's mean and v's range, by channel.
        let (mean, rest) = scratch[..3 * d].split_at_mut(d);
        let (low, high) = rest.split_at_mut(d);
        mean.fill(0.0);
        low.copy_from_slice(head.part(0, 2));
        high.copy_from_slice(low);
        for token in 0..tokens {
            head.isa.add_scaled(head.part(token, 1), 1.0, mean);
            head.isa.spread(head.part(token, 2), low, high);
        }
        mean.iter_mut().for_each(|m| *m /= tokens as f32);
        for (centre, (low, high)) in keys.v_centre.iter_mut().zip(low.iter().zip(&*high)) {
            *centre = 0.5 * low + 0.5 * high;
        }
        for (scale, (low, high)) in keys.v_scale.iter_mut().zip(low.iter().zip(&*high)) {
            *scale = (0.5 * high - 0.5 * low) / 127.0;
        }
        keys.pack_q();
        keys.pack_k(mean);
        keys.pack_v();
        keys.v_back.iter_mut().zip(&*keys.v_sum).for_each(|(back, sum)| *back = 128 * sum);
        keys
    }

    fn pack_q(&mut self) {
        let RowsMut::Bytes { data, pitch, params } = &mut self.q else { return };
        let (head, pitch) = (self.head, *pitch);
        chunks2(head.par, (data, 64 * pitch), (params, 64), |i, rows, params| {
            for ((j, row), param) in rows.chunks_mut(pitch).enumerate().zip(params) {
                *param = head.isa.quantise(head.part(i * 64 + j, 0), head.dims.head, row);
            }
        });
    }

    fn pack_k(&mut self, mean: &[f32]) {
        let head = self.head;
        let (tokens, d, n) = (head.dims.tokens(), head.dims.head_padded, head.dims.head);
        let sums = Shared::new(self.k_sum);
        chunks2(head.par, (self.k, LANES * d), (self.k_scale, LANES), |p, panel, scale| {
            panel.fill(0);
            // SAFETY: the sums of panel p belong to task p.
            let sums = unsafe { sums.part(p * LANES, LANES) };
            sums.fill(0);
            scale.fill(0.0);
            let mut row = [0f32; 256];
            let mut q = [0i8; 256];
            for lane in 0..LANES.min(tokens - p * LANES) {
                let (row, q) = (&mut row[..d], &mut q[..d]);
                row.copy_from_slice(head.part(p * LANES + lane, 1));
                head.isa.add_scaled(mean, -1.0, row);
                scale[lane] = head.isa.quantise_signed(row, n, q) * <Self as super::Keys>::UNIT;
                sums[lane] = q.iter().map(|&q| i32::from(q)).sum();
                for (group, q) in panel.chunks_mut(4 * LANES).zip(q.chunks(4)) {
                    group[4 * lane..][..4].copy_from_slice(q);
                }
            }
        });
    }

    fn pack_v(&mut self) {
        let head = self.head;
        let (tokens, t, d) = (head.dims.tokens(), head.dims.padded_tokens(), head.dims.head_padded);
        let (sums, scales, centres) = (Shared::new(self.v_sum), &*self.v_scale, &*self.v_centre);
        chunks(head.par, self.v, t * LANES, |p, panel| {
            let centre = &centres[p * LANES..][..LANES];
            let factor: [f32; LANES] = core::array::from_fn(|i| match scales[p * LANES + i] {
                s if s > 0.0 => 1.0 / s,
                _ => 0.0,
            });
            for (block, panel) in panel.chunks_mut(BLOCK * LANES).enumerate() {
                // SAFETY: the sums of these channels belong to task p.
                let sums = unsafe { sums.part(block * d + p * LANES, LANES) };
                sums.fill(0);
                // A whole block's keys are in the order that its weights come in.
                let whole = panel.len() == BLOCK * LANES;
                for (g, group) in panel.as_chunks_mut::<{ 4 * LANES }>().0.iter_mut().enumerate() {
                    let mut four = [[0i8; LANES]; 4];
                    for (j, q) in four.iter_mut().enumerate() {
                        let key =
                            block * BLOCK + if whole { g % 4 * LANES + g / 4 * 4 + j } else { 4 * g + j };
                        if key < tokens {
                            let v = &head.part(key, 2)[p * LANES..][..LANES];
                            head.isa.quantise_by(v, centre, &factor, q);
                            sums.iter_mut().zip(&*q).for_each(|(s, &q)| *s += i32::from(q));
                        }
                    }
                    for (lane, out) in group.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                        *out = four.map(|q| q[lane]);
                    }
                }
            }
        });
    }
}

impl super::Keys for Keys<'_> {
    const UNIT: f32 = LOG2_E * softmax::UNIT;

    fn rows(&self) -> usize {
        self.head.isa.shape_block().rows
    }

    fn answer(&self, rows: &Queries, bias: &Bias, work: &mut [f32], out: &Shared<f32>) {
        let (dims, isa) = (&self.head.dims, self.head.isa);
        let (t, d, blocks) = (dims.padded_tokens(), dims.head_padded, dims.blocks());
        let (tail, rest) = work.split_at_mut(SPAN * TILE);
        let (sums, rest) = rest.split_at_mut(SPAN * TILE);
        let sums: &mut [i32] = bytemuck::cast_slice_mut(sums);
        // Rows of whole blocks: none is stored across two lines of the cache.
        let bytes_pitch = blocks * BLOCK;
        let (bytes, rest) = rest.split_at_mut(MAX_ROWS * bytes_pitch / 4);
        let (tops, totals) = rest.split_at_mut(MAX_ROWS * padded(blocks));
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(bytes);
        let totals: &mut [i32] = &mut bytemuck::cast_slice_mut(totals)[..MAX_ROWS * blocks * LANES];
        let Rows::Bytes { data, pitch, params } = self.q.rows() else { return };
        for span in spans(t) {
            let from = span.keys().start;
            for block in 0..span.blocks {
                let key = from + block * BLOCK;
                let product = TileI8 {
                    a: data[rows.first * pitch..].as_ptr(),
                    pitch: rows.step * pitch,
                    w: self.k[key * d..].as_ptr(),
                    panel: d * LANES,
                    groups: d / 4,
                    sum: self.k_sum[key..].as_ptr(),
                    ahead: core::ptr::null(),
                    out: sums[block * TILE..].as_mut_ptr(),
                };
                // SAFETY: every query of the tile is a token with a row in q; k holds whole panels and sums.
                unsafe { multiply(isa, rows.count, span.panels, product) };
            }
            let bias = bias.of_keys(rows.count, span.keys(), tail);
            // SAFETY: the sums are those of the span; k's scales and sums and the bias rows have a number for each key; bytes,
            // tops and totals have these rows.
            unsafe {
                isa.block_weights(&Weights {
                    sums: Sums::new(isa, sums, rows.count, span.panels),
                    blocks: span.blocks,
                    rows: rows.count,
                    panels: span.panels,
                    params: params[rows.first..].as_ptr(),
                    param_step: rows.step,
                    k_scale: self.k_scale[from..].as_ptr(),
                    k_sum: self.k_sum[from..].as_ptr(),
                    bias: bias.at,
                    bias_step: bias.step,
                    out: bytes[from..].as_mut_ptr(),
                    pitch: bytes_pitch,
                    top: tops[span.first..].as_mut_ptr(),
                    top_pitch: padded(blocks),
                    total: totals[span.first * LANES..].as_mut_ptr(),
                    total_pitch: blocks * LANES,
                });
            }
        }
        let mut shares = [0f32; MAX_ROWS];
        let (tops_of, totals_of) = (tops.chunks_mut(padded(blocks)), totals.chunks(blocks * LANES));
        for ((share, tops), totals) in shares.iter_mut().zip(tops_of).zip(totals_of).take(rows.count) {
            *share = 1.0 / isa.block_factors(tops, totals);
        }
        for first in (0..d).step_by(BLOCK) {
            let columns = first..(first + BLOCK).min(d);
            let panels = columns.len() / LANES;
            let mut result = [0f32; TILE];
            for span in spans(t) {
                let groups = span.panels * LANES / 4;
                for block in 0..span.blocks {
                    let key = span.keys().start + block * BLOCK;
                    let product = TileI8 {
                        a: bytes[key..].as_ptr(),
                        pitch: bytes_pitch,
                        w: self.v[first * t + key * LANES..].as_ptr(),
                        panel: t * LANES,
                        groups,
                        sum: self.v_sum[(span.first + block) * d + first..].as_ptr(),
                        ahead: core::ptr::null(),
                        out: sums[block * TILE..].as_mut_ptr(),
                    };
                    // SAFETY: bytes hold rows of blocks, v whole panels and sums; a block is whole groups.
                    unsafe { multiply(isa, rows.count, panels, product) };
                }
                // SAFETY: the sums are those of the span; backs and tops have its blocks, the result a whole tile.
                unsafe {
                    isa.blend(&Blend {
                        sums: Sums::new(isa, sums, rows.count, panels),
                        blocks: span.blocks,
                        rows: rows.count,
                        panels,
                        weight_sum: self.v_back[span.first * d + first..].as_ptr(),
                        sum_pitch: d,
                        factor: tops[span.first..].as_ptr(),
                        factor_pitch: padded(blocks),
                        acc: result.as_mut_ptr(),
                    });
                }
            }
            let (scale, centre) = (&self.v_scale[first..], &self.v_centre[first..]);
            let count = columns.end.min(dims.head) - first;
            for (r, row) in result.chunks(panels * LANES).enumerate().take(rows.count) {
                let at = (rows.first + r * rows.step) * dims.out_pitch + first;
                // SAFETY: this task alone writes these tokens.
                let out = unsafe { out.part(at, count) };
                // The weights sum to one: what was taken from every value comes back once.
                isa.scale_and_add(row, shares[r], scale, centre, out);
            }
        }
    }
}

/// Whole blocks that are taken together, or the part of a block at the end.
struct Span {
    /// The first block.
    first: usize,
    blocks: usize,
    /// Of each block.
    panels: usize,
}

impl Span {
    fn keys(&self) -> Range<usize> {
        let start = self.first * BLOCK;
        start..start + self.blocks * self.panels * LANES
    }
}

/// The spans of `t` keys.
fn spans(t: usize) -> impl Iterator<Item = Span> {
    let (whole, rest) = (t / BLOCK, t % BLOCK / LANES);
    let spans = (0..whole).step_by(SPAN);
    let last = (rest > 0).then_some(Span { first: whole, blocks: 1, panels: rest });
    spans.map(move |first| Span { first, blocks: SPAN.min(whole - first), panels: BLOCK / LANES }).chain(last)
}

/// Sums of a tile of queries and blocks of columns.
#[derive(Clone, Copy)]
pub(crate) struct Sums {
    pub at: *mut i32,
    /// From one row to the next, and from one panel.
    pub row: usize,
    pub panel: usize,
}

impl Sums {
    /// As [`multiply`] leaves them.
    fn new(isa: Isa, sums: &mut [i32], rows: usize, panels: usize) -> Sums {
        let at = sums.as_mut_ptr();
        match isa.shape_block().panels >= panels {
            true => Sums { at, row: panels * LANES, panel: LANES },
            false => Sums { at, row: LANES, panel: rows * LANES },
        }
    }

    /// The sixteen of row `r`, panel `p` of block `b`.
    ///
    /// # Safety
    /// They exist.
    #[inline(always)]
    pub unsafe fn of(self, b: usize, r: usize, p: usize) -> *mut i32 {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(b * TILE + r * self.row + p * self.panel) }
    }
}

/// A product with as many panels at a time as the instruction set takes.
///
/// # Safety
/// As [`TileI8`] asks, for `rows` of at most [`Isa::shape_block`] and `panels` of at most a block.
unsafe fn multiply(isa: Isa, rows: usize, panels: usize, tile: TileI8) {
    if isa.shape_block().panels >= panels {
        // SAFETY: the caller's promise.
        return unsafe { isa.tile_i8(rows, panels, &tile) };
    }
    for p in 0..panels {
        // SAFETY: the caller's promise, panel by panel.
        unsafe {
            let (w, sum) = (tile.w.add(p * tile.panel), tile.sum.add(p * LANES));
            isa.tile_i8(rows, 1, &TileI8 { w, sum, out: tile.out.add(p * rows * LANES), ..tile });
        }
    }
}
