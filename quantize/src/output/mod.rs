//! The weight file: tensors in, a file under its final name out.
//!
//! [`Writer`] appends tensors in the order of the format's table. [`Report`] is what the user sees of a conversion; a part of
//! it is stored in the file. [`classes`] makes the tensors with class names and colours.

pub mod classes;
pub mod data_sets;
mod report;
mod tensor;
mod writer;

pub use report::{Report, TOOL, TensorReport, report_group, report_json};
pub use tensor::TensorInfo;
pub use writer::Writer;
