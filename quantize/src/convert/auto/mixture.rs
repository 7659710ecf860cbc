//! Weight files that take each tensor from the int8 or the half-precision conversion.

use crate::error::Error;
use crate::output::{TensorInfo, TensorReport, Writer};
use beitle::file::WeightFile;
use beitle::file::format::{Role, TensorEntry, TensorKind};
use serde_json::{Value, json};
use std::path::Path;

/// The two conversions to take tensors from.
pub(super) struct Mixture<'a> {
    pub(super) int8: WeightFile<'a>,
    pub(super) half: WeightFile<'a>,
}

/// What the report of a mixture says beyond that of the int8 conversion.
pub(super) struct ReportChanges<'a> {
    pub(super) notes: &'a [String],
    /// The measured trade-off.
    pub(super) auto: Value,
}

impl Mixture<'_> {
    /// Writes a weight file whose layers are in half precision where `in_half` is true. Returns its tensors and length.
    pub(super) fn write(
        &self,
        path: &Path,
        in_half: &dyn Fn(Role, u16) -> bool,
        changes: Option<&ReportChanges>,
    ) -> Result<(Vec<TensorReport>, u64), Error> {
        let mut writer = Writer::new(path, self.int8.table().len())?;
        let mut tensors = Vec::new();
        for int8 in self.int8.table() {
            let Some(role) = Role::from_code(int8.role) else { continue };
            let (file, entry) = self.choose(role, int8, in_half);
            let mut tensor = TensorInfo::of_entry(role, entry);
            let mut bytes = file.bytes_of(entry).to_vec();
            if let (Role::Report, Some(changes)) = (role, changes) {
                bytes = change_report(&bytes, changes, &tensors);
                tensor.k = bytes.len() as u32;
            }
            writer.add(&tensor, &bytes)?;
            if tensor.kind != TensorKind::Bytes {
                tensors.push(TensorReport::new(&tensor, bytes.len() as u64));
            }
        }
        let bytes = writer.finish(*self.int8.header())?;
        Ok((tensors, bytes))
    }

    /// The tensor to copy. Winograd convolutions, which the half-precision file has in direct form, stay int8.
    fn choose<'s>(
        &'s self,
        role: Role,
        int8: &'s TensorEntry,
        in_half: &dyn Fn(Role, u16) -> bool,
    ) -> (&'s WeightFile<'s>, &'s TensorEntry) {
        let half = self.half.find(role, int8.layer).filter(|half| half.matrices == int8.matrices);
        match half {
            Some(half) if in_half(role, int8.layer) => (&self.half, half),
            _ => (&self.int8, int8),
        }
    }
}

/// The report of the int8 conversion, brought up to date for a mixture.
fn change_report(report: &[u8], changes: &ReportChanges, tensors: &[TensorReport]) -> Vec<u8> {
    let mut report: Value = serde_json::from_slice(report).unwrap_or(json!({}));
    report["precision"] = json!("auto");
    report["notes"] = json!(changes.notes);
    report["auto"] = changes.auto.clone();
    report["tensors"] = tensors.iter().map(TensorReport::json).collect();
    report.to_string().into_bytes()
}
