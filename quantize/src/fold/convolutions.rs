//! Neck and head: convolutions with their BatchNorm, deconvolutions, the classifier.

use super::folded::{Folded, narrow};
use super::outliers::power_of_two_factors;
use super::source::Fold;
use crate::error::Error;
use rayon::prelude::*;

/// BatchNorm's epsilon, which no checkpoint changes.
const BN_EPS: f64 = 1e-5;

/// The part of a convolution of the head that reads one of its concatenated inputs.
pub(super) struct ConvView<'a> {
    /// Canonical name of the convolution module.
    pub name: &'a str,
    /// Side of the kernel: 1 or 3.
    pub side: usize,
    /// Widths of the concatenated inputs of the convolution.
    pub inputs: Vec<usize>,
    /// Which of them this view reads.
    pub part: usize,
}

impl<'a> ConvView<'a> {
    /// A convolution with a single input of `width` channels.
    pub fn whole(name: &'a str, side: usize, width: usize) -> ConvView<'a> {
        ConvView { name, side, inputs: vec![width], part: 0 }
    }

    /// Kernel positions.
    fn positions(&self) -> usize {
        self.side * self.side
    }

    /// Inputs of the whole convolution.
    fn all_inputs(&self) -> usize {
        self.inputs.iter().sum()
    }

    /// Shape of the weights in the checkpoint, with `outputs` outputs.
    fn weight_shape(&self, outputs: usize) -> [usize; 4] {
        [outputs, self.all_inputs(), self.side, self.side]
    }

    /// Whether outliers among the outputs are scaled down: only where the layer that reads them scales them up again.
    fn has_output_factors(&self) -> bool {
        self.name == "fpn_bottleneck" || self.name.starts_with("fpn.") || self.name.starts_with("psp.")
    }
}

/// A deconvolution as four matrices.
struct Deconv {
    /// `[ky][kx][out][in]`
    weights: Vec<f32>,
    bias: Vec<f64>,
    source_bytes: u64,
}

/// BatchNorm as x ↦ gain·x + shift.
struct Affine {
    gain: Vec<f64>,
    shift: Vec<f64>,
    source_bytes: u64,
}

impl Fold<'_> {
    /// γ·(x − μ)/√(σ² + ε) + β of `c` channels as gain and shift.
    fn batch_norm(&self, name: &str, c: usize) -> Result<Affine, Error> {
        let names = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
        let [mut gain, mut shift, mean, var] = [
            self.vector(&names[0], c)?,
            self.vector(&names[1], c)?,
            self.vector(&names[2], c)?,
            self.vector(&names[3], c)?,
        ];
        for i in 0..c {
            if var[i] + BN_EPS <= 0.0 {
                return Err(Error::new(
                    self.checkpoint.main_file(),
                    format!("`{}`: {} is not a variance", names[3], var[i]),
                ));
            }
            gain[i] /= (var[i] + BN_EPS).sqrt();
            shift[i] -= mean[i] * gain[i];
        }
        Ok(Affine { gain, shift, source_bytes: self.bytes(&names.each_ref().map(String::as_str)) })
    }

    /// Reads a 2x2 deconvolution, whose weights the checkpoint has as `[in][out][2][2]`.
    fn deconv(&self, name: &str) -> Result<Deconv, Error> {
        let c = self.spec.channels;
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        let w = self.read(&weight, &[c, c, 2, 2])?;
        let mut weights = vec![0f32; w.len()];
        for (i, from) in w.chunks(4 * c).enumerate() {
            for (o, kernel) in from.chunks(4).enumerate() {
                for (position, w) in kernel.iter().enumerate() {
                    weights[(position * c + o) * c + i] = *w;
                }
            }
        }
        Ok(Deconv { weights, bias: self.vector(&bias, c)?, source_bytes: self.bytes(&[&weight, &bias]) })
    }

    /// A deconvolution and the BatchNorm after it.
    pub(super) fn deconv_with_norm(&self, deconv: &str, norm: &str) -> Result<Folded, Error> {
        let c = self.spec.channels;
        let Deconv { weights: mut w, bias: mut b, source_bytes } = self.deconv(deconv)?;
        let norm = self.batch_norm(norm, c)?;
        for (i, w) in w.chunks_mut(c).enumerate() {
            w.iter_mut().for_each(|w| *w = (f64::from(*w) * norm.gain[i % c]) as f32);
        }
        b.iter_mut().zip(norm.gain.iter().zip(&norm.shift)).for_each(|(b, (g, s))| *b = *b * g + s);
        Ok(Folded { weights: w, bias: narrow(b), source_bytes: source_bytes + norm.source_bytes })
    }

    /// A deconvolution and the 1x1 lateral convolution after it, which together are one deconvolution: per kernel position
    /// L·(D·x + b) + l = (L·D)·x + (L·b + l).
    pub(super) fn deconv_with_lateral(&self, deconv: &str, lateral: &str) -> Result<Folded, Error> {
        let (c, head) = (self.spec.channels, self.spec.head_channels);
        let inner = self.deconv(deconv)?;
        let outer = self.conv(&ConvView::whole(lateral, 1, c), true)?;
        let mut weights = vec![0f32; 4 * head * c];
        for (inner, out) in inner.weights.chunks(c * c).zip(weights.chunks_mut(head * c)) {
            out.par_chunks_mut(c).zip(outer.weights.par_chunks(c)).for_each(|(out, l)| {
                let mut sum = vec![0f64; c];
                for (l, row) in l.iter().zip(inner.chunks(c)) {
                    let l = f64::from(*l);
                    sum.iter_mut().zip(row).for_each(|(s, w)| *s += l * f64::from(*w));
                }
                out.iter_mut().zip(sum).for_each(|(o, s)| *o = s as f32);
            });
        }
        let product = |l: &[f32]| l.iter().zip(&inner.bias).map(|(l, b)| f64::from(*l) * b).sum::<f64>();
        let bias =
            outer.weights.chunks(c).zip(&outer.bias).map(|(l, own)| (product(l) + f64::from(*own)) as f32);
        let source_bytes = inner.source_bytes + outer.source_bytes;
        Ok(Folded { weights, bias: bias.collect(), source_bytes })
    }

    /// A view of a convolution and the BatchNorm after it, one matrix per kernel position. Of a convolution's views, one
    /// takes the bias.
    pub(super) fn conv(&self, view: &ConvView, with_bias: bool) -> Result<Folded, Error> {
        let (outputs, positions) = (self.spec.head_channels, view.positions());
        let weight = format!("{}.conv.weight", view.name);
        let w = self.read(&weight, &view.weight_shape(outputs))?;
        let Affine { mut gain, mut shift, source_bytes: norm_bytes } =
            self.batch_norm(&format!("{}.bn", view.name), outputs)?;
        if view.has_output_factors() {
            for ((g, s), factor) in gain.iter_mut().zip(&mut shift).zip(self.output_factors(view)?) {
                *g *= factor;
                *s *= factor;
            }
        }
        let (all, width) = (view.all_inputs(), view.inputs[view.part]);
        let first: usize = view.inputs[..view.part].iter().sum();
        let mut weights = vec![0f32; positions * outputs * width];
        for (o, w) in w.chunks(all * positions).enumerate() {
            for (i, w) in w[first * positions..][..width * positions].chunks(positions).enumerate() {
                for (position, w) in w.iter().enumerate() {
                    weights[(position * outputs + o) * width + i] = (f64::from(*w) * gain[o]) as f32;
                }
            }
        }
        let own_bytes = self.bytes(&[&weight]) / all as u64 * width as u64;
        let source_bytes = if with_bias { own_bytes + norm_bytes } else { own_bytes };
        Ok(Folded { weights, bias: if with_bias { narrow(shift) } else { Vec::new() }, source_bytes })
    }

    /// Factors for outliers among a convolution's outputs, the same for all of its views. They are positive, so the ReLU
    /// after the convolution does not interfere.
    pub(super) fn output_factors(&self, view: &ConvView) -> Result<Vec<f64>, Error> {
        let outputs = self.spec.head_channels;
        let w = self.read(&format!("{}.conv.weight", view.name), &view.weight_shape(outputs))?;
        let gain = self.batch_norm(&format!("{}.bn", view.name), outputs)?.gain;
        let norm = |row: &[f32]| row.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
        let rows = w.chunks(view.all_inputs() * view.positions());
        Ok(power_of_two_factors(rows.zip(gain).map(|(row, gain)| norm(row) * gain.abs()).collect()))
    }

    pub(super) fn classifier(&self) -> Result<Folded, Error> {
        let (c, classes) = (self.spec.head_channels, self.spec.classes);
        let weights = self.read("classifier.weight", &[classes, c, 1, 1])?;
        let bias = self.read("classifier.bias", &[classes])?;
        Ok(Folded { weights, bias, source_bytes: self.bytes(&["classifier.weight", "classifier.bias"]) })
    }
}
