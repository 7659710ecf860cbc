//! What `torch.save` writes: an uncompressed zip archive with a pickle that describes the tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::{Dtype, Raw, pickle};
use crate::error::Error;

/// The longest pickle that is read; that of the large model with its optimizer's state has less than one.
const LONGEST: u64 = 64 << 20;
/// The most elements a tensor may have.
const ELEMENTS: usize = 1 << 28;

/// Where an archive's entry is.
#[derive(Clone, Copy)]
struct Place {
    start: u64,
    bytes: u64,
}

/// All tensors of the file, the `number`th of its checkpoint.
pub(super) fn tensors(path: &Path, file: &mut File, number: usize) -> Result<Vec<Raw>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let length = file.metadata().map_err(|e| Error::io(path, "cannot read", e))?.len();
    let mut archive = ZipArchive::new(BufReader::new(&*file))
        .map_err(|e| wrong(format!("is no zip archive as torch.save writes, or a truncated one: {e}")))?;
    let root = root(&archive).ok_or_else(|| {
        wrong("is a zip archive without data.pkl; expected what torch.save writes of a state dict".into())
    })?;
    let order = format!("{root}byteorder");
    if archive.index_for_name(&order).is_some() && read(&mut archive, &order, 16).map_err(wrong)? != b"little"
    {
        return Err(wrong("was saved on a big-endian machine, which is not supported".into()));
    }
    let text = read(&mut archive, &format!("{root}data.pkl"), LONGEST).map_err(wrong)?;
    let mut places: HashMap<String, Place> = HashMap::new();
    let mut found = Vec::new();
    for tensor in pickle::state_dict(&text).map_err(wrong)? {
        let fault = |what: String| wrong(format!("tensor {}: {what}", tensor.name));
        let place = match places.get(&tensor.key) {
            Some(place) => *place,
            None => {
                let place = place(&mut archive, &format!("{root}data/{}", tensor.key)).map_err(fault)?;
                if place.start.checked_add(place.bytes).is_none_or(|end| end > length) {
                    return Err(fault("its values go beyond the end of the file".into()));
                }
                places.insert(tensor.key.clone(), place);
                place
            }
        };
        let dtype = dtype(&tensor.class);
        let size = dtype.size().unwrap_or(1) as u64;
        let elements = tensor.shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
        if elements.is_none_or(|elements| elements > ELEMENTS) {
            return Err(fault(format!("shape {:?} is too large", tensor.shape)));
        }
        let end = end(&tensor).and_then(|end| end.checked_mul(size));
        if end.is_none_or(|end| end > place.bytes) {
            return Err(fault(format!(
                "shape {:?} with strides {:?} from element {} goes beyond its storage of {} bytes",
                tensor.shape, tensor.strides, tensor.offset, place.bytes
            )));
        }
        let plain = row_major(&tensor.shape, &tensor.strides);
        found.push(Raw {
            original: tensor.name,
            file: number,
            offset: place.start + tensor.offset * size,
            dtype,
            shape: tensor.shape,
            strides: if plain { None } else { Some(tensor.strides) },
        });
    }
    Ok(found)
}

/// The folder in the archive that holds `data.pkl`, with its slash.
fn root<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<String> {
    let names = archive.file_names().filter_map(Result::ok);
    names.filter_map(|name| name.strip_suffix("data.pkl").map(str::to_string)).find(|root| {
        root.is_empty() || (root.ends_with('/') && root.bytes().filter(|byte| *byte == b'/').count() == 1)
    })
}

/// Finds an entry, which must be stored as it is.
fn place<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> Result<Place, String> {
    let entry = archive.by_name(name).map_err(|e| format!("{name} in the archive: {e}"))?;
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err(format!("{name} in the archive is compressed; save it again with torch.save"));
    }
    let start = entry.data_start().ok_or_else(|| format!("{name} in the archive has no place"))?;
    Ok(Place { start, bytes: entry.size() })
}

fn read<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    place(archive, name)?;
    let mut entry = archive.by_name(name).map_err(|e| format!("{name} in the archive: {e}"))?;
    if entry.size() > most {
        return Err(format!("{name} in the archive has {} bytes; expected at most {most}", entry.size()));
    }
    let mut content = Vec::new();
    (&mut entry).take(most).read_to_end(&mut content).map_err(|e| format!("{name} in the archive: {e}"))?;
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

/// One past the last element of the storage that the tensor has; 0 if it is empty.
fn end(tensor: &pickle::Described) -> Option<u64> {
    if tensor.shape.contains(&0) {
        // Nothing is read, but the place must still be one.
        return Some(tensor.offset);
    }
    let mut end = tensor.offset.checked_add(1)?;
    for (n, stride) in tensor.shape.iter().zip(&tensor.strides) {
        end = end.checked_add(((n - 1) as u64).checked_mul(*stride as u64)?)?;
    }
    Some(end)
}

/// Whether the elements lie one after the other; along dimensions of one element a stride means nothing.
fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    for (n, stride) in shape.iter().zip(strides).rev() {
        if *n != 1 && *stride != expected {
            return false;
        }
        expected = expected.saturating_mul(*n);
    }
    true
}
