//! The archive that `torch.save` writes: finds each tensor's values among its entries.

use std::fs::File;
use std::path::Path;

use super::pickle::{self, DescribedTensor};
use super::span::Span;
use super::zip::Archive;
use crate::checkpoint::limits::{MAX_ELEMENTS, MAX_PICKLE, MAX_SHARING, MAX_SPREAD};
use crate::checkpoint::tensor::{Dtype, StoredTensor};
use crate::error::Error;

/// All tensors, sorted by name, of a file of `length` bytes. `index` is the file's index in its checkpoint, `key` that of the state
/// dict if it is not one of the usual ones.
pub(in crate::checkpoint) fn tensors(
    path: &Path,
    file: &File,
    length: u64,
    (index, key): (usize, Option<&str>),
) -> Result<Vec<StoredTensor>, Error> {
    find(file, length, index, key).map_err(|what| Error::new(path, what))
}

fn find(file: &File, length: u64, index: usize, key: Option<&str>) -> Result<Vec<StoredTensor>, String> {
    let archive = Archive::open(file, length)?;
    let root = root(&archive)?;
    let order = format!("{root}byteorder");
    if archive.contains(&order) && archive.read(&order, 16)? != b"little" {
        return Err("was saved on a big-endian machine, which is not supported".into());
    }
    let described = pickle::state_dict(&archive.read(&format!("{root}data.pkl"), MAX_PICKLE)?, key)?;
    locate_all(described, |key| archive.span(&format!("{root}data/{key}")), (index, length))
}

/// The positions of all tensors in file number `index` of the checkpoint, of `length` bytes, given the span of each storage.
pub(super) fn locate_all(
    described: Vec<DescribedTensor>,
    span: impl Fn(&str) -> Result<Span, String>,
    (index, length): (usize, u64),
) -> Result<Vec<StoredTensor>, String> {
    let mut found = Vec::with_capacity(described.len());
    let mut total = 0u64;
    for tensor in described {
        let name = tensor.name.clone();
        let stored = span(&tensor.key)
            .and_then(|span| locate(tensor, span, index))
            .map_err(|what| format!("tensor {name}: {what}"))?;
        total = total.saturating_add(stored.bytes());
        found.push(stored);
    }
    // Tensors may share storages, but this bounds what a small file can make the converter read.
    if total > MAX_SHARING.saturating_mul(length) {
        return Err(format!(
            "its tensors overlap: together they have {total} bytes; expected at most {MAX_SHARING} times the {length} bytes \
             of the file"
        ));
    }
    Ok(found)
}

/// Position of a tensor in the file, given the span of its storage. Checks that the storage holds all of its elements.
fn locate(tensor: DescribedTensor, storage: Span, file: usize) -> Result<StoredTensor, String> {
    let DescribedTensor { name: original, class, offset, shape, strides, .. } = tensor;
    let dtype = dtype(&class);
    let size = dtype.size().unwrap_or(1) as u64;
    let elements = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    let elements = elements
        .filter(|elements| *elements <= MAX_ELEMENTS)
        .ok_or_else(|| format!("shape {shape:?} is too large; expected at most {MAX_ELEMENTS} elements"))?;
    let span = span(&shape, &strides);
    let end = span.and_then(|span| span.checked_add(offset)).and_then(|end| end.checked_mul(size));
    if end.is_none_or(|end| end > storage.bytes) {
        return Err(format!(
            "shape {shape:?} with strides {strides:?} from element {offset} goes beyond its storage of {} bytes",
            storage.bytes
        ));
    }
    if span.is_none_or(|span| span > MAX_SPREAD * elements as u64) {
        return Err(format!(
            "shape {shape:?} with strides {strides:?} takes up more than {MAX_SPREAD} times as many elements of its \
             storage as it has"
        ));
    }
    let contiguous = is_row_major(&shape, &strides);
    let offset = storage.start + offset * size;
    Ok(StoredTensor { original, file, offset, dtype, shape, strides: (!contiguous).then_some(strides) })
}

/// The folder of the archive that holds `data.pkl`, with its trailing slash; empty for the archive's root.
fn root(archive: &Archive) -> Result<String, String> {
    let mut roots = archive.names().filter_map(|name| name.strip_suffix("data.pkl")).filter(|root| {
        root.is_empty() || (root.ends_with('/') && root.bytes().filter(|byte| *byte == b'/').count() == 1)
    });
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root.to_string()),
        (None, _) => {
            Err("is a zip archive without data.pkl; expected a state dict written by torch.save".into())
        }
        (Some(_), Some(_)) => Err("is a zip archive with several data.pkl; expected one".into()),
    }
}

fn dtype(class: &str) -> Dtype {
    match class {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::Bf16,
        "DoubleStorage" => Dtype::F64,
        other => Dtype::Other(other.to_string()),
    }
}

/// Number of elements of the storage from the tensor's first element to its last; `None` on overflow.
fn span(shape: &[usize], strides: &[usize]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(1u64, |span, (n, stride)| span.checked_add(((n - 1) as u64).checked_mul(*stride as u64)?))
}

/// Whether the elements are contiguous in row-major order. Strides of dimensions of size 1 do not matter.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    for (n, stride) in shape.iter().zip(strides).rev() {
        if *n != 1 && *stride != expected {
            return false;
        }
        expected = expected.saturating_mul(*n);
    }
    true
}
