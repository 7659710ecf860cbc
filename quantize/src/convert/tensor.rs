//! Makes one tensor of the weight file.

use crate::calibrate::{LayerInputs, Samples};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::fold::Fold;
use crate::output::{self, TOOL, TensorInfo, TensorReport, classes};
use crate::quantise::{self, GptqFeedback, Packed};
use crate::spec::Spec;
use crate::text::printable;
use crate::winograd;
use beitle::file::format::{Precision, Role, TensorKind};
use beitle::file::tensors::Form;
use std::path::Path;

/// Makes the tensors of a weight file, one after another.
pub(super) struct TensorMaker<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    /// The facts; notes are added to it.
    pub(super) spec: Spec,
    /// Samples of the layers' inputs, if integer weights are rounded with error compensation.
    pub(super) inputs: Option<LayerInputs>,
}

impl TensorMaker<'_> {
    /// A tensor and its bytes. `finished` are the tensors made before it, for the file's report.
    pub(super) fn make(
        &mut self,
        role: Role,
        layer: u16,
        form: Form,
        finished: &[TensorReport],
    ) -> Result<(TensorInfo, Vec<u8>), Error> {
        match form {
            Form::Bytes(_) | Form::Text(_) => {
                let bytes = self.raw_bytes(role, finished);
                Ok((TensorInfo::bytes(role, layer, bytes.len() as u32), bytes))
            }
            Form::Plain { n, k } => {
                let (values, source_bytes) = self.fold().plain(role, layer.into())?;
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let tensor = TensorInfo::bytes(role, layer, k);
                Ok((TensorInfo { kind: TensorKind::Plain, n, source_bytes, ..tensor }, bytes))
            }
            Form::Linear { matrices, bias_rows, n, k } => {
                let (packed, source_bytes) = self.linear(role, layer, matrices, n as usize, k as usize)?;
                let sqnr = if packed.sqnr.is_finite() { packed.sqnr as f32 } else { 0.0 };
                let kind = packed.kind;
                let tensor = TensorInfo { role, layer, kind, matrices, bias_rows, n, k, sqnr, source_bytes };
                Ok((tensor, packed.bytes))
            }
        }
    }

    fn fold(&self) -> Fold<'_> {
        Fold { checkpoint: self.checkpoint, spec: &self.spec }
    }

    /// A packed linear tensor and the size of its sources in the checkpoint, in bytes.
    fn linear(
        &mut self,
        role: Role,
        layer: u16,
        matrices: u16,
        n: usize,
        k: usize,
    ) -> Result<(Packed, u64), Error> {
        let mut folded = self.fold().linear(role, layer.into())?;
        let tile = self.spec.winograd_tile(role, layer);
        if let Some(tile) = tile {
            folded.weights = winograd::weight_transform(&folded.weights, tile);
        }
        let precision = self.spec.precision_of(role, layer);
        let integer = matches!(precision, Precision::Int8 | Precision::Int4);
        let feedback = if integer { self.feedback(role, layer) } else { Vec::new() };
        let pack = |precision| {
            quantise::pack(&folded, matrices.into(), n, k, precision, &feedback).map_err(|e| {
                let message = format!("tensor `{}` {layer} of the weight file: {e}", role.name());
                Error::new(self.checkpoint.main_file(), message)
            })
        };
        let mut packed = pack(precision)?;
        // Winograd weights are always int8.
        if integer
            && tile.is_none()
            && let Some(floor) = self.spec.sqnr_floor.filter(|floor| packed.sqnr < *floor)
        {
            let note = format!(
                "`{}` {layer} stays in half precision: {} has an SQNR of {:.1} dB, below the floor of {floor} dB",
                role.name(),
                precision.name(),
                packed.sqnr
            );
            packed = pack(Precision::F16)?;
            self.spec.notes.push(note);
        }
        Ok((packed, folded.source_bytes))
    }

    /// Feedback from the samples of a layer's inputs; `None` for matrices with too few samples to estimate correlations.
    fn feedback(&self, role: Role, layer: u16) -> Vec<Option<GptqFeedback>> {
        let samples = self.inputs.as_ref().map_or(&[][..], |inputs| inputs.of(role, layer));
        let enough = |s: &&Samples| 4 * s.rows.len() >= s.k * s.k;
        samples.iter().map(|s| Some(s).filter(enough).and_then(GptqFeedback::new)).collect()
    }

    /// The tensors that are text or colours.
    fn raw_bytes(&self, role: Role, finished: &[TensorReport]) -> Vec<u8> {
        let names = self.spec.class_names.as_deref();
        match role {
            Role::ClassNames => classes::names(self.spec.classes, names).into_bytes(),
            Role::Palette => match &self.spec.colours {
                Some(colours) => colours.concat(),
                None => classes::palette(self.spec.classes, names),
            },
            Role::Source => source_name(self.checkpoint.main_file()).into_bytes(),
            Role::Tool => TOOL.into(),
            _ => output::report_json(&self.spec, finished).into_bytes(),
        }
    }
}

/// The last two parts of the path, folder and file name, without control characters; for a file in the cache of the Hub
/// (`models--owner--name/snapshots/COMMIT/FILE`) `owner/name@COMMIT`.
fn source_name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|p| p.to_string_lossy()).collect();
    let name = match parts.as_slice() {
        [.., folder, snapshots, commit, _] if snapshots == "snapshots" && folder.starts_with("models--") => {
            format!("{}@{commit}", folder.trim_start_matches("models--").replacen("--", "/", 1))
        }
        _ => parts[parts.len().saturating_sub(2)..].join("/"),
    };
    printable(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_a_printable_line() {
        assert_eq!(source_name(Path::new("/a/b/c.pth")), "b/c.pth");
        let cached = "/home/models--microsoft--beit-base--x/snapshots/0f1e2d/model.safetensors";
        assert_eq!(source_name(Path::new(cached)), "microsoft/beit-base--x@0f1e2d");
        assert_eq!(source_name(Path::new("b\n1\u{1b}[2J/c\r.pth")), "b 1 [2J/c .pth");
    }
}
