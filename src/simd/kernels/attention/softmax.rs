//! Softmax over blocks of keys, in 16-bit fixed point.
//!
//! For query i and key j with the int8 product sum_ij, the logit in units of 2^−unit octaves is
//!
//! x_ij = ⌊sum_ij / 2^shift⌋ · k_j / 2¹⁵ · q_i / 2¹⁵ + bias_ij,
//!
//! rounded to an integer after each product: q_i and k_j are the scales of query and key as 16-bit factors, and the fixed point
//! (`shift`, `unit`) is chosen so that no logit overflows (`ops::attention::fixed_point`).
//!
//! 1. [`softmax_blocks`]: within each block b, m_b = max_j x_ij is stored, and p_ij = 255 · 2^((x_ij − m_b) / 2^unit), rounded, is
//!    stored as a byte, together with Σ_j p_ij. Base 2 replaces e: the factors contain log2(e). The rounding error of one
//!    probability is carried over to another ([`Lanes::round_with_carry`]): with many keys most probabilities are a few units
//!    or none, and neighbouring keys have similar values, so what counts is their sum.
//! 2. [`block_factors`]: with m = max_b m_b, the factor of a block is 2^((m_b − m) / 2^unit), and the denominator of the row is
//!    Σ_b factor_b · Σ_j p_ij. P·V is then accumulated with the factors (`accumulate`), and each row is scaled once by the
//!    reciprocal of its denominator.
//!
//! The sums of a block are narrowed to 16 bits first: 64 keys are two vectors of 32 lanes. Narrowing interleaves the panels
//! by fours ([`Lanes::shift_narrow`]), so the lanes are in the order of *slots*: slot 32h + 8q + 4p + i of a block is lane
//! 4q + i of its panel 2h + p. Key factors and biases are stored in slot order. Packing the lanes to bytes interleaves the
//! two vectors ([`Lanes::store_bytes_sum4_at`]): byte 16q + 4p + i of a whole block is lane 4q + i of its panel p. The keys
//! of v are packed in that order, so nothing is permuted back.

use super::blocks::BlockSums;
use crate::file::format::padded;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes, SoftmaxRow};
use crate::simd::math::{EXP2_OCTAVES, exp, exp2_255};
use crate::simd::tile::MAX_ROWS;

dispatch! {
    fn block_factors(maxima: &mut [f32], totals: &[i32], unit: u32, reciprocals: &mut [f32]);
}
dispatch! {
    unsafe fn softmax_blocks(t: &SoftmaxBlocks);
}

/// The operands of [`softmax_blocks`]: some blocks of keys for a tile of queries, all with the same number of panels.
///
/// Preconditions: the pointers are valid for the shapes below.
pub(crate) struct SoftmaxBlocks {
    /// Sums q · k of each block, `rows` by 16 · `panels`.
    pub sums: BlockSums,
    pub blocks: usize,
    /// Queries.
    pub rows: usize,
    /// Panels of 16 keys of each block, 1 to 4.
    pub panels: usize,
    /// The sums are shifted right by this number of bits.
    pub shift: u32,
    /// Logits are in units of 2^−unit octaves; `unit` is at most 10.
    pub unit: u32,
    /// Fixed-point factor of each query, `[rows]`.
    pub q_factor: *const i16,
    /// Fixed-point factor of each key, `[blocks][64 slots]`.
    pub k_factor: *const i16,
    /// Bias of each query and key, `[rows][blocks][64 slots]`; −2¹⁵ in slots without a key.
    pub bias: *const i16,
    /// Elements from one row of biases to the next; negative where the rows descend.
    pub bias_step: isize,
    /// Output: the probabilities as bytes, `[rows][blocks][16 · panels]`. In blocks of four panels, byte 16q + 4p + i is that of
    /// lane 4q + i of panel p; smaller blocks are in the order of the sums, `[panels][16]`.
    pub out: *mut u8,
    /// Bytes from one row of `out` to the next.
    pub out_pitch: usize,
    /// Output: the largest logit of each query and block, `[rows][blocks]`.
    pub max: *mut f32,
    /// Elements from one row of `max` to the next.
    pub max_pitch: usize,
    /// Output: sixteen partial sums of the probabilities of each query and block, `[rows][blocks][16]`.
    pub total: *mut i32,
    /// Elements from one row of `total` to the next.
    pub total_pitch: usize,
}

/// Computes the probabilities of each block relative to the block's maximum, in whole blocks two rows at a time where the
/// registers hold them.
///
/// # Safety
/// The preconditions of [`SoftmaxBlocks`].
#[inline(always)]
unsafe fn softmax_blocks<L: Lanes>(l: L, t: &SoftmaxBlocks) {
    // SAFETY: block b < `t.blocks` and rows below `t.rows` exist, by the preconditions of `SoftmaxBlocks`.
    unsafe {
        for b in 0..t.blocks {
            if t.panels < 4 {
                for r in 0..t.rows {
                    softmax_rows::<L, false, 1>(l, t, b, r);
                }
                continue;
            }
            if (0..t.rows).all(|r| l.softmax_row(&t.row(b, r))) {
                continue;
            }
            let step = if L::REGISTERS > 2 { 1 } else { 2 };
            for r in (0..t.rows).step_by(step) {
                match step.min(t.rows - r) {
                    1 => softmax_rows::<L, true, 1>(l, t, b, r),
                    _ => softmax_rows::<L, true, 2>(l, t, b, r),
                }
            }
        }
    }
}

/// The softmax of `ROWS` rows of block `b`, from row `first` on. `WHOLE` blocks have four panels.
///
/// # Safety
/// The preconditions of [`SoftmaxBlocks`]; the block and the rows exist.
#[inline(always)]
unsafe fn softmax_rows<L: Lanes, const WHOLE: bool, const ROWS: usize>(
    l: L,
    t: &SoftmaxBlocks,
    b: usize,
    first: usize,
) {
    // SAFETY: the preconditions of `SoftmaxBlocks` cover the block and the rows.
    unsafe {
        let panels = if WHOLE { 4 } else { t.panels };
        let mut x = [[l.splat_i16(0); 2]; ROWS];
        for (r, [low, high]) in x.iter_mut().enumerate() {
            let mut sums = [l.splat_i32(0); 4];
            for (p, sum) in sums.iter_mut().enumerate().take(panels) {
                *sum = l.load_i32_at(t.sums.of(b, first + r, p));
            }
            *low = l.shift_narrow(sums[0], sums[1], t.shift);
            *high = l.shift_narrow(sums[2], sums[3], t.shift);
        }
        logits_minus_max(l, t, b, first, &mut x);
        store_probabilities::<L, WHOLE, ROWS>(l, t, b, first, x);
    }
}

/// Turns the narrowed sums `x` of `ROWS` rows of block `b` into the input of [`exp2_255`]: the logits, minus the row's largest (which
/// is stored in `t.max`) and [`EXP2_OCTAVES`]. Each step is done for all rows before the next step, so that independent
/// instructions hide the latency.
///
/// # Safety
/// The preconditions of [`SoftmaxBlocks`], except for `sums`; the block and the rows exist.
#[inline(always)]
pub(crate) unsafe fn logits_minus_max<L: Lanes, const ROWS: usize>(
    l: L,
    t: &SoftmaxBlocks,
    b: usize,
    first: usize,
    x: &mut [[L::H; 2]; ROWS],
) {
    // SAFETY: the preconditions of `SoftmaxBlocks` cover the block and the rows.
    unsafe {
        let k = t.k_factor.add(b * 4 * LANES);
        let (k_low, k_high) = (l.load_i16_at(k), l.load_i16_at(k.add(2 * LANES)));
        let octaves = l.splat_i16((EXP2_OCTAVES << t.unit) as i16);
        for (r, [low, high]) in x.iter_mut().enumerate() {
            let q = l.splat_i16(*t.q_factor.add(first + r));
            *low = l.mul_high_rounded(l.mul_high_rounded(*low, k_low), q);
            *high = l.mul_high_rounded(l.mul_high_rounded(*high, k_high), q);
        }
        for (r, [low, high]) in x.iter_mut().enumerate() {
            let bias = t.bias.offset((first + r) as isize * t.bias_step).add(b * 4 * LANES);
            *low = l.add_i16(*low, l.load_i16_at(bias));
            *high = l.add_i16(*high, l.load_i16_at(bias.add(2 * LANES)));
            let max = l.broadcast_max_i16(l.max_i16(*low, *high));
            *t.max.add((first + r) * t.max_pitch + b) = f32::from(l.first_i16(max));
            let max = l.add_i16(max, octaves);
            *low = l.sub_i16(*low, max);
            *high = l.sub_i16(*high, max);
        }
    }
}

/// Turns the results of [`logits_minus_max`] into probabilities, and stores their bytes and partial sums.
///
/// # Safety
/// The preconditions of [`SoftmaxBlocks`], except for `sums`; the block and the rows exist.
#[inline(always)]
pub(crate) unsafe fn store_probabilities<L: Lanes, const WHOLE: bool, const ROWS: usize>(
    l: L,
    t: &SoftmaxBlocks,
    b: usize,
    first: usize,
    mut x: [[L::H; 2]; ROWS],
) {
    let panels = if WHOLE { 4 } else { t.panels };
    exp2_255(l, &mut x, t.unit);
    for x in &mut x {
        *x = l.round_with_carry(x[0], x[1]);
    }
    // SAFETY: the preconditions of `SoftmaxBlocks` cover the block and the rows; `interleaved` is 64 bytes.
    unsafe {
        for (r, [low, high]) in x.into_iter().enumerate() {
            let out = t.out.add((first + r) * t.out_pitch + b * panels * LANES);
            let total = if WHOLE {
                l.store_bytes_sum4_at(low, high, out)
            } else {
                // Undo the interleaving, four bytes at a time.
                let mut interleaved = [[0u8; 4]; LANES];
                let total = l.store_bytes_sum4_at(low, high, interleaved.as_mut_ptr().cast());
                for p in 0..panels {
                    for q in 0..4 {
                        out.add(p * LANES + 4 * q).cast::<[u8; 4]>().write(interleaved[4 * q + p]);
                    }
                }
                total
            };
            l.store_i32_at(total, t.total.add((first + r) * t.total_pitch + b * LANES));
        }
    }
}

/// Computes the factor of each block and the reciprocal of each row's denominator, for at most [`MAX_ROWS`] rows.
///
/// `maxima` holds the largest logit of each block, in padded rows, and is overwritten by the factors 2^((m_b − m) / 2^unit).
/// `totals` is `[rows][blocks][16]`, the partial sums of the probabilities. `reciprocals` becomes
/// 1 / (Σ_b factor_b · Σ_j p_ij), one for each row.
#[inline(always)]
fn block_factors<L: Lanes>(l: L, maxima: &mut [f32], totals: &[i32], unit: u32, reciprocals: &mut [f32]) {
    let blocks = totals.len() / (reciprocals.len() * LANES);
    let scale = l.splat(core::f32::consts::LN_2 / (1 << unit) as f32);
    // Each step is done for all rows before the next step, so that independent instructions hide the latency.
    let mut row_max = [0f32; MAX_ROWS];
    for (row_max, maxima) in row_max.iter_mut().zip(maxima.chunks_mut(padded(blocks))) {
        maxima[blocks..].fill(f32::NEG_INFINITY);
        let mut max = l.splat(f32::NEG_INFINITY);
        for v in maxima.as_chunks::<LANES>().0 {
            max = l.max(l.load(v), max);
        }
        *row_max = l.reduce_max(max);
    }
    for (row_max, maxima) in row_max.iter().zip(maxima.chunks_mut(padded(blocks))) {
        for v in maxima.as_chunks_mut::<LANES>().0 {
            l.store(exp(l, l.mul(l.sub(l.load(v), l.splat(*row_max)), scale)), v);
        }
    }
    let factors = &*maxima;
    for ((reciprocal, factors), totals) in
        reciprocals.iter_mut().zip(factors.chunks(padded(blocks))).zip(totals.chunks(blocks * LANES))
    {
        // Four accumulators hide the latency of the fused multiply-add.
        let mut sums = [l.splat(0.0); 4];
        let (whole, rest) = factors[..blocks].as_chunks::<4>();
        let (whole_totals, rest_totals) = totals.as_chunks::<LANES>().0.as_chunks::<4>();
        let add = |sum: &mut L::F, factor: f32, total: &[i32; LANES]| {
            // SAFETY: `total` is an array of 16 i32.
            let total = unsafe { l.load_i32_at(total.as_ptr()) };
            *sum = l.fma(l.to_f32(total), l.splat(factor), *sum);
        };
        for (factors, totals) in whole.iter().zip(whole_totals) {
            for (i, sum) in sums.iter_mut().enumerate() {
                add(sum, factors[i], &totals[i]);
            }
        }
        for ((sum, factor), total) in sums.iter_mut().zip(rest).zip(rest_totals) {
            add(sum, *factor, total);
        }
        let [a, b, c, d] = sums;
        *reciprocal = 1.0 / l.reduce_sum(l.add(l.add(a, b), l.add(c, d)));
    }
}

/// Where [`softmax_blocks`] writes: bytes, maxima and partial sums, each with the distance between its rows.
pub(crate) struct SoftmaxOutput<'a> {
    pub bytes: (&'a mut [u8], usize),
    pub max: (&'a mut [f32], usize),
    pub total: (&'a mut [i32], usize),
}

impl SoftmaxBlocks {
    /// Row `r` of the whole block `b`, as operands of [`Lanes::softmax_row`].
    ///
    /// # Safety
    /// The preconditions of [`SoftmaxBlocks`]; the block and the row exist, and blocks have four panels.
    #[inline(always)]
    unsafe fn row(&self, b: usize, r: usize) -> SoftmaxRow {
        const SLOTS: usize = 4 * LANES;
        // SAFETY: the preconditions of `SoftmaxBlocks` cover the block and the row.
        unsafe {
            SoftmaxRow {
                sums: core::array::from_fn(|p| self.sums.of(b, r, p).cast_const()),
                q_factor: *self.q_factor.add(r),
                k_factor: self.k_factor.add(b * SLOTS),
                bias: self.bias.offset(r as isize * self.bias_step).add(b * SLOTS),
                shift: self.shift,
                unit: self.unit,
                out: self.out.add(r * self.out_pitch + b * SLOTS),
                max: self.max.add(r * self.max_pitch + b),
                total: self.total.add(r * self.total_pitch + b * LANES),
            }
        }
    }

    /// The softmax of `blocks` blocks of `rows` rows and `panels` panels, over slices that start at the first row and block.
    #[inline(always)]
    pub fn new(
        (blocks, rows, panels): (usize, usize, usize),
        sums: BlockSums,
        (shift, unit): (u32, u32),
        (q_factor, k_factor): (&[i16], &[i16]),
        (bias, bias_step): (*const i16, isize),
        to: SoftmaxOutput,
    ) -> SoftmaxBlocks {
        let SoftmaxOutput { bytes: (out, out_pitch), max: (max, max_pitch), total: (total, total_pitch) } =
            to;
        debug_assert!(blocks > 0 && rows > 0 && (1..=4).contains(&panels), "the blocks must exist");
        debug_assert!(q_factor.len() >= rows, "every query must have a factor");
        debug_assert!(k_factor.len() >= blocks * 4 * LANES, "every slot must have a factor");
        debug_assert!(
            out.len() >= (rows - 1) * out_pitch + blocks * panels * LANES,
            "the output must hold all bytes"
        );
        debug_assert!(max.len() >= (rows - 1) * max_pitch + blocks, "the output must hold all maxima");
        debug_assert!(
            total.len() >= (rows - 1) * total_pitch + blocks * LANES,
            "the output must hold all partial sums"
        );
        SoftmaxBlocks {
            sums,
            blocks,
            rows,
            panels,
            shift,
            unit,
            q_factor: q_factor.as_ptr(),
            k_factor: k_factor.as_ptr(),
            bias,
            bias_step,
            out: out.as_mut_ptr(),
            out_pitch,
            max: max.as_mut_ptr(),
            max_pitch,
            total: total.as_mut_ptr(),
            total_pitch,
        }
    }
}
