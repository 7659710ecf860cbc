//! A tensor as a checkpoint's file stores it: element type, position, shape, strides; and how to read its values.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Contiguous tensors are read in chunks of this many bytes, a multiple of every element size.
const CHUNK: usize = 1 << 16;

/// Type of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    /// Any type that is not floating point, by the file's name for it. Such tensors cannot be read.
    Other(String),
}

impl Dtype {
    /// Bytes per element; `None` for types that cannot be read.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Dtype::F16 | Dtype::Bf16 => Some(2),
            Dtype::F32 => Some(4),
            Dtype::F64 => Some(8),
            Dtype::Other(_) => None,
        }
    }

    /// The element at the start of `bytes`; NaN where `bytes` is too short or the type cannot be read.
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

/// Location and layout of one tensor. Whoever makes one has checked that the file holds all of its elements, and that their
/// number and the span of a strided tensor are within [`limits`](super::limits).
#[derive(Debug, Clone)]
pub(super) struct StoredTensor {
    /// The tensor's name in the file.
    pub(super) original: String,
    /// Index of the file in [`Checkpoint`](super::Checkpoint)'s list of files.
    pub(super) file: usize,
    /// Byte offset of the first element from the start of the file.
    pub(super) offset: u64,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Distance in elements between neighbours along each dimension; `None` for contiguous row-major tensors.
    pub(super) strides: Option<Vec<usize>>,
}

impl StoredTensor {
    /// Bytes of all elements; 0 for types that cannot be read.
    pub(super) fn bytes(&self) -> u64 {
        let elements: usize = self.shape.iter().product();
        (elements * self.dtype.size().unwrap_or(0)) as u64
    }

    /// Reads all elements, row-major, from `file`. An element takes `size` bytes ([`Dtype::size`]).
    pub(super) fn read(&self, file: &mut File, size: usize) -> io::Result<Vec<f32>> {
        file.seek(SeekFrom::Start(self.offset))?;
        match &self.strides {
            None => self.read_contiguous(file, size),
            Some(strides) => self.read_strided(file, strides, size),
        }
    }

    fn read_contiguous(&self, file: &mut File, size: usize) -> io::Result<Vec<f32>> {
        let count: usize = self.shape.iter().product();
        let mut values = Vec::with_capacity(count);
        let mut chunk = vec![0u8; CHUNK.min(count * size)];
        let mut left = count * size;
        while left > 0 {
            let length = left.min(CHUNK);
            file.read_exact(&mut chunk[..length])?;
            values.extend(chunk[..length].chunks_exact(size).map(|bytes| self.dtype.value(bytes)));
            left -= length;
        }
        Ok(values)
    }

    /// Reads the whole span of bytes between the first and the last element, then picks the elements.
    fn read_strided(&self, file: &mut File, strides: &[usize], size: usize) -> io::Result<Vec<f32>> {
        let count: usize = self.shape.iter().product();
        if count == 0 {
            return Ok(Vec::new());
        }
        let last: usize = self.shape.iter().zip(strides).map(|(n, stride)| (n - 1) * stride).sum();
        let mut bytes = vec![0u8; (last + 1) * size];
        file.read_exact(&mut bytes)?;
        let mut values = Vec::with_capacity(count);
        let mut position = vec![0usize; self.shape.len()];
        let mut element = 0usize;
        for _ in 0..count {
            values.push(self.dtype.value(bytes.get(element * size..).unwrap_or(&[])));
            // Advance like an odometer: the last dimension fastest.
            for (dimension, index) in position.iter_mut().enumerate().rev() {
                *index += 1;
                element += strides[dimension];
                if *index < self.shape[dimension] {
                    break;
                }
                element -= *index * strides[dimension];
                *index = 0;
            }
        }
        Ok(values)
    }
}
