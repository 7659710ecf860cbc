//! Splits a matrix product into tasks, each some panels by some rows, and unpacks int4 weights.
//!
//! The rows of all segments are cut into units of at most [`ROWS_PER_TASK`] rows, the panels of the layer into groups of at
//! most a tile's panels. A task computes some units for some groups.

use super::group::{PanelGroup, TileBuffers};
use super::product::{Gemm, OutputElement, Segment};
use crate::file::format::{GROUP, Role};
use crate::file::{LinearShape, Panels};
use crate::parallel::Workers;
use crate::parallel::chunks::{Shared, TASKS_PER_WORKER, chunk_range, with_scratch};
use crate::simd::isa::Isa;
use crate::simd::lanes::LANES;
use crate::simd::tile::MAX_PANELS;
use core::ops::Range;

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

impl Gemm<'_> {
    /// Computes segments of `len` rows each. Every output row receives the padded number of outputs. `unpacked` is scratch of
    /// [`unpacked_bytes`] for each worker.
    ///
    /// # Panics
    /// If rows and weights do not match, rows lie outside the slices, outputs of segments overlap, or bfloat16 outputs are to
    /// be accumulated.
    pub fn run<T: OutputElement>(
        &self,
        isa: Isa,
        (workers, unpacked): (Workers, &mut [i8]),
        segments: &[Segment],
        len: usize,
        out: &mut [T],
    ) {
        if segments.is_empty() || len == 0 {
            return;
        }
        self.check(segments, len, out.len());
        assert!(!(T::BF16 && self.accumulate), "bfloat16 outputs cannot be accumulated");
        let shape = if self.weights.is_int8() { isa.shape_i8() } else { isa.shape_f() };
        let panels = self.weights.panel_count();
        let groups = panels.div_ceil(shape.panels);
        let units_per_segment = len.div_ceil(ROWS_PER_TASK);
        let units = units_per_segment * segments.len();
        let row_tasks = match self.weights.panels {
            Panels::Int4 { .. } => units.div_ceil((ROWS_PER_UNPACKING * units_per_segment / len).max(1)),
            _ => units,
        };
        let panel_tasks = match workers.count() {
            1 => 1,
            count => (TASKS_PER_WORKER * count).div_ceil(row_tasks).min(groups),
        };
        let out = Shared::new(out);
        with_scratch(workers, row_tasks * panel_tasks, unpacked, |task, unpacked| {
            let (panel_task, row_task) = (task % panel_tasks, task / panel_tasks);
            let mut buffers = TileBuffers::new();
            for group in chunk_range(groups, panel_tasks, panel_task) {
                let group = self.panel_group(isa, chunk_range(panels, groups, group), unpacked);
                for unit in chunk_range(units, row_tasks, row_task) {
                    let rows = chunk_range(len, units_per_segment, unit % units_per_segment);
                    let segment = &segments[unit / units_per_segment];
                    self.compute_group(isa, segment, rows, &group, shape, &mut buffers, &out);
                }
            }
        });
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
