//! The one error type of the engine: which field, what was found, what was expected. No allocation.

use core::fmt;

/// Why a file, a plan or a run was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not start at a multiple of 64, so tensors cannot be used in place.
    Misaligned,
    /// The file ends before something it must hold.
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes that were needed, from the start of the file.
        needed: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Not a `.beitle` file.
    Magic,
    /// A version this build does not read.
    Version {
        /// The file's version.
        found: u32,
        /// The version that this build reads.
        expected: u32,
    },
    /// A checksum did not match: the file is damaged.
    Checksum {
        /// The part whose bytes changed.
        what: &'static str,
        /// Which one of its kind.
        layer: u16,
    },
    /// A header field with a value that makes no sense.
    Header {
        /// The field, as `FORMAT.md` names it.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it should be.
        expected: &'static str,
    },
    /// A tensor-table entry that makes no sense.
    Tensor {
        /// The tensor's role, or `tensor table`.
        role: &'static str,
        /// Which one of its kind.
        layer: u16,
        /// The field, as `FORMAT.md` names it.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The value it must have (the limit where there are several).
        expected: u64,
    },
    /// A tensor the model needs is not in the file.
    Missing {
        /// The tensor's role.
        role: &'static str,
        /// Which one of its kind.
        layer: u16,
    },
    /// The file holds a tensor that this model has no place for.
    Unexpected {
        /// The role's number.
        role: u16,
        /// Which one of its kind.
        layer: u16,
    },
    /// A buffer given by the caller is too small or badly aligned.
    Buffer {
        /// Which buffer.
        what: &'static str,
        /// Bytes (or elements, where `what` says so) needed.
        needed: usize,
        /// Given.
        found: usize,
    },
    /// A picture that cannot be taken.
    Image {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The model needs more memory than this machine can address.
    TooLarge,
    /// The caller's progress hook asked to stop.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Misaligned => f.write_str(
                "the model's bytes must start at a multiple of 64 (map the file, or align the array)",
            ),
            Error::Truncated { what, needed, found } => {
                write!(f, "the file is cut short: {what} needs {needed} bytes, there are {found}")
            }
            Error::Magic => f.write_str("not a .beitle file: it does not start with `BEITLE\\r\\n`"),
            Error::Version { found, expected } => {
                write!(f, "the file has format version {found}, this build reads version {expected}")
            }
            Error::Checksum { what, layer } => write!(f, "the file is damaged: checksum of `{what}` {layer}"),
            Error::Header { field, found, expected } => {
                write!(f, "header field `{field}` is {found}, expected {expected}")
            }
            Error::Tensor { role, layer, field, found, expected } => {
                write!(f, "tensor `{role}` {layer}: `{field}` is {found}, expected {expected}")
            }
            Error::Missing { role, layer } => write!(f, "tensor `{role}` {layer} is missing"),
            Error::Unexpected { role, layer } => {
                write!(f, "tensor of role {role}, layer {layer} has no place in this model")
            }
            Error::Buffer { what, needed, found } => {
                write!(f, "{what}: {found} given, {needed} needed")
            }
            Error::Image { what } => f.write_str(what),
            Error::TooLarge => f.write_str("the model needs more memory than this machine can address"),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl core::error::Error for Error {}
