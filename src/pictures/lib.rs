//! Picture files to packed RGB, for the command line and the converter.
//!
//! A file is read whole, its format is detected from its content, its size is checked against [`Limits`] before pixels are
//! allocated, and it is decoded: JPEG by a decoder of its own, whose pixels equal libjpeg-turbo's, the other formats by the crate
//! `image`. The result is rotated as the EXIF orientation says and reduced to eight bits per channel as Pillow's
//! `convert("RGB")` does.
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
mod regular_file;
mod rgb;
mod webp;

pub use error::Error;
pub use folder::{decoded_extensions, pictures_in};
pub use formats::checked_png;
pub use guard::guarded;
pub use limits::Limits;
pub use memory::zeroed;
pub use regular_file::read as read_file;
pub use rgb::Picture;

use std::path::Path;

/// Reads a picture. The format is detected from the content, not from the file's name.
///
/// # Errors
/// What is wrong with the file, without its path.
pub fn load(path: &Path, limits: &Limits) -> Result<Picture, Error> {
    decode(&read_file(path, limits.max_file_bytes)?, limits)
}

/// Decodes a picture file in memory.
///
/// # Errors
/// What is wrong with the file.
pub fn decode(file: &[u8], limits: &Limits) -> Result<Picture, Error> {
    guarded(|| formats::decode(file, limits))
}
