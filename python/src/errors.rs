//! Which exception an error becomes: errors of the operating system are `OSError`, as of Python's own functions; wrong arguments
//! are `ValueError` or `TypeError`; files that cannot be used are the exceptions of `beitle/_types.py`.

use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::io::{self, ErrorKind};
use std::path::Path;

mod exceptions {
    #![allow(missing_docs)] // the documentation is in Python
    pyo3::import_exception!(beitle._types, Error);
    pyo3::import_exception!(beitle._types, ModelError);
    pyo3::import_exception!(beitle._types, PictureError);
    pyo3::import_exception!(beitle._types, TaskError);
}
pub use exceptions::{Error, ModelError, PictureError, TaskError};

/// A wrong value of an argument.
pub fn value(argument: &str, what: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{argument}: {what}"))
}

/// An argument of a wrong type.
pub fn wrong_type(argument: &str, expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let found = found.get_type().name().map_or_else(|_| "another type".into(), |name| name.to_string());
    PyTypeError::new_err(format!("{argument}: expected {expected}, got {found}"))
}

/// An error of the operating system, with the number and path from which Python chooses `FileNotFoundError` and its like.
pub fn os(path: &Path, error: &io::Error) -> PyErr {
    let is_folder = error.kind() == ErrorKind::InvalidInput && path.is_dir();
    let kind = if is_folder { ErrorKind::IsADirectory } else { error.kind() };
    let text = if is_folder { kind.to_string() } else { error.to_string() };
    match error.raw_os_error().or_else(|| errno(kind)) {
        Some(number) => {
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, text, path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(format!("{}: {error}", path.display())),
    }
}

/// The number that Unix systems give errors of a kind. Errors that were not made by the operating system itself have only a kind.
fn errno(kind: ErrorKind) -> Option<i32> {
    match kind {
        ErrorKind::NotFound => Some(2),
        ErrorKind::PermissionDenied => Some(13),
        ErrorKind::NotADirectory => Some(20),
        ErrorKind::IsADirectory => Some(21),
        ErrorKind::StorageFull => Some(28),
        ErrorKind::ReadOnlyFilesystem => Some(30),
        _ => None,
    }
}

/// Threads that cannot be started.
pub fn threads(error: &dyn std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(format!("threads: cannot start threads: {error}"))
}

/// Too little memory for so many bytes.
pub fn memory(bytes: usize) -> PyErr {
    PyMemoryError::new_err(format!("not enough memory for a buffer of {bytes} bytes"))
}

/// A weight file that cannot be used.
pub fn model(path: &Path, error: beitle::Error) -> PyErr {
    ModelError::new_err(format!("{}: {error}", path.display()))
}

/// A run that the engine has refused.
pub fn run(error: beitle::Error) -> PyErr {
    match error {
        beitle::Error::TooLarge => PyMemoryError::new_err(error.to_string()),
        beitle::Error::Image { .. } | beitle::Error::Views { .. } => PyValueError::new_err(error.to_string()),
        beitle::Error::Output { .. } => TaskError::new_err(error.to_string()),
        _ => Error::new_err(error.to_string()),
    }
}

/// A picture file that cannot be used.
pub fn picture(path: &Path, error: &beitle_pictures::Error) -> PyErr {
    match error {
        beitle_pictures::Error::Io(error) => os(path, error),
        beitle_pictures::Error::OutOfMemory { bytes } => memory(*bytes),
        _ => PictureError::new_err(format!("{}: {error}", path.display())),
    }
}

/// A checkpoint that cannot be converted.
pub fn conversion(error: &beitle_quantize::Error) -> PyErr {
    match error {
        beitle_quantize::Error::Io { path, source, .. } => os(path, source),
        beitle_quantize::Error::Content { .. } => ModelError::new_err(error.to_string()),
    }
}

/// A checkpoint that cannot be had from a server. Whatever the reason, no file of it is known to be damaged.
pub fn download(error: &beitle_quantize::Error) -> PyErr {
    match error {
        beitle_quantize::Error::Io { path, source, .. } => os(path, source),
        beitle_quantize::Error::Content { .. } => PyOSError::new_err(error.to_string()),
    }
}
