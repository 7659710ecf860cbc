//! The native module of the Python package `beitle`: the engine and the converter, for NumPy arrays.
//!
//! `image` turns what Python calls an image into pixels that the engine reads in place; `request` turns the arguments of a run
//! into buffers that it writes in place; `arrays` keeps both from changing or overlapping meanwhile; `session` runs the engine without Python's lock; `model` is the class that puts them
//! together, with `predict` for classifiers; `convert` runs the converter; `errors` decides which exception an error becomes.

mod arrays;
mod convert;
mod errors;
mod image;
mod model;
mod predict;
mod request;
mod session;

/// The engine of the package `beitle`.
#[pyo3::pymodule]
mod _beitle {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::convert::convert;
    #[pymodule_export]
    use crate::model::Model;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
