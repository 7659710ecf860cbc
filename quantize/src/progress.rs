//! How far a conversion has come.

use std::fmt;

/// What a conversion is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Downloading a file; steps are bytes.
    Download,
    /// Converting to half precision: the model whose inputs are sampled, or that others are compared with.
    HalfPrecision,
    /// Running that model on pictures, to sample the inputs of its layers.
    Calibration,
    /// Converting the tensors to the precision that is wanted.
    Tensors,
    /// Measuring what the layers lose in int8, for `--precision auto`.
    Search,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Download => "downloading",
            Phase::HalfPrecision => "converting tensors to half precision",
            Phase::Calibration => "running pictures for calibration",
            Phase::Tensors => "converting tensors",
            Phase::Search => "measuring groups of layers",
        })
    }
}

/// How far a conversion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Finished steps of the phase: bytes, tensors, pictures or groups of layers.
    pub done: usize,
    /// All steps of the phase.
    pub total: usize,
}
