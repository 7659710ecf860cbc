//! Safetensors files: an eight-byte header length, a JSON header with type, shape and position of every tensor, the
//! values.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ::safetensors::tensor::{Dtype as FileDtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::limits::{MAX_DIMENSIONS, MAX_HEADER, MAX_NAME, MAX_TENSORS};
use super::tensor::{Dtype, StoredTensor};
use crate::error::Error;
use crate::text::excerpt;

/// All tensors of a file of `length` bytes, sorted by name. `index` is the file's index in its checkpoint.
pub(super) fn tensors(
    path: &Path,
    file: &mut File,
    length: u64,
    index: usize,
) -> Result<Vec<StoredTensor>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let text = read_header(path, file, length)?;
    let header: Header = serde_json::from_slice(&text)
        .map_err(|e| wrong(format!("the safetensors header is malformed: {e}")))?;
    let values_start = 8 + text.len() as u64;
    drop(text);
    let tensors = header.check().map_err(wrong)?;
    let (values, expected) = (length - values_start, described_bytes(&tensors).map_err(wrong)?);
    if values != expected {
        let state = if values < expected { "truncated" } else { "too long" };
        return Err(wrong(format!(
            "is {state}: {values} bytes of values, but the header describes {expected}"
        )));
    }
    let stored = tensors.into_iter().map(|(original, info)| StoredTensor {
        original,
        file: index,
        offset: values_start + info.data_offsets.0 as u64,
        dtype: dtype(info.dtype),
        shape: info.shape,
        strides: None,
    });
    Ok(stored.collect())
}

/// The header's text.
fn read_header(path: &Path, file: &mut File, length: u64) -> Result<Vec<u8>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let unreadable = |e| Error::io(path, "cannot read", e);
    let Some(rest) = length.checked_sub(8) else {
        return Err(wrong(format!("is not a safetensors file: {length} bytes, expected at least 8")));
    };
    let mut header_length = [0u8; 8];
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(path, "cannot seek", e))?;
    file.read_exact(&mut header_length).map_err(unreadable)?;
    let header_length = u64::from_le_bytes(header_length);
    if header_length > rest {
        return Err(wrong(format!(
            "is not a safetensors file, or a truncated one: its header should have {header_length} bytes, but only {rest} \
             follow"
        )));
    }
    if header_length > MAX_HEADER {
        return Err(wrong(format!(
            "its safetensors header has {header_length} bytes; expected at most {MAX_HEADER}"
        )));
    }
    let mut text = vec![0u8; header_length as usize];
    file.read_exact(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// The tensors that a header lists. Its `__metadata__` is skipped.
struct Header {
    /// At most [`MAX_TENSORS`].
    tensors: Vec<(String, TensorInfo)>,
    /// Number of tensors listed.
    count: usize,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from tensor names to type, shape and offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { tensors: Vec::new(), count: 0 };
                while let Some(name) = map.next_key::<String>()? {
                    let skipped = name == "__metadata__";
                    header.count += usize::from(!skipped);
                    if skipped || header.count > MAX_TENSORS {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

impl Header {
    /// The tensors, sorted by name, if their number, names and dimensions are within the limits.
    fn check(mut self) -> Result<Vec<(String, TensorInfo)>, String> {
        if self.count > MAX_TENSORS {
            return Err(format!("describes {} tensors; expected at most {MAX_TENSORS}", self.count));
        }
        for (name, info) in &self.tensors {
            let short = excerpt(name);
            if name.len() > MAX_NAME {
                return Err(format!(
                    "tensor {short}: a name of {} bytes; expected at most {MAX_NAME}",
                    name.len()
                ));
            }
            if info.shape.len() > MAX_DIMENSIONS {
                let found = info.shape.len();
                return Err(format!("tensor {short}: {found} dimensions; expected at most {MAX_DIMENSIONS}"));
            }
        }
        self.tensors.sort_by(|a, b| a.0.cmp(&b.0));
        match self.tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("describes tensor {} twice", pair[0].0)),
            None => Ok(self.tensors),
        }
    }
}

/// Number of bytes of values that the tensors describe. Checks that each has as many as its shape and type say, and that they
/// follow each other without gaps and without overlapping.
fn described_bytes(tensors: &[(String, TensorInfo)]) -> Result<u64, String> {
    let mut sorted = tensors.to_vec();
    sorted.sort_by_key(|(_, info)| info.data_offsets);
    let metadata =
        Metadata::new(None, sorted).map_err(|e| format!("the safetensors header is malformed: {e}"))?;
    Ok(metadata.data_len() as u64)
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
