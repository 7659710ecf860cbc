//! Bilinear interpolation of feature maps: first between rows (vertically), then along them (horizontally).
//!
//! Every interpolation is `low + (high − low) · weight`, one fused multiply-add. A map's pixels are vectors of channels, so both
//! directions are element-wise on channels: the vertical kernels read two rows with one weight, the horizontal kernel reads two
//! pixels with a weight per output pixel ([`SourcePixel`]).
//!
//! | kernel | direction | computes |
//! | --- | --- | --- |
//! | [`lerp_pixels`] | vertical | a row of pixels, some of the channels |
//! | [`sum_lerps`], [`sum_lerps_bf16`] | vertical | the sum of up to three interpolated runs of numbers, one per `ky` of a 3x3 convolution |
//! | [`add_horizontal_lerps`] | horizontal | adds one or more interpolated rows to the output |
//!
//! [`sum_lerps`] and, with three columns per pixel, [`add_horizontal_lerps`] serve 3x3 convolutions of an up-sampled map
//! (`ops::upsample`): the products of the low-resolution map with each kernel position are interpolated and added, each shifted
//! by its kernel position.

use super::rows::{vectors, vectors_mut};
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::Widen;
use bytemuck::{Pod, Zeroable};
use core::ops::Range;
use half::bf16;

dispatch! {
    fn lerp_pixels(low: &[f32], high: &[f32], weight: f32, pitch: usize, out: &mut [f32]);
    fn sum_lerps(runs: &[Lerp<f32>], out: &mut [f32]);
    fn sum_lerps_bf16(runs: &[Lerp<bf16>], out: &mut [f32]);
}
dispatch! {
    unsafe fn add_horizontal_lerps(rows: &[HorizontalLerp], bias: &[f32], pixels: Range<usize>, panels: usize, out: *mut f32, pitch: usize);
}

/// The two low-resolution pixels that an output pixel lies between: its value is `low + (high − low) · weight`. Pixels are given by
/// the numbers in front of them.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SourcePixel {
    /// Numbers from the first pixel of a row to the left pixel.
    pub low: u32,
    /// Numbers from the first pixel of a row to the right pixel.
    pub high: u32,
    /// Weight of the right pixel, 0 to 1.
    pub weight: f32,
}

/// Two runs of numbers to interpolate between. `weight` is that of `high`, 0 to 1.
pub(crate) struct Lerp<'a, T> {
    pub low: &'a [T],
    pub high: &'a [T],
    pub weight: f32,
}

/// out = Σ low + (high − low) · weight over the runs, all as long as `out`, in f32.
#[inline(always)]
fn sum_lerps<L: Lanes>(l: L, runs: &[Lerp<f32>], out: &mut [f32]) {
    checked_sum(l, runs, out);
}

/// [`sum_lerps`] of bfloat16 runs.
#[inline(always)]
fn sum_lerps_bf16<L: Lanes>(l: L, runs: &[Lerp<bf16>], out: &mut [f32]) {
    checked_sum(l, runs, out);
}

/// Checks the lengths and sums the runs.
#[inline(always)]
fn checked_sum<L: Lanes, T: Widen>(l: L, runs: &[Lerp<T>], out: &mut [f32]) {
    let len = out.len();
    assert!(
        runs.iter().all(|run| run.low.len() == len && run.high.len() == len),
        "runs must be as long as the output"
    );
    // There are three runs except for the first and last row of a map; a constant number lets the compiler unroll the loop.
    match <&[Lerp<T>; 3]>::try_from(runs) {
        Ok(runs) => sum_of_equal_length(l, runs, out),
        Err(_) => sum_of_equal_length(l, runs, out),
    }
}

/// Sums runs that are as long as `out`.
#[inline(always)]
fn sum_of_equal_length<L: Lanes, T: Widen>(l: L, runs: &[Lerp<T>], out: &mut [f32]) {
    for (i, o) in vectors_mut(out).enumerate() {
        let mut sum = l.splat(0.0);
        for run in runs {
            // SAFETY: vector i of `out` exists, and `checked_sum` has checked that the runs are as long.
            let (a, b) = unsafe {
                let at = i * LANES;
                (T::load(l, run.low.as_ptr().add(at)), T::load(l, run.high.as_ptr().add(at)))
            };
            sum = l.add(sum, l.fma(l.sub(b, a), l.splat(run.weight), a));
        }
        l.store(sum, o);
    }
}

/// Interpolates some channels of a row of pixels between two rows: out = low + (high − low) · weight. The pixels of `low`
/// and `high` are `pitch` numbers apart; those of `out` are contiguous.
#[inline(always)]
fn lerp_pixels<L: Lanes>(l: L, low: &[f32], high: &[f32], weight: f32, pitch: usize, out: &mut [f32]) {
    let width = low.len().div_ceil(pitch);
    let channels = out.len() / width;
    let weight = l.splat(weight);
    let pixels = low.chunks(pitch).zip(high.chunks(pitch));
    for ((low, high), out) in pixels.zip(out.chunks_mut(channels)) {
        for ((a, b), o) in vectors(low).zip(vectors(high)).zip(vectors_mut(out)) {
            // The next pixels lie too far away for the hardware to foresee.
            l.prefetch(a.as_ptr().wrapping_add(PREFETCH_PIXELS * pitch));
            l.prefetch(b.as_ptr().wrapping_add(PREFETCH_PIXELS * pitch));
            let a = l.load(a);
            l.store(l.fma(l.sub(l.load(b), a), weight, a), o);
        }
    }
}

/// A low-resolution row, to be interpolated along the row to the output's width.
///
/// A pixel has one column, or three, one for each `kx` of a 3x3 convolution. Of three, output pixel x reads the column of `kx` at
/// the position of output pixel x + `kx` − 1; positions outside the row add nothing.
#[derive(Clone, Copy)]
pub(crate) struct HorizontalLerp<'a> {
    /// `[panels][pixels][kernel_width][16]`, with the pitch below between panels and that of `sources` between pixels.
    pub columns: &'a [f32],
    /// Numbers from one panel to the next.
    pub panel_pitch: usize,
    /// Columns of a pixel: 1 or 3.
    pub kernel_width: usize,
    /// For each pixel of the output's row, the low-resolution pixels that it lies between.
    pub sources: &'a [SourcePixel],
}

/// The distance, in pixels, from the pixel that is computed to the one whose cache lines are prefetched. Pixels are so far apart
/// that the hardware prefetcher does not find the pattern.
const PREFETCH_PIXELS: usize = 8;
/// The largest number of rows that [`add_horizontal_lerps`] adds at once.
pub(crate) const MAX_MAPS: usize = 3;

/// Adds at most [`MAX_MAPS`] interpolated rows to `panels` panels of the given `pixels` of a row of the output. The first of these pixels is
/// at `out`, and they are `pitch` numbers apart. Only the columns that they read need to hold values. If `bias` is not empty (one number for each
/// output), it is added too and a ReLU is applied.
///
/// # Safety
/// (pixels.len() − 1) · pitch + 16 · panels numbers can be read and written at `out`, if there are pixels.
#[inline(always)]
unsafe fn add_horizontal_lerps<L: Lanes>(
    l: L,
    rows: &[HorizontalLerp],
    bias: &[f32],
    pixels: Range<usize>,
    panels: usize,
    out: *mut f32,
    pitch: usize,
) {
    for row in rows {
        let last = row.sources.iter().fold(0, |max, source| source.low.max(source.high).max(max)) as usize;
        let needed = (panels - 1) * row.panel_pitch + last + row.kernel_width * LANES;
        assert!(
            row.columns.len() >= needed && (row.kernel_width == 1 || row.kernel_width == 3),
            "the columns must hold every source pixel"
        );
        assert!(row.sources.len() >= pixels.end, "every output pixel must have a source");
    }
    assert!(bias.is_empty() || bias.len() >= panels * LANES, "the bias must have a number for each output");
    assert!(rows.len() <= MAX_MAPS, "the number of rows must be within its limit");
    let mut p = 0;
    while p < panels {
        let bias = bias.get(p * LANES..).filter(|bias| !bias.is_empty()).map(<[f32]>::as_ptr);
        // As many panels as leave most of the registers free.
        // SAFETY: the assertions above cover the columns of every panel and the bias; `out` has `panels` panels of each of the pixels,
        // by this function's precondition.
        p += unsafe {
            let out = out.add(p * LANES);
            match panels - p {
                4.. if L::REGISTERS <= 2 => add_to_panels::<L, 4>(l, rows, bias, (&pixels, p), out, pitch),
                2.. if L::REGISTERS > 2 => add_to_panels::<L, 2>(l, rows, bias, (&pixels, p), out, pitch),
                _ => add_to_panels::<L, 1>(l, rows, bias, (&pixels, p), out, pitch),
            }
        };
    }
}

/// Adds the rows to `PANELS` panels of the given pixels, from panel `first` on: at `out` for the first pixel, and `pitch` numbers further
/// for each pixel after it. Returns `PANELS`.
///
/// # Safety
/// Every row has a source for each of the pixels; panels first .. first + PANELS of every row, and as many of each pixel and at `bias`,
/// are valid.
#[inline(always)]
unsafe fn add_to_panels<L: Lanes, const PANELS: usize>(
    l: L,
    rows: &[HorizontalLerp],
    bias: Option<*const f32>,
    (pixels, first): (&Range<usize>, usize),
    out: *mut f32,
    pitch: usize,
) -> usize {
    let mut columns = [[core::ptr::null(); PANELS]; MAX_MAPS];
    for (columns, row) in columns.iter_mut().zip(rows) {
        *columns = core::array::from_fn(|p| row.columns.as_ptr().wrapping_add((first + p) * row.panel_pitch));
    }
    let columns = &columns[..rows.len()];
    for x in pixels.clone() {
        // SAFETY: panel p < PANELS is valid, by this function's precondition; the radius is 0 or 1, and kernel positions from
        // `start` to `end` fall on pixels of the row, each of which has a source.
        unsafe {
            let at = out.add((x - pixels.start) * pitch);
            let mut sums = [l.splat(0.0); PANELS];
            for (p, sum) in sums.iter_mut().enumerate() {
                l.prefetch(at.wrapping_add(PREFETCH_PIXELS * pitch + p * LANES));
                *sum = l.load_at(at.add(p * LANES));
            }
            for (row, columns) in rows.iter().zip(columns) {
                // Zero padding: kernel positions outside the row add nothing.
                let radius = row.kernel_width / 2;
                let start = usize::from(x < radius);
                let end = row.kernel_width - usize::from(x + radius >= row.sources.len());
                let sources = row.sources.get_unchecked(x + start - radius..x + end - radius);
                for (kx, source) in (start..).zip(sources) {
                    let (low, high, weight) =
                        (source.low as usize, source.high as usize, l.splat(source.weight));
                    for (columns, sum) in columns.iter().zip(&mut sums) {
                        let columns = columns.add(kx * LANES);
                        let (a, b) = (l.load_at(columns.add(low)), l.load_at(columns.add(high)));
                        *sum = l.add(*sum, l.fma(l.sub(b, a), weight, a));
                    }
                }
            }
            for (p, sum) in sums.iter_mut().enumerate() {
                if let Some(bias) = bias {
                    *sum = l.max(l.add(*sum, l.load_at(bias.add(p * LANES))), l.splat(0.0));
                }
                l.store_at(*sum, at.add(p * LANES));
            }
        }
    }
    PANELS
}
