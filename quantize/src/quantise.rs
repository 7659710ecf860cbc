//! Matrices into panels of the wanted precision, and how much was lost.

use crate::feedback::Feedback;
use crate::fold::Folded;
use crate::nibbles;
use beitle::format::{GROUP, Kind, LANES, Precision, padded};
use half::f16;
use rayon::prelude::*;

/// A linear tensor as the file holds it.
pub struct Packed {
    /// How it is stored.
    pub kind: Kind,
    /// Weights, then scales and sums, then biases.
    pub bytes: Vec<u8>,
    /// Signal to quantisation noise of the weights in dB; infinite where nothing was lost.
    pub sqnr: f64,
}

/// Fractions of the largest weight that are tried as the end of the int8 range: a little clipping of a few large weights
/// can buy finer steps for all others.
const CLIPS: [f32; 16] =
    [1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 0.77, 0.74, 0.71, 0.68, 0.65];

/// Energy of the weights and of what was lost of them.
#[derive(Clone, Copy, Default)]
struct Loss {
    signal: f64,
    noise: f64,
}

impl Loss {
    fn of(exact: &[f32], stored: impl Iterator<Item = f32>) -> Loss {
        let mut loss = Loss::default();
        exact.iter().zip(stored).for_each(|(x, y)| loss.add(*x, y));
        loss
    }

    fn add(&mut self, exact: f32, stored: f32) {
        self.signal += f64::from(exact) * f64::from(exact);
        self.noise += (f64::from(exact) - f64::from(stored)).powi(2);
    }

    fn db(all: impl Iterator<Item = Loss>) -> f64 {
        let sum =
            all.fold(Loss::default(), |a, b| Loss { signal: a.signal + b.signal, noise: a.noise + b.noise });
        if sum.noise > 0.0 { 10.0 * (sum.signal / sum.noise).log10() } else { f64::INFINITY }
    }
}

/// Packs `taps` matrices of `n` x `k`, under int8 and int4 rounded with `feedback` where there is any: one for all
/// taps or one for each. The error is what value does not fit the precision.
pub fn pack(
    folded: &Folded,
    taps: usize,
    n: usize,
    k: usize,
    precision: Precision,
    feedback: &[Option<Feedback>],
) -> Result<Packed, String> {
    let rows = Rows { weights: &folded.weights, taps, n, k };
    if let Some(i) = folded.weights.iter().chain(&folded.bias).position(|w| !w.is_finite()) {
        return Err(format!("number {i} overflows 32 bits once layers are folded into each other"));
    }
    let (kind, mut bytes, sqnr) = match precision {
        Precision::F32 => (Kind::F32, rows.panels(|w| w.to_le_bytes()), f64::INFINITY),
        Precision::F16 => {
            if let Some(w) = folded.weights.iter().find(|w| f16::from_f32(**w).is_infinite()) {
                return Err(format!("{w} is too large for f16 (at most 65504)"));
            }
            let loss = Loss::of(&folded.weights, folded.weights.iter().map(|&w| f16::from_f32(w).to_f32()));
            (Kind::F16, rows.panels(|w| f16::from_f32(w).to_le_bytes()), Loss::db([loss].into_iter()))
        }
        Precision::Int8 => {
            let (bytes, sqnr) = rows.int8(feedback);
            (Kind::Int8, bytes, sqnr)
        }
        Precision::Int4 => {
            let (bytes, sqnr) = rows.int4(feedback);
            (Kind::Int4, bytes, sqnr)
        }
    };
    for row in folded.bias.chunks(n) {
        bytes.extend(row.iter().flat_map(|b| b.to_le_bytes()));
        bytes.resize(bytes.len() + 4 * (padded(n) - n), 0);
    }
    Ok(Packed { kind, bytes, sqnr })
}

struct Rows<'a> {
    weights: &'a [f32],
    taps: usize,
    n: usize,
    k: usize,
}

impl Rows<'_> {
    /// Row `lane` of panel `panel` (counted through all taps), if it is not padding.
    fn row(&self, panel: usize, lane: usize) -> Option<&[f32]> {
        let panels = self.n.div_ceil(LANES);
        let output = panel % panels * LANES + lane;
        (output < self.n).then(|| &self.weights[(panel / panels * self.n + output) * self.k..][..self.k])
    }

    fn panel_count(&self) -> usize {
        self.taps * self.n.div_ceil(LANES)
    }

    /// `[taps][panels][k][16]`
    fn panels<const B: usize>(&self, store: impl Fn(f32) -> [u8; B] + Sync) -> Vec<u8> {
        let mut out = vec![0u8; self.panel_count() * self.k * LANES * B];
        out.par_chunks_mut((self.k * LANES * B).max(1)).enumerate().for_each(|(panel, out)| {
            for lane in 0..LANES {
                let Some(row) = self.row(panel, lane) else { continue };
                for (i, w) in row.iter().enumerate() {
                    out[(i * LANES + lane) * B..][..B].copy_from_slice(&store(*w));
                }
            }
        });
        out
    }

    /// `[taps][panels][k/4][16][4]`, scales, sums; and the signal to noise ratio.
    fn int8(&self, feedback: &[Option<Feedback>]) -> (Vec<u8>, f64) {
        let size = self.k.div_ceil(4) * 4 * LANES;
        let (mut out, panels) = self.rounded(
            size,
            0,
            feedback,
            int8_scale,
            |scale, _, w| {
                let q = to_int8(w, *scale);
                (q, q, f32::from(q) * scale)
            },
            |out, i, lane, q| out[(i / 4 * LANES + lane) * 4 + i % 4] = q as u8,
        );
        out.extend(panels.iter().flatten().flat_map(|row| row.grid.unwrap_or(0.0).to_le_bytes()));
        out.extend(panels.iter().flatten().flat_map(|row| row.sum.to_le_bytes()));
        (out, Loss::db(panels.iter().flatten().map(|row| row.loss)))
    }

    /// `[taps][panels][k/8][16][4]` of two numbers each, scales, sums, multipliers; and the signal to noise ratio.
    fn int4(&self, feedback: &[Option<Feedback>]) -> (Vec<u8>, f64) {
        let size = self.k.div_ceil(8) * 4 * LANES;
        // Two eights are two zeros.
        let (mut out, panels) = self.rounded(
            size,
            0x88,
            feedback,
            nibbles::Grid::new,
            |grid, i, w| {
                let (q, byte) = grid.round(i, w);
                (q, byte, f32::from(byte) * grid.scale)
            },
            |out, i, lane, q| {
                let (at, shift) = ((i / 8 * LANES + lane) * 4 + i % 4, i / 4 % 2 * 4);
                out[at] = out[at] & !(15 << shift) | ((q + 8) as u8) << shift;
            },
        );
        let scale = |row: &Row<nibbles::Grid>| row.grid.as_ref().map_or(0.0, |grid| grid.scale);
        out.extend(panels.iter().flatten().flat_map(|row| scale(row).to_le_bytes()));
        out.extend(panels.iter().flatten().flat_map(|row| row.sum.to_le_bytes()));
        for panel in &panels {
            for group in 0..self.k.div_ceil(GROUP) {
                let of =
                    |row: &Row<nibbles::Grid>| row.grid.as_ref().map_or(0, |grid| grid.multipliers[group]);
                out.extend(panel.iter().map(|row| of(row) as u8));
            }
        }
        (out, Loss::db(panels.iter().flatten().map(|row| row.loss)))
    }

    /// Rounds every row to a grid of its own: `fit` finds it, `round(grid, i, w)` gives the number to store for input i, the
    /// byte that it runs as and what that stands for; `put(panel's bytes, i, lane, number)` stores it. A panel takes `size` bytes,
    /// `blank` at first.
    fn rounded<G: Send + Sync>(
        &self,
        size: usize,
        blank: u8,
        feedback: &[Option<Feedback>],
        fit: impl Fn(&[f32]) -> G + Sync,
        round: impl Fn(&G, usize, f32) -> (i8, i8, f32) + Sync,
        put: impl Fn(&mut [u8], usize, usize, i8) + Sync,
    ) -> (Vec<u8>, Vec<[Row<G>; LANES]>) {
        let mut out = vec![blank; self.panel_count() * size];
        let panel = |(panel, out): (usize, &mut [u8])| {
            let rows: [Option<&[f32]>; LANES] = core::array::from_fn(|lane| self.row(panel, lane));
            let grids = rows.map(|row| row.map(&fit));
            let mut done = [(0i32, Loss::default()); LANES];
            let mut store = |i: usize, lane: usize, number: i8, byte: i8, value: f32| {
                put(out, i, lane, number);
                let exact = rows[lane].map_or(0.0, |row| row[i]);
                let (sum, loss) = &mut done[lane];
                *sum += i32::from(byte);
                loss.add(exact, value);
            };
            let tap = panel / self.n.div_ceil(LANES);
            let feedback = if feedback.len() == self.taps { feedback.get(tap) } else { feedback.first() };
            match feedback.and_then(Option::as_ref).filter(|f| f.k() == self.k) {
                Some(feedback) => {
                    let weights: Vec<[f32; LANES]> =
                        (0..self.k).map(|i| rows.map(|row| row.map_or(0.0, |row| row[i]))).collect();
                    let round = |i: usize, lane: usize, w: f32| {
                        grids[lane].as_ref().map_or((0, 0, 0.0), |grid| round(grid, i, w))
                    };
                    feedback.round(&weights, round, store);
                }
                None => {
                    for (lane, (row, grid)) in rows.iter().zip(&grids).enumerate() {
                        let (Some(row), Some(grid)) = (row, grid) else { continue };
                        for (i, w) in row.iter().enumerate() {
                            let (number, byte, value) = round(grid, i, *w);
                            store(i, lane, number, byte, value);
                        }
                    }
                }
            }
            let mut done = done.into_iter();
            grids.map(|grid| {
                let (sum, loss) = done.next().unwrap_or_default();
                Row { grid, sum, loss }
            })
        };
        let panels = out.par_chunks_mut(size.max(1)).enumerate().map(panel).collect();
        (out, panels)
    }
}

/// A row that has been rounded; no grid where it is padding.
struct Row<G> {
    grid: Option<G>,
    /// Of the bytes.
    sum: i32,
    loss: Loss,
}

fn to_int8(w: f32, scale: f32) -> i8 {
    if scale > 0.0 { (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8 } else { 0 }
}

/// The scale of a row that loses the least, of those in [`CLIPS`].
fn int8_scale(row: &[f32]) -> f32 {
    let most = row.iter().fold(0f32, |m, w| m.max(w.abs()));
    let loss = |scale: f32| -> f64 {
        let inverse = 1.0 / scale;
        let mut sums = [0f32; 8];
        for eight in row.chunks(8) {
            for (s, w) in sums.iter_mut().zip(eight) {
                let q = ((w * inverse + ROUND) - ROUND).clamp(-127.0, 127.0);
                *s += (w - q * scale) * (w - q * scale);
            }
        }
        sums.iter().map(|&s| f64::from(s)).sum()
    };
    let scales = CLIPS.iter().map(|clip| clip * most / 127.0).filter(|s| s.is_normal());
    scales.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(0.0)
}

/// Adding and subtracting it rounds |x| < 2²² to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(taps: usize, n: usize, k: usize) -> Folded {
        let mut x = 1u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let weights = (0..taps * n * k).map(|_| next()).collect();
        Folded { weights, bias: (0..n).map(|_| next()).collect(), source_bytes: 0 }
    }

    #[test]
    fn panels_hold_every_weight_where_the_format_says() {
        let (taps, n, k) = (2, 19, 7);
        let f = folded(taps, n, k);
        let f32s = pack(&f, taps, n, k, Precision::F32, &[]).unwrap();
        let int8 = pack(&f, taps, n, k, Precision::Int8, &[]).unwrap();
        let at = |bytes: &[u8], i: usize| f32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap());
        assert_eq!(f32s.bytes.len(), 4 * (taps * 32 * k + 32));
        assert_eq!(int8.bytes.len(), taps * 32 * 8 + 8 * taps * 32 + 4 * 32);
        let scales = &int8.bytes[taps * 32 * 8..];
        for t in 0..taps {
            for o in 0..n {
                let mut sum = 0;
                for i in 0..k {
                    let exact = f.weights[(t * n + o) * k + i];
                    let panel = t * 2 + o / 16;
                    assert_eq!(at(&f32s.bytes, (panel * k + i) * 16 + o % 16), exact);
                    let q = int8.bytes[((panel * 2 + i / 4) * 16 + o % 16) * 4 + i % 4] as i8;
                    sum += i32::from(q);
                    let scale = at(scales, panel * 16 + o % 16);
                    assert!((f32::from(q) * scale - exact).abs() < 0.2, "{q} {scale} {exact}");
                }
                let sums = &scales[4 * taps * 32..];
                let stored = &sums[4 * ((t * 2 + o / 16) * 16 + o % 16)..][..4];
                assert_eq!(i32::from_le_bytes(stored.try_into().unwrap()), sum);
            }
        }
        assert_eq!(at(&f32s.bytes, taps * 32 * k + 18), f.bias[18]);
        assert_eq!(at(&f32s.bytes, taps * 32 * k + 19), 0.0);
        assert!(int8.sqnr > 38.0 && f32s.sqnr.is_infinite(), "{}", int8.sqnr);
    }

    #[test]
    fn nibbles_lie_where_the_format_says() {
        let (taps, n, k) = (2, 19, 43);
        let f = folded(taps, n, k);
        let packed = pack(&f, taps, n, k, Precision::Int4, &[]).unwrap();
        let columns = taps * 32;
        let (weights, rest) = packed.bytes.split_at(columns * 48 / 2);
        let (scales, rest) = rest.split_at(4 * columns);
        let (sums, rest) = rest.split_at(4 * columns);
        let (multipliers, bias) = rest.split_at(2 * columns);
        assert_eq!(bias.len(), 4 * 32);
        for t in 0..taps {
            for o in 0..32 {
                let (panel, lane) = (t * 2 + o / 16, o % 16);
                let at = 4 * (panel * 16 + lane)..4 * (panel * 16 + lane + 1);
                let scale = f32::from_le_bytes(scales[at.clone()].try_into().unwrap());
                let mut sum = 0;
                for i in 0..48 {
                    let u = weights[((panel * 6 + i / 8) * 16 + lane) * 4 + i % 4] >> (i / 4 % 2 * 4) & 15;
                    let m = multipliers[(panel * 2 + i / 32) * 16 + lane] as i8;
                    let q = (i32::from(u) - 8) * i32::from(m);
                    assert!(q.abs() <= 120 && m.abs() <= 15);
                    sum += q;
                    let exact = if o < n && i < k { f.weights[(t * n + o) * k + i] } else { 0.0 };
                    // Half a step of the coarsest group, and what clipping takes.
                    assert!((q as f32 * scale - exact).abs() < 0.15, "{q} {scale} {exact}");
                }
                assert_eq!(i32::from_le_bytes(sums[at].try_into().unwrap()), sum);
            }
        }
        assert!(packed.sqnr > 18.0, "{}", packed.sqnr);
    }

    #[test]
    fn rows_of_zeros_and_of_tiny_numbers_are_kept() {
        for w in [0.0, f32::MIN_POSITIVE / 4.0, 1e-30] {
            let f = Folded { weights: vec![w; 8], bias: vec![], source_bytes: 0 };
            for (precision, weights) in [(Precision::Int8, 2 * 64), (Precision::Int4, 64)] {
                let p = pack(&f, 1, 1, 8, precision, &[]).unwrap();
                let scales = p.bytes[weights..].as_chunks::<4>().0.iter().take(16);
                assert!(scales.map(|s| f32::from_le_bytes(*s)).all(f32::is_finite));
            }
        }
    }

    #[test]
    fn f16_overflow_is_an_error() {
        let f = Folded { weights: vec![1e6], bias: vec![], source_bytes: 0 };
        assert!(pack(&f, 1, 1, 1, Precision::F16, &[]).is_err_and(|e| e.contains("65504")));
    }
}
