//! Matrices into panels of the wanted precision, and how much was lost.

use crate::feedback::Feedback;
use crate::fold::Folded;
use beitle::format::{Kind, LANES, Precision, padded};
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
        for (&x, y) in exact.iter().zip(stored) {
            loss.signal += f64::from(x) * f64::from(x);
            loss.noise += (f64::from(x) - f64::from(y)).powi(2);
        }
        loss
    }

    fn db(all: impl Iterator<Item = Loss>) -> f64 {
        let sum =
            all.fold(Loss::default(), |a, b| Loss { signal: a.signal + b.signal, noise: a.noise + b.noise });
        if sum.noise > 0.0 { 10.0 * (sum.signal / sum.noise).log10() } else { f64::INFINITY }
    }
}

/// Packs `taps` matrices of `n` x `k`, under int8 rounded with `feedback` where there is any. The error is what value does not fit the precision.
pub fn pack(
    folded: &Folded,
    taps: usize,
    n: usize,
    k: usize,
    precision: Precision,
    feedback: Option<&Feedback>,
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
            let (bytes, sqnr) = rows.int8(feedback.filter(|f| f.k() == k));
            (Kind::Int8, bytes, sqnr)
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
    fn int8(&self, feedback: Option<&Feedback>) -> (Vec<u8>, f64) {
        let groups = self.k.div_ceil(4);
        let mut out = vec![0u8; self.panel_count() * groups * 4 * LANES];
        let rows: Vec<[(f32, i32, Loss); LANES]> = out
            .par_chunks_mut((groups * 4 * LANES).max(1))
            .enumerate()
            .map(|(panel, out)| {
                let rows: [Option<&[f32]>; LANES] = core::array::from_fn(|lane| self.row(panel, lane));
                let scales = rows.map(|row| row.map_or(0.0, int8_scale));
                let mut put =
                    |i: usize, lane: usize, q: i8| out[(i / 4 * LANES + lane) * 4 + i % 4] = q as u8;
                match feedback {
                    Some(feedback) => {
                        let weights: Vec<[f32; LANES]> =
                            (0..self.k).map(|i| rows.map(|row| row.map_or(0.0, |row| row[i]))).collect();
                        let round = |lane: usize, w: f32| {
                            let q = to_int8(w, scales[lane]);
                            (q, f32::from(q) * scales[lane])
                        };
                        feedback.round(&weights, round, put);
                    }
                    None => {
                        for (lane, row) in rows.iter().enumerate() {
                            let row = row.unwrap_or(&[]);
                            row.iter().enumerate().for_each(|(i, w)| put(i, lane, to_int8(*w, scales[lane])));
                        }
                    }
                }
                core::array::from_fn(|lane| {
                    let stored = |i: usize| out[(i / 4 * LANES + lane) * 4 + i % 4] as i8;
                    let sum = (0..self.k).map(|i| i32::from(stored(i))).sum();
                    let values = (0..self.k).map(|i| f32::from(stored(i)) * scales[lane]);
                    (scales[lane], sum, Loss::of(rows[lane].unwrap_or(&[]), values))
                })
            })
            .collect();
        let rows = || rows.iter().flatten();
        out.extend(rows().flat_map(|(scale, ..)| scale.to_le_bytes()));
        out.extend(rows().flat_map(|(_, sum, _)| sum.to_le_bytes()));
        (out, Loss::db(rows().map(|r| r.2)))
    }
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
        let f32s = pack(&f, taps, n, k, Precision::F32, None).unwrap();
        let int8 = pack(&f, taps, n, k, Precision::Int8, None).unwrap();
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
    fn rows_of_zeros_and_of_tiny_numbers_are_kept() {
        for w in [0.0, f32::MIN_POSITIVE / 4.0, 1e-30] {
            let f = Folded { weights: vec![w; 8], bias: vec![], source_bytes: 0 };
            let p = pack(&f, 1, 1, 8, Precision::Int8, None).unwrap();
            let scales = p.bytes[2 * 64..].as_chunks::<4>().0.iter().take(16);
            assert!(scales.map(|s| f32::from_le_bytes(*s)).all(f32::is_finite));
        }
    }

    #[test]
    fn f16_overflow_is_an_error() {
        let f = Folded { weights: vec![1e6], bias: vec![], source_bytes: 0 };
        assert!(pack(&f, 1, 1, 1, Precision::F16, None).is_err_and(|e| e.contains("65504")));
    }
}
