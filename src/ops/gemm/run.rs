//! Splits a matrix product into tasks, each some panels by some rows, and unpacks int4 weights.
//!
//! The rows of all segments are cut into units of at most [`ROWS_PER_TASK`] rows, the panels of the layer into groups of at
//! most a tile's panels. A task computes some units for some groups.

use super::group::{PanelGroup, TileBuffers};
use super::product::{Gemm, OutputElement, Segments};
use crate::file::format::{GROUP, Role};
use crate::file::{LinearShape, Panels};
use crate::parallel::chunks::{Shared, TASKS_PER_WORKER, chunk_range};
use crate::parallel::{Tasks, Workers};
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use crate::simd::tile::MAX_PANELS;
use core::ops::Range;
use half::bf16;

/// The most rows of a segment in a unit: they stay in a core's second-level cache.
const ROWS_PER_TASK: usize = 256;
/// The number of rows to aim for in a task that unpacks int4 weights, so that unpacking is a small part of its time.
const ROWS_PER_UNPACKING: usize = 768;

/// Bytes that one worker needs to unpack the weights of an int4 tensor: the panels of a tile, of all the matrices that one
/// product sums.
pub(crate) fn unpacked_bytes(role: Role, layer: u16, shape: LinearShape) -> usize {
    let matrices = match (role, layer) {
        (Role::FpnConv | Role::PspBottleneck, _) | (Role::FpnBottleneck, 0) => shape.matrices,
        _ => 1,
    };
    matrices * MAX_PANELS * shape.panel_bytes()
}

/// The output of a product.
pub(crate) enum Outputs<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [bf16]),
}

impl<'a> Outputs<'a> {
    /// The same output, borrowed again.
    pub fn reborrow(&mut self) -> Outputs<'_> {
        match self {
            Outputs::F32(out) => Outputs::F32(out),
            Outputs::Bf16(out) => Outputs::Bf16(out),
        }
    }

    fn len(&self) -> usize {
        match self {
            Outputs::F32(out) => out.len(),
            Outputs::Bf16(out) => out.len(),
        }
    }
}

/// [`Outputs`] that several tasks write.
enum SharedOutputs<'a> {
    F32(Shared<'a, f32>),
    Bf16(Shared<'a, bf16>),
}

/// A product that is divided into tasks.
struct GemmTasks<'a> {
    gemm: Gemm<'a>,
    isa: Isa,
    segments: Segments,
    len: usize,
    out: SharedOutputs<'a>,
    /// Tasks for each kernel position: along the rows, and along the panels.
    row_tasks: usize,
    panel_tasks: usize,
}

impl<'a> Gemm<'a> {
    /// The tasks of the product over segments of `len` rows each, for `workers` workers. Every output row receives the padded
    /// number of outputs. `unpacked` is scratch of [`unpacked_bytes`] for each worker.
    ///
    /// # Panics
    /// If rows and weights do not match, rows lie outside the slices, outputs overlap, or bfloat16 outputs are to be accumulated.
    pub fn tasks(
        self,
        isa: Isa,
        (workers, unpacked): (usize, Shared<'a, i8>),
        segments: Segments,
        len: usize,
        out: Outputs<'a>,
    ) -> Tasks<impl Fn(usize, usize) + Sync + 'a> {
        self.check(&segments, len, out.len());
        let bf16 = matches!(out, Outputs::Bf16(_));
        assert!(!(bf16 && self.accumulate), "bfloat16 outputs cannot be accumulated");
        let shape = if self.weights.is_int8() { isa.shape_i8() } else { isa.shape_f() };
        let groups = self.weights.panel_count().div_ceil(shape.panels);
        let units_per_segment = len.div_ceil(ROWS_PER_TASK);
        let units = units_per_segment * segments.len();
        let row_tasks = match self.weights.panels {
            Panels::Int4 { .. } => {
                units.div_ceil((ROWS_PER_UNPACKING * units_per_segment / len.max(1)).max(1))
            }
            _ => units,
        };
        let panel_tasks = match workers {
            1 => 1,
            _ => (TASKS_PER_WORKER * workers).div_ceil((row_tasks * self.positions()).max(1)).min(groups),
        };
        let count = self.positions() * row_tasks * panel_tasks;
        let out = match out {
            Outputs::F32(out) => SharedOutputs::F32(Shared::new(out)),
            Outputs::Bf16(out) => SharedOutputs::Bf16(Shared::new(out)),
        };
        let tasks = GemmTasks { gemm: self, isa, segments, len, out, row_tasks, panel_tasks };
        let run = move |task: usize, worker: usize| {
            // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint.
            let unpacked = unsafe { unpacked.share(worker, workers) };
            match tasks.out {
                SharedOutputs::F32(out) => tasks.run(task, unpacked, out),
                SharedOutputs::Bf16(out) => tasks.run(task, unpacked, out),
            }
        };
        // SAFETY: different tasks write different outputs: other rows, other panels, or another kernel position, whose outputs
        // `check` has found disjoint.
        unsafe { Tasks::new(count, run) }
    }

    /// Runs all [`tasks`](Gemm::tasks).
    pub fn run(
        self,
        isa: Isa,
        (workers, unpacked): (Workers, Shared<i8>),
        segments: Segments,
        len: usize,
        out: &mut [f32],
    ) {
        if !segments.is_empty() && len > 0 {
            let out = Outputs::F32(out);
            let mut tasks = self.tasks(isa, (workers.count(), unpacked), segments, len, out);
            workers.run_all(&[tasks.as_loop()]);
        }
    }
}

/// A product that is computed a range of panels at a time.
pub(crate) struct PanelProduct<'a> {
    pub gemm: Gemm<'a>,
    pub segments: Segments,
    /// Rows in a segment.
    pub len: usize,
}

impl PanelProduct<'_> {
    /// Computes some panels of all output rows. `unpacked` is scratch of [`unpacked_bytes`].
    ///
    /// # Safety
    /// [`Gemm::check`] has accepted segments, `len` and the length of `out`, and nothing else accesses these panels of it.
    pub unsafe fn run(&self, isa: Isa, panels: Range<usize>, out: &Shared<f32>, unpacked: &mut [i8]) {
        let shape = if self.gemm.weights.is_int8() { isa.shape_i8() } else { isa.shape_f() };
        let groups = panels.len().div_ceil(shape.panels);
        let units_per_segment = self.len.div_ceil(ROWS_PER_TASK);
        let mut buffers = TileBuffers::new();
        for position in 0..self.gemm.positions() {
            let (gemm, start) = self.gemm.position(position);
            let out = out.part(start, out.len() - start);
            for i in 0..groups {
                let group = chunk_range(panels.len(), groups, i);
                let group = panels.start + group.start..panels.start + group.end;
                let group = gemm.panel_group(isa, group, unpacked);
                for segment in self.segments.iter() {
                    for unit in 0..units_per_segment {
                        let rows = chunk_range(self.len, units_per_segment, unit);
                        gemm.compute_group(isa, segment, rows, &group, shape, &mut buffers, &out);
                    }
                }
            }
        }
    }
}

impl GemmTasks<'_> {
    /// Runs a task.
    fn run<T: OutputElement>(&self, task: usize, unpacked: &mut [i8], out: Shared<T>) {
        let weights = self.gemm.weights;
        let shape = if weights.is_int8() { self.isa.shape_i8() } else { self.isa.shape_f() };
        let panels = weights.panel_count();
        let groups = panels.div_ceil(shape.panels);
        let units_per_segment = self.len.div_ceil(ROWS_PER_TASK);
        let units = units_per_segment * self.segments.len();
        let (position, task) =
            (task / (self.row_tasks * self.panel_tasks), task % (self.row_tasks * self.panel_tasks));
        let (panel_task, row_task) = (task % self.panel_tasks, task / self.panel_tasks);
        let (gemm, start) = self.gemm.position(position);
        let out = out.part(start, out.len() - start);
        let mut buffers = TileBuffers::new();
        for group in chunk_range(groups, self.panel_tasks, panel_task) {
            let group = gemm.panel_group(self.isa, chunk_range(panels, groups, group), unpacked);
            for unit in chunk_range(units, self.row_tasks, row_task) {
                let rows = chunk_range(self.len, units_per_segment, unit % units_per_segment);
                let segment = &self.segments[unit / units_per_segment];
                gemm.compute_group(self.isa, segment, rows, &group, shape, &mut buffers, &out);
            }
        }
    }
}

impl Gemm<'_> {
    /// The weights of a group of panels: those of the file, or int4 weights unpacked into `unpacked`.
    fn panel_group<'b>(&'b self, isa: Isa, panels: Range<usize>, unpacked: &'b mut [i8]) -> PanelGroup<'b> {
        let count = self.weights.panel_count();
        let first = self.matrices.start * count + panels.start;
        match self.weights.panels {
            Panels::Int8 { weights, .. } => PanelGroup { panels, bytes: weights, first, step: count },
            Panels::Int4 { weights, multipliers, .. } => {
                let (panel_bytes, k) = (self.weights.shape().panel_bytes(), self.weights.k);
                let (packed_len, multipliers_len) = (k.div_ceil(8) * 4 * LANES, k.div_ceil(GROUP) * LANES);
                let bytes = &mut unpacked[..self.matrices.len() * panels.len() * panel_bytes];
                let stored = (0..self.matrices.len())
                    .flat_map(|m| (0..panels.len()).map(move |p| first + m * count + p));
                for (panel, out) in stored.zip(bytes.chunks_mut(panel_bytes)) {
                    let multipliers = &multipliers[panel * multipliers_len..][..multipliers_len];
                    isa.unpack(&weights[panel * packed_len..][..packed_len], multipliers, out);
                }
                PanelGroup { bytes, first: 0, step: panels.len(), panels }
            }
            Panels::F32(_) | Panels::F16(_) => PanelGroup { panels, bytes: &[], first, step: count },
        }
    }
}
