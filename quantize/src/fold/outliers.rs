//! Outlier channels. A channel with much larger activations than the others would set the int8 scale of its whole row. The
//! layer that computes such a channel is scaled down and the layer that reads it scaled up ("cross-layer equalization",
//! Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"). Only linear layers, ReLU
//! and attention's weighted averages lie in between, and factors are powers of two, so nothing else changes.

/// A channel is an outlier from this multiple of the median on.
const OUTLIER: f64 = 4.0;

/// Per channel, given estimates of the channels' magnitudes: the power of two that brings an outlier's magnitude near the
/// median, and 1 for all other channels.
pub(super) fn power_of_two_factors(magnitudes: Vec<f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = magnitudes.iter().copied().filter(|s| *s > 0.0 && s.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(&median) = sorted.get(sorted.len() / 2) else { return vec![1.0; magnitudes.len()] };
    let factor = |magnitude: f64| match magnitude / median {
        ratio if ratio >= OUTLIER && ratio.is_finite() => (-ratio.log2().round()).exp2(),
        _ => 1.0,
    };
    magnitudes.into_iter().map(factor).collect()
}
