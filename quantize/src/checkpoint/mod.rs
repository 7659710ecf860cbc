//! Reading checkpoints: which files there are, which tensors they hold, and one tensor at a time.
//!
//! Opening reads headers only. A tensor is read with a seek when it is asked for, so memory holds one at a time.

mod index;
mod open;
mod pickle;
mod safetensors;
#[cfg(test)]
mod tests;
mod torch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
pub use crate::names::Scheme;

/// How one element is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    /// Integers and the like, by name.
    Other(String),
}

impl Dtype {
    /// Bytes per element, for the types that can be read.
    fn size(&self) -> Option<usize> {
        match self {
            Dtype::F16 | Dtype::Bf16 => Some(2),
            Dtype::F32 => Some(4),
            Dtype::F64 => Some(8),
            Dtype::Other(_) => None,
        }
    }

    /// The element that starts `bytes`, which hold at least one.
    fn value(&self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Dtype::F16, &[a, b, ..]) => half::f16::from_le_bytes([a, b]).to_f32(),
            (Dtype::Bf16, &[a, b, ..]) => half::bf16::from_le_bytes([a, b]).to_f32(),
            (Dtype::F32, &[a, b, c, d, ..]) => f32::from_le_bytes([a, b, c, d]),
            (Dtype::F64, &[a, b, c, d, e, f, g, h, ..]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            _ => f32::NAN,
        }
    }
}

/// One tensor as a file holds it.
#[derive(Debug, Clone)]
struct Raw {
    /// The name in the file.
    original: String,
    /// Which of the checkpoint's files.
    file: usize,
    /// Where the first element is, in bytes from the start of the file.
    offset: u64,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Distance between neighbours along each dimension, in elements; `None` if row-major without gaps.
    strides: Option<Vec<usize>>,
}

struct Opened {
    path: PathBuf,
    file: Mutex<File>,
}

/// An opened checkpoint: its files and where each tensor is.
pub struct Checkpoint {
    folder: Option<PathBuf>,
    main: PathBuf,
    scheme: Scheme,
    files: Vec<Opened>,
    tensors: BTreeMap<String, Raw>,
    ignored: Vec<String>,
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

/// Tensors are converted in pieces of this many bytes, a multiple of every element size.
const PIECE: usize = 1 << 16;

impl Checkpoint {
    /// Opens a folder as transformers writes it, or one of the files inside (weights or index), or a `.pth`, `.pt`,
    /// `.bin` or `.safetensors` file.
    pub fn open(path: &Path) -> Result<Checkpoint, Error> {
        open::open(path)
    }

    /// The transformers folder, which holds `config.json`, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The file the checkpoint is named after: its only file, or the index where there are several.
    pub fn main_file(&self) -> &Path {
        &self.main
    }

    /// Who named the tensors.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The shape of a tensor.
    pub fn shape(&self, canonical: &str) -> Option<&[usize]> {
        self.tensors.get(canonical).map(|raw| raw.shape.as_slice())
    }

    /// The canonical names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The original names of what is not needed.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// How many bytes a tensor takes in the checkpoint; 0 if it is not there.
    pub fn source_bytes(&self, canonical: &str) -> u64 {
        self.tensors.get(canonical).map_or(0, |raw| {
            let elements: usize = raw.shape.iter().product();
            (elements * raw.dtype.size().unwrap_or(0)) as u64
        })
    }

    /// Reads a tensor as `f32`, row-major. It must have this shape, and every value must be finite.
    pub fn read(&self, canonical: &str, expected_shape: &[usize]) -> Result<Vec<f32>, Error> {
        let Some(raw) = self.tensors.get(canonical) else {
            return Err(Error::new(
                &self.main,
                format!("tensor {canonical} is missing; expected one of shape {expected_shape:?}"),
            ));
        };
        let Some(opened) = self.files.get(raw.file) else {
            return Err(Error::new(&self.main, format!("tensor {}: its file is not open", raw.original)));
        };
        let fault = |what: String| Error::new(&opened.path, format!("tensor {}: {what}", raw.original));
        if raw.shape != expected_shape {
            return Err(fault(format!("shape {:?}; expected {expected_shape:?}", raw.shape)));
        }
        let Some(size) = raw.dtype.size() else {
            return Err(fault(format!("values of type {:?}; expected floating point", raw.dtype)));
        };
        let mut file = opened.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(raw.offset)).map_err(|e| Error::io(&opened.path, "cannot seek", e))?;
        let values = match &raw.strides {
            None => read_rows(&mut file, raw, size),
            Some(strides) => read_strided(&mut file, raw, strides, size),
        }
        .map_err(|e| Error::io(&opened.path, "cannot read a tensor", e))?;
        if let Some((at, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(fault(format!("value {at} is {value}; expected finite numbers")));
        }
        Ok(values)
    }
}

fn read_rows(file: &mut File, raw: &Raw, size: usize) -> std::io::Result<Vec<f32>> {
    let count: usize = raw.shape.iter().product();
    let mut values = Vec::with_capacity(count);
    let mut piece = vec![0u8; PIECE.min(count * size)];
    let mut left = count * size;
    while left > 0 {
        let part = left.min(PIECE);
        file.read_exact(&mut piece[..part])?;
        values.extend(piece[..part].chunks_exact(size).map(|bytes| raw.dtype.value(bytes)));
        left -= part;
    }
    Ok(values)
}

/// Reads all bytes the tensor spans and picks its elements. The file has been found to hold them all.
fn read_strided(file: &mut File, raw: &Raw, strides: &[usize], size: usize) -> std::io::Result<Vec<f32>> {
    let count: usize = raw.shape.iter().product();
    if count == 0 {
        return Ok(Vec::new());
    }
    let last: usize = raw.shape.iter().zip(strides).map(|(n, stride)| (n - 1) * stride).sum();
    let mut bytes = vec![0u8; (last + 1) * size];
    file.read_exact(&mut bytes)?;
    let mut values = Vec::with_capacity(count);
    let mut position = vec![0usize; raw.shape.len()];
    let mut at = 0usize;
    for _ in 0..count {
        values.push(raw.dtype.value(bytes.get(at * size..).unwrap_or(&[])));
        for (dimension, here) in position.iter_mut().enumerate().rev() {
            *here += 1;
            at += strides[dimension];
            if *here < raw.shape[dimension] {
                break;
            }
            at -= *here * strides[dimension];
            *here = 0;
        }
    }
    Ok(values)
}
