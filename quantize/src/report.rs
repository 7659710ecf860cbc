//! What a conversion did: bytes before and after, and the error, by group of tensors.

use crate::TOOL;
use crate::spec::Spec;
use crate::write::Tensor;
use beitle::format::Kind;
use serde_json::json;
use std::fmt;

/// A finished conversion.
pub struct Report {
    /// Every tensor that came from the checkpoint.
    pub lines: Vec<Line>,
    /// Length of the file.
    pub file_bytes: u64,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Tensors of the checkpoint that segmentation does not need.
    pub ignored: Vec<String>,
}

/// One tensor.
pub struct Line {
    /// Its role's name.
    pub role: &'static str,
    /// Which of its kind.
    pub layer: u16,
    /// How it is stored.
    pub kind: Kind,
    /// What it took in the checkpoint.
    pub source_bytes: u64,
    /// What it takes now.
    pub bytes: u64,
    /// Of the weights, in dB; 0 where nothing was lost.
    pub sqnr: f32,
}

impl Line {
    /// Of a tensor and its length.
    pub fn new(t: &Tensor, bytes: u64) -> Line {
        let Tensor { role, layer, kind, source_bytes, sqnr, .. } = *t;
        Line { role: role.name(), layer, kind, source_bytes, bytes, sqnr }
    }

    /// As the file carries it.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "role": self.role, "layer": self.layer, "kind": self.kind.name(), "source_bytes": self.source_bytes,
            "bytes": self.bytes, "sqnr_db": (self.sqnr != 0.0).then(|| (f64::from(self.sqnr) * 100.0).round() / 100.0),
        })
    }
}

/// The group that a role is counted under.
pub fn group(role: &'static str) -> &'static str {
    match role {
        "embed" | "class_token" | "positions" => "embedding",
        "qkv" | "proj" | "fc1" | "fc2" | "bias" => role,
        "up0a" | "up0b" | "up1" | "lateral2" => "neck and laterals",
        "pool" | "top" | "top_pool" => "pooling module",
        "fpn" => "pyramid 3x3",
        "fuse" => "bottleneck 3x3",
        _ => "classifier",
    }
}

/// The report as the file carries it: the same for the same checkpoint, whenever and wherever it was converted.
pub fn json(spec: &Spec, lines: &[Line]) -> String {
    let tensors: Vec<_> = lines.iter().map(Line::json).collect();
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
    /// The table at the end of a conversion.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        writeln!(
            f,
            "{:<18} {:>7} {:>11} {:>11} {:>10}  {:>6}",
            "tensors", "count", "MB before", "MB after", "SQNR dB", "worst"
        )?;
        let mut groups: Vec<(&str, Vec<&Line>)> = Vec::new();
        for line in &self.lines {
            match groups.iter_mut().find(|(name, _)| *name == group(line.role)) {
                Some((_, lines)) => lines.push(line),
                None => groups.push((group(line.role), vec![line])),
            }
        }
        for (name, lines) in &groups {
            let lossy: Vec<f64> = lines.iter().map(|l| f64::from(l.sqnr)).filter(|s| *s != 0.0).collect();
            // The mean of the noise shares, as decibels: the group as if it were one tensor of unit signal.
            let noise = lossy.iter().map(|db| 10f64.powf(-db / 10.0)).sum::<f64>() / lossy.len() as f64;
            let (mean, worst) = match lossy.iter().copied().reduce(f64::min) {
                Some(worst) => (format!("{:.1}", -10.0 * noise.log10()), format!("{worst:.1}")),
                None => ("exact".into(), "exact".into()),
            };
            let before = lines.iter().map(|l| l.source_bytes).sum();
            let after = lines.iter().map(|l| l.bytes).sum();
            writeln!(
                f,
                "{name:<18} {:>7} {:>11.2} {:>11.2} {mean:>10}  {worst:>6}",
                lines.len(),
                mb(before),
                mb(after)
            )?;
        }
        let before = self.lines.iter().map(|l| l.source_bytes).sum();
        write!(f, "{:<18} {:>7} {:>11.2} {:>11.2}", "file", self.lines.len(), mb(before), mb(self.file_bytes))
    }
}
