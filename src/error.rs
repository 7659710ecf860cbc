//! The error type of the engine. An error names what is wrong, the value found and what was expected, without allocating.

use core::fmt;

/// Why a file, a plan or a run was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes of the file do not start at a multiple of 64, so tensors cannot be used in place.
    Misaligned,
    /// The file ends too early.
    Truncated {
        /// The part that does not fit.
        what: &'static str,
        /// Bytes that the file needs up to the end of this part.
        needed: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// Not a `.beitle` file.
    Magic,
    /// A format version that this crate does not read.
    Version {
        /// The version of the file.
        found: u32,
        /// The version that this crate reads.
        expected: u32,
    },
    /// A checksum does not match: the file is damaged.
    Checksum {
        /// The damaged part: a tensor's role, or `header and tensor table`.
        what: &'static str,
        /// The tensor's index among those of its role.
        layer: u16,
    },
    /// A header field is outside the limits of the format.
    Header {
        /// The field, as `FORMAT.md` names it.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The values that are valid.
        expected: &'static str,
    },
    /// A field of a tensor-table entry is wrong.
    Tensor {
        /// The tensor's role, or `unknown`.
        role: &'static str,
        /// The tensor's index among those of its role.
        layer: u16,
        /// The field, as `FORMAT.md` names it.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The value it must have; if several are valid, one of them or the limit.
        expected: u64,
    },
    /// The file lacks a tensor that its header requires.
    Missing {
        /// The tensor's role.
        role: &'static str,
        /// The tensor's index among those of its role.
        layer: u16,
    },
    /// The file holds a tensor that its header does not call for.
    Unexpected {
        /// The number of the tensor's role.
        role: u16,
        /// The tensor's index among those of its role.
        layer: u16,
    },
    /// A buffer of the caller is too small or misaligned, or a limit of the plan is exceeded.
    Buffer {
        /// The buffer or limit, with its unit.
        what: &'static str,
        /// The size or number needed.
        needed: usize,
        /// The size or number given.
        found: usize,
    },
    /// A picture or class map is unsupported or malformed.
    Image {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The chosen views are not possible.
    Views {
        /// What is wrong with them.
        what: &'static str,
    },
    /// The model does not have the results that the caller asked for.
    Output {
        /// What is wrong with the request.
        what: &'static str,
    },
    /// The plan was made for another model.
    OtherModel,
    /// The model needs more memory than this machine can address.
    TooLarge,
    /// The observer of a run asked to stop it.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Misaligned => f.write_str(
                "the bytes of the model must start at a multiple of 64 (map the file, or align the array)",
            ),
            Error::Truncated { what, needed, found } => {
                write!(f, "the file is cut short: {what} ends at byte {needed}, the file has {found} bytes")
            }
            Error::Magic => f.write_str("not a .beitle file: it does not start with `BEITLE\\r\\n`"),
            Error::Version { found, expected } => {
                write!(f, "the file has format version {found}, this program reads version {expected}")
            }
            Error::Checksum { what, layer } => {
                write!(f, "the file is damaged: the checksum of `{what}` {layer} does not match")
            }
            Error::Header { field, found, expected } => {
                write!(f, "header field `{field}` is {found}, expected {expected}")
            }
            Error::Tensor { role, layer, field, found, expected } => {
                write!(f, "tensor `{role}` {layer}: `{field}` is {found}, expected {expected}")
            }
            Error::Missing { role, layer } => write!(f, "tensor `{role}` {layer} is missing"),
            Error::Unexpected { role, layer } => {
                write!(f, "the model has no tensor of role {role}, layer {layer}, but the file holds one")
            }
            Error::Buffer { what, needed, found } => {
                write!(f, "{what}: {needed} needed, {found} given")
            }
            Error::Image { what } | Error::Views { what } | Error::Output { what } => f.write_str(what),
            Error::OtherModel => f.write_str("the plan was made for another model"),
            Error::TooLarge => f.write_str("the model needs more memory than this machine can address"),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl core::error::Error for Error {}
