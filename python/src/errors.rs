//! Which exception an error becomes: errors of the operating system are `OSError`, as of Python's own functions; wrong arguments
//! are `ValueError` or `TypeError`; files that cannot be used are the exceptions of `beitle/_types.py`.

use pyo3::exceptions::{PyMemoryError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::io;
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

/// The numbers that the operating system gives these errors.
const NO_SUCH_FILE: i32 = 2;
const IS_A_FOLDER: i32 = 21;

/// A file that cannot be there.
pub fn no_such_file(path: &Path) -> PyErr {
    os(path, &io::Error::from_raw_os_error(NO_SUCH_FILE))
}

/// An error of the operating system, with the number and path from which Python chooses `FileNotFoundError` and its like.
pub fn os(path: &Path, error: &io::Error) -> PyErr {
    let path = path.as_os_str().to_owned();
    let is_folder = error.kind() == io::ErrorKind::InvalidInput && Path::new(&path).is_dir();
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, text, path))
        }
        None if is_folder && cfg!(unix) => PyOSError::new_err((IS_A_FOLDER, "Is a directory", path)),
        None => PyOSError::new_err(format!("{}: {error}", path.to_string_lossy())),
    }
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
        beitle_quantize::Error::Io { path, source, .. } if source.raw_os_error().is_some() => {
            os(path, source)
        }
        beitle_quantize::Error::Io { .. } => PyOSError::new_err(error.to_string()),
        beitle_quantize::Error::Content { .. } => ModelError::new_err(error.to_string()),
    }
}
