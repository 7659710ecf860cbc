//! Bilinear up-sampling of maps by lines (`align_corners = false`), alone or with the nine taps of a 3x3 convolution.
//!
//! A 3x3 convolution of an up-sampled map never runs at full resolution: channel mixing commutes with interpolation, so
//! the map is multiplied by all nine taps where it is small, and the products are interpolated and added, shifted:
//! out(y, x) += Σ_dy,dx U(P_dy,dx)(y + dy, x + dx). Zero padding acts after interpolation: a shifted read outside the
//! large map adds nothing.

use super::lanes::Lanes;
use super::micro::Widen;
use super::rows::vectors_mut;
use super::split::{Shared, with_scratch};
use super::{Isa, LANES};
use crate::parallel::Parallel;
use core::ops::Range;
use half::bf16;

/// Channels that one task takes, for all lines of a call: what it reads of the small maps then stays in a core's
/// second-level cache from one line to the next, and what it writes of a pixel is whole lines of the cache.
const CHANNELS: usize = 64;

/// Where a pixel of the large axis reads the small one: between `low` and `high`, `weight` of the latter.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub low: usize,
    pub high: usize,
    pub weight: f32,
}

/// PyTorch's `upsample_bilinear2d` with `align_corners = false`, in f32 as there.
pub(crate) fn position(at: usize, small: usize, large: usize) -> Position {
    let x = (small as f32 / large as f32) * (at as f32 + 0.5) - 0.5;
    let x = if x > 0.0 { x } else { 0.0 };
    let low = (x as usize).min(small - 1);
    Position { low, high: (low + 1).min(small - 1), weight: x - low as f32 }
}

/// Numbers of a small map.
#[derive(Clone, Copy)]
pub(crate) enum Pixels<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

/// A small map, of which some lines are in memory.
#[derive(Clone, Copy)]
pub(crate) struct Small<'a> {
    /// `[ring][width][channels]`; line y is at y % ring.
    pub data: &'a [f32],
    pub ring: usize,
    pub width: usize,
    pub height: usize,
}

/// The products of a small map with nine taps, of which some lines are in memory.
#[derive(Clone, Copy)]
pub(crate) struct Tapped<'a> {
    /// `[ring][panel][dy][width][dx][16]`: what is read together lies together. Line y is at y % ring.
    pub data: Pixels<'a>,
    pub ring: usize,
    pub width: usize,
    pub height: usize,
}

/// Numbers of scratch that a worker needs for small maps of these widths together, with their products or without.
pub(crate) fn scratch(widths: usize, channels: usize) -> usize {
    3 * widths * channels.min(CHANNELS)
}

/// Adds small maps to lines `y0..` of a map of `width` x `height` in `out`, `[lines][width][channels]`.
#[derive(Clone, Copy)]
pub(crate) struct Upsample<'a> {
    pub isa: Isa,
    pub par: &'a dyn Parallel,
    pub width: usize,
    pub height: usize,
    /// Padded.
    pub channels: usize,
}

impl Upsample<'_> {
    /// A map as it is. `scratch`: [`scratch`] numbers for each worker.
    pub fn add(&self, small: &Small, y0: usize, out: &mut [f32], scratch: &mut [f32]) {
        self.blocks(out, scratch, |line, channels, out, scratch| {
            let p = position(y0 + line, small.height, self.height);
            let columns = &mut scratch[..small.width * channels.len()];
            for (x, sums) in columns.chunks_mut(channels.len()).enumerate() {
                let [low, high] = [p.low, p.high].map(|y| {
                    let at = (y % small.ring * small.width + x) * self.channels;
                    &small.data[at..][channels.clone()]
                });
                self.isa.lerp(low, high, p.weight, sums);
            }
            let along = Along { columns, panel: LANES, pixel: channels.len(), taps: 1, small: small.width };
            self.along(&[along], &[], line, channels, out);
        });
    }

    /// Products of maps, at most three, each shifted by its tap; with a bias (of each output, or empty) that is added too, and a
    /// ReLU follows. `scratch`: [`scratch`] numbers for each worker.
    pub fn add_tapped(&self, maps: &[Tapped], bias: &[f32], y0: usize, out: &mut [f32], scratch: &mut [f32]) {
        self.blocks(out, scratch, |line, channels, out, scratch| {
            let mut lines = [Along { columns: &[], panel: 0, pixel: 0, taps: 3, small: 0 }; MAX_ALONG];
            let mut rest = scratch;
            for (line_of, map) in lines.iter_mut().zip(maps) {
                let columns;
                (columns, rest) = rest.split_at_mut(3 * map.width * channels.len());
                self.down(map, y0 + line, channels.clone(), columns);
                let panel = 3 * map.width * LANES;
                *line_of = Along { columns, panel, pixel: 3 * LANES, taps: 3, small: map.width };
            }
            self.along(&lines[..maps.len()], bias, line, channels, out);
        });
    }

    /// Down the columns of some channels: for each horizontal shift the sum over the vertical ones, at line `y`,
    /// `[panel][width][dx][16]`.
    fn down(&self, map: &Tapped, y: usize, channels: Range<usize>, columns: &mut [f32]) {
        let run = 3 * map.width * LANES;
        let line = 3 * run * (self.channels / LANES);
        let rows = |dy: usize| {
            let y = (y + dy).checked_sub(1).filter(|&y| y < self.height)?;
            let p = position(y, map.height, self.height);
            Some((p.low % map.ring * line + dy * run, p.high % map.ring * line + dy * run, p.weight))
        };
        let rows = [rows(0), rows(1), rows(2)];
        for (panel, columns) in (channels.start / LANES..).zip(columns.chunks_mut(run)) {
            let at = 3 * panel * run;
            match map.data {
                Pixels::F32(x) => with_lerps(&x[at..], &rows, run, |runs| self.isa.sum_lerps(runs, columns)),
                Pixels::Bf16(x) => {
                    with_lerps(&x[at..], &rows, run, |runs| self.isa.sum_lerps_bf16(runs, columns))
                }
            }
        }
    }

    /// Adds lines, ready but for the interpolation along them, to some channels of line `line` of `out`.
    fn along(&self, lines: &[Along], bias: &[f32], line: usize, channels: Range<usize>, out: &Shared<f32>) {
        let bias = if bias.is_empty() { bias } else { &bias[channels.clone()] };
        // SAFETY: `blocks` has the line in `out`; no other task touches these channels, and the kernel touches no others.
        unsafe {
            let out = out.at(line * self.width * self.channels + channels.start);
            self.isa.add_along(lines, bias, self.width, channels.len() / LANES, out, self.channels);
        }
    }

    /// Every whole line of `out`, by blocks of channels: (line, channels, `out`, scratch).
    fn blocks(
        &self,
        out: &mut [f32],
        scratch: &mut [f32],
        run: impl Fn(usize, Range<usize>, &Shared<f32>, &mut [f32]) + Sync,
    ) {
        let lines = out.len() / (self.width * self.channels);
        let blocks = self.channels.div_ceil(CHANNELS);
        let out = Shared::new(out);
        with_scratch(self.par, blocks, scratch, |block, scratch| {
            let first = block * CHANNELS;
            for line in 0..lines {
                run(line, first..(first + CHANNELS).min(self.channels), &out, scratch);
            }
        });
    }
}

/// Runs of `len` numbers at the places that exist.
fn with_lerps<T>(
    x: &[T],
    places: &[Option<(usize, usize, f32)>; 3],
    len: usize,
    then: impl FnOnce(&[Lerp<T>]),
) {
    let mut runs = [const { Lerp { low: &[], high: &[], weight: 0.0 } }; 3];
    let mut count = 0;
    for &(low, high, weight) in places.iter().flatten() {
        runs[count] = Lerp { low: &x[low..][..len], high: &x[high..][..len], weight };
        count += 1;
    }
    then(&runs[..count]);
}

/// Two runs of numbers and how much of the second is taken.
pub(crate) struct Lerp<'a, T> {
    pub low: &'a [T],
    pub high: &'a [T],
    pub weight: f32,
}

/// out = Σ low + (high − low) · weight
#[inline(always)]
pub(crate) fn sum_lerps<L: Lanes>(l: L, runs: &[Lerp<f32>], out: &mut [f32]) {
    lerps(l, runs, out);
}

/// The same of bfloat16.
#[inline(always)]
pub(crate) fn sum_lerps_bf16<L: Lanes>(l: L, runs: &[Lerp<bf16>], out: &mut [f32]) {
    lerps(l, runs, out);
}

#[inline(always)]
fn lerps<L: Lanes, T: Widen>(l: L, runs: &[Lerp<T>], out: &mut [f32]) {
    let len = out.len();
    assert!(runs.iter().all(|run| run.low.len() == len && run.high.len() == len), "runs are of one length");
    for (i, o) in vectors_mut(out).enumerate() {
        let mut sum = l.splat(0.0);
        for run in runs {
            // SAFETY: vector i exists in `out`, so in the runs, as asserted.
            let (a, b) = unsafe {
                let at = i * LANES;
                (T::load(l, run.low.as_ptr().add(at)), T::load(l, run.high.as_ptr().add(at)))
            };
            sum = l.add(sum, l.fma(l.sub(b, a), l.splat(run.weight), a));
        }
        l.store(sum, o);
    }
}

/// A line of `small` pixels that is interpolated to a longer one: for one tap, read where it lies, or for three, read one pixel to
/// the left, at it, and one to the right.
#[derive(Clone, Copy)]
pub(crate) struct Along<'a> {
    /// A panel's numbers lie `panel` from the next one's, a pixel's `pixel`, a tap's 16.
    pub columns: &'a [f32],
    pub panel: usize,
    pub pixel: usize,
    pub taps: usize,
    pub small: usize,
}

/// Pixels from the one that [`add_along`] writes to the one that it has fetched.
const AHEAD: usize = 8;
/// The most lines that [`add_along`] takes.
pub(crate) const MAX_ALONG: usize = 3;

/// Adds lines, at most [`MAX_ALONG`], to `panels` panels of `large` pixels, `pitch` numbers apart. With a bias (of each output, or
/// empty) that is added too, and a ReLU follows.
///
/// # Safety
/// (large − 1) · pitch + 16 · panels numbers from `out` can be written.
#[inline(always)]
pub(crate) unsafe fn add_along<L: Lanes>(
    l: L,
    lines: &[Along],
    bias: &[f32],
    large: usize,
    panels: usize,
    out: *mut f32,
    pitch: usize,
) {
    for t in lines {
        let needed = (panels - 1) * t.panel + (t.small - 1) * t.pixel + t.taps * LANES;
        assert!(t.columns.len() >= needed && (t.taps == 1 || t.taps == 3), "the columns must be there");
    }
    assert!(bias.is_empty() || bias.len() >= panels * LANES, "a bias is one of each output");
    // Of each line, the positions around a pixel: those that its taps read are the last. Each is made once.
    let mut windows = [[Position { low: 0, high: 0, weight: 0.0 }; 3]; MAX_ALONG];
    for (window, t) in windows.iter_mut().zip(lines) {
        window[2] = position(0, t.small, large);
    }
    for x in 0..large {
        // Where each tap of each line reads, and how far its panels are apart.
        let mut reads = [(core::ptr::null::<f32>(), core::ptr::null::<f32>(), 0.0, 0); 3 * MAX_ALONG];
        let mut count = 0;
        for (window, t) in windows.iter_mut().zip(lines) {
            let side = t.taps / 2;
            *window = [window[1], window[2], position((x + side).min(large - 1), t.small, large)];
            for tap in 0..t.taps {
                if x + tap < side || x + tap >= large + side {
                    continue;
                }
                let p = window[3 - t.taps + tap];
                let at = |small: usize| t.columns[small * t.pixel + tap * LANES..].as_ptr();
                reads[count] = (at(p.low), at(p.high), p.weight, t.panel);
                count += 1;
            }
        }
        for p in 0..panels {
            // Pixels lie too far apart for the processor to foresee the next.
            l.fetch(out.wrapping_add((x + AHEAD) * pitch + p * LANES));
            // SAFETY: the columns hold every panel, as asserted, `out` the pixel's, as promised.
            unsafe {
                let at = out.add(x * pitch + p * LANES);
                let mut v = l.load_at(at);
                for &(low, high, weight, panel) in &reads[..count] {
                    let a = l.load_at(low.add(p * panel));
                    let b = l.load_at(high.add(p * panel));
                    v = l.add(v, l.fma(l.sub(b, a), l.splat(weight), a));
                }
                if !bias.is_empty() {
                    v = l.max(l.add(v, l.load_at(bias.as_ptr().add(p * LANES))), l.splat(0.0));
                }
                l.store_at(v, at);
            }
        }
    }
}
