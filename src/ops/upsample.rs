//! Bilinear up-sampling of maps by lines (`align_corners = false`), alone or with the nine taps of a 3x3 convolution.
//!
//! A 3x3 convolution of an up-sampled map never runs at full resolution: channel mixing commutes with interpolation, so
//! the map is multiplied by all nine taps where it is small, and the products are interpolated and added, shifted:
//! out(y, x) += Σ_dy,dx U(P_dy,dx)(y + dy, x + dx). Zero padding acts after interpolation: a shifted read outside the
//! large map adds nothing.

use crate::file::format::padded;
use crate::parallel::Parallel;
use crate::parallel::chunks::{Shared, with_scratch};
use crate::simd::isa::Isa;
use crate::simd::kernels::interpolate::{HorizontalLerp, Lerp, MAX_MAPS, SourcePixel};
use crate::simd::lanes::LANES;
use core::ops::Range;
use half::bf16;

/// Channels that one task takes, for all lines of a call: what it reads of the small maps then stays in a core's
/// second-level cache from one line to the next, and what it writes of a pixel is whole lines of the cache.
const CHANNELS: usize = 64;

/// Where a pixel of the large axis reads the small one: between `low` and `high`, `weight` of the latter.
#[derive(Clone, Copy)]
pub(crate) struct SourcePosition {
    pub low: usize,
    pub high: usize,
    pub weight: f32,
}

/// PyTorch's `upsample_bilinear2d` with `align_corners = false`, in f32 as there.
pub(crate) fn source_position(at: usize, small: usize, large: usize) -> SourcePosition {
    let x = (small as f32 / large as f32) * (at as f32 + 0.5) - 0.5;
    let x = if x > 0.0 { x } else { 0.0 };
    let low = (x as usize).min(small - 1);
    SourcePosition { low, high: (low + 1).min(small - 1), weight: x - low as f32 }
}

/// Writes the positions of a whole axis, as long as `reads`.
pub(crate) fn source_pixels(small: usize, reads: &mut [SourcePixel]) {
    let large = reads.len();
    for (at, read) in reads.iter_mut().enumerate() {
        let SourcePosition { low, high, weight } = source_position(at, small, large);
        *read = SourcePixel { low: low as u32, high: high as u32, weight };
    }
}

/// Numbers of a small map.
#[derive(Clone, Copy)]
pub(crate) enum ProductData<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

/// A small map, of which some lines are in memory.
#[derive(Clone, Copy)]
pub(crate) struct LowResMap<'a> {
    /// `[ring][width][channels]`; line y is at y % ring.
    pub data: &'a [f32],
    pub ring: usize,
    pub width: usize,
    pub height: usize,
}

/// The products of a small map with nine taps, of which some lines are in memory.
#[derive(Clone, Copy)]
pub(crate) struct KernelProducts<'a> {
    /// `[ring][panel][dy][width][dx][16]`: what is read together lies together. Line y is at y % ring.
    pub data: ProductData<'a>,
    pub ring: usize,
    pub width: usize,
    pub height: usize,
}

/// Numbers of scratch that a worker needs for small maps of these widths together, with their products or without, and the
/// width of the large one.
pub(crate) fn scratch(widths: usize, channels: usize, large: usize) -> usize {
    3 * widths * channels.min(CHANNELS) + padded(MAX_MAPS * large * READ)
}

/// Numbers that a [`SourcePixel`] takes the place of.
const READ: usize = size_of::<SourcePixel>() / size_of::<f32>();

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
    pub fn add(&self, small: &LowResMap, y0: usize, out: &mut [f32], scratch: &mut [f32]) {
        self.blocks(&[small.width], out, scratch, |line, channels, out, [reads, ..], scratch| {
            let p = source_position(y0 + line, small.height, self.height);
            let columns = &mut scratch[..small.width * channels.len()];
            let [low, high] = [p.low, p.high].map(|y| {
                let line = y % small.ring * small.width * self.channels;
                &small.data[line..][channels.start..(small.width - 1) * self.channels + channels.end]
            });
            self.isa.lerp_pixels(low, high, p.weight, self.channels, columns);
            let along = HorizontalLerp {
                columns,
                panel_pitch: LANES,
                pixel_pitch: channels.len(),
                kernel_width: 1,
                sources: reads,
            };
            self.along(&[along], &[], line, channels, out);
        });
    }

    /// Products of maps, at most three, each shifted by its tap; with a bias (of each output, or empty) that is added too, and a
    /// ReLU follows. `scratch`: [`scratch`] numbers for each worker.
    pub fn add_products(
        &self,
        maps: &[KernelProducts],
        bias: &[f32],
        y0: usize,
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        let mut widths = [0; MAX_MAPS];
        widths.iter_mut().zip(maps).for_each(|(width, map)| *width = map.width);
        self.blocks(&widths[..maps.len()], out, scratch, |line, channels, out, reads, scratch| {
            let mut lines = [HorizontalLerp {
                columns: &[],
                panel_pitch: 0,
                pixel_pitch: 0,
                kernel_width: 3,
                sources: &[],
            }; MAX_MAPS];
            let mut rest = scratch;
            for ((line_of, map), reads) in lines.iter_mut().zip(maps).zip(reads) {
                let columns;
                (columns, rest) = rest.split_at_mut(3 * map.width * channels.len());
                self.down(map, y0 + line, channels.clone(), columns);
                let panel = 3 * map.width * LANES;
                *line_of = HorizontalLerp {
                    columns,
                    panel_pitch: panel,
                    pixel_pitch: 3 * LANES,
                    kernel_width: 3,
                    sources: reads,
                };
            }
            self.along(&lines[..maps.len()], bias, line, channels, out);
        });
    }

    /// Down the columns of some channels: for each horizontal shift the sum over the vertical ones, at line `y`,
    /// `[panel][width][dx][16]`.
    fn down(&self, map: &KernelProducts, y: usize, channels: Range<usize>, columns: &mut [f32]) {
        let run = 3 * map.width * LANES;
        let line = 3 * run * (self.channels / LANES);
        let rows = |dy: usize| {
            let y = (y + dy).checked_sub(1).filter(|&y| y < self.height)?;
            let p = source_position(y, map.height, self.height);
            Some((p.low % map.ring * line + dy * run, p.high % map.ring * line + dy * run, p.weight))
        };
        let rows = [rows(0), rows(1), rows(2)];
        for (panel, columns) in (channels.start / LANES..).zip(columns.chunks_mut(run)) {
            let at = 3 * panel * run;
            match map.data {
                ProductData::F32(x) => {
                    with_lerps(&x[at..], &rows, run, |runs| self.isa.sum_lerps(runs, columns))
                }
                ProductData::Bf16(x) => {
                    with_lerps(&x[at..], &rows, run, |runs| self.isa.sum_lerps_bf16(runs, columns))
                }
            }
        }
    }

    /// Adds lines, ready but for the interpolation along them, to some channels of line `line` of `out`.
    fn along(
        &self,
        lines: &[HorizontalLerp],
        bias: &[f32],
        line: usize,
        channels: Range<usize>,
        out: &Shared<f32>,
    ) {
        let bias = if bias.is_empty() { bias } else { &bias[channels.clone()] };
        // SAFETY: `blocks` has the line in `out`; no other task touches these channels, and the kernel touches no others.
        unsafe {
            let out = out.at(line * self.width * self.channels + channels.start);
            self.isa.add_horizontal_lerps(
                lines,
                bias,
                self.width,
                channels.len() / LANES,
                out,
                self.channels,
            );
        }
    }

    /// Every whole line of `out`, by blocks of channels: (line, channels, `out`, where lines of the widths are read, scratch).
    fn blocks(
        &self,
        widths: &[usize],
        out: &mut [f32],
        scratch: &mut [f32],
        run: impl Fn(usize, Range<usize>, &Shared<f32>, [&[SourcePixel]; MAX_MAPS], &mut [f32]) + Sync,
    ) {
        let lines = out.len() / (self.width * self.channels);
        let blocks = self.channels.div_ceil(CHANNELS);
        let out = Shared::new(out);
        with_scratch(self.par, blocks, scratch, |block, scratch| {
            let (reads, scratch) = scratch.split_at_mut(padded(MAX_MAPS * self.width * READ));
            let reads: &mut [SourcePixel] =
                bytemuck::cast_slice_mut(&mut reads[..MAX_MAPS * self.width * READ]);
            for (reads, &small) in reads.chunks_mut(self.width).zip(widths) {
                source_pixels(small, reads);
            }
            let reads = core::array::from_fn(|i| &reads[i * self.width..][..self.width]);
            let first = block * CHANNELS;
            for line in 0..lines {
                run(line, first..(first + CHANNELS).min(self.channels), &out, reads, scratch);
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
