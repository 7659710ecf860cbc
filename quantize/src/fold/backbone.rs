//! The linear layers of a transformer block, with LayerNorm's gain and bias and layer scale folded in.

use super::folded::{Folded, narrow};
use super::outliers::power_of_two_factors;
use super::source::Fold;
use crate::error::Error;
use beitle::file::format::padded;

/// The value projection of a block with LayerNorm folded in.
struct ValueProjection {
    /// `[channels][channels]`
    weights: Vec<f64>,
    bias: Vec<f64>,
    /// Factors for outlier channels. Attention averages values channel by channel, so the output projection can undo them.
    factors: Vec<f64>,
}

impl Fold<'_> {
    /// Query (scaled by 1/√D), key and value rows of each head, head by head, each part padded to whole panels. Keys have no
    /// bias: BEiT trains none, and what LayerNorm's bias adds to a query's scores is the same for all keys, which softmax
    /// cancels.
    pub(super) fn qkv(&self, layer: usize) -> Result<Folded, Error> {
        let (c, heads) = (self.spec.channels, self.spec.heads);
        let d = c / heads;
        let rows = padded(d);
        let block = format!("blocks.{layer}");
        let norm = format!("{block}.norm1");
        let mut weights = vec![0f32; heads * 3 * rows * c];
        let mut bias = vec![0f32; heads * 3 * rows];
        let mut source_bytes = self.bytes(&[&format!("{norm}.weight"), &format!("{norm}.bias")]);
        for (part, name) in ["q", "k", "v"].into_iter().enumerate() {
            let (weight_name, bias_name) = (format!("{block}.{name}.weight"), format!("{block}.{name}.bias"));
            let (w, b, factors) = if name == "v" {
                let v = self.value_projection(&block)?;
                (v.weights, v.bias, v.factors)
            } else {
                let mut b = if name == "k" { vec![0.0; c] } else { self.vector(&bias_name, c)? };
                let w = self.fold_norm(&self.read(&weight_name, &[c, c])?, &mut b, &norm)?;
                let scale = if name == "q" { 1.0 / (d as f64).sqrt() } else { 1.0 };
                (w, b, vec![scale; c])
            };
            for (i, ((w, b), factor)) in w.chunks(c).zip(&b).zip(factors).enumerate() {
                let row = (i / d * 3 + part) * rows + i % d;
                weights[row * c..][..c].iter_mut().zip(w).for_each(|(o, w)| *o = (w * factor) as f32);
                bias[row] = if name == "k" { 0.0 } else { (b * factor) as f32 };
            }
            source_bytes += self.bytes(&[&weight_name, &bias_name]);
        }
        Ok(Folded { weights, bias, source_bytes })
    }

    fn value_projection(&self, block: &str) -> Result<ValueProjection, Error> {
        let c = self.spec.channels;
        let mut bias = self.vector(&format!("{block}.v.bias"), c)?;
        let weights = self.read(&format!("{block}.v.weight"), &[c, c])?;
        let weights = self.fold_norm(&weights, &mut bias, &format!("{block}.norm1"))?;
        let row_norms = weights.chunks(c).map(|row| row.iter().map(|w| w * w).sum::<f64>().sqrt());
        let factors = power_of_two_factors(row_norms.collect());
        Ok(ValueProjection { weights, bias, factors })
    }

    /// Attention's output projection.
    pub(super) fn proj(&self, layer: usize) -> Result<Folded, Error> {
        let block = format!("blocks.{layer}");
        let proj = self.scaled(&format!("{block}.proj"), &format!("{block}.lambda1"), self.spec.channels)?;
        Ok(proj.divide_columns(&self.value_projection(&block)?.factors))
    }

    /// The MLP's first layer.
    pub(super) fn fc1(&self, layer: usize) -> Result<Folded, Error> {
        let (c, hidden) = (self.spec.channels, self.spec.hidden);
        let block = format!("blocks.{layer}");
        let norm = format!("{block}.norm2");
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{block}.fc1.{part}"));
        let mut b = self.vector(&bias, hidden)?;
        let w = self.fold_norm(&self.read(&weight, &[hidden, c])?, &mut b, &norm)?;
        let source_bytes = self.bytes(&[&weight, &bias, &format!("{norm}.weight"), &format!("{norm}.bias")]);
        Ok(Folded { weights: narrow(w), bias: narrow(b), source_bytes })
    }

    /// The MLP's second layer.
    pub(super) fn fc2(&self, layer: usize) -> Result<Folded, Error> {
        self.scaled(&format!("blocks.{layer}.fc2"), &format!("blocks.{layer}.lambda2"), self.spec.hidden)
    }

    /// Folds the LayerNorm before a layer: W·(γ∘x̂ + β) + b = (W·diag γ)·x̂ + (b + W·β). Returns the new weights and updates
    /// the bias.
    fn fold_norm(&self, w: &[f32], b: &mut [f64], norm: &str) -> Result<Vec<f64>, Error> {
        let c = self.spec.channels;
        let gain = self.vector(&format!("{norm}.weight"), c)?;
        let shift = self.vector(&format!("{norm}.bias"), c)?;
        for (w, b) in w.chunks(c).zip(b) {
            *b += w.iter().zip(&shift).map(|(w, s)| f64::from(*w) * s).sum::<f64>();
        }
        Ok(w.chunks(c).flat_map(|w| w.iter().zip(&gain).map(|(w, g)| f64::from(*w) * g)).collect())
    }

    /// A layer with `k` inputs and the layer scale after it, if the model has it: λ∘(W·x + b) = (diag λ · W)·x + λ∘b.
    fn scaled(&self, name: &str, scale: &str, k: usize) -> Result<Folded, Error> {
        let c = self.spec.channels;
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        let (mut w, mut b) = (self.read(&weight, &[c, k])?, self.vector(&bias, c)?);
        let mut source_bytes = self.bytes(&[&weight, &bias]);
        if self.spec.layer_scale {
            for ((w, b), s) in w.chunks_mut(k).zip(&mut b).zip(self.vector(scale, c)?) {
                w.iter_mut().for_each(|w| *w = (f64::from(*w) * s) as f32);
                *b *= s;
            }
            source_bytes += self.bytes(&[scale]);
        }
        Ok(Folded { weights: w, bias: narrow(b), source_bytes })
    }
}
