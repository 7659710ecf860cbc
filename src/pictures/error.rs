//! Why a picture file cannot be used.

use std::fmt;

/// What is wrong with a file. The message does not contain the path.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read, is not a regular one, or has more bytes than the limit.
    Io(std::io::Error),
    /// The file announces more pixels than the limit.
    TooManyPixels {
        /// Announced pixels in a row.
        width: u64,
        /// Announced rows.
        height: u64,
        /// The limit.
        max_pixels: u64,
    },
    /// The memory for the pixels cannot be allocated.
    OutOfMemory {
        /// Bytes that were requested.
        bytes: usize,
    },
    /// The content is damaged, or not in a supported format.
    Content(String),
    /// The decoder panicked: a mistake in it, which this file shows.
    Panicked(String),
}

impl Error {
    /// An error in the content.
    pub fn content(message: impl Into<String>) -> Error {
        Error::Content(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(e) => e.fmt(f),
            Error::TooManyPixels { width, height, max_pixels } => {
                write!(f, "the picture has {width}x{height} pixels, more than the limit of {max_pixels}")
            }
            Error::OutOfMemory { bytes } => write!(f, "not enough memory: {bytes} bytes are needed at once"),
            Error::Content(message) => f.write_str(message),
            Error::Panicked(message) => write!(f, "the decoder failed on this file: {message}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(e) => Some(e),
            _ => None,
        }
    }
}
