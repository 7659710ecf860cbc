//! Safetensors files: an eight-byte header length, a JSON header with type, shape and position of every tensor, the
//! values.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ::safetensors::tensor::{Dtype as FileDtype, Metadata};

use super::tensor::{Dtype, StoredTensor};
use crate::error::Error;

/// The format's limit on the header's length in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// All tensors of a file, sorted by name. `index` is the file's index in its checkpoint.
pub(super) fn tensors(path: &Path, file: &mut File, index: usize) -> Result<Vec<StoredTensor>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let bytes = file.metadata().map_err(|e| Error::io(path, "cannot read", e))?.len();
    if bytes < 8 {
        return Err(wrong(format!("is not a safetensors file: {bytes} bytes, expected at least 8")));
    }
    let mut length = [0u8; 8];
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(path, "cannot seek", e))?;
    file.read_exact(&mut length).map_err(|e| Error::io(path, "cannot read", e))?;
    let length = u64::from_le_bytes(length);
    if length > bytes - 8 || length > MAX_HEADER {
        return Err(wrong(format!(
            "is not a safetensors file, or a truncated one: its header should have {length} bytes, but only {} follow",
            bytes - 8
        )));
    }
    let mut header = vec![0u8; length as usize];
    file.read_exact(&mut header).map_err(|e| Error::io(path, "cannot read", e))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|e| wrong(format!("the safetensors header is malformed: {e}")))?;
    let (values, expected) = (bytes - 8 - length, metadata.data_len() as u64);
    if values != expected {
        let state = if values < expected { "truncated" } else { "too long" };
        return Err(wrong(format!(
            "is {state}: {values} bytes of values, but the header describes {expected}"
        )));
    }
    let mut found: Vec<StoredTensor> = metadata
        .tensors()
        .into_iter()
        .map(|(original, info)| StoredTensor {
            original,
            file: index,
            offset: 8 + length + info.data_offsets.0 as u64,
            dtype: dtype(info.dtype),
            shape: info.shape.clone(),
            strides: None,
        })
        .collect();
    found.sort_by(|a, b| a.original.cmp(&b.original));
    Ok(found)
}

fn dtype(stored: FileDtype) -> Dtype {
    match stored {
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::Bf16,
        FileDtype::F32 => Dtype::F32,
        FileDtype::F64 => Dtype::F64,
        other => Dtype::Other(format!("{other:?}")),
    }
}
