//! The pictures that commands read: the arguments that limit them, and messages that name these arguments.

use crate::console::Failure;
use crate::naming::is_standard;
pub use beitle_pictures::Picture;
use beitle_pictures::{Error, Limits};
use std::io::stdin;
use std::path::Path;

/// Arguments that limit pictures.
#[derive(clap::Args)]
pub struct PictureArgs {
    /// Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels, value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
}

impl PictureArgs {
    /// Reads a picture, or standard input if the path is `-`.
    ///
    /// # Errors
    /// The file cannot be read, or is larger than the limits.
    pub fn load(&self, path: &Path) -> Result<Picture, Failure> {
        if is_standard(path) {
            let limits = self.limits();
            let file = beitle_files::read_up_to(stdin().lock(), limits.max_file_bytes).map_err(Error::Io);
            let picture = file.and_then(|file| beitle_pictures::decode(&file, &limits));
            return picture.map_err(|e| failure(Path::new("standard input"), &e));
        }
        beitle_pictures::load(path, &self.limits()).map_err(|e| failure(path, &e))
    }

    /// The limits for pictures and label files.
    pub fn limits(&self) -> Limits {
        Limits { max_pixels: self.max_pixels, ..Limits::default() }
    }
}

/// The failure for a picture or label file, with a hint to the argument that raises the limit.
pub fn failure(path: &Path, error: &Error) -> Failure {
    match error {
        Error::TooManyPixels { .. } => Failure::file(path, format_args!("{error} (see --max-pixels)")),
        _ => Failure::file(path, error),
    }
}
