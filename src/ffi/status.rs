//! The errors of a call, their messages and their status values.

use beitle::Error;
use core::ffi::CStr;
use core::fmt;

/// `beitle_status`: the result of a call.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// A null pointer, an overlap or an invalid value; the engine is not open or has no plan.
    InvalidArgument = 1,
    /// The file is not a `.beitle` file.
    NotAModel = 2,
    /// This library does not read the file's format version.
    UnsupportedVersion = 3,
    /// The file is truncated, damaged or inconsistent.
    CorruptFile = 4,
    /// A pointer does not have the required alignment.
    Misaligned = 5,
    /// A buffer is too small; the image or the thread pool is larger than planned.
    BufferTooSmall = 6,
    /// Unsupported or malformed image; the class map needs two bytes per pixel.
    InvalidImage = 7,
    /// The arena would be larger than this machine can address.
    TooLarge = 8,
    /// The progress callback stopped the run.
    Cancelled = 9,
    /// The library panicked.
    InternalError = 10,
}

/// What the value of a status means.
pub(crate) fn meaning(status: i32) -> &'static CStr {
    match status {
        0 => c"success",
        1 => c"invalid argument",
        2 => c"not a beitle weight file",
        3 => c"unsupported version of the weight file",
        4 => c"damaged weight file",
        5 => c"misaligned pointer",
        6 => c"buffer too small",
        7 => c"invalid image",
        8 => c"larger than this machine can address",
        9 => c"cancelled by the progress callback",
        10 => c"internal error: this is a bug in beitle, please report it",
        _ => c"unknown status",
    }
}

/// Why a call failed.
pub(crate) enum CallError {
    /// The name of an argument, and what is wrong with it.
    Argument(&'static str, &'static str),
    /// The name of a pointer, and the alignment in bytes that it must have.
    Misaligned(&'static str, usize),
    /// The names of a written buffer and of another buffer of the same call.
    Overlap(&'static str, &'static str),
    /// The name of a text's memory, and the size in bytes that the whole text needs.
    Truncated(&'static str, usize),
    /// An error of the engine.
    Engine(Error),
    /// The engine panicked.
    #[cfg(feature = "std")]
    Panic,
}

impl From<Error> for CallError {
    fn from(e: Error) -> Self {
        CallError::Engine(e)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Argument(name, problem) => write!(f, "{name} {problem}"),
            CallError::Misaligned(name, bytes) => write!(f, "{name} is not aligned to {bytes} bytes"),
            CallError::Overlap(written, other) => write!(f, "{written} overlaps {other}"),
            CallError::Truncated(name, bytes) => {
                write!(f, "{name} is too small: the text needs {bytes} bytes")
            }
            CallError::Engine(e) => e.fmt(f),
            #[cfg(feature = "std")]
            CallError::Panic => f.write_str("internal error: this is a bug in beitle, please report it"),
        }
    }
}

impl CallError {
    pub fn status(&self) -> Status {
        match self {
            CallError::Argument(..) | CallError::Overlap(..) => Status::InvalidArgument,
            CallError::Misaligned(..) => Status::Misaligned,
            CallError::Truncated(..) => Status::BufferTooSmall,
            CallError::Engine(e) => engine_status(e),
            #[cfg(feature = "std")]
            CallError::Panic => Status::InternalError,
        }
    }
}

fn engine_status(e: &Error) -> Status {
    match e {
        Error::Misaligned => Status::Misaligned,
        Error::Magic => Status::NotAModel,
        Error::Version { .. } => Status::UnsupportedVersion,
        Error::Truncated { .. }
        | Error::Checksum { .. }
        | Error::Header { .. }
        | Error::Tensor { .. }
        | Error::Missing { .. }
        | Error::Unexpected { .. } => Status::CorruptFile,
        Error::Buffer { .. } => Status::BufferTooSmall,
        Error::Image { .. } => Status::InvalidImage,
        Error::OtherModel | Error::Views { .. } | Error::Output { .. } => Status::InvalidArgument,
        Error::TooLarge => Status::TooLarge,
        Error::Cancelled => Status::Cancelled,
        // `Error` is non-exhaustive. All its variants are listed above: a new one needs a status.
        _ => Status::InternalError,
    }
}
