//! Softmax in blocks of keys, over the lanes: integer products to bytes, blocks into proportion.

use super::blocks::BlockSums;
use crate::file::format::padded;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::math::{exp, exp2_255};
use crate::simd::tile::MAX_ROWS;

dispatch! {
    fn block_factors(tops: &mut [f32], totals: &[i32], unit: u32, shares: &mut [f32]);
}
dispatch! {
    unsafe fn softmax_blocks(t: &SoftmaxBlocks);
}

/// Blocks of keys for a tile of queries, as many panels in each. Logits are whole numbers, 2^unit to a factor of two:
/// x_ij = ⌊sum_ij / 2^shift⌋ · k_j / 2¹⁵ · q_i / 2¹⁵ + bias_ij, rounded after each product. With top_i the largest of a row and
/// block, its bytes are p_ij = 255 · 2^((x_ij − top_i) / 2^unit).
///
/// Keys are in the order of their *slots*: slot 32h + 8q + 4p + i of a block is number 4q + i of its panel 2h + p, which is how
/// pairs of panels are narrowed to one vector.
pub(crate) struct SoftmaxBlocks {
    /// Of each block `rows` x 16 · `panels`.
    pub sums: BlockSums,
    pub blocks: usize,
    pub rows: usize,
    /// At most four.
    pub panels: usize,
    pub shift: u32,
    pub unit: u32,
    /// Of each query.
    pub q: *const i16,
    /// Of each slot, 64 a block.
    pub k: *const i16,
    /// Row r starts at `bias + r · bias_step`, 64 a block; −2¹⁵ for keys that do not exist.
    pub bias: *const i16,
    pub bias_step: isize,
    /// Rows of bytes, `pitch` apart; those of four panels by fours: byte 16q + 4p + i is number 4q + i of panel p.
    pub out: *mut u8,
    pub pitch: usize,
    /// A number for each row and block, rows `max_pitch` apart.
    pub max: *mut f32,
    pub max_pitch: usize,
    /// Sixteen sums of p for each row and block, lane by lane, rows `total_pitch` apart.
    pub total: *mut i32,
    pub total_pitch: usize,
}

/// # Safety
/// The pointers of [`SoftmaxBlocks`] cover what their comments say.
#[inline(always)]
unsafe fn softmax_blocks<L: Lanes>(l: L, t: &SoftmaxBlocks) {
    // SAFETY: passed on.
    unsafe {
        for b in 0..t.blocks {
            if t.panels < 4 {
                for r in 0..t.rows {
                    softmax_rows::<L, false, 1>(l, t, b, r);
                }
                continue;
            }
            for r in (0..t.rows).step_by(2) {
                match t.rows - r {
                    1 => softmax_rows::<L, true, 1>(l, t, b, r),
                    _ => softmax_rows::<L, true, 2>(l, t, b, r),
                }
            }
        }
    }
}

/// Of so many rows of a block, which is whole or is not.
///
/// # Safety
/// As [`softmax_blocks`]; block and rows exist.
#[inline(always)]
unsafe fn softmax_rows<L: Lanes, const WHOLE: bool, const ROWS: usize>(
    l: L,
    t: &SoftmaxBlocks,
    b: usize,
    first: usize,
) {
    // SAFETY: the caller's promise.
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
        store::<L, WHOLE, ROWS>(l, t, b, first, x);
    }
}

/// Narrowed sums of a block's rows become logits less the row's largest, which is stored, step by step for all rows, so that none
/// waits for its own step before.
///
/// # Safety
/// As [`softmax_blocks`], but for the sums; block and rows exist.
#[inline(always)]
pub(crate) unsafe fn logits_minus_max<L: Lanes, const ROWS: usize>(
    l: L,
    t: &SoftmaxBlocks,
    b: usize,
    first: usize,
    x: &mut [[L::H; 2]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let k = t.k.add(b * 4 * LANES);
        let (k_low, k_high) = (l.load_i16_at(k), l.load_i16_at(k.add(2 * LANES)));
        for (r, [low, high]) in x.iter_mut().enumerate() {
            let q = l.splat_i16(*t.q.add(first + r));
            *low = l.mul_high_rounded(l.mul_high_rounded(*low, k_low), q);
            *high = l.mul_high_rounded(l.mul_high_rounded(*high, k_high), q);
        }
        for (r, [low, high]) in x.iter_mut().enumerate() {
            let bias = t.bias.offset((first + r) as isize * t.bias_step).add(b * 4 * LANES);
            *low = l.add_i16(*low, l.load_i16_at(bias));
            *high = l.add_i16(*high, l.load_i16_at(bias.add(2 * LANES)));
            let top = l.broadcast_max_i16(l.max_i16(*low, *high));
            *low = l.sub_i16(*low, top);
            *high = l.sub_i16(*high, top);
            *t.max.add((first + r) * t.max_pitch + b) = f32::from(l.first_i16(top));
        }
    }
}

/// What [`logits_minus_max`] leaves becomes bytes, which are stored with their sums.
///
/// # Safety
/// As [`softmax_blocks`], but for the sums; block and rows exist.
#[inline(always)]
pub(crate) unsafe fn store<L: Lanes, const WHOLE: bool, const ROWS: usize>(
    l: L,
    t: &SoftmaxBlocks,
    b: usize,
    first: usize,
    mut x: [[L::H; 2]; ROWS],
) {
    let panels = if WHOLE { 4 } else { t.panels };
    exp2_255(l, &mut x, t.unit);
    // SAFETY: the caller's promise.
    unsafe {
        for (r, [low, high]) in x.into_iter().enumerate() {
            let out = t.out.add((first + r) * t.pitch + b * panels * LANES);
            let total = if WHOLE {
                l.store_bytes_sum4_at(low, high, out)
            } else {
                let mut fours = [[0u8; 4]; LANES];
                let total = l.store_bytes_sum4_at(low, high, fours.as_mut_ptr().cast());
                for p in 0..panels {
                    for q in 0..4 {
                        out.add(p * LANES + 4 * q).cast::<[u8; 4]>().write(fours[4 * q + p]);
                    }
                }
                total
            };
            l.store_i32_at(total, t.total.add((first + r) * t.total_pitch + b * LANES));
        }
    }
}

/// The largest logits of the blocks of each row become the blocks' factors, 2^((top_b − top) / 2^unit), and the row's share is
/// 1 / Σ_b factor_b · Σ p, for at most [`MAX_ROWS`]. Rows of `tops` are padded, those of `totals` have sixteen sums for each block.
#[inline(always)]
fn block_factors<L: Lanes>(l: L, tops: &mut [f32], totals: &[i32], unit: u32, shares: &mut [f32]) {
    let blocks = totals.len() / (shares.len() * LANES);
    let scale = l.splat(core::f32::consts::LN_2 / (1 << unit) as f32);
    // Row by row in rounds, so that none waits for another.
    let mut largest = [0f32; MAX_ROWS];
    for (largest, tops) in largest.iter_mut().zip(tops.chunks_mut(padded(blocks))) {
        tops[blocks..].fill(f32::NEG_INFINITY);
        let mut top = l.splat(f32::NEG_INFINITY);
        for v in tops.as_chunks::<LANES>().0 {
            top = l.max(l.load(v), top);
        }
        *largest = l.reduce_max(top);
    }
    for (largest, tops) in largest.iter().zip(tops.chunks_mut(padded(blocks))) {
        for v in tops.as_chunks_mut::<LANES>().0 {
            l.store(exp(l, l.mul(l.sub(l.load(v), l.splat(*largest)), scale)), v);
        }
    }
    for ((share, tops), totals) in
        shares.iter_mut().zip(tops.chunks(padded(blocks))).zip(totals.chunks(blocks * LANES))
    {
        // Four sums, so that none waits for the one before.
        let mut sums = [l.splat(0.0); 4];
        for (factors, totals) in tops[..blocks].chunks(4).zip(totals.chunks(4 * LANES)) {
            for ((sum, factor), total) in sums.iter_mut().zip(factors).zip(totals.as_chunks::<LANES>().0) {
                // SAFETY: `total` is sixteen integers.
                let total = unsafe { l.load_i32_at(total.as_ptr()) };
                *sum = l.fma(l.to_f32(total), l.splat(*factor), *sum);
            }
        }
        let [a, b, c, d] = sums;
        *share = 1.0 / l.reduce_sum(l.add(l.add(a, b), l.add(c, d)));
    }
}

/// Where [`softmax_blocks`] writes: bytes, maxima and partial sums, each with the distance between its rows.
pub(crate) struct SoftmaxOutput<'a> {
    pub bytes: (&'a mut [u8], usize),
    pub max: (&'a mut [f32], usize),
    pub total: (&'a mut [i32], usize),
}

impl SoftmaxBlocks {
    /// The softmax of `blocks` blocks of `rows` rows and `panels` panels, over slices that start at the first row and block.
    /// `fixed` is (`shift`, `unit`), `factors` the fixed-point factors of (queries, slots), `bias` (the first row, the
    /// distance between rows).
    #[inline(always)]
    pub fn new(
        (blocks, rows, panels): (usize, usize, usize),
        sums: BlockSums,
        (shift, unit): (u32, u32),
        (q, k): (&[i16], &[i16]),
        (bias, bias_step): (*const i16, isize),
        to: SoftmaxOutput,
    ) -> SoftmaxBlocks {
        let SoftmaxOutput { bytes: (out, pitch), max: (max, max_pitch), total: (total, total_pitch) } = to;
        debug_assert!(blocks > 0 && rows > 0 && (1..=4).contains(&panels), "the blocks must exist");
        debug_assert!(q.len() >= rows, "every query must have a factor");
        debug_assert!(k.len() >= blocks * 4 * LANES, "every slot must have a factor");
        debug_assert!(
            out.len() >= (rows - 1) * pitch + blocks * panels * LANES,
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
            q: q.as_ptr(),
            k: k.as_ptr(),
            bias,
            bias_step,
            out: out.as_mut_ptr(),
            pitch,
            max: max.as_mut_ptr(),
            max_pitch,
            total: total.as_mut_ptr(),
            total_pitch,
        }
    }
}
