//! Picture files to packed RGB, for the command line and the converter.
//!
//! A file is read whole, its format is detected from its content, its size is checked against [`Limits`] before pixels are
//! allocated, and it is decoded: JPEG by the crate `jpeg-decoder`, the other formats by the crate `image`. The result is
//! rotated as the EXIF orientation says and reduced to eight bits per channel as Pillow's `convert("RGB")` does.
//!
//! Files may come from anywhere. What cannot be decoded is an [`Error`]: devices and pipes, files that announce more pixels
//! than the limit or than their bytes can hold, damaged files, and panics inside a decoder. Decoding takes at most
//! [`Limits::memory`] bytes besides the file.

mod error;
mod folder;
mod formats;
mod guard;
mod jpeg;
mod limits;
mod memory;
mod rgb;
mod webp;

pub use error::Error;
pub use folder::{decoded_extensions, pictures_in};
pub use formats::checked_png;
pub use guard::guarded;
pub use limits::Limits;
pub use memory::zeroed;
pub use rgb::{Picture, brightness};

use std::path::Path;

/// Reads a picture. The format is detected from the content, not from the file's name.
///
/// # Errors
/// What is wrong with the file, without its path.
pub fn load(path: &Path, limits: &Limits) -> Result<Picture, Error> {
    decode(&read(path, limits)?, limits)
}

/// Reads a whole file, if it is a regular one and not too large.
///
/// # Errors
/// What is wrong with the file, without its path.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>, Error> {
    beitle_files::read(path, limits.max_file_bytes).map_err(Error::Io)
}

/// Decodes a picture file in memory.
///
/// # Errors
/// What is wrong with the file.
pub fn decode(file: &[u8], limits: &Limits) -> Result<Picture, Error> {
    guarded(|| formats::decode(file, limits))
}
