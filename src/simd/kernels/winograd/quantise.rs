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
            // The rows above whose errors are diffused to this one.
            let mut above = [(x.cast_const(), 0.0); 4];
            let mut count = 0;
            for (earlier, &factor) in F::DIFFUSION[y].iter().enumerate() {
                if factor != 0.0 {
                    above[count] = (x.add(earlier * T * c).cast_const(), factor);
                    count += 1;
                }
            }
            let (x, rows) = (x.add(y * T * c), rows.add(y * T * pitch));
            match (count, above) {
                (0, _) => {}
                (1, [a, ..]) => add_errors::<L, T, 1>(l, (x, c), [a]),
                (2, [a, b, ..]) => add_errors::<L, T, 2>(l, (x, c), [a, b]),
                _ => add_errors::<L, T, 4>(l, (x, c), above),
            }
            // Rounds point $p of the row after adding the errors of the row's earlier points, stores the point's whole error and
            // returns that of the rounding. A macro, so that $p is a constant and the errors stay in registers.
            let mut errors = [l.splat(0.0); T];
            macro_rules! round {
                ($p:literal) => {{
                    let x = x.add($p * c);
                    let mut diffused = l.load_at(x);
                    for earlier in 0..T {
                        if earlier < $p && F::DIFFUSION[$p][earlier] != 0.0 {
                            diffused = fma(l, F::DIFFUSION[$p][earlier], errors[earlier], diffused);
                        }
                    }
                    let value = round_and_store(l, diffused, &grids[$p], rows.add($p * pitch));
                    l.store_at(l.sub(value, l.load_at(x)), x);
                    l.sub(value, diffused)
                }};
            }
            errors[0] = round!(0);
            errors[1] = round!(1);
            errors[2] = round!(2);
            errors[3] = round!(3);
            if T > 4 {
                errors[4] = round!(4);
                round!(5);
            }
        }
    }
}

/// Adds to a row of T points the errors of `ROWS` rows above, each times its factor.
///
/// # Safety
/// For each of the T points, 16 numbers can be read at each of `above` and written at `x`, `c` apart.
#[inline(always)]
unsafe fn add_errors<L: Lanes, const T: usize, const ROWS: usize>(
    l: L,
    (x, c): (*mut f32, usize),
    above: [(*const f32, f32); ROWS],
) {
    for p in 0..T {
        // SAFETY: point p < T exists, by this function's precondition.
        unsafe {
            let x = x.add(p * c);
            let mut v = l.load_at(x);
            for (errors, factor) in above {
                v = fma(l, factor, l.load_at(errors.add(p * c)), v);
            }
            l.store_at(v, x);
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
