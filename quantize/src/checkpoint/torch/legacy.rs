//! The format that `torch.save` wrote before PyTorch 1.6, and still writes with `_use_new_zipfile_serialization=False`, as the
//! scripts of mmcv do that publish checkpoints.
//!
//! Five pickles follow each other: a magic number, a protocol version, facts of the system, the object, and the names of its
//! storages. Then come the storages in the order of these names: the number of elements in eight bytes, and the elements.
//!
//! Source: PyTorch, `torch/serialization.py` (`_legacy_save`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::archive::locate_all;
use super::pickle::{self, LegacyPickles};
use super::span::Span;
use crate::checkpoint::limits::MAX_PICKLE;
use crate::checkpoint::tensor::StoredTensor;
use crate::error::Error;

/// The pickle of the magic number 0x1950a86a20f9469cfc6c.
pub(in crate::checkpoint) const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// All tensors, sorted by name, of a file of `length` bytes; the parameters are those of [`super::tensors`].
pub(in crate::checkpoint) fn tensors(
    path: &Path,
    file: &mut File,
    length: u64,
    (index, key): (usize, Option<&str>),
) -> Result<Vec<StoredTensor>, Error> {
    let mut start = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(MAX_PICKLE).read_to_end(&mut start));
    read.map_err(|e| Error::io(path, "cannot read", e))?;
    let wrong = |what: String| Error::new(path, what);
    let pickles = pickle::legacy(&start, MAGIC, key).map_err(wrong)?;
    let spans = storages(file, length, &pickles).map_err(wrong)?;
    let span = |key: &str| spans.get(key).copied().ok_or_else(|| format!("its storage {key} is missing"));
    locate_all(pickles.tensors, span, (index, length)).map_err(wrong)
}

/// Where the elements of each storage are.
fn storages<'a>(
    file: &mut File,
    length: u64,
    pickles: &LegacyPickles<'a>,
) -> Result<HashMap<&'a str, Span>, String> {
    let mut spans = HashMap::new();
    let mut position = pickles.end as u64;
    for name in &pickles.storages {
        let class =
            pickles.classes.get(name).ok_or_else(|| format!("nothing refers to its storage {name}"))?;
        let size =
            element_size(class).ok_or_else(|| format!("its storage {name} has the unknown type {class}"))?;
        let mut count = [0; 8];
        let read = file.seek(SeekFrom::Start(position)).and_then(|_| file.read_exact(&mut count));
        read.map_err(|e| format!("the length of its storage {name} cannot be read: {e}"))?;
        let start = position + count.len() as u64;
        let bytes = u64::from_le_bytes(count).checked_mul(size);
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|end| *end <= length);
        position = end.ok_or_else(|| format!("its storage {name} extends beyond the end of the file"))?;
        spans.insert(*name, Span { start, bytes: position - start });
    }
    Ok(spans)
}

/// Bytes of an element of a storage.
fn element_size(class: &str) -> Option<u64> {
    Some(match class {
        "BoolStorage" | "ByteStorage" | "CharStorage" => 1,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "FloatStorage" | "IntStorage" => 4,
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}
