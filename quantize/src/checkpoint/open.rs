//! From a path to an opened checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Checkpoint, Opened, Raw, index, safetensors, torch};
use crate::error::Error;
use crate::names::{self, Meaning};

/// What a folder's weights may be called, best first.
const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

pub(super) fn open(path: &Path) -> Result<Checkpoint, Error> {
    let about = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot open", e))?;
    let main = if about.is_dir() { weights_in(path)? } else { path.to_path_buf() };
    let parent = match main.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut files = Vec::new();
    let mut found = Vec::new();
    if main.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        for (name, wanted) in index::shards(&main)? {
            let shard = parent.join(&name);
            if !shard.is_file() {
                return Err(Error::new(&main, format!("names the file {name}, which is missing")));
            }
            let mut held: HashMap<String, Raw> =
                one_file(&shard, &mut files)?.into_iter().map(|raw| (raw.original.clone(), raw)).collect();
            for tensor in wanted {
                match held.remove(&tensor) {
                    Some(raw) => found.push(raw),
                    None => {
                        return Err(Error::new(
                            &main,
                            format!("says that {name} holds {tensor}; it does not"),
                        ));
                    }
                }
            }
        }
    } else {
        found = one_file(&main, &mut files)?;
    }
    build(main, Some(parent).filter(|parent| parent.join("config.json").is_file()), files, found)
}

fn weights_in(folder: &Path) -> Result<PathBuf, Error> {
    NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::new(folder, format!("holds no checkpoint; expected {}", NAMES.join(" or "))))
}

/// Opens one file with weights and lists what it holds.
fn one_file(path: &Path, files: &mut Vec<Opened>) -> Result<Vec<Raw>, Error> {
    let mut file = File::open(path).map_err(|e| Error::io(path, "cannot open", e))?;
    let mut start = Vec::new();
    (&mut file).take(9).read_to_end(&mut start).map_err(|e| Error::io(path, "cannot read", e))?;
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(path, "cannot seek", e))?;
    let named = |ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    let found = if start.starts_with(b"PK") {
        torch::tensors(path, &mut file, files.len())?
    } else if named("safetensors") || start.get(8) == Some(&b'{') {
        safetensors::tensors(path, &mut file, files.len())?
    } else if start.first() == Some(&0x80) {
        return Err(Error::new(
            path,
            "is in PyTorch's format from before 1.6; load it with torch.load and save it again with torch.save",
        ));
    } else {
        return Err(Error::new(
            path,
            "is no checkpoint; expected a safetensors file or what torch.save writes",
        ));
    };
    files.push(Opened { path: path.to_path_buf(), file: Mutex::new(file) });
    Ok(found)
}

/// Names every tensor, or says which one has no place.
fn build(
    main: PathBuf,
    folder: Option<PathBuf>,
    files: Vec<Opened>,
    found: Vec<Raw>,
) -> Result<Checkpoint, Error> {
    let mut tensors = BTreeMap::new();
    let mut ignored = Vec::new();
    let mut unknown = Vec::new();
    let scheme = names::scheme(found.iter().map(|raw| raw.original.as_str()));
    for raw in found {
        let path = files.get(raw.file).map_or(&main, |opened| &opened.path);
        let named = match names::meaning(&raw.original) {
            Meaning::Tensor(name) => vec![(name, raw)],
            Meaning::Fused(block) => split(path, block, raw)?,
            Meaning::Ignored => {
                ignored.push(raw.original);
                continue;
            }
            Meaning::Unknown => {
                unknown.push(raw.original);
                continue;
            }
        };
        for (name, raw) in named {
            if raw.dtype.size().is_none() {
                return Err(Error::new(
                    path,
                    format!("tensor {}: type {:?}; expected F32, F16, BF16 or F64", raw.original, raw.dtype),
                ));
            }
            let original = raw.original.clone();
            if let Some(other) = tensors.insert(name, raw) {
                return Err(Error::new(
                    path,
                    format!("tensors {} and {original} are the same", other.original),
                ));
            }
        }
    }
    if let Some(first) = unknown.first() {
        let more = if unknown.len() > 1 { format!(" and {} more", unknown.len() - 1) } else { String::new() };
        return Err(Error::new(
            &main,
            format!("tensor {first}{more}: not part of a BEiT segmentation model with a UPerNet head"),
        ));
    }
    let Some(scheme) = scheme else {
        return Err(Error::new(&main, "holds no transformer blocks; expected a BEiT segmentation model"));
    };
    ignored.sort();
    Ok(Checkpoint { folder, main, scheme, files, tensors, ignored })
}

/// The three tensors of a fused query, key and value.
fn split(path: &Path, block: usize, raw: Raw) -> Result<Vec<(String, Raw)>, Error> {
    let wrong = || {
        Error::new(
            path,
            format!("tensor {}: shape {:?}; expected [3 x hidden, hidden]", raw.original, raw.shape),
        )
    };
    let &[rows, columns] = raw.shape.as_slice() else { return Err(wrong()) };
    if rows % 3 != 0 {
        return Err(wrong());
    }
    let size = raw.dtype.size().unwrap_or(1);
    let row = raw.strides.as_ref().and_then(|strides| strides.first().copied()).unwrap_or(columns);
    let part = |number: usize, name: &str| {
        let offset = raw.offset + (number * (rows / 3) * row * size) as u64;
        let shape = vec![rows / 3, columns];
        (format!("blocks.{block}.{name}.weight"), Raw { offset, shape, ..raw.clone() })
    };
    Ok(vec![part(0, "q"), part(1, "k"), part(2, "v")])
}
