//! Attention of one head with relative-position bias, nothing of size T x T stored.
//!
//! Queries are taken in tiles from one *column* of the patch grid. For a column xi the biases of all its queries lie in
//! one plane D[dy][xj] = table[dy][xj − xi], and the bias row of query (yi, xi) over all keys, in token order, is the run
//! of D that starts at row gh − 1 − yi: a plain vector load. A tile's logits for all keys fit the second-level cache, so
//! the softmax is the simple one: maximum, exponentials, sum.
//!
//! In int8: q per token over its own range; k per token, minus its mean over the tokens (softmax does not see a constant
//! per query, and it removes k's outlier channels; Zhang et al. 2024, SageAttention); v per channel. The probabilities
//! keep sixteen bits, as two byte planes multiplied separately, both exact: eight bits are what breaks int8 attention.

use super::micro::{TileF, TileI8};
use super::rows::Scores;
use super::split::{Shared, chunks, chunks2, with_scratch};
use super::{Isa, LANES, MAX_PANELS, MAX_ROWS, Shape};
use crate::activations::{RowsMut, rows_bytes, typed};
use crate::format::padded;
use crate::kernels::gemm::Rows;
use crate::parallel::Parallel;
use core::ops::Range;

/// The sizes an attention layer works with.
#[derive(Clone, Copy)]
pub(crate) struct Dims {
    pub grid_width: usize,
    pub grid_height: usize,
    /// Width of a head, and the same padded.
    pub head: usize,
    pub head_padded: usize,
    /// Numbers from one token to the next in the result.
    pub out_pitch: usize,
}

const TILE: usize = MAX_ROWS * MAX_PANELS * LANES;
/// Columns of a tile.
const WIDE: usize = MAX_PANELS * LANES;

impl Dims {
    fn patches(&self) -> usize {
        self.grid_width * self.grid_height
    }
    fn tokens(&self) -> usize {
        self.patches() + 1
    }
    /// Tokens padded to whole panels.
    fn padded_tokens(&self) -> usize {
        padded(self.tokens())
    }
    /// Numbers of q, k and v together for a token.
    pub fn qkv(&self) -> usize {
        3 * self.head_padded
    }
    /// f32 in a bias plane or row, with room for a load past its end.
    fn bias_len(&self) -> usize {
        ((2 * self.grid_height - 1) * self.grid_width).max(self.padded_tokens()) + WIDE
    }
    /// f32 that each worker needs while queries are answered: logits, bias, two byte planes.
    pub fn scratch(&self) -> usize {
        padded(MAX_ROWS * self.padded_tokens() * 3 / 2 + self.bias_len())
    }
    /// Bytes for the packed operands of a head: in int8 q rows, then for k and v panels, scales, sums.
    pub fn packed_bytes(&self, int8: bool) -> usize {
        let (t, d) = (self.padded_tokens(), self.head_padded);
        if int8 { rows_bytes(self.tokens(), d, true) + 2 * t * d + 8 * t + 8 * d } else { 2 * 4 * t * d }
    }
}

/// A head's operands, ready to multiply.
enum Packed<'a> {
    F32 { k: &'a mut [f32], v: &'a mut [f32] },
    Int8 { q: RowsMut<'a>, k: Side<'a>, v: Side<'a> },
}

/// Keys or values as int8 panels.
struct Side<'a> {
    panels: &'a mut [i8],
    scale: &'a mut [f32],
    sum: &'a mut [i32],
}

/// One head: everything it reads and where the result goes.
pub(crate) struct Head<'a> {
    pub isa: Isa,
    pub par: &'a dyn Parallel,
    pub dims: Dims,
    /// [tokens][q, k, v each padded]; q scaled.
    pub qkv: &'a [f32],
    /// The head's table and last three entries, or none.
    pub bias: Option<&'a [f32]>,
}

impl<'a> Head<'a> {
    /// Writes the head's columns (the first of `out`) for all tokens. `packed` and `scratch` are working memory of
    /// [`Dims::packed_bytes`] and, for each worker, [`Dims::scratch`].
    pub fn run(&self, int8: bool, packed: &mut [u8], scratch: &mut [f32], out: &mut [f32]) {
        let packed = if int8 { self.pack_int8(packed, scratch) } else { self.pack_f32(packed) };
        self.attend(&packed, scratch, out);
    }

    /// Part 0, 1 or 2 (q, k, v) of a token's row.
    fn part(&self, token: usize, part: usize) -> &'a [f32] {
        &self.qkv[token * self.dims.qkv() + part * self.dims.head_padded..][..self.dims.head_padded]
    }

    fn pack_f32<'b>(&self, packed: &'b mut [u8]) -> Packed<'b> {
        let (t, d) = (self.dims.padded_tokens(), self.dims.head_padded);
        let (k, v) = typed::<f32>(packed, 2 * t * d).split_at_mut(t * d);
        let tokens = self.dims.tokens();
        chunks(self.par, k, LANES * d, |p, panel| {
            for lane in 0..LANES {
                let token = p * LANES + lane;
                for c in 0..d {
                    panel[c * LANES + lane] = if token < tokens { self.part(token, 1)[c] } else { 0.0 };
                }
            }
        });
        chunks(self.par, v, t * LANES, |p, panel| {
            for (token, row) in panel.chunks_mut(LANES).enumerate() {
                match token < tokens {
                    true => row.copy_from_slice(&self.part(token, 2)[p * LANES..][..LANES]),
                    false => row.fill(0.0),
                }
            }
        });
        Packed::F32 { k, v }
    }

    fn pack_int8<'b>(&self, packed: &'b mut [u8], scratch: &mut [f32]) -> Packed<'b> {
        let (tokens, t, d) = (self.dims.tokens(), self.dims.padded_tokens(), self.dims.head_padded);
        let (q, rest) = packed.split_at_mut(rows_bytes(tokens, d, true));
        let (k, rest) = rest.split_at_mut(t * d);
        let (v, rest) = rest.split_at_mut(t * d);
        let (k_params, v_params) = rest.split_at_mut(8 * t);
        let (k_scale, k_sum) = k_params.split_at_mut(4 * t);
        let (v_scale, v_sum) = v_params.split_at_mut(4 * d);
        let mut q = RowsMut::new(q, tokens, d, true);
        let mut k = Side { panels: typed(k, t * d), scale: typed(k_scale, t), sum: typed(k_sum, t) };
        let mut v = Side { panels: typed(v, t * d), scale: typed(v_scale, d), sum: typed(v_sum, d) };

        // k's mean and v's largest absolute values, by channel.
        let (mean, most) = scratch[..2 * d].split_at_mut(d);
        let mut both = [(mean, 1), (most, 2)];
        chunks(self.par, &mut both, 1, |_, side| {
            let (row, part) = &mut side[0];
            row.fill(0.0);
            for token in 0..tokens {
                match part {
                    1 => self.isa.add_scaled(self.part(token, 1), 1.0, row),
                    _ => self.isa.abs_max(self.part(token, 2), row),
                }
            }
        });
        let [(mean, _), (most, _)] = both;
        for (m, s) in most.iter().zip(v.scale.iter_mut()) {
            *s = *m / 127.0;
        }
        mean.iter_mut().for_each(|m| *m /= tokens as f32);
        let (mean, most) = (&*mean, &*most);
        self.pack_q(&mut q);
        self.pack_k(&mut k, mean);
        self.pack_v(&mut v, most);
        Packed::Int8 { q, k, v }
    }

    fn pack_q(&self, q: &mut RowsMut) {
        let RowsMut::Bytes { data, pitch, params } = q else { return };
        let n = self.dims.head;
        chunks2(self.par, (data, 64 * *pitch), (params, 64), |i, rows, params| {
            for ((j, row), param) in rows.chunks_mut(*pitch).enumerate().zip(params) {
                *param = self.isa.quantise(self.part(i * 64 + j, 0), n, row);
            }
        });
    }

    fn pack_k(&self, k: &mut Side, mean: &[f32]) {
        let (tokens, d, n) = (self.dims.tokens(), self.dims.head_padded, self.dims.head);
        let sums = Shared::new(&mut *k.sum);
        chunks2(self.par, (&mut *k.panels, LANES * d), (&mut *k.scale, LANES), |p, panel, scale| {
            panel.fill(0);
            // SAFETY: the sums of panel p belong to task p.
            let sums = unsafe { sums.part(p * LANES, LANES) };
            sums.fill(0);
            scale.fill(0.0);
            let mut row = [0f32; 256];
            let mut q = [0i8; 256];
            for lane in 0..LANES.min(tokens - p * LANES) {
                let (row, q) = (&mut row[..d], &mut q[..d]);
                row.copy_from_slice(self.part(p * LANES + lane, 1));
                self.isa.add_scaled(mean, -1.0, row);
                scale[lane] = self.isa.quantise_signed(row, n, q);
                sums[lane] = q.iter().map(|&q| i32::from(q)).sum();
                for (group, q) in panel.chunks_mut(4 * LANES).zip(q.chunks(4)) {
                    group[4 * lane..][..4].copy_from_slice(q);
                }
            }
        });
    }

    fn pack_v(&self, v: &mut Side, most: &[f32]) {
        let (tokens, t) = (self.dims.tokens(), self.dims.padded_tokens());
        chunks2(self.par, (&mut *v.panels, t * LANES), (&mut *v.sum, LANES), |p, panel, sums| {
            let factor: [f32; LANES] = core::array::from_fn(|i| match most[p * LANES + i] {
                m if m > 0.0 => 127.0 / m,
                _ => 0.0,
            });
            sums.fill(0);
            for (g, group) in panel.as_chunks_mut::<{ 4 * LANES }>().0.iter_mut().enumerate() {
                let mut four = [[0i8; LANES]; 4];
                for (j, q) in four.iter_mut().enumerate().take(tokens.saturating_sub(4 * g)) {
                    self.isa.quantise_by(&self.part(4 * g + j, 2)[p * LANES..][..LANES], &factor, q);
                    sums.iter_mut().zip(&*q).for_each(|(s, &q)| *s += i32::from(q));
                }
                for (lane, out) in group.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    *out = four.map(|q| q[lane]);
                }
            }
        });
    }

    /// The tile that fits the operands.
    fn shape(&self, packed: &Packed) -> Shape {
        match packed {
            Packed::F32 { .. } => self.isa.shape_f(),
            Packed::Int8 { .. } => self.isa.shape_i8(),
        }
    }

    /// One task for each grid column's queries, and one for the class token's.
    fn attend(&self, packed: &Packed, scratch: &mut [f32], out: &mut [f32]) {
        let d = &self.dims;
        let out = Shared::new(out);
        with_scratch(self.par, d.grid_width + 1, scratch, |xi, scratch| {
            let (bias, work) = scratch.split_at_mut(d.bias_len());
            if xi == d.grid_width {
                self.class_bias(bias);
                let rows = Queries { first: d.patches(), step: 1, count: 1 };
                return self.tile(
                    packed,
                    &rows,
                    &Bias { at: &*bias, start: 0, row: 0, class: bias[d.patches()] },
                    work,
                    &out,
                );
            }
            self.column_bias(xi, bias);
            let class = self.bias.map_or(0.0, |b| b[b.len() - 2]);
            let most = self.shape(packed);
            let tiles = d.grid_height.div_ceil(most.rows);
            for i in 0..tiles {
                let yi = d.grid_height * i / tiles..d.grid_height * (i + 1) / tiles;
                let rows =
                    Queries { first: yi.start * d.grid_width + xi, step: d.grid_width, count: yi.len() };
                let start = (d.grid_height - 1 - yi.start) * d.grid_width;
                let bias = Bias { at: &*bias, start, row: -(d.grid_width as isize), class };
                self.tile(packed, &rows, &bias, work, &out);
            }
        });
    }

    /// The plane D of a column.
    fn column_bias(&self, xi: usize, plane: &mut [f32]) {
        let (w, table_w) = (self.dims.grid_width, 2 * self.dims.grid_width - 1);
        let Some(table) = self.bias else { return plane.fill(0.0) };
        for (dy, row) in plane.chunks_mut(w).enumerate().take(2 * self.dims.grid_height - 1) {
            row.copy_from_slice(&table[dy * table_w + w - 1 - xi..][..w]);
        }
    }

    /// The bias row of the class token's query; the entry for its own key stands behind the patches.
    fn class_bias(&self, row: &mut [f32]) {
        let [to_token, _, own] = self.bias.map_or([0.0; 3], |b| core::array::from_fn(|i| b[b.len() - 3 + i]));
        row.fill(to_token);
        row[self.dims.patches()] = own;
    }
}

/// The queries of a tile, by token.
struct Queries {
    first: usize,
    step: usize,
    count: usize,
}

/// Bias of a tile: row r for the patches starts at `at[start + r · row]`, the class key's is `class` for all.
struct Bias<'a> {
    at: &'a [f32],
    start: usize,
    row: isize,
    class: f32,
}

impl Bias<'_> {
    /// Rows of the biases of keys `keys`, in a buffer where they reach past the patches: −∞ behind the class token.
    fn tail(&self, rows: usize, keys: Range<usize>, patches: usize) -> [f32; TILE] {
        let mut tail = [f32::NEG_INFINITY; TILE];
        for r in 0..rows {
            for (out, key) in
                tail[r * WIDE..].iter_mut().zip(keys.clone()).take_while(|(_, key)| *key <= patches)
            {
                *out = match key == patches {
                    true => self.class,
                    false => self.at[(self.start as isize + r as isize * self.row) as usize + key],
                };
            }
        }
        tail
    }
}

impl Head<'_> {
    /// Answers up to a tile of queries: logits, softmax, weighted sum of the values.
    fn tile(&self, packed: &Packed, rows: &Queries, bias: &Bias, work: &mut [f32], out: &Shared<f32>) {
        let (t, d) = (self.dims.padded_tokens(), self.dims.head_padded);
        let (logits, planes) = work.split_at_mut(MAX_ROWS * t);
        let keys = t / LANES;
        let shape = self.shape(packed);
        let tiles = keys.div_ceil(shape.panels);
        for i in 0..tiles {
            let panels = keys * i / tiles..keys * (i + 1) / tiles;
            let reach = panels.start * LANES..panels.end * LANES;
            let tail;
            let (at, row) = if reach.end <= self.dims.patches() {
                (bias.at[bias.start + reach.start..].as_ptr(), bias.row)
            } else {
                tail = bias.tail(rows.count, reach.clone(), self.dims.patches());
                (tail.as_ptr(), WIDE as isize)
            };
            self.logits(packed, rows, panels, (at, row), logits);
        }
        let mut result = [0f32; TILE];
        let groups = (d / LANES).div_ceil(shape.panels);
        let mut factors = [0f32; MAX_ROWS];
        let tokens = self.dims.tokens();
        let planes: &mut [u8] = bytemuck::cast_slice_mut(planes);
        let (high, low) = planes[..2 * MAX_ROWS * t].split_at_mut(MAX_ROWS * t);
        for (r, factor) in factors.iter_mut().enumerate().take(rows.count) {
            let row = &mut logits[r * t..][..t];
            *factor = 1.0
                / match packed {
                    Packed::F32 { .. } => self.isa.softmax(row, tokens),
                    Packed::Int8 { .. } => {
                        self.isa.softmax_bytes(row, tokens, &mut high[r * t..][..t], &mut low[r * t..][..t])
                            as f32
                    }
                };
        }
        for i in 0..groups {
            let panels = (d / LANES) * i / groups..(d / LANES) * (i + 1) / groups;
            let np = panels.len();
            match packed {
                Packed::F32 { v, .. } => {
                    let tile = TileF {
                        a: logits.as_ptr(),
                        pitch: t,
                        w: v[panels.start * t * LANES..].as_ptr(),
                        panel: t * LANES,
                        k: t,
                        first: true,
                        out: result.as_mut_ptr(),
                    };
                    // SAFETY: logits hold rows of t, v whole panels of t rows, the result a whole tile.
                    unsafe { self.isa.tile_f32(rows.count, np, &tile) };
                    for (r, row) in result.chunks_mut(np * LANES).enumerate().take(rows.count) {
                        row.iter_mut().for_each(|x| *x *= factors[r]);
                    }
                }
                Packed::Int8 { v, .. } => {
                    self.weigh(v, high, low, rows.count, panels.clone(), &factors, &mut result)
                }
            }
            let columns = panels.start * LANES..(panels.end * LANES).min(self.dims.head);
            for (r, row) in result.chunks(np * LANES).enumerate().take(rows.count) {
                let token = rows.first + r * rows.step;
                // SAFETY: this task alone writes these tokens.
                let out = unsafe { out.part(token * self.dims.out_pitch + columns.start, columns.len()) };
                out.copy_from_slice(&row[..columns.len()]);
            }
        }
    }

    /// Logits of a tile of queries for some panels of keys: q·k + bias.
    fn logits(
        &self,
        packed: &Packed,
        rows: &Queries,
        panels: Range<usize>,
        (bias, bias_step): (*const f32, isize),
        logits: &mut [f32],
    ) {
        let (t, d) = (self.dims.padded_tokens(), self.dims.head_padded);
        let (at, np) = (panels.start * LANES, panels.len());
        match packed {
            Packed::F32 { k, .. } => {
                let mut tile = [0f32; TILE];
                let columns = np * LANES;
                for (r, row) in tile.chunks_mut(columns).enumerate().take(rows.count) {
                    // SAFETY: `bias` points at rows of at least `columns` numbers: the plane has a margin, the tail a tile.
                    let bias =
                        unsafe { core::slice::from_raw_parts(bias.offset(r as isize * bias_step), columns) };
                    row.copy_from_slice(bias);
                }
                let product = TileF {
                    a: self.part(rows.first, 0).as_ptr(),
                    pitch: rows.step * self.dims.qkv(),
                    w: k[at * d..].as_ptr(),
                    panel: d * LANES,
                    k: d,
                    first: false,
                    out: tile.as_mut_ptr(),
                };
                // SAFETY: every query of the tile is a token, its q is d numbers; k holds whole panels.
                unsafe { self.isa.tile_f32(rows.count, np, &product) };
                for (r, row) in tile.chunks(columns).enumerate().take(rows.count) {
                    logits[r * t + at..][..columns].copy_from_slice(row);
                }
            }
            Packed::Int8 { q, k, .. } => {
                let Rows::Bytes { data, pitch, params } = q.rows() else { return };
                let mut sums = [0i32; TILE];
                let product = TileI8 {
                    a: data[rows.first * pitch..].as_ptr(),
                    pitch: rows.step * pitch,
                    w: k.panels[at * d..].as_ptr(),
                    panel: d * LANES,
                    groups: d / 4,
                    sum: k.sum[at..].as_ptr(),
                    out: sums.as_mut_ptr(),
                };
                // SAFETY: every query of the tile is a token with a row in q; k holds whole panels, scales and sums;
                // `bias` points at rows of at least np · 16 numbers; a row of logits is t long.
                unsafe {
                    self.isa.tile_i8(rows.count, np, &product);
                    self.isa.scores(&Scores {
                        sums: sums.as_ptr(),
                        rows: rows.count,
                        panels: np,
                        params: params[rows.first..].as_ptr(),
                        param_step: rows.step,
                        k_scale: k.scale[at..].as_ptr(),
                        k_sum: k.sum[at..].as_ptr(),
                        bias,
                        bias_step,
                        out: logits[at..].as_mut_ptr(),
                        pitch: t,
                    });
                }
            }
        }
    }

    /// The weighted sum of the values from the two byte planes.
    #[allow(clippy::too_many_arguments)]
    fn weigh(
        &self,
        v: &Side,
        high: &[u8],
        low: &[u8],
        rows: usize,
        panels: Range<usize>,
        factors: &[f32],
        result: &mut [f32],
    ) {
        let t = self.dims.padded_tokens();
        let (at, columns) = (panels.start * LANES, panels.len() * LANES);
        let mut sums = [[0i32; TILE]; 2];
        for (plane, sums) in [high, low].into_iter().zip(&mut sums) {
            let product = TileI8 {
                a: plane.as_ptr(),
                pitch: t,
                w: v.panels[at * t..].as_ptr(),
                panel: t * LANES,
                groups: t / 4,
                sum: v.sum[at..].as_ptr(),
                out: sums.as_mut_ptr(),
            };
            // SAFETY: planes hold rows of t bytes, v whole panels and sums.
            unsafe { self.isa.tile_i8(rows, panels.len(), &product) };
        }
        for (r, row) in result.chunks_mut(columns).enumerate().take(rows) {
            let [high, low] = [&sums[0][r * columns..], &sums[1][r * columns..]];
            // SAFETY: all have a number for each column.
            unsafe {
                let (sum, scale) = (v.sum[at..].as_ptr(), v.scale[at..].as_ptr());
                self.isa.weigh(high.as_ptr(), low.as_ptr(), sum, scale, factors[r], row);
            }
        }
    }
}
