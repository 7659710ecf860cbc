//! Matrix products and 3x3 convolutions: the same loop over tiles, whatever the weights' type and the instruction set.
//!
//! Activations are rows; a *segment* is a run of rows that follow each other (all tokens, or one line of a map). An
//! output row is the sum over *taps* of a row of the input, found per segment and tap, times that tap's matrix: one tap
//! is a linear layer, nine are a 3x3 convolution (the input's lines then carry a blank pixel at both ends, and a tap
//! whose line lies outside the map is left out). Nothing is unrolled into memory. Outputs are split among workers,
//! never the sums.

use super::column::{Columns, Work};
use super::epilogue::Activation;
use super::split::{Shared, with_scratch};
use super::{Isa, LANES};
use crate::format::GROUP;
use crate::parallel::Parallel;
use crate::weights::{Linear, Panels};
use core::ops::Range;

/// Activations as a product reads them.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Rows `pitch` numbers apart.
    F32 { data: &'a [f32], pitch: usize },
    /// Rows `pitch` bytes apart, stored as the instruction set's [`flip`](Isa::flip) says, and of each the (scale, offset):
    /// x = scale · (q − 128) + offset.
    Bytes { data: &'a [u8], pitch: usize, params: &'a [[f32; 2]] },
}

/// A run of output rows and where their inputs are.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// First input row for each tap, `None` where the tap lies outside the map.
    pub from: [Option<u32>; 9],
    /// First output row.
    pub to: usize,
}

impl Segment {
    /// A segment of a product with a single tap.
    pub fn line(from: usize, to: usize) -> Self {
        let mut s = Segment { from: [None; 9], to };
        s.from[0] = Some(from as u32);
        s
    }
}

/// A product: out[to + i·step] (+)= activation(Σ_t W_t · x[from_t + i] + bias).
pub(crate) struct Product<'a> {
    pub isa: Isa,
    pub weights: &'a Linear<'a>,
    /// Which of the weights' matrices are summed.
    pub taps: Range<usize>,
    /// Padded, or none.
    pub bias: Option<&'a [f32]>,
    pub x: Rows<'a>,
    pub activation: Activation,
    /// Output rows from one row of a segment to the next.
    pub step: usize,
    /// Numbers from one row of outputs to the next, and from one panel of 16 to the next.
    pub pitch: usize,
    pub panel: usize,
    /// Add to the output (residual) rather than overwrite it.
    pub add: bool,
}

/// What a product is written as: f32 or bfloat16.
pub(crate) trait Number: Send {
    const HALF: bool;
}
impl Number for f32 {
    const HALF: bool = false;
}
impl Number for half::bf16 {
    const HALF: bool = true;
}

/// Rows of a segment that one task takes, so that they stay in a core's second-level cache.
pub(super) const ROWS_PER_TASK: usize = 256;
/// Rows to aim at for a task that has weights to unpack first.
const ROWS_PER_UNPACKING: usize = 768;
/// Tasks per worker to aim at, for balance.
pub(super) const TASKS_PER_WORKER: usize = 16;

/// Part `i` of `0..n` cut into `parts` nearly equal ranges.
pub(super) fn part(n: usize, parts: usize, i: usize) -> Range<usize> {
    n * i / parts..n * (i + 1) / parts
}

impl Product<'_> {
    /// Runs it over segments of `len` rows each; each output row gets the padded number of outputs. `scratch`: [`Linear::unpacked_bytes`] for each worker.
    ///
    /// # Panics
    /// If rows lie outside the slices or segments' outputs overlap: a mistake of the caller's, whatever the data.
    pub fn run<T: Number>(
        &self,
        (par, scratch): (&dyn Parallel, &mut [i8]),
        segments: &[Segment],
        len: usize,
        out: &mut [T],
    ) {
        if segments.is_empty() || len == 0 {
            return;
        }
        self.check(segments, len, out.len());
        assert!(!(T::HALF && self.add), "nothing is added to bfloat16");
        let shape = if self.weights.is_int8() { self.isa.shape_i8() } else { self.isa.shape_f() };
        let panels = self.weights.panel_count();
        let n_tiles = panels.div_ceil(shape.panels);
        let m_parts = len.div_ceil(ROWS_PER_TASK);
        let units = m_parts * segments.len();
        let m_tasks = match self.weights.panels {
            Panels::Int4 { .. } => units.div_ceil((ROWS_PER_UNPACKING * m_parts / len).max(1)),
            _ => units,
        };
        let n_tasks = (TASKS_PER_WORKER * par.workers()).div_ceil(m_tasks).min(n_tiles);
        let out = Shared::new(out);
        with_scratch(par, m_tasks * n_tasks, scratch, |task, scratch| {
            let (n, m) = (task % n_tasks, task / n_tasks);
            let mut work = Work::new();
            for tile in part(n_tiles, n_tasks, n) {
                let columns = self.columns(part(panels, n_tiles, tile), scratch);
                for unit in part(units, m_tasks, m) {
                    let rows = part(len, m_parts, unit % m_parts);
                    self.column(&segments[unit / m_parts], rows, &columns, shape, &mut work, &out);
                }
            }
        });
    }

    /// The weights of some panels: where they lie, or unpacked into `scratch`.
    fn columns<'b>(&'b self, panels: Range<usize>, scratch: &'b mut [i8]) -> Columns<'b> {
        let count = self.weights.panel_count();
        let first = self.taps.start * count + panels.start;
        match self.weights.panels {
            Panels::Int8 { weights, .. } => Columns { panels, bytes: weights, first, step: count },
            Panels::Int4 { weights, multipliers, .. } => {
                let (wide, k) = (self.weights.panel_bytes(), self.weights.k);
                let (packed, groups) = (k.div_ceil(8) * 4 * LANES, k.div_ceil(GROUP) * LANES);
                let bytes = &mut scratch[..self.taps.len() * panels.len() * wide];
                let stored =
                    (0..self.taps.len()).flat_map(|t| (0..panels.len()).map(move |p| first + t * count + p));
                for (panel, out) in stored.zip(bytes.chunks_mut(wide)) {
                    let multipliers = &multipliers[panel * groups..][..groups];
                    self.isa.unpack(&weights[panel * packed..][..packed], multipliers, out);
                }
                Columns { bytes, first: 0, step: panels.len(), panels }
            }
            Panels::F32(_) | Panels::F16(_) => Columns { panels, bytes: &[], first, step: count },
        }
    }

    fn check(&self, segments: &[Segment], len: usize, out: usize) {
        let w = self.weights;
        let (rows, width, needed) = match self.x {
            Rows::F32 { data, pitch } => (data.len() / pitch, pitch, w.k),
            Rows::Bytes { data, pitch, params } => {
                ((data.len() / pitch).min(params.len()), pitch, w.k.next_multiple_of(4))
            }
        };
        assert!(
            width >= needed && matches!(self.x, Rows::Bytes { .. }) == w.is_int8(),
            "rows must suit the weights"
        );
        assert!(self.taps.end <= w.taps && self.taps.len() <= 9 && !self.taps.is_empty(), "taps must exist");
        let padded = w.panel_count() * LANES;
        assert!(self.bias.is_none_or(|b| b.len() == padded), "a bias has the padded number of outputs");
        // Rows of whole panels, or panels of whole rows.
        let (row, rows_end) = (self.step * self.pitch, (len - 1) * self.step * self.pitch + LANES);
        assert!(
            match self.panel {
                LANES => self.pitch >= padded,
                panel => row >= LANES && panel >= rows_end,
            },
            "output rows must hold the padded number of outputs"
        );
        let mut free = 0;
        for s in segments {
            for from in s.from[..self.taps.len()].iter().flatten() {
                assert!(*from as usize + len <= rows, "input rows must exist");
            }
            assert!(s.to * self.pitch >= free, "segments' outputs must not overlap");
            free = s.to * self.pitch + rows_end + (w.panel_count() - 1) * self.panel;
            assert!(free <= out, "output rows must exist");
        }
    }
}
