//! What can go wrong with a checkpoint, always with the name of the file.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that cannot be used, and why.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused: the file, what was tried, and its answer.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as in "cannot read".
        doing: &'static str,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The content is not what it must be.
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        what: String,
    },
}

impl Error {
    /// `what` is wrong with the content of `path`.
    pub fn new(path: impl AsRef<Path>, what: impl Into<String>) -> Error {
        Error::Content { path: path.as_ref().to_path_buf(), what: what.into() }
    }

    /// The operating system's answer to `doing` something with `path`.
    pub fn io(path: impl AsRef<Path>, doing: &'static str, source: std::io::Error) -> Error {
        Error::Io { path: path.as_ref().to_path_buf(), doing, source }
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
            Error::Io { path, doing, source } => write!(f, "{}: {doing}: {source}", path.display()),
            Error::Content { path, what } => write!(f, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Content { .. } => None,
        }
    }
}
