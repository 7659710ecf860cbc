//! An opened checkpoint: looks tensors up by canonical name and reads their values.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use beitle::file::format::Task;

use super::names::{self, Scheme};
use super::tensor::StoredTensor;
use crate::error::Error;
use crate::text::printable;

/// One of the checkpoint's weight files.
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    /// Locked while a tensor is read: reading moves the file's position.
    pub(super) file: Mutex<File>,
}

/// An opened checkpoint: its files and the location of each tensor.
pub struct Checkpoint {
    pub(super) folder: Option<PathBuf>,
    pub(super) main: PathBuf,
    pub(super) scheme: Scheme,
    pub(super) files: Vec<OpenFile>,
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    pub(super) ignored: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("main", &self.main)
            .field("scheme", &self.scheme)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// The transformers folder the checkpoint lies in; `None` if its folder has no `config.json`.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The file that identifies the checkpoint: its only weight file, or the index of a sharded checkpoint.
    pub fn main_file(&self) -> &Path {
        &self.main
    }

    /// The weight files, the index of a sharded checkpoint first, then its shards by name.
    pub fn weight_paths(&self) -> Vec<PathBuf> {
        let mut shards: Vec<_> = self.files.iter().map(|file| file.path.clone()).collect();
        shards.retain(|path| *path != self.main);
        shards.sort();
        [vec![self.main.clone()], shards].concat()
    }

    /// All files that the checkpoint consists of.
    pub fn paths(&self) -> Vec<PathBuf> {
        let config =
            self.folder.iter().flat_map(|f| ["config.json", "preprocessor_config.json"].map(|n| f.join(n)));
        self.files.iter().map(|file| file.path.clone()).chain([self.main.clone()]).chain(config).collect()
    }

    /// The naming scheme of the checkpoint's tensors.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The shape of a tensor; `None` if the checkpoint does not have it.
    pub fn shape(&self, canonical: &str) -> Option<&[usize]> {
        self.tensors.get(canonical).map(|tensor| tensor.shape.as_slice())
    }

    /// The canonical names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What a model with these tensors computes.
    pub fn task(&self) -> Task {
        if self.tensors.contains_key("fpn_bottleneck.conv.weight")
            || self.tensors.contains_key("psp.0.conv.weight")
        {
            return Task::Segmentation;
        }
        match self.shape("classifier.weight") {
            Some(&[_, _]) => Task::Classification,
            Some(_) => Task::Segmentation,
            None => Task::Features,
        }
    }

    /// The original names of the tensors that the engine does not need for this task, sorted.
    pub fn ignored(&self, task: Task) -> Vec<String> {
        let unused = self.tensors.iter().filter(|(name, _)| !is_used(name, task));
        let mut all: Vec<_> = unused
            .map(|(_, tensor)| printable(&tensor.original))
            .chain(self.ignored.iter().cloned())
            .collect();
        all.sort();
        all
    }

    /// A note about a head that this task does not need, if there is one.
    pub fn unused_head(&self, task: Task) -> Option<String> {
        let mut unused = self.tensors.iter().filter(|(name, _)| !is_used(name, task) && !is_norm(name));
        let (_, first) = unused.next()?;
        let more = match unused.count() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let first = printable(&first.original);
        Some(format!(
            "tensor {first}{more}: a head that config.json does not name; left out, the model gives {}",
            match task {
                Task::Segmentation => "class maps",
                Task::Classification => "classes",
                Task::Features => "features",
            }
        ))
    }

    /// Whether the checkpoint was pre-trained on masked images: it has the head for that.
    pub fn has_masked_image_head(&self) -> bool {
        self.ignored.iter().any(|name| name.contains("lm_head."))
    }

    /// What the user should know about the checkpoint.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.notes.iter().cloned()
    }

    /// Size of a tensor in the checkpoint, in bytes; 0 if the checkpoint does not have it.
    pub fn source_bytes(&self, canonical: &str) -> u64 {
        self.tensors.get(canonical).map_or(0, StoredTensor::bytes)
    }

    /// The name that this checkpoint would have for a missing tensor: that of a module of the head by the naming scheme, that of a
    /// block's tensor by its namesake in another block. The canonical name if neither is known.
    fn original_name(&self, canonical: &str) -> String {
        if let Some(name) = names::head_module_original(self.scheme, canonical) {
            return name;
        }
        let block = |name: &str| {
            let (number, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
            Some((number.to_owned(), rest.to_owned()))
        };
        let namesake = block(canonical).and_then(|(number, rest)| {
            self.tensors.iter().find_map(|(name, tensor)| {
                let (other, _) = block(name).filter(|(_, other)| *other == rest)?;
                Some(tensor.original.replacen(&format!(".{other}."), &format!(".{number}."), 1))
            })
        });
        namesake.map_or_else(|| canonical.to_owned(), |name| printable(&name))
    }

    /// Reads a tensor as `f32`, row-major.
    ///
    /// # Errors
    /// The tensor is missing, has another shape, cannot be read, or holds a value that is not finite.
    pub fn read(&self, canonical: &str, expected_shape: &[usize]) -> Result<Vec<f32>, Error> {
        let Some(tensor) = self.tensors.get(canonical) else {
            let name = self.original_name(canonical);
            return Err(Error::new(
                &self.main,
                format!("tensor {name} is missing; expected one of shape {expected_shape:?}"),
            ));
        };
        let Some(source) = self.files.get(tensor.file) else {
            return Err(Error::new(&self.main, format!("tensor {}: its file is not open", tensor.original)));
        };
        let fault = |what: String| Error::new(&source.path, format!("tensor {}: {what}", tensor.original));
        if tensor.shape != expected_shape {
            return Err(fault(format!("shape {:?}; expected {expected_shape:?}", tensor.shape)));
        }
        let Some(size) = tensor.dtype.size() else {
            return Err(fault(format!("values of type {:?}; expected floating point", tensor.dtype)));
        };
        let mut file = source.file.lock().unwrap_or_else(PoisonError::into_inner);
        let values =
            tensor.read(&mut file, size).map_err(|e| Error::io(&source.path, "cannot read a tensor", e))?;
        if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(fault(format!("value {index} is {value}; expected finite numbers")));
        }
        Ok(values)
    }
}

/// Whether models of a task need the tensor of this canonical name.
fn is_used(name: &str, task: Task) -> bool {
    let starts = |parts: &[&str]| parts.iter().any(|part| name.starts_with(part));
    match task {
        Task::Segmentation => !is_norm(name),
        Task::Classification => !starts(&NECK_AND_HEAD),
        Task::Features => !starts(&NECK_AND_HEAD) && !starts(&["classifier."]),
    }
}

/// How the names of the segmentation neck and head begin.
const NECK_AND_HEAD: [&str; 4] = ["fpn", "psp", "lateral.", "decode_head."];

/// Whether this is a tensor of a LayerNorm after the last block.
fn is_norm(name: &str) -> bool {
    name.starts_with("norm.") || name.starts_with("pool_norm.")
}
