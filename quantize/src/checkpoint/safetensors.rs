//! Safetensors files: eight bytes of header length, a JSON header, the values.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ::safetensors::tensor::{Dtype as Stored, Metadata};

use super::{Dtype, Raw};
use crate::error::Error;

/// The longest header the format allows.
const HEADER: u64 = 100_000_000;

/// All tensors of the file, the `number`th of its checkpoint.
pub(super) fn tensors(path: &Path, file: &mut File, number: usize) -> Result<Vec<Raw>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let bytes = file.metadata().map_err(|e| Error::io(path, "cannot read", e))?.len();
    if bytes < 8 {
        return Err(wrong(format!("is no safetensors file: {bytes} bytes, expected at least 8")));
    }
    let mut length = [0u8; 8];
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(path, "cannot seek", e))?;
    file.read_exact(&mut length).map_err(|e| Error::io(path, "cannot read", e))?;
    let length = u64::from_le_bytes(length);
    if length > bytes - 8 || length > HEADER {
        return Err(wrong(format!(
            "is no safetensors file, or a truncated one: its header should have {length} bytes, {} follow",
            bytes - 8
        )));
    }
    let mut header = vec![0u8; length as usize];
    file.read_exact(&mut header).map_err(|e| Error::io(path, "cannot read", e))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|e| wrong(format!("the safetensors header is not what it must be: {e}")))?;
    let (values, expected) = (bytes - 8 - length, metadata.data_len() as u64);
    if values != expected {
        let state = if values < expected { "truncated" } else { "too long" };
        return Err(wrong(format!("is {state}: {values} bytes of values, the header says {expected}")));
    }
    let mut found: Vec<Raw> = metadata
        .tensors()
        .into_iter()
        .map(|(original, info)| Raw {
            original,
            file: number,
            offset: 8 + length + info.data_offsets.0 as u64,
            dtype: dtype(info.dtype),
            shape: info.shape.clone(),
            strides: None,
        })
        .collect();
    found.sort_by(|a, b| a.original.cmp(&b.original));
    Ok(found)
}

fn dtype(stored: Stored) -> Dtype {
    match stored {
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::Bf16,
        Stored::F32 => Dtype::F32,
        Stored::F64 => Dtype::F64,
        other => Dtype::Other(format!("{other:?}")),
    }
}
