//! Bilinear up-sampling of feature maps (`align_corners = false`), alone or fused with a 3x3 convolution.
//!
//! In: a low-resolution map ([`LowResMap`]), or its products with the nine kernel positions of a 3x3 convolution
//! ([`KernelProducts`]). Out: the interpolated values, added to rows of a high-resolution map, `[rows][width][channels]`.
//!
//! A 3x3 convolution over an up-sampled map U(s) is computed at low resolution. The matrix W_ky,kx of a kernel position mixes
//! the channels of a pixel, interpolation mixes the pixels of a channel; both are linear, so they commute:
//!
//! out(y, x) = Σ_ky,kx W_ky,kx · U(s)(y + ky − 1, x + kx − 1) = Σ_ky,kx U(W_ky,kx · s)(y + ky − 1, x + kx − 1)
//!
//! The caller computes the products W_ky,kx · s on the small map; here they are interpolated at the shifted positions and
//! summed. The convolution pads the large map with zeros, so a position outside the large map contributes nothing.
//!
//! Interpolation is separable. The vertical step works at the width of the small map and sums over ky; the horizontal step
//! sums over kx and over several maps, and adds to the output.

use crate::file::format::padded;
use crate::parallel::chunks::Shared;
use crate::simd::isa::Isa;
use crate::simd::kernels::interpolate::{HorizontalLerp, Lerp, MAX_MAPS, SourcePixel};
use crate::simd::lanes::LANES;
use core::ops::Range;
use half::bf16;

/// The most channels of a call, which computes them for all rows of its target. The pixels that it reads of the small maps stay
/// in a core's second-level cache from one row to the next, and it writes whole cache lines of every pixel.
pub(crate) const CHANNELS: usize = 64;

/// The two rows or columns of the small map that a row or column of the large map lies between:
/// `low + (high − low) · weight`.
#[derive(Clone, Copy)]
pub(crate) struct SourcePosition {
    pub low: usize,
    pub high: usize,
    pub weight: f32,
}

/// The source of row or column `at` of an axis that is enlarged from `small` to `large`. The arithmetic is that of PyTorch's
/// `upsample_bilinear2d` with `align_corners = false`, in f32.
pub(crate) fn source_position(at: usize, small: usize, large: usize) -> SourcePosition {
    let x = (small as f32 / large as f32) * (at as f32 + 0.5) - 0.5;
    let x = if x > 0.0 { x } else { 0.0 };
    let low = (x as usize).min(small - 1);
    SourcePosition { low, high: (low + 1).min(small - 1), weight: x - low as f32 }
}

/// Writes the sources of a whole row of `sources.len()` pixels that is enlarged from `small` pixels, `pitch` numbers apart.
pub(crate) fn source_pixels(small: usize, pitch: usize, sources: &mut [SourcePixel]) {
    let large = sources.len();
    for (at, source) in sources.iter_mut().enumerate() {
        let SourcePosition { low, high, weight } = source_position(at, small, large);
        *source = SourcePixel { low: (low * pitch) as u32, high: (high * pitch) as u32, weight };
    }
}

/// The numbers of a [`KernelProducts`].
#[derive(Clone, Copy)]
pub(crate) enum ProductData<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

/// A ring buffer of rows of a low-resolution map.
#[derive(Clone, Copy)]
pub(crate) struct LowResMap<'a> {
    /// `[slots][width][channels]`; row y of the map is in slot y % slots.
    pub data: &'a [f32],
    pub slots: usize,
    pub width: usize,
    pub height: usize,
}

/// A ring buffer of rows of a low-resolution map's products with the nine kernel positions of a 3x3 convolution.
#[derive(Clone, Copy)]
pub(crate) struct KernelProducts<'a> {
    /// `[slots][panel][ky][width][kx][16]`, the order in which the interpolation reads them; row y of the map is in slot
    /// y % slots.
    pub data: ProductData<'a>,
    pub slots: usize,
    pub width: usize,
    pub height: usize,
}

/// The scratch that each worker needs, in f32: `widths` is the sum of the widths of the small maps that one call adds, `large`
/// the width of the large map.
pub(crate) fn scratch(widths: usize, channels: usize, large: usize) -> usize {
    3 * widths * channels.min(CHANNELS) + padded(MAX_MAPS * large * SOURCE_PIXEL)
}

/// The size of a [`SourcePixel`] in f32.
const SOURCE_PIXEL: usize = size_of::<SourcePixel>() / size_of::<f32>();

/// Adds up-sampled maps to rows of a map of `width` x `height` pixels.
#[derive(Clone, Copy)]
pub(crate) struct Upsample {
    pub isa: Isa,
    pub width: usize,
    pub height: usize,
    /// The padded number of channels.
    pub channels: usize,
}

/// Some channels and columns of rows of the large map: what one call of [`Upsample`] adds to.
pub(crate) struct Target<'a> {
    /// Rows of the large map, `[rows][width][channels]`.
    pub out: &'a Shared<'a, f32>,
    /// The first row, in the large map.
    pub y0: usize,
    pub rows: usize,
    /// The columns of the rows.
    pub columns: Range<usize>,
    /// Whole panels, at most [`CHANNELS`].
    pub channels: Range<usize>,
}

impl Upsample {
    /// Adds an up-sampled map. `scratch` holds [`scratch`] numbers.
    ///
    /// # Safety
    /// Nothing else accesses these channels of these columns of `to.out`.
    pub unsafe fn add(&self, small: &LowResMap, to: &Target, scratch: &mut [f32]) {
        let channels = &to.channels;
        let ([sources, ..], scratch) = self.sources(&[small.width], channels.len(), scratch);
        let read = pixels_read(sources, channels.len(), &to.columns, 0);
        for row in 0..to.rows {
            let p = source_position(to.y0 + row, small.height, self.height);
            let columns = &mut scratch[..small.width * channels.len()];
            let [low, high] = [p.low, p.high].map(|y| {
                let start = (y % small.slots * small.width + read.start) * self.channels;
                &small.data[start..][channels.start..(read.len() - 1) * self.channels + channels.end]
            });
            let out = &mut columns[read.start * channels.len()..read.end * channels.len()];
            self.isa.lerp_pixels(low, high, p.weight, self.channels, out);
            let map = HorizontalLerp { columns, panel_pitch: LANES, kernel_width: 1, sources };
            // SAFETY: by this function's precondition.
            unsafe { self.add_horizontal(&[map], &[], row, to) };
        }
    }

    /// Adds the up-sampled products of at most three maps, each product shifted by its kernel position. If `bias` is not empty, it
    /// holds a number for each channel of the map, and the result is relu(out + products + bias). `scratch` holds [`scratch`] numbers.
    ///
    /// # Safety
    /// Nothing else accesses these channels of these columns of `to.out`.
    pub unsafe fn add_products(
        &self,
        maps: &[KernelProducts],
        bias: &[f32],
        to: &Target,
        scratch: &mut [f32],
    ) {
        let mut widths = [0; MAX_MAPS];
        widths.iter_mut().zip(maps).for_each(|(width, map)| *width = map.width);
        let (sources, scratch) = self.sources(&widths[..maps.len()], 3 * LANES, scratch);
        for row in 0..to.rows {
            let mut lerps =
                [HorizontalLerp { columns: &[], panel_pitch: 0, kernel_width: 3, sources: &[] }; MAX_MAPS];
            let mut rest = &mut *scratch;
            for ((lerp, map), sources) in lerps.iter_mut().zip(maps).zip(sources) {
                let columns;
                (columns, rest) = rest.split_at_mut(3 * map.width * to.channels.len());
                let read = pixels_read(sources, 3 * LANES, &to.columns, 1);
                self.sum_vertical(map, to.y0 + row, (read, to.channels.clone()), columns);
                let panel_pitch = 3 * map.width * LANES;
                *lerp = HorizontalLerp { columns, panel_pitch, kernel_width: 3, sources };
            }
            // SAFETY: by this function's precondition.
            unsafe { self.add_horizontal(&lerps[..maps.len()], bias, row, to) };
        }
    }

    /// Divides `scratch` into the source pixels of rows that are enlarged from each of `widths`, whose pixels are `pitch` numbers apart,
    /// and the rest.
    fn sources<'s>(
        &self,
        widths: &[usize],
        pitch: usize,
        scratch: &'s mut [f32],
    ) -> ([&'s [SourcePixel]; MAX_MAPS], &'s mut [f32]) {
        let (sources, rest) = scratch.split_at_mut(padded(MAX_MAPS * self.width * SOURCE_PIXEL));
        let sources: &mut [SourcePixel] =
            bytemuck::cast_slice_mut(&mut sources[..MAX_MAPS * self.width * SOURCE_PIXEL]);
        for (sources, &small) in sources.chunks_mut(self.width).zip(widths) {
            source_pixels(small, pitch, sources);
        }
        let sources = &*sources;
        (core::array::from_fn(|i| &sources[i * self.width..][..self.width]), rest)
    }

    /// The vertical step for row `y` of the large map: interpolates some columns and channels of the products between two rows of the
    /// small map, and sums over ky. It writes these columns of `out`, `[panel][width][kx][16]`.
    fn sum_vertical(
        &self,
        map: &KernelProducts,
        y: usize,
        (columns, channels): (Range<usize>, Range<usize>),
        out: &mut [f32],
    ) {
        let pixel = 3 * LANES;
        let run = map.width * pixel;
        let row = 3 * run * (self.channels / LANES);
        let source = |ky: usize| {
            let y = (y + ky).checked_sub(1).filter(|&y| y < self.height)?;
            let p = source_position(y, map.height, self.height);
            Some((p.low % map.slots * row + ky * run, p.high % map.slots * row + ky * run, p.weight))
        };
        let sources = [source(0), source(1), source(2)];
        for (panel, out) in (channels.start / LANES..).zip(out.chunks_mut(run)) {
            let out = &mut out[columns.start * pixel..columns.end * pixel];
            let (at, len) = (3 * panel * run + columns.start * pixel, out.len());
            match map.data {
                ProductData::F32(x) => {
                    with_lerps(&x[at..], &sources, len, |lerps| self.isa.sum_lerps(lerps, out))
                }
                ProductData::Bf16(x) => {
                    with_lerps(&x[at..], &sources, len, |lerps| self.isa.sum_lerps_bf16(lerps, out))
                }
            }
        }
    }

    /// The horizontal step: interpolates the results of the vertical step and adds them to row `row` of the target.
    ///
    /// # Safety
    /// Nothing else accesses these channels of these columns of the row.
    unsafe fn add_horizontal(&self, maps: &[HorizontalLerp], bias: &[f32], row: usize, to: &Target) {
        let bias = if bias.is_empty() { bias } else { &bias[to.channels.clone()] };
        let panels = to.channels.len() / LANES;
        let row_len = self.width * self.channels;
        assert!(
            (row + 1) * row_len <= to.out.len()
                && to.columns.end <= self.width
                && to.channels.end <= self.channels,
            "the target must hold the columns of the row and their channels"
        );
        // SAFETY: the kernel accesses these channels of these columns alone, which lie inside the target, as asserted.
        unsafe {
            let out = to.out.ptr(row * row_len + to.columns.start * self.channels + to.channels.start);
            self.isa.add_horizontal_lerps(maps, bias, to.columns.clone(), panels, out, self.channels);
        }
    }
}

/// The pixels of a row of the small map that are read for these columns of the large map and their `radius` neighbours on either side.
/// The pixels are `pitch` numbers apart.
fn pixels_read(sources: &[SourcePixel], pitch: usize, columns: &Range<usize>, radius: usize) -> Range<usize> {
    let first = columns.start.saturating_sub(radius);
    let last = (columns.end - 1 + radius).min(sources.len() - 1);
    sources[first].low as usize / pitch..sources[last].high as usize / pitch + 1
}

/// Calls `then` with the lerps between runs of `len` numbers of `x`. A source is (start of the low run, start of the high run,
/// weight); those of rows outside the map are `None` and left out.
fn with_lerps<T>(
    x: &[T],
    sources: &[Option<(usize, usize, f32)>; 3],
    len: usize,
    then: impl FnOnce(&[Lerp<T>]),
) {
    let mut lerps = [const { Lerp { low: &[], high: &[], weight: 0.0 } }; 3];
    let mut count = 0;
    for &(low, high, weight) in sources.iter().flatten() {
        lerps[count] = Lerp { low: &x[low..][..len], high: &x[high..][..len], weight };
        count += 1;
    }
    then(&lerps[..count]);
}
