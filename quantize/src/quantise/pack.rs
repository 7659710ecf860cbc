//! Packs one linear tensor in a precision.

use super::gptq::GptqFeedback;
use super::int4::pack_int4;
use super::int8::pack_int8;
use super::panels::Matrices;
use super::weight_error::WeightError;
use crate::fold::Folded;
use beitle::file::format::{Precision, TensorKind, padded};
use half::f16;

/// A linear tensor as the weight file holds it.
pub struct Packed {
    /// Storage type.
    pub kind: TensorKind,
    /// Weights; then, for integers, scales, sums and multipliers; then biases.
    pub bytes: Vec<u8>,
    /// Signal-to-quantisation-noise ratio of the weights in dB; infinite if nothing was lost.
    pub sqnr: f64,
}

/// Packs `matrices` matrices of `n` rows and `k` columns. Integers are rounded with `feedback`, which is empty, has one
/// element for all matrices, or one for each; without feedback, to the nearest.
///
/// # Errors
/// A weight or bias does not fit the precision; the message says which.
pub fn pack(
    folded: &Folded,
    matrices: usize,
    n: usize,
    k: usize,
    precision: Precision,
    feedback: &[Option<GptqFeedback>],
) -> Result<Packed, String> {
    let weights = &folded.weights;
    if let Some(i) = weights.iter().chain(&folded.bias).position(|w| !w.is_finite()) {
        return Err(format!("value {i} overflows f32 after folding layers"));
    }
    let matrices = Matrices { weights, matrices, n, k };
    let (kind, mut bytes, sqnr) = match precision {
        Precision::F32 => (TensorKind::F32, matrices.to_panels(f32::to_le_bytes), f64::INFINITY),
        Precision::F16 => {
            if let Some(w) = weights.iter().find(|w| f16::from_f32(**w).is_infinite()) {
                return Err(format!("{w} is too large for f16 (at most 65504)"));
            }
            let error = WeightError::of(weights, weights.iter().map(|&w| f16::from_f32(w).to_f32()));
            let bytes = matrices.to_panels(|w| f16::from_f32(w).to_le_bytes());
            (TensorKind::F16, bytes, WeightError::sqnr([error].into_iter()))
        }
        Precision::Int8 => {
            let (bytes, sqnr) = pack_int8(&matrices, feedback);
            (TensorKind::Int8, bytes, sqnr)
        }
        Precision::Int4 => {
            let (bytes, sqnr) = pack_int4(&matrices, feedback);
            (TensorKind::Int4, bytes, sqnr)
        }
    };
    for row in folded.bias.chunks(n) {
        bytes.extend(row.iter().flat_map(|b| b.to_le_bytes()));
        bytes.resize(bytes.len() + 4 * (padded(n) - n), 0);
    }
    Ok(Packed { kind, bytes, sqnr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(matrices: usize, n: usize, k: usize) -> Folded {
        let mut x = 1u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let weights = (0..matrices * n * k).map(|_| next()).collect();
        Folded { weights, bias: (0..n).map(|_| next()).collect(), source_bytes: 0 }
    }

    #[test]
    fn f32_and_int8_panels_have_the_layout_of_the_format() {
        let (matrices, n, k) = (2, 19, 7);
        let f = folded(matrices, n, k);
        let f32s = pack(&f, matrices, n, k, Precision::F32, &[]).unwrap();
        let int8 = pack(&f, matrices, n, k, Precision::Int8, &[]).unwrap();
        let at = |bytes: &[u8], i: usize| f32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap());
        assert_eq!(f32s.bytes.len(), 4 * (matrices * 32 * k + 32));
        assert_eq!(int8.bytes.len(), matrices * 32 * 8 + 8 * matrices * 32 + 4 * 32);
        let scales = &int8.bytes[matrices * 32 * 8..];
        for t in 0..matrices {
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
                let sums = &scales[4 * matrices * 32..];
                let stored = &sums[4 * ((t * 2 + o / 16) * 16 + o % 16)..][..4];
                assert_eq!(i32::from_le_bytes(stored.try_into().unwrap()), sum);
            }
        }
        assert_eq!(at(&f32s.bytes, matrices * 32 * k + 18), f.bias[18]);
        assert_eq!(at(&f32s.bytes, matrices * 32 * k + 19), 0.0);
        assert!(int8.sqnr > 38.0 && f32s.sqnr.is_infinite(), "{}", int8.sqnr);
    }

    #[test]
    fn int4_panels_have_the_layout_of_the_format() {
        let (matrices, n, k) = (2, 19, 43);
        let f = folded(matrices, n, k);
        let packed = pack(&f, matrices, n, k, Precision::Int4, &[]).unwrap();
        let columns = matrices * 32;
        let (weights, rest) = packed.bytes.split_at(columns * 48 / 2);
        let (scales, rest) = rest.split_at(4 * columns);
        let (sums, rest) = rest.split_at(4 * columns);
        let (multipliers, bias) = rest.split_at(2 * columns);
        assert_eq!(bias.len(), 4 * 32);
        for t in 0..matrices {
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
                    // Half a step of the coarsest group, plus clipping.
                    assert!((q as f32 * scale - exact).abs() < 0.15, "{q} {scale} {exact}");
                }
                assert_eq!(i32::from_le_bytes(sums[at].try_into().unwrap()), sum);
            }
        }
        assert!(packed.sqnr > 18.0, "{}", packed.sqnr);
    }

    #[test]
    fn scales_of_tiny_weights_are_finite() {
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
    fn overflow_of_f16_is_an_error() {
        let f = Folded { weights: vec![1e6], bias: vec![], source_bytes: 0 };
        assert!(pack(&f, 1, 1, 1, Precision::F16, &[]).is_err_and(|e| e.contains("65504")));
    }
}
