//! Attention's blocks with AVX-512: while `vpdpbusd` keeps two of the processor's four vector pipes busy, the others do what follows
//! the block before: shifts, sums, maxima and conversions are free there. Only whole blocks, of four panels.

use super::super::avx512::{Avx512, offsets, sum_groups};
use super::super::lanes::{LANES, Lanes};
use super::super::micro::{TileI8, pick_tile};
use super::BLOCK;
use super::blend::Blend;
use super::softmax::{Weights, relate, store};

const PANELS: usize = BLOCK / LANES;
type Narrow = <Avx512 as Lanes>::H;

/// What [`weigh`](super::tiles::weigh) does, for at most five rows and any number of whole blocks. `tile.out` is not looked at.
///
/// # Safety
/// As there; the processor has AVX-512 as [`Avx512`] needs it.
pub(crate) unsafe fn weigh(tile: &TileI8, weights: &Weights) {
    // SAFETY: passed on.
    unsafe { pick_tile!(weights.rows, 1, 1 2 3 4 5, [1], weigh_rows[](tile, weights)) }
}

/// What [`mix`](super::tiles::mix) does, likewise. `blend.sums` and `blend.weight_sum` are not looked at.
///
/// # Safety
/// As there; the processor has AVX-512 as [`Avx512`] needs it.
pub(crate) unsafe fn mix(tile: &TileI8, blend: &Blend) {
    // SAFETY: passed on.
    unsafe { pick_tile!(blend.rows, 1, 1 2 3 4 5, [1], mix_rows[](tile, blend)) }
}

/// # Safety
/// As [`weigh`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn weigh_rows<const ROWS: usize, const ONE: usize>(tile: &TileI8, t: &Weights) {
    // SAFETY: the caller's promise.
    unsafe {
        let l = Avx512::new();
        // Of two blocks in turn: one is multiplied, the other weighed.
        let mut narrow = [[[l.splat_i16(0); 2]; ROWS]; 2];
        let narrow = narrow.as_mut_ptr();
        block::<ROWS, false>(l, tile, t, 0, narrow, narrow.add(1));
        for b in 1..t.blocks {
            block::<ROWS, true>(l, tile, t, b, narrow.add(b % 2), narrow.add((b + 1) % 2));
        }
        let last = t.blocks - 1;
        for r in 0..ROWS {
            let mut x = [(*narrow.add(last % 2))[r]];
            relate(l, t, last, r, &mut x);
            store::<_, true, 1>(l, t, last, r, x);
        }
    }
}

/// Multiplies block `b` and narrows its sums; meanwhile weighs the block before, if there is one.
///
/// # Safety
/// As [`weigh`]; `sums` and `before` can be written and read.
#[inline(always)]
unsafe fn block<const ROWS: usize, const AFTER: bool>(
    l: Avx512,
    tile: &TileI8,
    t: &Weights,
    b: usize,
    sums: *mut [[Narrow; 2]; ROWS],
    before: *const [[Narrow; 2]; ROWS],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let w = tile.w.add(b * PANELS * tile.panel);
        let mut acc = [offsets::<PANELS>(tile.sum.add(b * BLOCK)); ROWS];
        // Each row in two steps, with products between them: neither waits long for the other.
        let groups = |step: usize| tile.groups * step / (2 * ROWS);
        let tile = TileI8 { w, ..*tile };
        for r in 0..ROWS {
            sum_groups(&tile, groups(2 * r)..groups(2 * r + 1), &mut acc);
            let mut x = [(*before)[r]];
            if AFTER {
                relate(l, t, b - 1, r, &mut x);
            }
            sum_groups(&tile, groups(2 * r + 1)..groups(2 * r + 2), &mut acc);
            if AFTER {
                store::<_, true, 1>(l, t, b - 1, r, x);
            }
        }
        for (r, [w, x, y, z]) in acc.into_iter().enumerate() {
            (*sums)[r] = [l.narrow(w, x, t.shift), l.narrow(y, z, t.shift)];
        }
    }
}

/// # Safety
/// As [`mix`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn mix_rows<const ROWS: usize, const ONE: usize>(tile: &TileI8, t: &Blend) {
    // SAFETY: the caller's promise.
    unsafe {
        let l = Avx512::new();
        let mut result = [[l.splat(0.0); PANELS]; ROWS];
        if !t.first {
            for (r, row) in result.iter_mut().enumerate() {
                for (p, v) in row.iter_mut().enumerate() {
                    *v = l.load_at(t.acc.add((r * PANELS + p) * LANES));
                }
            }
        }
        for b in 0..t.blocks {
            // Unsigned bytes times values: nothing to put back.
            let mut acc = [[l.splat_i32(0); PANELS]; ROWS];
            let tile = TileI8 { a: tile.a.add(b * BLOCK), w: tile.w.add(b * BLOCK * LANES), ..*tile };
            sum_groups(&tile, 0..tile.groups, &mut acc);
            for (r, (row, acc)) in result.iter_mut().zip(acc).enumerate() {
                let factor = l.splat(*t.factor.add(r * t.factor_pitch + b));
                for (v, sum) in row.iter_mut().zip(acc) {
                    *v = l.fma(l.to_f32(sum), factor, *v);
                }
            }
        }
        for (r, row) in result.into_iter().enumerate() {
            for (p, v) in row.into_iter().enumerate() {
                l.store_at(v, t.acc.add((r * PANELS + p) * LANES));
            }
        }
    }
}
