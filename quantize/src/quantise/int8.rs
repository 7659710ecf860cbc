//! int8: a weight is an integer in −127 ..= 127 times the scale of its row.

use super::gptq::GptqFeedback;
use super::panel_format::{PanelFormat, ROUND, RoundedWeight};
use super::panels::Matrices;
use super::round::round_panels;
use beitle::file::format::LANES;

/// The format; a row's grid is its scale.
struct Int8;

/// Fractions of a row's largest weight that are tried as the end of the range: clipping a few large weights can buy a finer
/// step for all others.
const CLIPS: [f32; 16] =
    [1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 0.77, 0.74, 0.71, 0.68, 0.65];

impl PanelFormat for Int8 {
    type Grid = f32;
    const BLANK: u8 = 0;

    fn panel_bytes(k: usize) -> usize {
        k.div_ceil(4) * 4 * LANES
    }

    fn fit(row: &[f32]) -> f32 {
        best_scale(row)
    }

    fn round(scale: &f32, _: usize, w: f32) -> RoundedWeight {
        let q = if *scale > 0.0 { (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8 } else { 0 };
        RoundedWeight { stored: q, operand: q, value: f32::from(q) * scale }
    }

    fn store(panel: &mut [u8], i: usize, lane: usize, stored: i8) {
        panel[(i / 4 * LANES + lane) * 4 + i % 4] = stored as u8;
    }
}

/// Weights `[matrices][panels][k/4][LANES][4]`, then scales and sums `[matrices][panels][LANES]`; and the weights' SQNR in dB.
pub(super) fn pack_int8(matrices: &Matrices, feedback: &[Option<GptqFeedback>]) -> (Vec<u8>, f64) {
    let rounded = round_panels::<Int8>(matrices, feedback);
    let sqnr = rounded.sqnr();
    let mut tail = Vec::new();
    tail.extend(rounded.rows().flat_map(|row| row.grid.unwrap_or(0.0).to_le_bytes()));
    tail.extend(rounded.rows().flat_map(|row| row.sum.to_le_bytes()));
    let mut bytes = rounded.bytes;
    bytes.extend(tail);
    (bytes, sqnr)
}

/// Of the scales given by [`CLIPS`], the one with the smallest squared error; 0 for a row of zeros.
fn best_scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
    let error = |scale: f32| -> f64 {
        let inverse = 1.0 / scale;
        let mut sums = [0f32; 8];
        for weights in row.chunks(8) {
            for (s, w) in sums.iter_mut().zip(weights) {
                let q = ((w * inverse + ROUND) - ROUND).clamp(-127.0, 127.0);
                *s += (w - q * scale) * (w - q * scale);
            }
        }
        sums.iter().map(|&s| f64::from(s)).sum()
    };
    let scales = CLIPS.iter().map(|clip| clip * largest / 127.0).filter(|s| s.is_normal());
    scales.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(0.0)
}
