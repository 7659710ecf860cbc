//! Rounds matrices to panels of an integer format, with error compensation where feedback is given.

use super::gptq::GptqFeedback;
use super::panel_format::{PanelFormat, RoundedWeight};
use super::panels::Matrices;
use super::weight_error::WeightError;
use beitle::file::format::LANES;
use rayon::prelude::*;

/// Facts of a rounded row.
pub(super) struct RoundedRow<G> {
    /// `None` for padding.
    pub grid: Option<G>,
    /// Sum of the operands.
    pub sum: i32,
    pub error: WeightError,
}

/// Rounded panels.
pub(super) struct RoundedPanels<G> {
    /// The stored numbers of all panels.
    pub bytes: Vec<u8>,
    /// The rows of each panel.
    pub panels: Vec<[RoundedRow<G>; LANES]>,
}

impl<G> RoundedPanels<G> {
    /// All rows, padding included, in the order of the file.
    pub(super) fn rows(&self) -> impl Iterator<Item = &RoundedRow<G>> {
        self.panels.iter().flatten()
    }

    /// Signal-to-noise ratio of all weights in dB.
    pub(super) fn sqnr(&self) -> f64 {
        WeightError::sqnr(self.rows().map(|row| row.error))
    }
}

/// Rounds every row to the grid that fits it best. `feedback` has one element for all matrices or one for each.
pub(super) fn round_panels<F: PanelFormat>(
    matrices: &Matrices,
    feedback: &[Option<GptqFeedback>],
) -> RoundedPanels<F::Grid> {
    let size = F::panel_bytes(matrices.k);
    let mut bytes = vec![F::BLANK; matrices.panel_count() * size];
    let panels = bytes
        .par_chunks_mut(size.max(1))
        .enumerate()
        .map(|(panel, out)| {
            let matrix = panel / matrices.panels_per_matrix();
            let feedback =
                if feedback.len() == matrices.matrices { feedback.get(matrix) } else { feedback.first() };
            let feedback = feedback.and_then(Option::as_ref).filter(|f| f.k() == matrices.k);
            let rows = core::array::from_fn(|lane| matrices.row(panel, lane));
            round_panel::<F>(rows, matrices.k, feedback, out)
        })
        .collect();
    RoundedPanels { bytes, panels }
}

/// Rounds the rows of one panel into `out`.
fn round_panel<F: PanelFormat>(
    rows: [Option<&[f32]>; LANES],
    k: usize,
    feedback: Option<&GptqFeedback>,
    out: &mut [u8],
) -> [RoundedRow<F::Grid>; LANES] {
    let grids = rows.map(|row| row.map(F::fit));
    let mut totals = [(0i32, WeightError::default()); LANES];
    let mut store = |i: usize, lane: usize, rounded: RoundedWeight| {
        F::store(out, i, lane, rounded.stored);
        let exact = rows[lane].map_or(0.0, |row| row[i]);
        let (sum, error) = &mut totals[lane];
        *sum += i32::from(rounded.operand);
        error.add(exact, rounded.value);
    };
    match feedback {
        Some(feedback) => {
            let weights: Vec<[f32; LANES]> =
                (0..k).map(|i| rows.map(|row| row.map_or(0.0, |row| row[i]))).collect();
            let round = |i: usize, lane: usize, w: f32| {
                grids[lane].as_ref().map_or(RoundedWeight::default(), |grid| F::round(grid, i, w))
            };
            feedback.round(&weights, round, store);
        }
        None => {
            for (lane, (row, grid)) in rows.iter().zip(&grids).enumerate() {
                let (Some(row), Some(grid)) = (row, grid) else { continue };
                for (i, w) in row.iter().enumerate() {
                    store(i, lane, F::round(grid, i, *w));
                }
            }
        }
    }
    let mut totals = totals.into_iter();
    grids.map(|grid| {
        let (sum, error) = totals.next().unwrap_or_default();
        RoundedRow { grid, sum, error }
    })
}
