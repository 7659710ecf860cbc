//! Winograd's transforms over the lanes: Bᵀ·d·B on the way in, Aᵀ·m·A on the way out, for tiles of 2x2 and of 4x4 outputs.
//!
//! F(2, 3) interpolates at the points 0, 1, −1 and ∞; F(4, 3) at 0, ±√½, ±√2 and ∞. With the usual 0, ±1, ±2, ∞ eight bits
//! lose twice as much (`benches/README.md`): the powers of ±√½ and ±√2 differ less.
//!
//! Transformed pixels become bytes one position after the other, and what rounding did to one is made up for by those that
//! come after it ([`winograd_quantise`]): errors that reach the outputs by the same way cancel.

use super::epilogue::Activation;
use super::rows::range;
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes, ROUND};
use core::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use core::mem::MaybeUninit;
use half::bf16;

dispatch! {
    fn winograd_input(lines: &[&[bf16]], out: &mut [f32]);
    fn winograd_quantise(x: &mut [f32], n: usize, rows: &mut [u8], pitch: usize, params: &mut [[f32; 2]]);
}
dispatch! {
    unsafe fn winograd_output(t: &OutputTransform);
}

/// One of the transforms: M outputs from T = M + 2 inputs, along one side of a tile. All in functions that are always inlined:
/// called without the instruction set, each operation would be a call of its own.
trait Transform<const T: usize, const M: usize> {
    /// Bᵀ: the coefficients of Π (x − q) over the other points q.
    fn input_transform<L: Lanes>(l: L, inputs: [L::F; T]) -> [L::F; T];
    /// Aᵀ: the powers of the points.
    fn output_transform<L: Lanes>(l: L, products: [L::F; T]) -> [L::F; M];
    /// Row j, column i < j: how much of the rounding error r_i of position i is added to position j before that is rounded.
    ///
    /// An error e of the positions becomes one of energy e·K·eᵀ at the outputs, K = (AᵀA) ∘ (GGᵀ), for taps of no particular
    /// kind. With e = r + Σ r_i · column i, column i is the one that makes the energy of r_i alone least. The smallest numbers
    /// are left out, five of F(4, 3)'s fifteen and two of F(2, 3)'s six, for 0.3 and 0.1 dB.
    const DIFFUSION: [[f32; T]; T];
}

/// F(2, 3).
struct Two;

impl Transform<4, 2> for Two {
    #[inline(always)]
    fn input_transform<L: Lanes>(l: L, [a, b, c, d]: [L::F; 4]) -> [L::F; 4] {
        [l.sub(a, c), l.add(b, c), l.sub(c, b), l.sub(b, d)]
    }
    #[inline(always)]
    fn output_transform<L: Lanes>(l: L, [a, b, c, d]: [L::F; 4]) -> [L::F; 2] {
        [l.add(l.add(a, b), c), l.sub(l.sub(b, c), d)]
    }
    const DIFFUSION: [[f32; 4]; 4] = {
        const THIRD: f32 = 1.0 / 3.0;
        [[0.0; 4], [-THIRD, 0.0, 0.0, 0.0], [-THIRD, 0.0, 0.0, 0.0], [0.0, 0.5, -0.5, 0.0]]
    };
}

/// F(4, 3).
struct Four;

impl Transform<6, 4> for Four {
    #[inline(always)]
    fn input_transform<L: Lanes>(l: L, [a, b, c, d, e, f]: [L::F; 6]) -> [L::F; 6] {
        let even = fma(l, -2.0, c, e);
        let odd = fma(l, FRAC_1_SQRT_2, d, l.mul(b, l.splat(-SQRT_2)));
        let even2 = fma(l, -0.5, c, e);
        let odd2 = fma(l, SQRT_2, d, l.mul(b, l.splat(-FRAC_1_SQRT_2)));
        [
            fma(l, -2.5, c, l.add(a, e)),
            l.add(even, odd),
            l.sub(even, odd),
            l.add(even2, odd2),
            l.sub(even2, odd2),
            fma(l, -2.5, d, l.add(b, f)),
        ]
    }
    #[inline(always)]
    fn output_transform<L: Lanes>(l: L, [a, b, c, d, e, f]: [L::F; 6]) -> [L::F; 4] {
        let (sum, difference) = (l.add(b, c), l.sub(b, c));
        let (sum2, difference2) = (l.add(d, e), l.sub(d, e));
        [
            l.add(l.add(a, sum), sum2),
            fma(l, SQRT_2, difference2, l.mul(difference, l.splat(FRAC_1_SQRT_2))),
            fma(l, 2.0, sum2, l.mul(sum, l.splat(0.5))),
            fma(l, 2.0 * SQRT_2, difference2, fma(l, 0.5 * FRAC_1_SQRT_2, difference, f)),
        ]
    }
    const DIFFUSION: [[f32; 6]; 6] = {
        const A: f32 = 0.6047;
        const B: f32 = 0.2558;
        const C: f32 = 0.6027;
        const D: f32 = 0.4504;
        const E: f32 = 0.9428;
        [
            [0.0; 6],
            [A, 0.0, 0.0, 0.0, 0.0, 0.0],
            [A, 0.0, 0.0, 0.0, 0.0, 0.0],
            [B, C, 0.0, 0.0, 0.0, 0.0],
            [B, 0.0, C, 0.0, 0.0, 0.0],
            [0.0, -D, D, -E, E, 0.0],
        ]
    };
}

/// x · v + to
#[inline(always)]
fn fma<L: Lanes>(l: L, x: f32, v: L::F, to: L::F) -> L::F {
    l.fma(v, l.splat(x), to)
}

/// Bᵀ·d·B: `lines` are T lines of T pixels, `out` T² pixels, position T · row + column; T = 4 for F(2x2, 3x3), 6 for F(4x4, 3x3).
#[inline(always)]
fn winograd_input<L: Lanes>(l: L, lines: &[&[bf16]], out: &mut [f32]) {
    match lines {
        [a, b, c, d] => input::<L, Two, 4, 2>(l, [a, b, c, d], out),
        [a, b, c, d, e, f] => input::<L, Four, 6, 4>(l, [a, b, c, d, e, f], out),
        _ => unreachable!("Winograd's tiles read four or six lines"),
    }
}

#[inline(always)]
fn input<L: Lanes, F: Transform<T, M>, const T: usize, const M: usize>(
    l: L,
    lines: [&[bf16]; T],
    out: &mut [f32],
) {
    let c = out.len() / (T * T);
    assert!(
        c.is_multiple_of(LANES) && lines.iter().all(|line| line.len() == T * c),
        "pixels are whole vectors"
    );
    for i in (0..c).step_by(LANES) {
        // Plain loops: closures might not be inlined. Nothing is filled in advance: that took a tenth of the time.
        let mut columns = [[MaybeUninit::uninit(); T]; T];
        // SAFETY: every line holds T pixels of c numbers, `out` T²; c is whole vectors; every column is written before it is read.
        unsafe {
            for (x, column) in columns.iter_mut().enumerate() {
                let mut v = [l.splat(0.0); T];
                for (v, line) in v.iter_mut().zip(lines) {
                    *v = l.load_bf16_at(line.as_ptr().add(x * c + i));
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

/// Bytes of a tile's transformed pixels: position p of `x` ([`winograd_input`]; overwritten) becomes row p of `rows`, with a range of
/// its own, and (scale, offset) of it as [`quantise`](super::rows::quantise) gives them.
///
/// With S for [`Transform::DIFFUSION`] and identity together, r what each rounding itself adds, the bytes stand for x + S·r·Sᵀ:
/// r spreads along the line, and what then is there spreads down the columns. 4.3 dB less noise of the outputs than each
/// rounded alone (F(2, 3): 1.6 dB).
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
    assert!(c.is_multiple_of(LANES) && n <= c && c <= pitch, "pixels are whole vectors");
    assert!(
        x.len() == c * params.len() && rows.len() + pitch >= pitch * params.len() + c,
        "a row for each position"
    );
    let mut grids = [QuantGrid::default(); 36];
    let grids = &mut grids[..params.len()];
    for ((x, grid), param) in x.chunks(c).zip(grids.iter_mut()).zip(&mut *params) {
        let (low, high) = range(l, x, n);
        *grid = QuantGrid::new(low, high);
        *param = [grid.scale, (128.0 - grid.zero) * grid.scale];
    }
    let (x, rows) = (x.as_mut_ptr(), rows.as_mut_ptr());
    for i in (0..c).step_by(LANES) {
        // SAFETY: as asserted, `x` holds c numbers and `rows` as many bytes for each grid; i is a whole vector of them.
        unsafe {
            let (x, rows) = (x.add(i), rows.add(i));
            match grids.len() {
                16 => diffuse_and_store::<L, Two, 4, 2>(l, (x, c), (rows, pitch), grids),
                36 => diffuse_and_store::<L, Four, 6, 4>(l, (x, c), (rows, pitch), grids),
                _ => unreachable!("Winograd's tiles have sixteen or thirty-six positions"),
            }
        }
    }
}

/// How the pixels of a position become bytes: q = round(x · inverse) + zero, x ≈ scale · (q − zero). Zero is a whole number, so
/// that rounding, shifting and flipping the byte are one multiply-add.
#[derive(Clone, Copy, Default)]
struct QuantGrid {
    scale: f32,
    inverse: f32,
    zero: f32,
}

impl QuantGrid {
    fn new(low: f32, high: f32) -> QuantGrid {
        let most = if -low > high { -low } else { high };
        let steps = (high - low) / 254.0;
        // Nor finer than `zero` can say, nor than can be divided by.
        let scale = if steps > most / ZERO { steps } else { most / ZERO };
        if scale > 1e-37 {
            let inverse = 1.0 / scale;
            QuantGrid { scale, inverse, zero: ROUND - (low * inverse + ROUND) }
        } else {
            QuantGrid::default()
        }
    }
}

/// As large as a grid's zero gets: with it, [`ROUND`] stays where floats are the whole numbers.
const ZERO: f32 = (1 << 21) as f32;

/// Sixteen channels of [`winograd_quantise`]. Of a line that is done, its pixels' errors take the place in `x`.
///
/// # Safety
/// Of T² positions, 16 numbers can be read and written at `x`, c apart, and 16 bytes written at `rows`, `pitch` apart.
#[inline(always)]
unsafe fn diffuse_and_store<L: Lanes, F: Transform<T, M>, const T: usize, const M: usize>(
    l: L,
    (x, c): (*mut f32, usize),
    (rows, pitch): (*mut u8, usize),
    grids: &[QuantGrid],
) {
    for (y, grids) in grids.as_chunks::<T>().0.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let (x, rows) = (x.add(y * T * c), rows.add(y * T * pitch));
            let mut line = [l.splat(0.0); T];
            for (p, v) in line.iter_mut().enumerate() {
                *v = l.load_at(x.add(p * c));
            }
            macro_rules! round {
                ($p:literal) => {
                    let value = rounded(l, line[$p], &grids[$p], rows.add($p * pitch));
                    let error = l.sub(value, line[$p]);
                    for later in 0..T {
                        if later > $p && F::DIFFUSION[later][$p] != 0.0 {
                            line[later] = fma(l, F::DIFFUSION[later][$p], error, line[later]);
                        }
                    }
                    let x = x.add($p * c);
                    l.store_at(l.sub(value, l.load_at(x)), x);
                };
            }
            // One by one, so that the numbers stay in registers.
            round!(0);
            round!(1);
            round!(2);
            round!(3);
            if T > 4 {
                round!(4);
                round!(5);
            }
            for (later, spread) in F::DIFFUSION.iter().enumerate().skip(y + 1) {
                if spread[y] != 0.0 {
                    for p in 0..T {
                        let (error, x) = (l.load_at(x.add(p * c)), x.add(((later - y) * T + p) * c));
                        l.store_at(fma(l, spread[y], error, l.load_at(x)), x);
                    }
                }
            }
        }
    }
}

/// Sixteen bytes, and what they stand for.
///
/// # Safety
/// 16 bytes can be written at `out`.
#[inline(always)]
unsafe fn rounded<L: Lanes>(l: L, v: L::F, grid: &QuantGrid, out: *mut u8) -> L::F {
    // The low byte of the sum is q; 128 more flip it.
    let round = ROUND + f32::from(L::SIGN_FLIP);
    let sum = l.fma(v, l.splat(grid.inverse), l.splat(round + grid.zero));
    let sum = l.min_number(l.max_number(sum, l.splat(round)), l.splat(round + 255.0));
    // SAFETY: the caller's promise.
    unsafe { l.store_low_bytes_at(l.bits(sum), out) };
    l.mul(l.sub(sum, l.splat(round + grid.zero)), l.splat(grid.scale))
}

/// The integer sums of all positions become outputs: v = scale_j · (s_i · sum_ij + m_i · Σw_j) for each position, Aᵀ·v·A, bias
/// and activation.
pub(crate) struct OutputTransform {
    /// Outputs of a tile along a side: 2 or 4.
    pub tile: usize,
    /// A plane of `rows` x 16 · `panels` for each of the (tile + 2)² positions, `plane` apart.
    pub sums: *const i32,
    pub plane: usize,
    pub rows: usize,
    pub panels: usize,
    /// (s, m) of the positions of each row.
    pub params: *const [f32; 2],
    /// Of each output, positions `position` apart.
    pub scale: *const f32,
    pub weight_sum: *const i32,
    pub position: usize,
    /// Of each output, or null.
    pub bias: *const f32,
    pub activation: Activation,
    /// Outputs (0, 0) of the rows, `tile` · `pixel` apart; (y, x) is x · `pixel` + y · `line` further.
    pub out: *mut f32,
    pub pixel: usize,
    pub line: usize,
}

/// # Safety
/// The pointers of [`OutputTransform`] cover what their comments say.
#[inline(always)]
unsafe fn winograd_output<L: Lanes>(l: L, t: &OutputTransform) {
    // SAFETY: passed on.
    unsafe {
        match t.tile {
            2 => output::<L, Two, 4, 2>(l, t),
            4 => output::<L, Four, 6, 4>(l, t),
            _ => unreachable!("Winograd's tiles have two or four outputs a side"),
        }
    }
}

/// # Safety
/// As [`winograd_output`], with M outputs and T positions a side.
#[inline(always)]
unsafe fn output<L: Lanes, F: Transform<T, M>, const T: usize, const M: usize>(l: L, t: &OutputTransform) {
    for p in 0..t.panels {
        // SAFETY: the caller's promise; every sum and line is written before it is read.
        unsafe {
            let bias = if t.bias.is_null() { l.splat(0.0) } else { l.load_at(t.bias.add(p * LANES)) };
            let mut weight_sums = [[MaybeUninit::uninit(); T]; T];
            for (position, sum) in weight_sums.as_flattened_mut().iter_mut().enumerate() {
                let at = position * t.position + p * LANES;
                sum.write(l.to_f32(l.load_i32_at(t.weight_sum.add(at))));
            }
            for r in 0..t.rows {
                for x in 0..M {
                    for y in 0..M {
                        l.prefetch(t.out.wrapping_add(((r + 1) * M + x) * t.pixel + y * t.line + p * LANES));
                    }
                }
                let mut lines = [[MaybeUninit::uninit(); M]; T];
                for (y, line) in lines.iter_mut().enumerate() {
                    let mut v = [l.splat(0.0); T];
                    for (x, v) in v.iter_mut().enumerate() {
                        let position = T * y + x;
                        let [s, m] = *t.params.add(r * T * T + position);
                        let at = position * t.position + p * LANES;
                        let weight_sum = weight_sums[y][x].assume_init();
                        let sum = t.sums.add(position * t.plane + (r * t.panels + p) * LANES);
                        let sum =
                            l.fma(l.to_f32(l.load_i32_at(sum)), l.splat(s), l.mul(weight_sum, l.splat(m)));
                        *v = l.mul(sum, l.load_at(t.scale.add(at)));
                    }
                    for (to, v) in line.iter_mut().zip(F::output_transform(l, v)) {
                        to.write(v);
                    }
                }
                for x in 0..M {
                    let mut column = [l.splat(0.0); T];
                    for (v, line) in column.iter_mut().zip(&lines) {
                        *v = line[x].assume_init();
                    }
                    for (y, v) in F::output_transform(l, column).into_iter().enumerate() {
                        let mut v = l.add(v, bias);
                        if t.activation == Activation::Relu {
                            v = l.max(v, l.splat(0.0));
                        }
                        l.store_at(v, t.out.add((r * M + x) * t.pixel + y * t.line + p * LANES));
                    }
                }
            }
        }
    }
}

impl OutputTransform {
    /// The transform of `rows` tiles of `tile` x `tile` outputs and `panels` panels, over slices that start at the first sum,
    /// row and output. `plane` and `point_pitch` are the distances between Winograd points in the sums and in the factors;
    /// `out` is (the first output, the distance between pixels, the distance between rows of pixels).
    #[inline(always)]
    pub fn new(
        (tile, rows, panels): (usize, usize, usize),
        (sums, plane): (&[i32], usize),
        params: &[[f32; 2]],
        (scale, weight_sum, point_pitch): (&[f32], &[i32], usize),
        bias: Option<&[f32]>,
        activation: Activation,
        (out, pixel, line): (*mut f32, usize, usize),
    ) -> OutputTransform {
        let (points, columns) = ((tile + 2) * (tile + 2), panels * LANES);
        debug_assert!(sums.len() >= (points - 1) * plane + rows * columns, "the sums must exist");
        debug_assert!(
            params.len() >= rows * points,
            "every transformed pixel must have a scale and an offset"
        );
        let factors = (points - 1) * point_pitch + columns;
        debug_assert!(scale.len() >= factors, "every output must have a scale at every point");
        debug_assert!(weight_sum.len() >= factors, "every output must have a sum of weights at every point");
        debug_assert!(bias.is_none_or(|b| b.len() >= columns), "every output must have a bias");
        OutputTransform {
            tile,
            sums: sums.as_ptr(),
            plane,
            rows,
            panels,
            params: params.as_ptr(),
            scale: scale.as_ptr(),
            weight_sum: weight_sum.as_ptr(),
            position: point_pitch,
            bias: bias.map_or(core::ptr::null(), <[f32]>::as_ptr),
            activation,
            out,
            pixel,
            line,
        }
    }
}
