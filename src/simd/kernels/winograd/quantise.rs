//! Quantisation of transformed pixels to bytes, with error diffusion over the Winograd points.
//!
//! Each Winograd point of a tile has a scale and an offset of its own, over the range of its channels. The points are rounded one
//! after the other, and a fraction of each rounding error is added to the points that follow, as error diffusion does in
//! half-toning (Floyd and Steinberg 1976): errors that reach the outputs with the same coefficients then cancel.
//!
//! With r for the errors that rounding itself adds and S = 1 + [`DIFFUSION`](Transform::DIFFUSION), the bytes stand for
//! x + S r Sᵀ: the errors of a row of points are diffused along the row (· Sᵀ), and the resulting errors of the row are
//! diffused down the columns (S ·). At the outputs this leaves 4.3 dB less noise than rounding each point alone for
//! F(4x4, 3x3), and 1.6 dB less for F(2x2, 3x3) (`docs/decisions/003-error-diffusion.md`).

use super::transform::{F2x3, F4x3, Transform, fma};
use crate::simd::dispatch::dispatch;
use crate::simd::kernels::rows::range;
use crate::simd::lanes::{LANES, Lanes, ROUND};
use core::ops::Range;

dispatch! {
    fn winograd_quantise(x: &mut [f32], n: usize, rows: &mut [u8], pitch: usize, params: &mut [[f32; 2]]);
}

/// Quantises the transformed pixels of a tile: point p of `x`, `[T²][channels]` ([`Isa::winograd_input`]), becomes row p of
/// `rows`.
///
/// Rows start `pitch` bytes apart; `n` is the number of channels without the padding. `params` becomes (scale, offset) of each
/// row, as [`Isa::quantise`] returns them. `x` is overwritten.
///
/// [`Isa::winograd_input`]: crate::simd::isa::Isa::winograd_input
/// [`Isa::quantise`]: crate::simd::isa::Isa::quantise
#[inline(always)]
fn winograd_quantise<L: Lanes>(
    l: L,
    x: &mut [f32],
    n: usize,
    rows: &mut [u8],
    pitch: usize,
    params: &mut [[f32; 2]],
) {
    let c = x.len() / params.len();
    assert!(c.is_multiple_of(LANES) && n <= c && c <= pitch, "a pixel must have whole vectors of channels");
    assert!(
        x.len() == c * params.len() && rows.len() + pitch >= pitch * params.len() + c,
        "each Winograd point must have a row"
    );
    let mut grids = [QuantGrid::default(); 36];
    let grids = &mut grids[..params.len()];
    for ((x, grid), param) in x.chunks(c).zip(grids.iter_mut()).zip(&mut *params) {
        let (low, high) = range(l, x, n);
        *grid = QuantGrid::new(low, high);
        *param = [grid.scale, (128.0 - grid.zero) * grid.scale];
    }
    // The compiler must not know that bytes and numbers are apart: it would keep a point's sums, in memory, until the other points
    // are loaded.
    let (x, rows) = (x.as_mut_ptr(), core::hint::black_box(rows.as_mut_ptr()));
    for i in (0..c).step_by(LANES) {
        // SAFETY: `x` holds c numbers and `rows` c bytes for each point, as asserted; c is a multiple of LANES, so vector i
        // exists.
        unsafe {
            let (x, rows) = (x.add(i), rows.add(i));
            match grids.len() {
                16 => diffuse_and_store::<L, F2x3, 4, 2>(l, (x, c), (rows, pitch), grids),
                36 => diffuse_and_store::<L, F4x3, 6, 4>(l, (x, c), (rows, pitch), grids),
                _ => unreachable!("a Winograd tile has 16 or 36 points"),
            }
        }
    }
}

/// The quantisation grid of a point: q = round(x · inverse) + zero, x ≈ scale · (q − zero). `zero` is an integer, so that
/// rounding, adding `zero` and flipping the sign bit are one fused multiply-add.
#[derive(Clone, Copy, Default)]
struct QuantGrid {
    scale: f32,
    inverse: f32,
    zero: f32,
}

impl QuantGrid {
    /// The grid of the range low ..= high, which is mapped to 255 integers from 0 on.
    fn new(low: f32, high: f32) -> QuantGrid {
        let max_abs = if -low > high { -low } else { high };
        let step = (high - low) / 254.0;
        // For a narrow range far from 0 the scale is raised, so that |zero| stays within MAX_ZERO.
        let scale = if step > max_abs / MAX_ZERO { step } else { max_abs / MAX_ZERO };
        // Smaller scales have no finite inverse.
        if scale > 1e-37 {
            let inverse = 1.0 / scale;
            QuantGrid { scale, inverse, zero: ROUND - (low * inverse + ROUND) }
        } else {
            QuantGrid::default()
        }
    }
}

/// The largest magnitude of [`QuantGrid::zero`]: added to [`ROUND`], it stays where f32 has a unit in the last place of 1.
const MAX_ZERO: f32 = (1 << 21) as f32;

/// [`winograd_quantise`] of sixteen channels. Rows of points are processed in order; the errors of a finished row replace
/// its points in `x`.
///
/// # Safety
/// For each of the T² points, 16 numbers can be read and written at `x`, `c` apart, and 16 bytes written at `rows`, `pitch`
/// apart.
#[inline(always)]
unsafe fn diffuse_and_store<L: Lanes, F: Transform<T, M>, const T: usize, const M: usize>(
    l: L,
    (x, c): (*mut f32, usize),
    (rows, pitch): (*mut u8, usize),
    grids: &[QuantGrid],
) {
    for (y, grids) in grids.as_chunks::<T>().0.iter().enumerate() {
        // SAFETY: every access is to a point below T², by this function's precondition.
        unsafe {
            // The rows above whose errors are diffused to this one: their first numbers and factors.
            let mut above = [(0, 0.0); 4];
            let mut count = 0;
            for (earlier, &factor) in F::DIFFUSION[y].iter().enumerate() {
                if factor != 0.0 {
                    above[count] = (earlier * T * c, factor);
                    count += 1;
                }
            }
            let row = y * T * c..(y + 1) * T * c;
            match (count, above) {
                (0, _) => {}
                (1, [a, ..]) => add_errors(l, (x, c), row, [a]),
                (2, [a, b, ..]) => add_errors(l, (x, c), row, [a, b]),
                _ => add_errors(l, (x, c), row, above),
            }
            let (x, rows) = (x.add(y * T * c), rows.add(y * T * pitch));
            // Rounds point $p of the row after adding the errors of the row's earlier points, stores the point's whole error and
            // returns that of the rounding. A macro, so that $p is a constant and the errors stay in registers.
            let mut errors = [l.splat(0.0); T];
            macro_rules! round {
                ($p:literal after $($earlier:literal)*) => {{
                    let x = x.add($p * c);
                    #[allow(unused_mut)] // The first point comes after no other.
                    let mut diffused = l.load_at(x);
                    $(if F::DIFFUSION[$p][$earlier] != 0.0 {
                        diffused = fma(l, F::DIFFUSION[$p][$earlier], errors[$earlier], diffused);
                    })*
                    let value = round_and_store(l, diffused, &grids[$p], rows.add($p * pitch));
                    l.store_at(l.sub(value, l.load_at(x)), x);
                    l.sub(value, diffused)
                }};
            }
            errors[0] = round!(0 after);
            errors[1] = round!(1 after 0);
            errors[2] = round!(2 after 0 1);
            errors[3] = round!(3 after 0 1 2);
            if T > 4 {
                errors[4] = round!(4 after 0 1 2 3);
                round!(5 after 0 1 2 3 4);
            }
        }
    }
}

/// Adds to a row of points, numbers `row` of `x`, the errors of `ROWS` rows above, which are given by their first numbers, each times
/// its factor.
///
/// # Safety
/// For each point of the rows, 16 numbers can be read and written in `x`, `c` apart.
#[inline(always)]
unsafe fn add_errors<L: Lanes, const ROWS: usize>(
    l: L,
    (x, c): (*mut f32, usize),
    row: Range<usize>,
    above: [(usize, f32); ROWS],
) {
    // The step is not a constant, so the loop is not unrolled, which would take a lot of code.
    for at in (0..row.len()).step_by(c) {
        // SAFETY: the points exist, by this function's precondition. Positions, not pointers, so that the alignment is known: without
        // it some targets load byte by byte.
        unsafe {
            let point = x.add(row.start + at);
            let mut v = l.load_at(point);
            for (first, factor) in above {
                v = fma(l, factor, l.load_at(x.add(first + at)), v);
            }
            l.store_at(v, point);
        }
    }
}

/// Rounds sixteen numbers, stores their bytes, and returns the numbers that the bytes stand for.
///
/// # Safety
/// 16 bytes can be written at `out`.
#[inline(always)]
unsafe fn round_and_store<L: Lanes>(l: L, v: L::F, grid: &QuantGrid, out: *mut u8) -> L::F {
    // The low byte of the sum is q, or q ^ 128 if 128 more are added.
    let round = ROUND + f32::from(L::SIGN_FLIP);
    let sum = l.fma(v, l.splat(grid.inverse), l.splat(round + grid.zero));
    let sum = l.min_number(l.max_number(sum, l.splat(round)), l.splat(round + 255.0));
    // SAFETY: 16 bytes can be written at `out`, by this function's precondition.
    unsafe { l.store_low_bytes_at(l.bits(sum), out) };
    l.mul(l.sub(sum, l.splat(round + grid.zero)), l.splat(grid.scale))
}
