//! int4: weights in groups along the inputs, each group with a small integer multiplier of its row's scale.
//!
//! A weight is stored as q in −8 ..= 7 and multiplied as the int8 operand q · m, where m in −15 ..= 15 is its group's
//! multiplier. |q · m| is at most 120, so the int8 kernels work without a second rounding. A negative multiplier lets −8
//! stand for a group's largest weight whatever its sign.

use super::gptq::GptqFeedback;
use super::panel_format::{PanelFormat, ROUND, RoundedWeight};
use super::panels::Matrices;
use super::round::{RoundedRow, round_panels};
use beitle::file::format::{GROUP, LANES};

/// The largest multiplier.
const MAX_MULTIPLIER: i32 = 15;
/// Scales that are tried for a row, as fractions of the scale at which its largest weight just fits.
const SCALES: [f32; 8] = [1.0, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58, 0.5];
/// Multipliers down to this fraction of the one at which a group's largest weight fits are tried.
const CLIP: f32 = 0.6;

/// The format.
struct Int4;

/// Scale of a row and multipliers of its groups.
struct Int4Grid {
    scale: f32,
    multipliers: Vec<i8>,
}

impl PanelFormat for Int4 {
    type Grid = Int4Grid;
    /// Two weights of zero, each stored with an offset of 8.
    const BLANK: u8 = 0x88;

    fn panel_bytes(k: usize) -> usize {
        k.div_ceil(8) * 4 * LANES
    }

    fn fit(row: &[f32]) -> Int4Grid {
        Int4Grid::fit(row)
    }

    fn round(grid: &Int4Grid, i: usize, w: f32) -> RoundedWeight {
        let (stored, operand) = grid.round(i, w);
        RoundedWeight { stored, operand, value: f32::from(operand) * grid.scale }
    }

    /// Low four bits for the first four of eight inputs, high four bits for the others.
    fn store(panel: &mut [u8], i: usize, lane: usize, stored: i8) {
        let (byte, shift) = ((i / 8 * LANES + lane) * 4 + i % 4, i / 4 % 2 * 4);
        panel[byte] = panel[byte] & !(15 << shift) | ((stored + 8) as u8) << shift;
    }
}

/// Weights `[matrices][panels][k/8][LANES][4]`, two in a byte, then scales and sums `[matrices][panels][LANES]`, then
/// multipliers `[matrices][panels][k/GROUP][LANES]`; and the weights' SQNR in dB.
pub(super) fn pack_int4(matrices: &Matrices, feedback: &[Option<GptqFeedback>]) -> (Vec<u8>, f64) {
    let rounded = round_panels::<Int4>(matrices, feedback);
    let sqnr = rounded.sqnr();
    let scale = |row: &RoundedRow<Int4Grid>| row.grid.as_ref().map_or(0.0, |grid| grid.scale);
    let mut tail = Vec::new();
    tail.extend(rounded.rows().flat_map(|row| scale(row).to_le_bytes()));
    tail.extend(rounded.rows().flat_map(|row| row.sum.to_le_bytes()));
    for panel in &rounded.panels {
        for group in 0..matrices.k.div_ceil(GROUP) {
            let multiplier =
                |row: &RoundedRow<Int4Grid>| row.grid.as_ref().map_or(0, |grid| grid.multipliers[group]);
            tail.extend(panel.iter().map(|row| multiplier(row) as u8));
        }
    }
    let mut bytes = rounded.bytes;
    bytes.extend(tail);
    (bytes, sqnr)
}

impl Int4Grid {
    /// The grid with the smallest squared error for a row.
    fn fit(row: &[f32]) -> Int4Grid {
        let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
        let fitting = largest / (8 * MAX_MULTIPLIER) as f32;
        let scales = SCALES.iter().map(|s| s * fitting).filter(|s| s.is_normal());
        let grids = scales.map(|scale| {
            let mut error = 0.0;
            let multipliers = row.chunks(GROUP).map(|group| {
                let (m, group_error) = best_multiplier(group, scale);
                error += f64::from(group_error);
                m
            });
            let multipliers = multipliers.collect();
            (Int4Grid { scale, multipliers }, error)
        });
        let best = grids.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(grid, _)| grid);
        best.unwrap_or(Int4Grid { scale: 0.0, multipliers: vec![1; row.len().div_ceil(GROUP)] })
    }

    /// The nearest weight for input `i`: the stored q and the operand q · m.
    fn round(&self, i: usize, w: f32) -> (i8, i8) {
        let m = self.multipliers[i / GROUP];
        let step = self.scale * f32::from(m);
        let q = if step == 0.0 { 0.0 } else { (w / step).round_ties_even().clamp(-8.0, 7.0) };
        (q as i8, q as i8 * m)
    }
}

/// The multiplier with the smallest squared error for a group, and that error.
fn best_multiplier(group: &[f32], scale: f32) -> (i8, f32) {
    let largest = group.iter().fold(0f32, |m, w| m.max(w.abs()));
    let fitting = (largest / (8.0 * scale)).ceil().clamp(1.0, MAX_MULTIPLIER as f32);
    let smallest = (fitting * CLIP).floor().max(1.0);
    let mut best = (1, f32::INFINITY);
    for magnitude in smallest as i32..=fitting as i32 {
        for m in [magnitude, -magnitude] {
            let error = group_error(group, scale * m as f32);
            if error < best.1 {
                best = (m as i8, error);
            }
        }
    }
    best
}

/// Squared error of a group at a step.
fn group_error(group: &[f32], step: f32) -> f32 {
    let inverse = 1.0 / step;
    let mut sums = [0f32; 8];
    for weights in group.chunks(8) {
        for (s, w) in sums.iter_mut().zip(weights) {
            let q = ((w * inverse + ROUND) - ROUND).clamp(-8.0, 7.0);
            *s += (w - q * step) * (w - q * step);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_ranges_of_their_own() {
        // The second group is a twelfth as large as the first, and its largest weight has the other sign.
        let row: Vec<f32> = (0..2 * GROUP)
            .map(|i| {
                let w = ((i * 29 % 64) as f32 - 31.0) / 32.0;
                if i < GROUP { w } else { -w / 12.0 }
            })
            .collect();
        let grid = Int4Grid::fit(&row);
        for (i, w) in row.iter().enumerate() {
            let (q, operand) = grid.round(i, *w);
            assert!(
                (-8..=7).contains(&q) && operand == q * grid.multipliers[i / GROUP] && operand.abs() <= 120
            );
            let range = if i < GROUP { 1.0 } else { 1.0 / 12.0 };
            assert!((f32::from(operand) * grid.scale - w).abs() <= 0.12 * range, "{i}: {operand} for {w}");
        }
    }

    #[test]
    fn a_row_of_zeros_has_scale_zero() {
        let grid = Int4Grid::fit(&[0.0; 40]);
        assert_eq!((grid.scale, grid.round(39, 0.0)), (0.0, (0, 0)));
    }
}
