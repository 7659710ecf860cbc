//! Armv8.6 matrix products: `usmmla` multiplies 2 rows by 2 outputs over 8 inputs, unsigned by signed.

use super::lanes::LANES;
use super::micro::{TileI8, pick_tile};
use core::arch::aarch64::*;
use core::arch::asm;

/// Pairs of rows, pairs of outputs.
type Acc = [[int32x4_t; 8]; 3];

/// Adds the products of eight inputs: `a` two rows each, `w` two groups of the panel.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn eight<const ROWS: usize>(acc: &mut Acc, a: &[uint8x16_t; 3], w: impl Fn(usize) -> [int32x4_t; 2]) {
    for j in 0..4 {
        // Four outputs of either group; interleaved, each output has its eight inputs together.
        let [first, second] = w(j);
        let w = [vzip1q_s32(first, second), vzip2q_s32(first, second)];
        for r in 0..ROWS.div_ceil(2) {
            for (half, &w) in w.iter().enumerate() {
                // SAFETY: registers in, registers out; the function asks for i8mm. The intrinsic is not stable. Without
                // `pure` and `nomem` the order stays as written, which keeps all accumulators in registers.
                unsafe {
                    asm!("usmmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) acc[r][2 * j + half],
                         in(vreg) a[r], in(vreg) w, options(nostack, preserves_flags));
                }
            }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has i8mm.
#[target_feature(enable = "neon,i8mm")]
unsafe fn matrix<const ROWS: usize, const PANELS: usize>(t: &TileI8) {
    const { assert!(PANELS == 1 && ROWS <= 6) }
    // The products of q: start from −128 · Σ w.
    let mut acc: Acc = [core::array::from_fn(|j| {
        // SAFETY: the tile's promise: 16 sums.
        let two = unsafe { vld1_s32(t.sum.add(2 * j)) };
        vmulq_n_s32(vcombine_s32(two, two), -128)
    }); 3];
    // An odd last row is its own partner.
    let rows: [[*const u8; 2]; 3] = core::array::from_fn(|r| {
        // SAFETY: rows below ROWS are inside what the tile promises.
        core::array::from_fn(|i| unsafe { t.a.add((2 * r + i).min(ROWS - 1) * t.pitch) })
    });
    for g in 0..t.groups / 2 {
        // SAFETY: the tile's promise: 8 bytes of each row, 128 of the panel.
        unsafe {
            let a = rows.map(|[p, q]| vcombine_u8(vld1_u8(p.add(g * 8)), vld1_u8(q.add(g * 8))));
            eight::<ROWS>(&mut acc, &a, |j| {
                let w = t.w.add(g * 128 + j * 16);
                [vreinterpretq_s32_s8(vld1q_s8(w)), vreinterpretq_s32_s8(vld1q_s8(w.add(64)))]
            });
        }
    }
    if t.groups % 2 == 1 {
        let g = t.groups - 1;
        // SAFETY: the tile's promise: the last 4 bytes of each row, the last 64 of the panel.
        unsafe {
            let a = rows.map(|row| {
                let [p, q] = row.map(|p| u64::from(p.add(g * 4).cast::<u32>().read_unaligned()));
                vcombine_u8(vcreate_u8(p), vcreate_u8(q))
            });
            eight::<ROWS>(&mut acc, &a, |j| {
                [vreinterpretq_s32_s8(vld1q_s8(t.w.add(g * 64 + j * 16))), vdupq_n_s32(0)]
            });
        }
    }
    for r in 0..ROWS {
        for j in 0..4 {
            let [x, y] = [acc[r / 2][2 * j], acc[r / 2][2 * j + 1]].map(|v| vreinterpretq_s64_s32(v));
            let v = if r % 2 == 0 { vzip1q_s64(x, y) } else { vzip2q_s64(x, y) };
            // SAFETY: the tile's promise: 16 outputs a row.
            unsafe { vst1q_s32(t.out.add(r * LANES + 4 * j), vreinterpretq_s32_s64(v)) }
        }
    }
}

/// # Safety
/// See [`TileI8`]; the processor has i8mm; at most 6 rows and 1 panel.
pub(crate) unsafe fn tile_i8(rows: usize, panels: usize, t: &TileI8) {
    // SAFETY: passed on.
    unsafe { pick_tile!(rows, panels, 1 2 3 4 5 6, [1], matrix[](t)) }
}
