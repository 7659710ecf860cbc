//! A convolution of the head fused with the channel-wise operators after it: adding up-sampled maps, and conversion to bfloat16.
//! In: whatever the convolution reads, and maps to add. Out: rows of f32, and optionally the same rows in bfloat16 for a Winograd
//! convolution. Tasks are blocks of output channels, and of rows if there are few blocks for many workers.
//!
//! A task computes its channels of its rows, from the product to the last conversion. So a thread waits for no other between
//! these operators, and the rows are still in its caches.

use super::gemm::{PanelProduct, Segment};
use super::upsample::{CHANNELS, KernelProducts, LowResMap, Target, Upsample};
use super::winograd::WinogradConv;
use crate::parallel::Tasks;
use crate::parallel::chunks::{Shared, chunk_range};
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use core::ops::Range;
use half::bf16;

/// The convolution at the start of a step.
// A step has one, on the stack.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Product<'a> {
    /// No convolution: `out` already holds the rows.
    Given,
    Gemm(PanelProduct<'a>),
    Winograd(WinogradConv<'a>),
}

/// What is added to the rows.
#[derive(Clone, Copy)]
pub(crate) enum Added<'a> {
    Nothing,
    /// An up-sampled map.
    Map(LowResMap<'a>),
    /// Up-sampled products, then a bias and ReLU, unless the bias is empty.
    Products(&'a [KernelProducts<'a>], &'a [f32]),
}

/// A ring of map rows in bfloat16, to which some of the rows are copied: `[slots][width + 2][channels]`, where row y is in slot
/// y % slots, between two blank pixels.
pub(crate) struct Bf16Ring<'a> {
    pub data: &'a mut [bf16],
    pub slots: usize,
    /// The rows of the step to be copied.
    pub rows: Range<usize>,
}

/// A step; see the module's documentation.
pub(crate) struct MapStep<'a> {
    pub product: Product<'a>,
    pub added: Added<'a>,
    /// Where the finished rows are copied, in bfloat16.
    pub copy_to: Option<Bf16Ring<'a>>,
    /// The map: its width, height and padded channels.
    pub map: Upsample,
    /// The first row's number in the map. If negative, the first rows lie above the map; then `added` must be `Nothing` and
    /// `copy_to.rows` must leave these rows out.
    pub y0: isize,
    pub out: &'a mut [f32],
}

/// Scratch of all workers, divided equally among them.
#[derive(Clone, Copy)]
pub(crate) struct WorkerScratch<'a> {
    /// The number of workers.
    pub workers: usize,
    /// For int4 weights.
    pub unpacked: Shared<'a, i8>,
    /// For Winograd convolutions, and for the first deconvolution of feature 0.
    pub winograd: Shared<'a, f32>,
    /// For interpolation.
    pub upsample: Shared<'a, f32>,
}

impl Product<'_> {
    /// Panels per task: those of the micro-kernel's largest tile, or, if that is one panel, as many as leave about two tasks per worker.
    /// At most [`CHANNELS`] channels.
    fn task_panels(&self, isa: Isa, panels: usize, workers: usize) -> usize {
        const MOST: usize = CHANNELS / LANES;
        let tile = match self {
            Product::Given => 1,
            Product::Gemm(p) => p.gemm.tile_shape(isa).panels,
            Product::Winograd(_) => isa.shape_i8().panels,
        };
        if tile > 1 { tile.min(MOST) } else { (panels / (2 * workers)).clamp(1, MOST) }
    }

    /// The segments of a matrix product; 1 for the others, whose rows are not divided.
    fn segments(&self) -> usize {
        match self {
            Product::Gemm(p) => p.segments.len().max(1),
            Product::Given | Product::Winograd(_) => 1,
        }
    }

    /// The number of parts into which the `rows` rows of `width` pixels are divided: every channel block is a task for each part. With
    /// several workers there are at least two tasks per worker, as far as the segments allow. The rows are divided only if all segments
    /// compute equally many, in order.
    fn row_parts(&self, (rows, width): (usize, usize), blocks: usize, workers: usize) -> usize {
        let Product::Gemm(p) = self else { return 1 };
        let count = self.segments();
        let starts_row = |(i, segment): (usize, &Segment)| segment.to == i * (rows / count) * width;
        let divides = rows.is_multiple_of(count) && p.segments.iter().enumerate().all(starts_row);
        if workers > 1 && divides { (2 * workers).div_ceil(blocks).min(count) } else { 1 }
    }
}

impl<'a> MapStep<'a> {
    /// The tasks of the step.
    ///
    /// # Panics
    /// If the rows do not fit `out` or the ring, or the convolution lacks inputs.
    pub fn tasks(self, scratch: WorkerScratch<'a>) -> Tasks<impl Fn(usize, usize) + Sync + 'a> {
        let MapStep { product, added, copy_to, map, y0, out } = self;
        let (rows, panels) = (out.len() / (map.width * map.channels), map.channels / LANES);
        match &product {
            Product::Given => {}
            Product::Gemm(p) => p.gemm.check(&p.segments, p.len, out.len()),
            Product::Winograd(conv) => conv.check(out.len()),
        }
        let size = product.task_panels(map.isa, panels, scratch.workers);
        let blocks = panels.div_ceil(size);
        let parts = product.row_parts((rows, map.width), blocks, scratch.workers);
        let out = Shared::new(out);
        let copy_to = copy_to.map(|ring| (Shared::new(ring.data), ring.slots, ring.rows));
        let count = scratch.workers;
        let run = move |task: usize, worker: usize| {
            let (block, part) = (task % blocks, task / blocks);
            let panels = block * size..((block + 1) * size).min(panels);
            let channels = panels.start * LANES..panels.end * LANES;
            let all = product.segments();
            let segments = chunk_range(all, parts, part);
            let own = segments.start * rows / all..segments.end * rows / all;
            // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint; so are the
            // channels of different blocks and the rows of different parts. The convolutions are checked above.
            unsafe {
                match &product {
                    Product::Given => {}
                    Product::Gemm(p) => {
                        let unpacked = scratch.unpacked.worker_slice(worker, count);
                        p.run(map.isa, (panels, segments), &out, unpacked)
                    }
                    Product::Winograd(conv) => {
                        conv.run(panels, &out, scratch.winograd.worker_slice(worker, count))
                    }
                }
                let row_len = map.width * map.channels;
                let out = out.part(own.start * row_len, own.len() * row_len);
                let y0 = y0 + own.start as isize;
                let to =
                    Target { out: &out, y0: y0.max(0) as usize, rows: own.len(), channels: channels.clone() };
                match &added {
                    Added::Nothing => {}
                    Added::Map(small) => map.add(small, &to, scratch.upsample.worker_slice(worker, count)),
                    Added::Products(maps, bias) => {
                        map.add_products(maps, bias, &to, scratch.upsample.worker_slice(worker, count));
                    }
                }
                if let Some((ring, slots, rows)) = &copy_to {
                    for row in rows.start.max(own.start)..rows.end.min(own.end) {
                        let row = row - own.start;
                        let slot = (y0 + row as isize) as usize % slots;
                        copy_row(&map, (&out, row), (ring, slot), channels.clone());
                    }
                }
            }
        };
        // SAFETY: as the comment in `run` says.
        unsafe { Tasks::new(blocks * parts, run) }
    }
}

/// Copies some channels of a row to a slot of a ring, and blanks the pixels at its ends.
///
/// # Safety
/// Nothing else accesses these channels of the row and the slot.
unsafe fn copy_row(
    map: &Upsample,
    (out, row): (&Shared<f32>, usize),
    (ring, slot): (&Shared<bf16>, usize),
    channels: Range<usize>,
) {
    let (width, c, len) = (map.width, map.channels, channels.len());
    let pixel = |i: usize| (slot * (width + 2) + i) * c + channels.start;
    // SAFETY: by this function's precondition; `Shared::slice` checks the ranges.
    unsafe {
        ring.slice(pixel(0), len).fill(bf16::ZERO);
        for x in 0..width {
            let from = out.slice((row * width + x) * c + channels.start, len);
            map.isa.to_bf16(from, ring.slice(pixel(x + 1), len));
        }
        ring.slice(pixel(width + 1), len).fill(bf16::ZERO);
    }
}
