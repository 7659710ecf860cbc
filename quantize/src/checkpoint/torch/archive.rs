//! The zip archive that `torch.save` writes: finds each tensor's values among its entries.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, DescribedTensor};
use crate::checkpoint::tensor::{Dtype, StoredTensor};
use crate::error::Error;

/// Upper bound on the pickle's length in bytes. That of the large model with its optimizer state is below 1 MB.
const MAX_PICKLE: u64 = 64 << 20;
/// Upper bound on a tensor's number of elements.
const MAX_ELEMENTS: usize = 1 << 28;

/// Bytes of the file that an uncompressed entry occupies.
#[derive(Clone, Copy)]
struct EntrySpan {
    start: u64,
    bytes: u64,
}

/// All tensors of a file. `index` is the file's index in its checkpoint.
pub(in crate::checkpoint) fn tensors(
    path: &Path,
    file: &mut File,
    index: usize,
) -> Result<Vec<StoredTensor>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let length = file.metadata().map_err(|e| Error::io(path, "cannot read", e))?.len();
    let mut archive = ZipArchive::new(BufReader::new(&*file))
        .map_err(|e| wrong(format!("is not a zip archive written by torch.save, or a truncated one: {e}")))?;
    let root = root(&archive).ok_or_else(|| {
        wrong("is a zip archive without data.pkl; expected a state dict written by torch.save".into())
    })?;
    let order = format!("{root}byteorder");
    if archive.index_for_name(&order).is_some()
        && read_entry(&mut archive, &order, 16).map_err(wrong)? != b"little"
    {
        return Err(wrong("was saved on a big-endian machine, which is not supported".into()));
    }
    let text = read_entry(&mut archive, &format!("{root}data.pkl"), MAX_PICKLE).map_err(wrong)?;
    // Tensors may share a storage.
    let mut spans: HashMap<String, EntrySpan> = HashMap::new();
    let mut found = Vec::new();
    for tensor in pickle::state_dict(&text).map_err(wrong)? {
        let fault = |what: String| wrong(format!("tensor {}: {what}", tensor.name));
        let span = match spans.get(&tensor.key) {
            Some(span) => *span,
            None => {
                let span = entry_span(&mut archive, &format!("{root}data/{}", tensor.key)).map_err(fault)?;
                if span.start.checked_add(span.bytes).is_none_or(|end| end > length) {
                    return Err(fault("its values extend beyond the end of the file".into()));
                }
                spans.insert(tensor.key.clone(), span);
                span
            }
        };
        found.push(locate(&tensor, span, index).map_err(fault)?);
    }
    Ok(found)
}

/// Position of a tensor in the file, given the span of its storage. Checks that the storage holds all of its elements.
fn locate(tensor: &DescribedTensor, storage: EntrySpan, file: usize) -> Result<StoredTensor, String> {
    let dtype = dtype(&tensor.class);
    let size = dtype.size().unwrap_or(1) as u64;
    let elements = tensor.shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
        return Err(format!("shape {:?} is too large", tensor.shape));
    }
    let end = end(tensor).and_then(|end| end.checked_mul(size));
    if end.is_none_or(|end| end > storage.bytes) {
        return Err(format!(
            "shape {:?} with strides {:?} from element {} goes beyond its storage of {} bytes",
            tensor.shape, tensor.strides, tensor.offset, storage.bytes
        ));
    }
    let contiguous = is_row_major(&tensor.shape, &tensor.strides);
    Ok(StoredTensor {
        original: tensor.name.clone(),
        file,
        offset: storage.start + tensor.offset * size,
        dtype,
        shape: tensor.shape.clone(),
        strides: (!contiguous).then(|| tensor.strides.clone()),
    })
}

/// The folder of the archive that holds `data.pkl`, with its trailing slash; empty for the archive's root.
fn root<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<String> {
    let names = archive.file_names().filter_map(Result::ok);
    names.filter_map(|name| name.strip_suffix("data.pkl").map(str::to_string)).find(|root| {
        root.is_empty() || (root.ends_with('/') && root.bytes().filter(|byte| *byte == b'/').count() == 1)
    })
}

/// The span of an entry, which must be neither compressed nor encrypted.
fn entry_span<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> Result<EntrySpan, String> {
    let entry = archive.by_name(name).map_err(|e| format!("{name} in the archive: {e}"))?;
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err(format!("{name} in the archive is compressed; save it again with torch.save"));
    }
    let start = entry.data_start().ok_or_else(|| format!("{name} in the archive has no position"))?;
    Ok(EntrySpan { start, bytes: entry.size() })
}

/// The content of an entry of at most `limit` bytes.
fn read_entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    entry_span(archive, name)?;
    let mut entry = archive.by_name(name).map_err(|e| format!("{name} in the archive: {e}"))?;
    if entry.size() > limit {
        return Err(format!("{name} in the archive has {} bytes; expected at most {limit}", entry.size()));
    }
    let mut content = Vec::new();
    (&mut entry).take(limit).read_to_end(&mut content).map_err(|e| format!("{name} in the archive: {e}"))?;
    Ok(content)
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

/// One past the tensor's last element in its storage; `None` on overflow.
fn end(tensor: &DescribedTensor) -> Option<u64> {
    if tensor.shape.contains(&0) {
        // An empty tensor reads nothing, but its offset must still lie in the storage.
        return Some(tensor.offset);
    }
    let mut end = tensor.offset.checked_add(1)?;
    for (n, stride) in tensor.shape.iter().zip(&tensor.strides) {
        end = end.checked_add(((n - 1) as u64).checked_mul(*stride as u64)?)?;
    }
    Some(end)
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
