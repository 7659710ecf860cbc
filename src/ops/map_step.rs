//! A convolution of the head fused with the channel-wise operators after it: adding up-sampled maps, and conversion to bfloat16.
//! In: whatever the convolution reads, and maps to add. Out: rows of f32, and optionally the same rows in bfloat16 for a Winograd
//! convolution. Each task is a block of output channels; if there are too few blocks for the workers, rows or columns are divided, too.
//!
//! A task computes its channels of its pixels, from the product to the last conversion. So a thread waits for no other between
//! these operators, and the pixels are still in its caches.

use super::gemm::PanelProduct;
use super::upsample::{CHANNELS, KernelProducts, LowResMap, Target, Upsample};
use super::winograd::{WinogradConv, panels_per_group};
use crate::parallel::Tasks;
use crate::parallel::chunks::{Shared, chunk_range, fewest_tasks};
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
    /// Panels per task: those of the product's largest tile, or, if that is one panel, as many as leave enough tasks for the workers.
    /// At most [`CHANNELS`] channels.
    fn task_panels(&self, isa: Isa, panels: usize, workers: usize) -> usize {
        const MOST: usize = CHANNELS / LANES;
        let tile = match self {
            Product::Given => 1,
            Product::Gemm(p) => p.gemm.tile_shape(isa).panels,
            Product::Winograd(_) => panels_per_group(isa),
        };
        if tile > 1 { tile.min(MOST) } else { (panels / fewest_tasks(workers)).clamp(1, MOST) }
    }

    /// Checks that the product computes `rows` rows of `map` in whole [`units`](Product::units), in order, and that its inputs exist.
    ///
    /// # Panics
    /// If a check fails.
    fn check(&self, map: &Upsample, rows: usize) {
        match self {
            Product::Given => {}
            Product::Gemm(PanelProduct { gemm, segments, len }) => {
                gemm.check(segments, *len, rows * map.width * map.channels);
                let pitches = (gemm.row_pitch, gemm.panel_pitch);
                assert!(pitches == (map.channels, LANES), "the product must write pixels of the map");
                let unit = rows / segments.len() * map.width;
                let are_units = segments.iter().enumerate().all(|(i, segment)| segment.to == i * unit);
                assert!(
                    are_units && rows.is_multiple_of(segments.len()),
                    "segments must be equally many rows each"
                );
            }
            Product::Winograd(conv) => conv.check((rows, map.width, map.channels)),
        }
    }

    /// The units of rows and of columns that a task computes as a whole: the segments of a matrix product, of all columns; strips of
    /// Winograd tiles, and the tiles of a strip.
    fn units(&self) -> [usize; 2] {
        match self {
            Product::Given => [1, 1],
            Product::Gemm(p) => [p.segments.len(), 1],
            Product::Winograd(conv) => [conv.strips, conv.tiles],
        }
    }
}

/// The parts into which the rows of a step are divided: every block of channels is a task for each part.
#[derive(Clone, Copy)]
struct Parts {
    /// The units of the rows and of the columns ([`Product::units`]).
    units: [usize; 2],
    /// How many parts the rows have, and how many the columns of each of these have. The columns are divided only if each part of the
    /// rows is a single unit, so that the units of a part are consecutive.
    counts: [usize; 2],
}

impl Parts {
    /// As many parts as give each worker enough tasks, if there are that many units.
    fn new(units: [usize; 2], blocks: usize, workers: usize) -> Parts {
        let wanted = fewest_tasks(workers).div_ceil(blocks);
        let rows = wanted.min(units[0]);
        Parts { units, counts: [rows, wanted.div_ceil(rows).min(units[1])] }
    }

    fn count(&self) -> usize {
        self.counts[0] * self.counts[1]
    }

    /// The units of a part: rows and columns.
    fn units_of(&self, part: usize) -> [Range<usize>; 2] {
        let [rows, columns] = self.counts;
        [chunk_range(self.units[0], rows, part % rows), chunk_range(self.units[1], columns, part / rows)]
    }

    /// The rows and columns of a part, of a step of `rows` rows of `width` pixels.
    fn pixels_of(&self, part: usize, (rows, width): (usize, usize)) -> [Range<usize>; 2] {
        let [unit_rows, unit_columns] = self.units_of(part);
        let scaled = |range: Range<usize>, n, units| range.start * n / units..range.end * n / units;
        [scaled(unit_rows, rows, self.units[0]), scaled(unit_columns, width, self.units[1])]
    }
}

impl<'a> MapStep<'a> {
    /// The tasks of the step.
    ///
    /// # Panics
    /// If the convolution lacks inputs or does not compute exactly the rows of `out`, or more rows are copied than the ring has slots.
    pub fn tasks(self, scratch: WorkerScratch<'a>) -> Tasks<impl Fn(usize, usize) + Sync + 'a> {
        let MapStep { product, added, copy_to, map, y0, out } = self;
        let (rows, panels) = (out.len() / (map.width * map.channels), map.channels / LANES);
        product.check(&map, rows);
        assert!(
            copy_to.as_ref().is_none_or(|ring| ring.rows.len() <= ring.slots),
            "every row must have a slot of its own"
        );
        let size = product.task_panels(map.isa, panels, scratch.workers);
        let blocks = panels.div_ceil(size);
        let parts = Parts::new(product.units(), blocks, scratch.workers);
        let out = Shared::new(out);
        let copy_to = copy_to.map(|ring| (Shared::new(ring.data), ring.slots, ring.rows));
        let step = SharedStep { product, added, copy_to, map, y0, rows, out, parts, scratch };
        let run = move |task: usize, worker: usize| {
            // The parts of a block follow each other: a worker reads its weights from memory once for several of them.
            let (block, part) = (task / parts.count(), task % parts.count());
            let panels = block * size..((block + 1) * size).min(panels);
            // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint; so are the
            // channels of different blocks, the pixels of different parts, and the slots of different rows. The convolutions are
            // checked above, so that a part of a product writes the pixels of that part.
            unsafe {
                step.multiply(part, panels.clone(), worker);
                step.finish(part, panels.start * LANES..panels.end * LANES, worker);
            }
        };
        // SAFETY: as the comment in `run` says.
        unsafe { Tasks::new(blocks * parts.count(), run) }
    }
}

/// A [`MapStep`] whose tasks share its buffers.
struct SharedStep<'a> {
    product: Product<'a>,
    added: Added<'a>,
    /// The ring's data, its slots, and the rows to be copied.
    copy_to: Option<(Shared<'a, bf16>, usize, Range<usize>)>,
    map: Upsample,
    y0: isize,
    rows: usize,
    out: Shared<'a, f32>,
    parts: Parts,
    scratch: WorkerScratch<'a>,
}

impl SharedStep<'_> {
    /// Computes some panels of the product for a part.
    ///
    /// # Safety
    /// The convolution is checked. Nothing else accesses these panels of the part's pixels, nor the scratch of `worker`.
    unsafe fn multiply(&self, part: usize, panels: Range<usize>, worker: usize) {
        let [rows, columns] = self.parts.units_of(part);
        let count = self.scratch.workers;
        // SAFETY: by this function's precondition.
        unsafe {
            match &self.product {
                Product::Given => {}
                Product::Gemm(p) => {
                    let unpacked = self.scratch.unpacked.worker_slice(worker, count);
                    p.run(self.map.isa, (panels, rows), &self.out, unpacked);
                }
                Product::Winograd(conv) => {
                    let tiles =
                        rows.start * conv.tiles + columns.start..(rows.end - 1) * conv.tiles + columns.end;
                    conv.run((panels, tiles), &self.out, self.scratch.winograd.worker_slice(worker, count));
                }
            }
        }
    }

    /// What follows the product, for some channels of a part.
    ///
    /// # Safety
    /// Nothing else accesses these channels of the part's pixels, here and in the ring, nor the scratch of `worker`.
    unsafe fn finish(&self, part: usize, channels: Range<usize>, worker: usize) {
        let (map, row_len) = (&self.map, self.map.width * self.map.channels);
        let [rows, columns] = self.parts.pixels_of(part, (self.rows, map.width));
        let out = self.out.part(rows.start * row_len, rows.len() * row_len);
        let y0 = self.y0 + rows.start as isize;
        let to = Target {
            out: &out,
            y0: y0.max(0) as usize,
            rows: rows.len(),
            columns: columns.clone(),
            channels: channels.clone(),
        };
        // SAFETY: by this function's precondition.
        unsafe {
            let upsample = self.scratch.upsample.worker_slice(worker, self.scratch.workers);
            match &self.added {
                Added::Nothing => {}
                Added::Map(small) => map.add(small, &to, upsample),
                Added::Products(maps, bias) => map.add_products(maps, bias, &to, upsample),
            }
            if let Some((ring, slots, copied)) = &self.copy_to {
                for row in copied.start.max(rows.start)..copied.end.min(rows.end) {
                    let row = row - rows.start;
                    let slot = (y0 + row as isize) as usize % slots;
                    copy_row(map, (&out, row), (ring, slot), (columns.clone(), channels.clone()));
                }
            }
        }
    }
}

/// Copies some channels of some columns of a row to a slot of a ring. If the first or the last column is among them, it also writes the
/// blank pixel at that end.
///
/// # Safety
/// Nothing else accesses these channels of these columns of the row and the slot.
unsafe fn copy_row(
    map: &Upsample,
    (out, row): (&Shared<f32>, usize),
    (ring, slot): (&Shared<bf16>, usize),
    (columns, channels): (Range<usize>, Range<usize>),
) {
    let (width, c, len) = (map.width, map.channels, channels.len());
    let pixel = |i: usize| (slot * (width + 2) + i) * c + channels.start;
    // SAFETY: by this function's precondition; `Shared::slice` checks the ranges.
    unsafe {
        if columns.start == 0 {
            ring.slice(pixel(0), len).fill(bf16::ZERO);
        }
        if columns.end == width {
            ring.slice(pixel(width + 1), len).fill(bf16::ZERO);
        }
        for x in columns {
            let from = out.slice((row * width + x) * c + channels.start, len);
            map.isa.to_bf16(from, ring.slice(pixel(x + 1), len));
        }
    }
}
