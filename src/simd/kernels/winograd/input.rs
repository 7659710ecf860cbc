//! The input transform Bᵀ d B of a tile of pixels, channel by channel: the columns of the tile first, then the rows.

use super::transform::{F2x3, F4x3, Transform};
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};
use core::mem::MaybeUninit;
use half::bf16;

dispatch! {
    fn winograd_input(rows: &[&[bf16]], out: &mut [f32]);
}

/// Transforms a tile of T x T pixels: `rows` are T rows of T pixels, `[T][channels]`, `out` is `[T²][channels]`, where the
/// Winograd point of row y and column x is T · y + x. T = 4 is F(2x2, 3x3), T = 6 is F(4x4, 3x3).
#[inline(always)]
fn winograd_input<L: Lanes>(l: L, rows: &[&[bf16]], out: &mut [f32]) {
    match rows {
        [a, b, c, d] => input::<L, F2x3, 4, 2>(l, [a, b, c, d], out),
        [a, b, c, d, e, f] => input::<L, F4x3, 6, 4>(l, [a, b, c, d, e, f], out),
        _ => unreachable!("a Winograd tile has four or six rows of pixels"),
    }
}

/// [`winograd_input`] for one transform.
#[inline(always)]
fn input<L: Lanes, F: Transform<T, M>, const T: usize, const M: usize>(
    l: L,
    rows: [&[bf16]; T],
    out: &mut [f32],
) {
    let c = out.len() / (T * T);
    assert!(
        c.is_multiple_of(LANES) && rows.iter().all(|row| row.len() == T * c),
        "a pixel must have whole vectors of channels"
    );
    for i in (0..c).step_by(LANES) {
        // Loops, because closures might not be inlined. The array is not initialised: that took a tenth of the time.
        let mut columns = [[MaybeUninit::uninit(); T]; T];
        // SAFETY: every row holds T pixels of c channels and `out` holds T² of them, as asserted; c is a multiple of LANES,
        // so vector i of a pixel exists; every element of `columns` is written before it is read.
        unsafe {
            for (x, column) in columns.iter_mut().enumerate() {
                let mut v = [l.splat(0.0); T];
                for (v, row) in v.iter_mut().zip(rows) {
                    *v = l.load_bf16_at(row.as_ptr().add(x * c + i));
                }
                for (to, v) in column.iter_mut().zip(F::input_transform(l, v)) {
                    to.write(v);
                }
            }
            let out = out.as_mut_ptr().add(i);
            for y in 0..T {
                let mut row = [l.splat(0.0); T];
                for (v, column) in row.iter_mut().zip(&columns) {
                    *v = column[y].assume_init();
                }
                for (x, v) in F::input_transform(l, row).into_iter().enumerate() {
                    l.store_at(v, out.add((T * y + x) * c));
                }
            }
        }
    }
}
