//! A tensor's entry in the weight file's table, without offset and checksum.

use beitle::file::format::{Role, TensorEntry, TensorKind};

/// What a tensor is, apart from its bytes.
#[derive(Clone, Copy)]
pub struct TensorInfo {
    /// Its role.
    pub role: Role,
    /// Block, branch or level, depending on the role.
    pub layer: u16,
    /// How it is stored.
    pub kind: TensorKind,
    /// Linear tensors: number of matrices.
    pub matrices: u16,
    /// Linear tensors: number of bias rows.
    pub bias_rows: u8,
    /// Outputs of a matrix, or rows.
    pub n: u32,
    /// Inputs of a matrix, or numbers in a row.
    pub k: u32,
    /// Signal-to-quantisation-noise ratio of the weights in dB; 0 if nothing was lost.
    pub sqnr: f32,
    /// Size in the checkpoint, in bytes.
    pub source_bytes: u64,
}

impl TensorInfo {
    /// A tensor of `k` raw bytes.
    pub fn bytes(role: Role, layer: u16, k: u32) -> TensorInfo {
        TensorInfo {
            role,
            layer,
            kind: TensorKind::Bytes,
            matrices: 0,
            bias_rows: 0,
            n: 1,
            k,
            sqnr: 0.0,
            source_bytes: 0,
        }
    }

    /// The tensor that an entry of a weight file describes. `role` is the entry's role.
    pub fn of_entry(role: Role, entry: &TensorEntry) -> TensorInfo {
        TensorInfo {
            role,
            layer: entry.layer,
            kind: TensorKind::from_code(entry.kind).unwrap_or(TensorKind::Bytes),
            matrices: entry.matrices,
            bias_rows: entry.bias_rows,
            n: entry.n,
            k: entry.k,
            sqnr: entry.sqnr,
            source_bytes: entry.source_bytes,
        }
    }
}
