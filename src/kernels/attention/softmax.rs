//! Softmax in blocks of keys, over the lanes: integer products to bytes, blocks into proportion, blocks together.

use super::super::MAX_ROWS;
use super::super::lanes::{LANES, Lanes};
use super::super::math::{exp, exp2_255};
use super::{SPAN, TILE};
use super::int8::Sums;

/// Of an octave: what logits are counted in.
pub(super) const UNIT: f32 = 1024.0;

/// Blocks of keys for a tile of queries, as many panels in each. With logits x_ij = k_scale_j · (s_i · sum_ij + m_i · k_sum_j) +
/// bias_ij (1024 is a factor of two) and top_i the largest of a row and block: bytes p_ij = 255 · 2^((x_ij − top_i) / 1024).
pub(crate) struct Weights {
    /// Of each block `rows` x 16 · `panels`; overwritten.
    pub sums: Sums,
    /// At most [`SPAN`].
    pub blocks: usize,
    /// At most [`MAX_ROWS`].
    pub rows: usize,
    /// At most four.
    pub panels: usize,
    /// (s, m) of the queries, `param_step` apart.
    pub params: *const [f32; 2],
    pub param_step: usize,
    /// Of each key.
    pub k_scale: *const f32,
    pub k_sum: *const i32,
    /// Row r starts at `bias + r · bias_step`; −∞ for keys that do not exist.
    pub bias: *const f32,
    pub bias_step: isize,
    /// Rows of bytes, `pitch` apart; those of four panels by fours: byte 16q + 4p + i is key 16p + 4q + i.
    pub out: *mut u8,
    pub pitch: usize,
    /// A number for each row and block, rows `top_pitch` apart.
    pub top: *mut f32,
    pub top_pitch: usize,
    /// Sixteen sums of p for each row and block, lane by lane, rows `total_pitch` apart.
    pub total: *mut i32,
    pub total_pitch: usize,
}

/// # Safety
/// The pointers of [`Weights`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn block_weights<L: Lanes>(l: L, t: &Weights) {
    // SAFETY: passed on.
    unsafe {
        match t.panels {
            4 => weights::<L, true>(l, t),
            1..4 => weights::<L, false>(l, t),
            _ => unreachable!("a block has one to four panels"),
        }
    }
}

/// # Safety
/// As [`block_weights`], with four panels or fewer.
#[inline(always)]
unsafe fn weights<L: Lanes, const WHOLE: bool>(l: L, t: &Weights) {
    let panels = if WHOLE { 4 } else { t.panels };
    // Three rounds, so that no row waits for another's maximum: logits, in the place of the sums; their maxima; weights.
    let mut tops = [[l.splat(f32::NEG_INFINITY); MAX_ROWS]; SPAN];
    // SAFETY: the caller's promise.
    unsafe {
        for (b, tops) in tops.iter_mut().enumerate().take(t.blocks) {
            let key = b * panels * LANES;
            let (mut scale, mut k_sum) = ([l.splat(0.0); 4], [l.splat(0.0); 4]);
            for p in 0..panels {
                scale[p] = l.load_at(t.k_scale.add(key + p * LANES));
                k_sum[p] = l.to_f32(l.load_i32_at(t.k_sum.add(key + p * LANES)));
            }
            for (r, top) in tops.iter_mut().enumerate().take(t.rows) {
                let [s, m] = *t.params.add(r * t.param_step);
                let (s, m) = (l.splat(s), l.splat(m));
                let bias = t.bias.offset(r as isize * t.bias_step).add(key);
                for p in 0..panels {
                    let sum = t.sums.of(b, r, p);
                    let v = l.fma(l.to_f32(l.load_i32_at(sum)), s, l.mul(k_sum[p], m));
                    let x = l.fma(v, scale[p], l.load_at(bias.add(p * LANES)));
                    *top = l.max(x, *top);
                    l.store_at(x, sum.cast());
                }
            }
        }
        for (b, tops) in tops.iter().enumerate().take(t.blocks) {
            let tops = l.largest_of_each(tops);
            for (r, &top) in tops.iter().enumerate().take(t.rows) {
                *t.top.add(r * t.top_pitch + b) = top;
                let top = l.splat(top);
                let mut x = [l.splat(f32::NEG_INFINITY); 4];
                for (p, x) in x.iter_mut().enumerate().take(panels) {
                    *x = l.sub(l.load_at(t.sums.of(b, r, p).cast()), top);
                }
                let [p0, p1, p2, p3] = x;
                let (low, high) = (exp2_255(l, l.to_i16(p0, p1)), exp2_255(l, l.to_i16(p2, p3)));
                let out = t.out.add(r * t.pitch + b * panels * LANES);
                let total = if WHOLE {
                    l.store_bytes_at(low, high, out)
                } else {
                    let mut fours = [[0u8; 4]; LANES];
                    let total = l.store_bytes_at(low, high, fours.as_mut_ptr().cast());
                    for p in 0..panels {
                        for q in 0..4 {
                            out.add(p * LANES + 4 * q).cast::<[u8; 4]>().write(fours[4 * q + p]);
                        }
                    }
                    total
                };
                l.store_at(l.float_of_bits(total), t.total.add(r * t.total_pitch + b * LANES).cast());
            }
        }
    }
}

/// The largest logits of the blocks of a row become the blocks' factors, 2^((top_b − top) / 1024); returns Σ_b factor_b · Σ p.
/// `tops` is padded, `totals` has sixteen sums for each block.
#[inline(always)]
pub(crate) fn block_factors<L: Lanes>(l: L, tops: &mut [f32], totals: &[i32]) -> f32 {
    let (totals, _) = totals.as_chunks::<LANES>();
    tops[totals.len()..].fill(f32::NEG_INFINITY);
    let mut top = l.splat(f32::NEG_INFINITY);
    for v in tops.as_chunks::<LANES>().0 {
        top = l.max(l.load(v), top);
    }
    let (top, unit) = (l.splat(l.largest(top)), l.splat(core::f32::consts::LN_2 / UNIT));
    for v in tops.as_chunks_mut::<LANES>().0 {
        l.store(exp(l, l.mul(l.sub(l.load(v), top), unit)), v);
    }
    // Four sums, so that none waits for the one before.
    let mut sums = [l.splat(0.0); 4];
    for (factors, totals) in tops.chunks(4).zip(totals.chunks(4)) {
        for ((sum, factor), total) in sums.iter_mut().zip(factors).zip(totals) {
            // SAFETY: `total` is sixteen integers.
            let total = unsafe { l.load_i32_at(total.as_ptr()) };
            *sum = l.fma(l.to_f32(total), l.splat(*factor), *sum);
        }
    }
    let [a, b, c, d] = sums;
    l.sum(l.add(l.add(a, b), l.add(c, d)))
}

/// Blocks' weighted sums of the values join those before them: acc_ij += factor_i · Σ p·v, with the 128 · Σ v that the integer
/// tiles leave out put back.
#[derive(Clone, Copy)]
pub(crate) struct Blend {
    /// Of each block `rows` x 16 · `panels`.
    pub sums: Sums,
    pub blocks: usize,
    pub rows: usize,
    pub panels: usize,
    /// Of each column, in each block; blocks `sum_pitch` apart.
    pub weight_sum: *const i32,
    pub sum_pitch: usize,
    /// Of each row and block, rows `factor_pitch` apart.
    pub factor: *const f32,
    pub factor_pitch: usize,
    /// `rows` x 16 · `panels`.
    pub acc: *mut f32,
}

/// # Safety
/// The pointers of [`Blend`] cover what their comments say.
#[inline(always)]
pub(crate) unsafe fn blend<L: Lanes>(l: L, t: &Blend) {
    let mut r = 0;
    // As many rows at a time as registers hold.
    while r < t.rows {
        // SAFETY: the caller's promise.
        r += unsafe {
            match (t.rows - r, t.blocks) {
                (1, SPAN) => blend_rows::<L, 1, SPAN>(l, t, r),
                (2, SPAN) => blend_rows::<L, 2, SPAN>(l, t, r),
                (3.., SPAN) => blend_rows::<L, 3, SPAN>(l, t, r),
                _ => (0..t.blocks).map(|b| blend_rows::<L, 1, 1>(l, &t.of_block(b), r)).last().unwrap_or(1),
            }
        };
    }
}

impl Blend {
    /// That block alone.
    fn of_block(&self, b: usize) -> Blend {
        let sums = Sums { at: self.sums.at.wrapping_add(b * TILE), ..self.sums };
        let weight_sum = self.weight_sum.wrapping_add(b * self.sum_pitch);
        Blend { sums, blocks: 1, weight_sum, factor: self.factor.wrapping_add(b), ..*self }
    }
}

/// # Safety
/// As [`blend`]; the rows from `first` on and the blocks exist.
#[inline(always)]
unsafe fn blend_rows<L: Lanes, const ROWS: usize, const BLOCKS: usize>(l: L, t: &Blend, first: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let factor = t.factor.add(first * t.factor_pitch);
        for p in 0..t.panels {
            let at = t.acc.add((first * t.panels + p) * LANES);
            let mut acc: [L::F; ROWS] = core::array::from_fn(|r| l.load_at(at.add(r * t.panels * LANES)));
            for b in 0..BLOCKS {
                let back = l.load_i32_at(t.weight_sum.add(b * t.sum_pitch + p * LANES));
                for (r, acc) in acc.iter_mut().enumerate() {
                    let sum = l.add_i32(l.load_i32_at(t.sums.of(b, first + r, p)), back);
                    *acc = l.fma(l.to_f32(sum), l.splat(*factor.add(r * t.factor_pitch + b)), *acc);
                }
            }
            for (r, acc) in acc.into_iter().enumerate() {
                l.store_at(acc, at.add(r * t.panels * LANES));
            }
        }
    }
    ROWS
}
