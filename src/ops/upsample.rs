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
use crate::parallel::Workers;
use crate::parallel::chunks::{Shared, with_scratch};
use crate::simd::isa::Isa;
use crate::simd::kernels::interpolate::{HorizontalLerp, Lerp, MAX_MAPS, SourcePixel};
use crate::simd::lanes::LANES;
use core::ops::Range;
use half::bf16;

/// Channels in a task, which computes them for all rows of a call. The pixels that a task reads of the small maps stay in a
/// core's second-level cache from one row to the next, and it writes whole cache lines of every pixel.
const CHANNELS: usize = 64;

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
    /// `[ring][width][channels]`; row y of the map is in slot y % ring.
    pub data: &'a [f32],
    pub ring: usize,
    pub width: usize,
    pub height: usize,
}

/// A ring buffer of rows of a low-resolution map's products with the nine kernel positions of a 3x3 convolution.
#[derive(Clone, Copy)]
pub(crate) struct KernelProducts<'a> {
    /// `[ring][panel][ky][width][kx][16]`, the order in which the interpolation reads them; row y of the map is in slot
    /// y % ring.
    pub data: ProductData<'a>,
    pub ring: usize,
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
pub(crate) struct Upsample<'a> {
    pub isa: Isa,
    pub workers: Workers<'a>,
    pub width: usize,
    pub height: usize,
    /// The padded number of channels.
    pub channels: usize,
}

impl Upsample<'_> {
    /// Adds an up-sampled map to the rows of `out`, which are rows `y0..` of the large map. `workers_scratch` holds [`scratch`]
    /// numbers for each worker.
    pub fn add(&self, small: &LowResMap, y0: usize, out: &mut [f32], workers_scratch: &mut [f32]) {
        let widths = [small.width];
        self.for_each_row(&widths, 1, out, workers_scratch, |row, channels, out, [sources, ..], scratch| {
            let p = source_position(y0 + row, small.height, self.height);
            let columns = &mut scratch[..small.width * channels.len()];
            let [low, high] = [p.low, p.high].map(|y| {
                let start = y % small.ring * small.width * self.channels;
                &small.data[start..][channels.start..(small.width - 1) * self.channels + channels.end]
            });
            self.isa.lerp_pixels(low, high, p.weight, self.channels, columns);
            let map = HorizontalLerp { columns, panel_pitch: LANES, kernel_width: 1, sources };
            self.add_horizontal(&[map], &[], row, channels, out);
        });
    }

    /// Adds the up-sampled products of at most three maps to the rows of `out`, which are rows `y0..` of the large map, each
    /// product shifted by its kernel position. If `bias` is not empty, it holds a number for each channel, and the result is
    /// relu(out + products + bias). `workers_scratch` holds [`scratch`] numbers for each worker.
    pub fn add_products(
        &self,
        maps: &[KernelProducts],
        bias: &[f32],
        y0: usize,
        out: &mut [f32],
        workers_scratch: &mut [f32],
    ) {
        let mut widths = [0; MAX_MAPS];
        widths.iter_mut().zip(maps).for_each(|(width, map)| *width = map.width);
        let widths = &widths[..maps.len()];
        self.for_each_row(widths, 3, out, workers_scratch, |row, channels, out, sources, scratch| {
            let mut lerps =
                [HorizontalLerp { columns: &[], panel_pitch: 0, kernel_width: 3, sources: &[] }; MAX_MAPS];
            let mut rest = scratch;
            for ((lerp, map), sources) in lerps.iter_mut().zip(maps).zip(sources) {
                let columns;
                (columns, rest) = rest.split_at_mut(3 * map.width * channels.len());
                self.sum_vertical(map, y0 + row, channels.clone(), columns);
                *lerp =
                    HorizontalLerp { columns, panel_pitch: 3 * map.width * LANES, kernel_width: 3, sources };
            }
            self.add_horizontal(&lerps[..maps.len()], bias, row, channels, out);
        });
    }

    /// The vertical step for row `y` of the large map: interpolates some channels of the products between two rows of the small
    /// map, and sums over ky. `columns` becomes `[panel][width][kx][16]`.
    fn sum_vertical(&self, map: &KernelProducts, y: usize, channels: Range<usize>, columns: &mut [f32]) {
        let run = 3 * map.width * LANES;
        let row = 3 * run * (self.channels / LANES);
        let source = |ky: usize| {
            let y = (y + ky).checked_sub(1).filter(|&y| y < self.height)?;
            let p = source_position(y, map.height, self.height);
            Some((p.low % map.ring * row + ky * run, p.high % map.ring * row + ky * run, p.weight))
        };
        let sources = [source(0), source(1), source(2)];
        for (panel, columns) in (channels.start / LANES..).zip(columns.chunks_mut(run)) {
            let at = 3 * panel * run;
            match map.data {
                ProductData::F32(x) => {
                    with_lerps(&x[at..], &sources, run, |lerps| self.isa.sum_lerps(lerps, columns))
                }
                ProductData::Bf16(x) => {
                    with_lerps(&x[at..], &sources, run, |lerps| self.isa.sum_lerps_bf16(lerps, columns))
                }
            }
        }
    }

    /// The horizontal step: interpolates the results of the vertical step and adds them to some channels of row `row` of `out`.
    fn add_horizontal(
        &self,
        maps: &[HorizontalLerp],
        bias: &[f32],
        row: usize,
        channels: Range<usize>,
        out: &Shared<f32>,
    ) {
        let bias = if bias.is_empty() { bias } else { &bias[channels.clone()] };
        let panels = channels.len() / LANES;
        // SAFETY: `for_each_row` calls this for whole rows of `out` only. Its tasks have disjoint channels, and the kernel
        // writes no other channels than these.
        unsafe {
            let out = out.ptr(row * self.width * self.channels + channels.start);
            self.isa.add_horizontal_lerps(maps, bias, self.width, panels, out, self.channels);
        }
    }

    /// Calls `compute(row, channels, out, sources, scratch)` for every row of `out` and every block of channels; blocks are
    /// tasks. `sources[i]` are the source pixels of a row that is enlarged from `widths[i]` pixels, each of which has
    /// `kernel_width` columns: one of all channels of the block, or three of each panel.
    fn for_each_row(
        &self,
        widths: &[usize],
        kernel_width: usize,
        out: &mut [f32],
        workers_scratch: &mut [f32],
        compute: impl Fn(usize, Range<usize>, &Shared<f32>, [&[SourcePixel]; MAX_MAPS], &mut [f32]) + Sync,
    ) {
        let rows = out.len() / (self.width * self.channels);
        let blocks = self.channels.div_ceil(CHANNELS);
        let out = Shared::new(out);
        with_scratch(self.workers, blocks, workers_scratch, |block, scratch| {
            let (sources, scratch) = scratch.split_at_mut(padded(MAX_MAPS * self.width * SOURCE_PIXEL));
            let sources: &mut [SourcePixel] =
                bytemuck::cast_slice_mut(&mut sources[..MAX_MAPS * self.width * SOURCE_PIXEL]);
            let channels = block * CHANNELS..((block + 1) * CHANNELS).min(self.channels);
            let pitch = if kernel_width == 1 { channels.len() } else { kernel_width * LANES };
            for (sources, &small) in sources.chunks_mut(self.width).zip(widths) {
                source_pixels(small, pitch, sources);
            }
            let sources = core::array::from_fn(|i| &sources[i * self.width..][..self.width]);
            for row in 0..rows {
                compute(row, channels.clone(), &out, sources, scratch);
            }
        });
    }
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
