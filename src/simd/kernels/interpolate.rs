//! The kernels of interpolation, over the lanes: between lines, then along them.

use super::rows::{vectors, vectors_mut};
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::Widen;
use bytemuck::{Pod, Zeroable};
use half::bf16;

dispatch! {
    fn lerp_pixels(low: &[f32], high: &[f32], weight: f32, pitch: usize, out: &mut [f32]);
    fn sum_lerps(runs: &[Lerp<f32>], out: &mut [f32]);
    fn sum_lerps_bf16(runs: &[Lerp<bf16>], out: &mut [f32]);
}
dispatch! {
    unsafe fn add_horizontal_lerps(lines: &[HorizontalLerp], bias: &[f32], large: usize, panels: usize, out: *mut f32, pitch: usize);
}

/// The two low-resolution pixels that a pixel of the large row lies between: `low + (high − low) · weight`.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SourcePixel {
    /// Column of the left pixel.
    pub low: u32,
    /// Column of the right pixel.
    pub high: u32,
    /// Weight of the right pixel, 0 to 1.
    pub weight: f32,
}

/// Two runs of numbers and how much of the second is taken.
pub(crate) struct Lerp<'a, T> {
    pub low: &'a [T],
    pub high: &'a [T],
    pub weight: f32,
}

/// out = Σ low + (high − low) · weight
#[inline(always)]
fn sum_lerps<L: Lanes>(l: L, runs: &[Lerp<f32>], out: &mut [f32]) {
    lerps(l, runs, out);
}

/// The same of bfloat16.
#[inline(always)]
fn sum_lerps_bf16<L: Lanes>(l: L, runs: &[Lerp<bf16>], out: &mut [f32]) {
    lerps(l, runs, out);
}

#[inline(always)]
fn lerps<L: Lanes, T: Widen>(l: L, runs: &[Lerp<T>], out: &mut [f32]) {
    let len = out.len();
    assert!(runs.iter().all(|run| run.low.len() == len && run.high.len() == len), "runs are of one length");
    // Three but for a map's first and last line; the compiler is to know.
    match <&[Lerp<T>; 3]>::try_from(runs) {
        Ok(three) => lerps_of(l, three, out),
        Err(_) => lerps_of(l, runs, out),
    }
}

/// Of runs that are as long as `out`.
#[inline(always)]
fn lerps_of<L: Lanes, T: Widen>(l: L, runs: &[Lerp<T>], out: &mut [f32]) {
    for (i, o) in vectors_mut(out).enumerate() {
        let mut sum = l.splat(0.0);
        for run in runs {
            // SAFETY: vector i exists in `out`, so in the runs.
            let (a, b) = unsafe {
                let at = i * LANES;
                (T::load(l, run.low.as_ptr().add(at)), T::load(l, run.high.as_ptr().add(at)))
            };
            sum = l.add(sum, l.fma(l.sub(b, a), l.splat(run.weight), a));
        }
        l.store(sum, o);
    }
}

/// Some channels of a line's pixels between two lines': out = low + (high − low) · weight. Pixels of the lines are `pitch` numbers
/// apart, in `out` they follow each other.
#[inline(always)]
fn lerp_pixels<L: Lanes>(l: L, low: &[f32], high: &[f32], weight: f32, pitch: usize, out: &mut [f32]) {
    let width = low.len().div_ceil(pitch);
    let channels = out.len() / width;
    let weight = l.splat(weight);
    let pixels = low.chunks(pitch).zip(high.chunks(pitch));
    for ((low, high), out) in pixels.zip(out.chunks_mut(channels)) {
        for ((a, b), o) in vectors(low).zip(vectors(high)).zip(vectors_mut(out)) {
            // As in `pixel`.
            l.prefetch(a.as_ptr().wrapping_add(AHEAD * pitch));
            l.prefetch(b.as_ptr().wrapping_add(AHEAD * pitch));
            let a = l.load(a);
            l.store(l.fma(l.sub(l.load(b), a), weight, a), o);
        }
    }
}

/// A line of pixels that is interpolated to a longer one: for one tap, read where it lies, or for three, read one pixel to
/// the left, at it, and one to the right.
#[derive(Clone, Copy)]
pub(crate) struct HorizontalLerp<'a> {
    /// A panel's numbers lie `panel` from the next one's, a pixel's `pixel`, a tap's 16.
    pub columns: &'a [f32],
    pub panel: usize,
    pub pixel: usize,
    pub taps: usize,
    /// Where the longer line's pixels are read: [`positions`].
    pub reads: &'a [SourcePixel],
}

/// Pixels from the one that [`add_horizontal_lerps`] writes to the one that it has fetched.
const AHEAD: usize = 8;
/// The most lines that [`add_horizontal_lerps`] takes.
pub(crate) const MAX_MAPS: usize = 3;

/// What a pixel is made of: so many pairs of places and how much of the second is taken, and how far their panels lie apart.
type Taps = ([(*const f32, *const f32, f32, usize); 3 * MAX_MAPS], usize);

/// Adds lines, at most [`MAX_MAPS`], to `panels` panels of `large` pixels, `pitch` numbers apart. With a bias (of each output, or
/// empty) that is added too, and a ReLU follows.
///
/// # Safety
/// (large − 1) · pitch + 16 · panels numbers from `out` can be written.
#[inline(always)]
unsafe fn add_horizontal_lerps<L: Lanes>(
    l: L,
    lines: &[HorizontalLerp],
    bias: &[f32],
    large: usize,
    panels: usize,
    out: *mut f32,
    pitch: usize,
) {
    for t in lines {
        let most = t.reads.iter().fold(0, |most, read| read.low.max(read.high).max(most)) as usize;
        let needed = (panels - 1) * t.panel + most * t.pixel + t.taps * LANES;
        assert!(t.columns.len() >= needed && (t.taps == 1 || t.taps == 3), "the columns must be there");
        assert!(t.reads.len() == large, "every pixel is read somewhere");
    }
    assert!(bias.is_empty() || bias.len() >= panels * LANES, "a bias is one of each output");
    let mut taps: Taps = ([(core::ptr::null(), core::ptr::null(), 0.0, 0); 3 * MAX_MAPS], 0);
    for x in 0..large {
        taps.1 = 0;
        for t in lines {
            let side = t.taps / 2;
            for tap in 0..t.taps {
                // Outside the line nothing is added.
                let Some(read) = (x + tap).checked_sub(side).and_then(|x| t.reads.get(x)) else { continue };
                let at = |small: u32| t.columns.as_ptr().wrapping_add(small as usize * t.pixel + tap * LANES);
                taps.0[taps.1] = (at(read.low), at(read.high), read.weight, t.panel);
                taps.1 += 1;
            }
        }
        let bias = (!bias.is_empty()).then_some(bias.as_ptr());
        let mut p = 0;
        while p < panels {
            // SAFETY: the columns hold every panel, as asserted, `out` the pixel's, as promised.
            unsafe {
                let at = out.add(x * pitch + p * LANES);
                let bias = bias.map(|bias| bias.add(p * LANES));
                // Pixels lie too far apart for the processor to foresee the next.
                p += match panels - p {
                    4.. => pixel::<L, 4>(l, &taps, p, bias, at, at.wrapping_add(AHEAD * pitch)),
                    _ => pixel::<L, 1>(l, &taps, p, bias, at, at.wrapping_add(AHEAD * pitch)),
                }
            }
        }
    }
}

/// So many panels of a pixel, from panel `first` on; those at `ahead` are fetched.
///
/// # Safety
/// The taps' panels, the bias and the pixel at `at` exist.
#[inline(always)]
unsafe fn pixel<L: Lanes, const PANELS: usize>(
    l: L,
    (taps, count): &Taps,
    first: usize,
    bias: Option<*const f32>,
    at: *mut f32,
    ahead: *mut f32,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [l.splat(0.0); PANELS];
        for (p, sum) in sums.iter_mut().enumerate() {
            l.prefetch(ahead.wrapping_add(p * LANES));
            *sum = l.load_at(at.add(p * LANES));
        }
        for &(low, high, weight, panel) in &taps[..*count] {
            let weight = l.splat(weight);
            for (p, sum) in sums.iter_mut().enumerate() {
                let a = l.load_at(low.add((first + p) * panel));
                let b = l.load_at(high.add((first + p) * panel));
                *sum = l.add(*sum, l.fma(l.sub(b, a), weight, a));
            }
        }
        for (p, sum) in sums.iter_mut().enumerate() {
            if let Some(bias) = bias {
                *sum = l.max(l.add(*sum, l.load_at(bias.add(p * LANES))), l.splat(0.0));
            }
            l.store_at(*sum, at.add(p * LANES));
        }
    }
    PANELS
}
