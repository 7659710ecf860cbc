//! Opening a checkpoint: from a path to weight files, from weight files to named tensors.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::limits::MAX_FILE;
use super::names::{self, NameKind};
use super::reader::{Checkpoint, OpenFile};
use super::tensor::StoredTensor;
use super::{safetensors, shards, torch};
use crate::error::Error;
use crate::regular_file;
use crate::text::printable;

/// Names of a folder's weight file, in order of preference.
const WEIGHT_FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

impl Checkpoint {
    /// [`Checkpoint::open_with`] without a key.
    ///
    /// # Errors
    /// As [`Checkpoint::open_with`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn open(path: &Path) -> Result<Checkpoint, Error> {
        Checkpoint::open_with(path, None)
    }

    /// Opens a transformers folder, one of its weight files or indices, or a `.pth`, `.pt`, `.bin` or `.safetensors`
    /// file. Only headers are read. `key` names the state dict in a `torch.save` file; the usual names are tried without it.
    ///
    /// # Errors
    /// There is no such file, a file is not a checkpoint or is damaged, it has no state dict under this key, or a tensor's name is
    /// unknown.
    pub fn open_with(path: &Path, key: Option<&str>) -> Result<Checkpoint, Error> {
        let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot open", e))?;
        let main = if metadata.is_dir() { weight_file_in(path)? } else { path.to_path_buf() };
        let parent = match main.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let mut files = Vec::new();
        let stored = if main.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            open_shards(&main, &parent, key, &mut files)?
        } else {
            open_file(&main, key, &mut files)?
        };
        let folder = Some(parent).filter(|parent| parent.join("config.json").exists());
        assemble(main, folder, files, stored)
    }
}

fn weight_file_in(folder: &Path) -> Result<PathBuf, Error> {
    WEIGHT_FILES.iter().map(|name| folder.join(name)).find(|path| path.exists()).ok_or_else(|| {
        let found = OTHER_FILES.iter().find(|(name, _)| has_file(folder, name));
        let found = found.map_or("", |(_, what)| what);
        Error::new(folder, format!("holds no checkpoint{found}; expected {}", WEIGHT_FILES.join(" or ")))
    })
}

/// Other files of a folder by the start of their names, and what they are.
const OTHER_FILES: [(&str, &str); 5] = [
    ("model-0", " but shards without their index (model.safetensors.index.json)"),
    ("pytorch_model-0", " but shards without their index (pytorch_model.bin.index.json)"),
    ("adapter_", " but an adapter; merge it into its model first"),
    ("flax_model", " but weights of Flax; load them with from_flax=True and save the model"),
    ("tf_model", " but weights of TensorFlow; load them with from_tf=True and save the model"),
];

fn has_file(folder: &Path, start: &str) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with(start))
}

/// Opens every file of a sharded checkpoint. Returns the tensors that the index lists.
fn open_shards(
    index: &Path,
    folder: &Path,
    key: Option<&str>,
    files: &mut Vec<OpenFile>,
) -> Result<Vec<StoredTensor>, Error> {
    let mut stored = Vec::new();
    for (name, wanted) in shards::read_index(index)? {
        let shard = folder.join(&name);
        if !shard.exists() {
            return Err(Error::new(index, format!("names the file {name}, which is missing")));
        }
        let available = open_file(&shard, key, files)?;
        for tensor in wanted {
            let found = available.binary_search_by(|other| other.original.cmp(&tensor)).map_err(|_| {
                Error::new(index, format!("says that {name} holds {tensor}, but it does not"))
            })?;
            stored.push(available[found].clone());
        }
    }
    Ok(stored)
}

/// Opens one weight file, whose format is recognised by its first bytes, and adds it to `files`. Returns its tensors,
/// sorted by name.
fn open_file(path: &Path, key: Option<&str>, files: &mut Vec<OpenFile>) -> Result<Vec<StoredTensor>, Error> {
    let (mut file, length) = regular_file::open(path)?;
    if length > MAX_FILE {
        return Err(Error::new(path, format!("has {length} bytes; expected at most {MAX_FILE}")));
    }
    let mut start = Vec::new();
    (&mut file)
        .take(torch::legacy::MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(|e| Error::io(path, "cannot read", e))?;
    file.seek(SeekFrom::Start(0)).map_err(|e| Error::io(path, "cannot seek", e))?;
    let named_safetensors = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    let stored = if start.starts_with(b"PK") {
        torch::tensors(path, &file, length, (files.len(), key))?
    } else if start == torch::legacy::MAGIC {
        torch::legacy::tensors(path, &mut file, length, (files.len(), key))?
    } else if start.starts_with(b"version h") {
        return Err(Error::new(
            path,
            "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`, or download it again",
        ));
    } else if key.is_some() {
        return Err(Error::new(path, "is not a file of torch.save, so that --key does not apply"));
    } else if named_safetensors || start.get(8) == Some(&b'{') {
        safetensors::tensors(path, &mut file, length, files.len())?
    } else {
        return Err(Error::new(
            path,
            "is not a checkpoint; expected a safetensors file or the output of torch.save",
        ));
    };
    files.push(OpenFile { path: path.to_path_buf(), file: Mutex::new(file) });
    Ok(stored)
}

/// Gives every tensor its canonical name.
fn assemble(
    main: PathBuf,
    folder: Option<PathBuf>,
    files: Vec<OpenFile>,
    stored: Vec<StoredTensor>,
) -> Result<Checkpoint, Error> {
    let mut tensors = BTreeMap::new();
    let mut ignored = Vec::new();
    let mut foreign = Vec::new();
    let mut unknown = Vec::new();
    let scheme = names::scheme(stored.iter().map(|tensor| tensor.original.as_str()));
    let masked_norm = masked_image_norm(&stored);
    if let Some(what) = stored.iter().find_map(|tensor| names::other_model(&tensor.original)) {
        return Err(Error::new(&main, format!("is {what}; expected a BEiT model")));
    }
    for tensor in stored {
        let path = files.get(tensor.file).map_or(&main, |file| &file.path);
        match names::classify(&tensor.original) {
            NameKind::Canonical(_) if masked_norm.is_some_and(|start| is_part(&tensor, start)) => {
                ignored.push(printable(&tensor.original));
            }
            NameKind::Canonical(name) => insert(&mut tensors, path, name, tensor)?,
            NameKind::FusedQkv(block) => {
                for (name, part) in split_qkv(path, block, tensor)? {
                    insert(&mut tensors, path, name, part)?;
                }
            }
            NameKind::Ignored => ignored.push(printable(&tensor.original)),
            NameKind::Foreign => foreign.push(printable(&tensor.original)),
            NameKind::Unknown => unknown.push(tensor.original),
        }
    }
    if let Some(first) = unknown.first() {
        let more = if unknown.len() > 1 { format!(" and {} more", unknown.len() - 1) } else { String::new() };
        return Err(Error::new(&main, format!("tensor {first}{more}: not part of a BEiT model")));
    }
    let Some(scheme) = scheme else {
        return Err(Error::new(&main, "holds no transformer blocks; expected a BEiT model"));
    };
    let mut notes = Vec::new();
    if let Some(first) = foreign.first() {
        let more = if foreign.len() > 1 { format!(" and {} more", foreign.len() - 1) } else { String::new() };
        notes.push(format!("tensor {first}{more}: left out, not part of the model"));
    }
    ignored.append(&mut foreign);
    ignored.sort();
    Ok(Checkpoint { folder, main, scheme, files, tensors, ignored, notes })
}

/// How the names of the LayerNorm before the head for masked images begin, if the backbone ends with a LayerNorm of its own: then it
/// is a part of that head.
fn masked_image_norm(stored: &[StoredTensor]) -> Option<&'static str> {
    let has = |start: &str| stored.iter().any(|tensor| is_part(tensor, start));
    (has("beit.layernorm.") && has("layernorm.")).then_some("layernorm.")
}

/// Whether the model's own name of a tensor begins with `start`.
fn is_part(tensor: &StoredTensor, start: &str) -> bool {
    names::without_wrappers(&tensor.original).starts_with(start)
}

fn insert(
    tensors: &mut BTreeMap<String, StoredTensor>,
    path: &Path,
    name: String,
    tensor: StoredTensor,
) -> Result<(), Error> {
    if tensor.dtype.size().is_none() {
        let StoredTensor { original, dtype, .. } = tensor;
        let what = format!("tensor {original}: type {dtype:?}; expected F32, F16, BF16 or F64");
        return Err(Error::new(path, what));
    }
    match tensors.entry(name) {
        Entry::Occupied(other) => {
            let (one, two) = (&other.get().original, &tensor.original);
            Err(Error::new(path, format!("tensors {one} and {two} are the same tensor of the model")))
        }
        Entry::Vacant(place) => {
            place.insert(tensor);
            Ok(())
        }
    }
}

/// The query, key and value matrices of a fused projection `[3 x hidden, hidden]`.
fn split_qkv(path: &Path, block: usize, fused: StoredTensor) -> Result<Vec<(String, StoredTensor)>, Error> {
    let wrong = || {
        Error::new(
            path,
            format!("tensor {}: shape {:?}; expected [3 x hidden, hidden]", fused.original, fused.shape),
        )
    };
    let &[rows, columns] = fused.shape.as_slice() else { return Err(wrong()) };
    if rows % 3 != 0 {
        return Err(wrong());
    }
    let size = fused.dtype.size().unwrap_or(1);
    let row_stride = fused.strides.as_ref().and_then(|strides| strides.first().copied()).unwrap_or(columns);
    // The stride of an empty tensor may be any number, but nothing is read of it.
    let part_bytes =
        [rows / 3, row_stride, size].into_iter().fold(1u64, |n, factor| n.saturating_mul(factor as u64));
    let part = |index: u64, name: &str| {
        let offset = fused.offset.saturating_add(part_bytes.saturating_mul(index));
        let shape = vec![rows / 3, columns];
        (format!("blocks.{block}.{name}.weight"), StoredTensor { offset, shape, ..fused.clone() })
    };
    Ok(vec![part(0, "q"), part(1, "k"), part(2, "v")])
}
