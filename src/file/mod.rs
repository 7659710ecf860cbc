//! Weight files: bytes in, a validated model with typed views of its tensors out.
//!
//! [`format`](mod@format) defines the layout on disk. [`tensors`] lists the tensors that a header requires. [`WeightFile`] is
//! a file whose structure has been checked against both, and [`Model`] gives the engine its facts and tensors. The bytes are
//! used in place: nothing is copied or converted, so opening takes microseconds whatever the size of the file.

pub mod crc;
mod facts;
pub mod format;
mod linear;
mod model;
pub mod tensors;
mod verify;
mod weight_file;

pub use facts::{Facts, Fit};
pub(crate) use linear::{Linear, LinearShape, Panels};
pub use model::Model;
pub use weight_file::WeightFile;
