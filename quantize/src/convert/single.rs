//! A conversion in one precision.

use super::tensor::TensorMaker;
use crate::calibrate::{LayerInputs, Pictures};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::options::{Options, Rounding};
use crate::output::{Report, TensorReport, Writer};
use crate::progress::{Phase, Progress};
use crate::regular_file;
use crate::sha256;
use crate::spec::Spec;
use beitle::file::format::{Header, Precision};
use beitle::file::tensors::{Form, ValidHeader, for_each_tensor};
use beitle_files::TemporaryFile;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::PathBuf;

/// Converts a checkpoint to the precision of `options`; `agreement` is ignored.
pub(super) fn convert(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
    let checkpoint = Checkpoint::open_with(&options.checkpoint, options.key.as_deref())?;
    let mut spec = Spec::new(&checkpoint, options)?;
    let inputs = match &options.rounding {
        Rounding::Compensated(folder) if matches!(options.precision, Precision::Int8 | Precision::Int4) => {
            let pictures = Pictures::find(folder.as_deref())?.enough_for(spec.coarsest_map());
            spec.rounding = format!("compensated on {} {}", pictures.count(), pictures.name());
            Some(sample_inputs(options, &pictures, progress)?)
        }
        _ => None,
    };
    let facts = spec.header([0; 32]);
    let facts = Header { header_bytes: size_of::<Header>() as u32, ..facts };
    let header = ValidHeader::new(&facts).map_err(|e| Error::new(checkpoint.main_file(), e.to_string()))?;
    let total = tensor_count(header)?;
    let mut writer = Writer::new(&options.output, total)?;
    let mut maker = TensorMaker { checkpoint: &checkpoint, spec, inputs };
    let mut tensors = Vec::new();
    let mut done = 0;
    let phase = Phase::Tensors;
    progress(Progress { phase, done, total });
    for_each_tensor(header, &mut |role, layer, form| {
        let (tensor, bytes) = maker.make(role, layer, form, &tensors)?;
        writer.add(&tensor, &bytes)?;
        if !matches!(form, Form::Bytes(_) | Form::Text(_)) {
            tensors.push(TensorReport::new(&tensor, bytes.len() as u64));
        }
        done += 1;
        progress(Progress { phase, done, total });
        Ok::<_, Error>(())
    })?;
    let source_sha256 = checksum(&checkpoint.weight_paths())?;
    let file_bytes = writer.finish(Header { source_sha256, ..facts })?;
    let ignored = checkpoint.ignored(maker.spec.task);
    Ok(Report { tensors, file_bytes, notes: maker.spec.notes, ignored })
}

fn tensor_count(header: ValidHeader) -> Result<usize, Error> {
    let mut total = 0;
    for_each_tensor(header, &mut |_, _, _| {
        total += 1;
        Ok::<_, Error>(())
    })?;
    Ok(total)
}

/// Converts the checkpoint to half precision, in a temporary file, and runs the result on the pictures to sample the inputs
/// of its layers.
fn sample_inputs(
    options: &Options,
    pictures: &Pictures,
    progress: &mut dyn FnMut(Progress),
) -> Result<LayerInputs, Error> {
    let draft = temporary(options)?;
    convert_half(options, &draft, progress)?;
    let (phase, total, mut done) = (Phase::Calibration, pictures.count(), 0);
    progress(Progress { phase, done, total });
    LayerInputs::collect(draft.path(), pictures, options.conv, &mut || {
        done += 1;
        progress(Progress { phase, done, total });
    })
}

/// A temporary weight file beside the output.
pub(super) fn temporary(options: &Options) -> Result<TemporaryFile, Error> {
    let failed = |e| Error::io(&options.output, "cannot create a temporary file beside it", e);
    TemporaryFile::beside(&options.output).map_err(failed)
}

/// Converts to half precision, or to f32 if a weight is too large for f16.
pub(super) fn convert_half(
    options: &Options,
    output: &TemporaryFile,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    let with = |precision| Options { output: output.path().to_owned(), precision, ..options.clone() };
    let mut progress = |tensors| progress(Progress { phase: Phase::HalfPrecision, ..tensors });
    let half = convert(&with(Precision::F16), &mut progress);
    half.or_else(|_| convert(&with(Precision::F32), &mut progress))
}

/// The checksum of all files, one after another, as long as they are when opened: a file that grows meanwhile does not keep the
/// converter busy.
fn checksum(paths: &[PathBuf]) -> Result<[u8; 32], Error> {
    let mut hash = Sha256::new();
    for path in paths {
        let (file, length) = regular_file::open(path)?;
        sha256::add(&mut hash, file.take(length)).map_err(|e| Error::io(path, "cannot read", e))?;
    }
    Ok(hash.finalize().into())
}
