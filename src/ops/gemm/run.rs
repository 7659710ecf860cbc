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
use crate::simd::isa::{Isa, TileShape};
use crate::simd::lanes::LANES;
use core::ops::Range;
use half::bf16;

/// The most rows of a segment in a unit: they stay in a core's second-level cache.
const ROWS_PER_TASK: usize = 256;
/// The most panels whose int4 weights are unpacked at a time.
const UNPACKED_PANELS: usize = 3;
/// The number of rows to aim for in a task that unpacks int4 weights, so that unpacking is a small part of its time.
const ROWS_PER_UNPACKING: usize = 768;

/// Bytes that one worker needs to unpack the weights of an int4 tensor: [`UNPACKED_PANELS`] panels of all the matrices that one
/// product sums.
pub(crate) fn unpacked_bytes(role: Role, layer: u16, shape: LinearShape) -> usize {
    let matrices = match (role, layer) {
        (Role::FpnConv | Role::PspBottleneck, _) | (Role::FpnBottleneck, 0) => shape.matrices,
        _ => 1,
    };
    matrices * UNPACKED_PANELS * shape.panel_bytes()
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
        let panels = self.weights.panel_count();
        let groups = panels.div_ceil(self.tile_shape(isa).panels);
        let product = PanelProduct { gemm: self, segments, len };
        let (gemm, units, units_per_segment) = (&product.gemm, product.units(), product.units_per_segment());
        let row_tasks = match gemm.weights.panels {
            Panels::Int4 { .. } => {
                units.div_ceil((ROWS_PER_UNPACKING * units_per_segment / len.max(1)).max(1))
            }
            _ => units,
        };
        let panel_tasks = match workers {
            1 => 1,
            _ => (TASKS_PER_WORKER * workers).div_ceil((row_tasks * gemm.positions()).max(1)).min(groups),
        };
        // For each kernel position.
        let tasks = row_tasks * panel_tasks;
        let count = gemm.positions() * tasks;
        let out = match out {
            Outputs::F32(out) => SharedOutputs::F32(Shared::new(out)),
            Outputs::Bf16(out) => SharedOutputs::Bf16(Shared::new(out)),
        };
        let run = move |task: usize, worker: usize| {
            // SAFETY: no two calls with the same worker overlap, and the scratch of different workers is disjoint.
            let unpacked = unsafe { unpacked.worker_slice(worker, workers) };
            let (position, task) = (task / tasks, task % tasks);
            let groups =
                chunk_range(groups, panel_tasks, task % panel_tasks).map(|g| chunk_range(panels, groups, g));
            let units = chunk_range(units, row_tasks, task / panel_tasks);
            match &out {
                SharedOutputs::F32(out) => product.compute(isa, position, groups, units, out, unpacked),
                SharedOutputs::Bf16(out) => product.compute(isa, position, groups, units, out, unpacked),
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

/// A product over segments.
pub(crate) struct PanelProduct<'a> {
    pub gemm: Gemm<'a>,
    pub segments: Segments,
    /// Rows in a segment.
    pub len: usize,
}

impl PanelProduct<'_> {
    /// Computes some panels of the output rows of some segments. `unpacked` is scratch of [`unpacked_bytes`].
    ///
    /// # Safety
    /// [`Gemm::check`] has accepted segments, `len` and the length of `out`, and nothing else accesses these panels of these rows.
    pub unsafe fn run(
        &self,
        isa: Isa,
        (panels, segments): (Range<usize>, Range<usize>),
        out: &Shared<f32>,
        unpacked: &mut [i8],
    ) {
        let units = segments.start * self.units_per_segment()..segments.end * self.units_per_segment();
        let (first, count) = (panels.start, panels.len().div_ceil(self.gemm.tile_shape(isa).panels));
        for position in 0..self.gemm.positions() {
            let groups = (0..count).map(|i| {
                let group = chunk_range(panels.len(), count, i);
                first + group.start..first + group.end
            });
            self.compute(isa, position, groups, units.clone(), out, unpacked);
        }
    }

    /// Units of at most [`ROWS_PER_TASK`] rows in a segment.
    fn units_per_segment(&self) -> usize {
        self.len.div_ceil(ROWS_PER_TASK)
    }

    /// Units in all segments.
    fn units(&self) -> usize {
        self.units_per_segment() * self.segments.len()
    }

    /// Computes some units for groups of panels, each at most a tile's, and one kernel position. Nothing else accesses these outputs,
    /// which is the promise of the callers in this file.
    fn compute<T: OutputElement>(
        &self,
        isa: Isa,
        position: usize,
        groups: impl Iterator<Item = Range<usize>>,
        units: Range<usize>,
        out: &Shared<T>,
        unpacked: &mut [i8],
    ) {
        let (gemm, start) = self.gemm.position(position);
        let (shape, per_segment) = (gemm.tile_shape(isa), self.units_per_segment());
        let out = out.part(start, out.len() - start);
        let mut buffers = TileBuffers::new();
        for group in groups {
            let group = gemm.panel_group(isa, group, unpacked);
            for unit in units.clone() {
                let rows = chunk_range(self.len, per_segment, unit % per_segment);
                let segment = &self.segments[unit / per_segment];
                gemm.compute_group(isa, segment, rows, &group, shape, &mut buffers, &out);
            }
        }
    }
}

impl Gemm<'_> {
    /// The largest tile for the weights' type.
    pub fn tile_shape(&self, isa: Isa) -> TileShape {
        let int8 = isa.shape_i8();
        match self.weights.panels {
            Panels::Int8 { .. } => int8,
            Panels::Int4 { .. } => TileShape { panels: int8.panels.min(UNPACKED_PANELS), ..int8 },
            Panels::F32(_) | Panels::F16(_) => isa.shape_f(),
        }
    }

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
