//! The crate's error: what is wrong, and with which file.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::text::printable;

/// A file that cannot be used, and the reason.
#[derive(Debug)]
pub enum Error {
    /// The operating system reported an error.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What failed, such as "cannot read".
        action: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The content is missing, malformed or unsupported.
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
}

impl Error {
    /// An error in the content of `path`.
    pub fn new(path: impl AsRef<Path>, message: impl Into<String>) -> Error {
        Error::Content { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// An error of the operating system with `path`.
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { path: path.as_ref().to_path_buf(), action, source }
    }

    /// The file or folder in question.
    pub fn path(&self) -> &Path {
        match self {
            Error::Io { path, .. } | Error::Content { path, .. } => path,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { path, action, source } => write!(f, "{}: {action}: {source}", name(path)),
            // The message may quote the file.
            Error::Content { path, message } => write!(f, "{}: {}", name(path), printable(message)),
        }
    }
}

/// The path without control characters: it may come from the index of a checkpoint.
fn name(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Content { .. } => None,
        }
    }
}
