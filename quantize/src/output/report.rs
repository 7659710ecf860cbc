//! What a conversion did: sizes before and after and the quantisation noise, tensor by tensor as JSON in the weight file, by
//! group of tensors as a table for the user.

use super::tensor::TensorInfo;
use crate::spec::Spec;
use beitle::file::format::{Role, TensorKind};
use serde_json::json;
use std::fmt;

/// Name and version of the converter, as stored in weight files.
pub const TOOL: &str = concat!("beitle-quantize ", env!("CARGO_PKG_VERSION"));

/// A finished conversion.
pub struct Report {
    /// Every tensor made from the checkpoint, in the order of the file.
    pub tensors: Vec<TensorReport>,
    /// Length of the weight file in bytes.
    pub file_bytes: u64,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Original names of the checkpoint's tensors that the model's task does not need.
    pub ignored: Vec<String>,
}

/// One tensor of the weight file.
#[derive(Clone, Copy)]
pub struct TensorReport {
    /// Its role.
    pub role: Role,
    /// Block, branch or level, depending on the role.
    pub layer: u16,
    /// How it is stored.
    pub kind: TensorKind,
    /// Size in the checkpoint, in bytes.
    pub source_bytes: u64,
    /// Size in the weight file, in bytes.
    pub bytes: u64,
    /// Signal-to-quantisation-noise ratio of the weights in dB; 0 if nothing was lost.
    pub sqnr: f32,
}

impl TensorReport {
    /// The report on a tensor that takes `bytes` bytes in the file.
    pub fn new(t: &TensorInfo, bytes: u64) -> TensorReport {
        let TensorInfo { role, layer, kind, source_bytes, sqnr, .. } = *t;
        TensorReport { role, layer, kind, source_bytes, bytes, sqnr }
    }

    /// The JSON object of the weight file's report.
    pub fn json(&self) -> serde_json::Value {
        let sqnr = (self.sqnr != 0.0).then(|| (f64::from(self.sqnr) * 100.0).round() / 100.0);
        json!({
            "role": self.role.name(), "layer": self.layer, "kind": self.kind.name(),
            "source_bytes": self.source_bytes, "bytes": self.bytes, "sqnr_db": sqnr,
        })
    }
}

/// The group that a tensor is reported under.
pub fn report_group(role: Role) -> &'static str {
    match role {
        Role::Embed | Role::ClassToken | Role::Positions => "embedding",
        Role::Qkv | Role::Proj | Role::Fc1 | Role::Fc2 | Role::RelativeBias => role.name(),
        Role::Deconv0 | Role::DeconvLateral0 | Role::DeconvLateral1 | Role::Lateral2 => "neck and laterals",
        Role::PspBranch | Role::PspBottleneck | Role::PspBottleneckBranch => "psp",
        Role::FpnConv => "fpn 3x3",
        Role::FpnBottleneck => "fpn bottleneck",
        _ => "classifier",
    }
}

/// The report that is stored in the weight file. It depends on the checkpoint and the options only, not on time or machine.
pub fn report_json(spec: &Spec, tensors: &[TensorReport]) -> String {
    let tensors: Vec<_> = tensors.iter().map(TensorReport::json).collect();
    json!({
        "tool": TOOL,
        "precision": spec.precision.name(),
        "recipe": spec.recipe.name(),
        "rounding": spec.rounding,
        "notes": spec.notes,
        "tensors": tensors,
    })
    .to_string()
}

impl fmt::Display for Report {
    /// A table with one row for each group of tensors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>7} {:>11} {:>11} {:>10}  {:>6}",
            "tensors", "count", "MB before", "MB after", "SQNR dB", "worst"
        )?;
        let mut groups: Vec<(&str, Vec<&TensorReport>)> = Vec::new();
        for tensor in &self.tensors {
            let name = report_group(tensor.role);
            match groups.iter_mut().find(|(other, _)| *other == name) {
                Some((_, tensors)) => tensors.push(tensor),
                None => groups.push((name, vec![tensor])),
            }
        }
        for (name, tensors) in &groups {
            let (mean, worst) = sqnr_summary(tensors);
            let before = megabytes(tensors.iter().map(|t| t.source_bytes).sum());
            let after = megabytes(tensors.iter().map(|t| t.bytes).sum());
            let count = tensors.len();
            writeln!(f, "{name:<18} {count:>7} {before:>11.2} {after:>11.2} {mean:>10}  {worst:>6}")?;
        }
        let before = megabytes(self.tensors.iter().map(|t| t.source_bytes).sum());
        let (count, after) = (self.tensors.len(), megabytes(self.file_bytes));
        write!(f, "{:<18} {count:>7} {before:>11.2} {after:>11.2}", "file")
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Mean and worst SQNR of a group. The mean is that of the noise-to-signal ratios, in decibels.
fn sqnr_summary(tensors: &[&TensorReport]) -> (String, String) {
    let lossy: Vec<f64> = tensors.iter().map(|t| f64::from(t.sqnr)).filter(|s| *s != 0.0).collect();
    let noise = lossy.iter().map(|db| 10f64.powf(-db / 10.0)).sum::<f64>() / lossy.len() as f64;
    match lossy.iter().copied().reduce(f64::min) {
        Some(worst) => (format!("{:.1}", -10.0 * noise.log10()), format!("{worst:.1}")),
        None => ("exact".into(), "exact".into()),
    }
}
