//! Weight files: bytes in, checked structure and typed views out.
//!
//! [`format`](mod@format) is the layout on disk, [`tensors`] which tensors a header asks for, [`WeightFile`] a file whose
//! structure has been checked against both, and [`Model`] its facts and tensors as the engine reads them. A file is used
//! where it lies; nothing is copied or converted.

pub mod crc;
mod facts;
pub mod format;
mod linear;
mod model;
pub mod tensors;
mod weight_file;

pub use facts::Facts;
pub(crate) use linear::{Linear, Panels};
pub use model::Model;
pub use weight_file::WeightFile;
