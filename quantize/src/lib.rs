//! Converts BEiT checkpoints into `.beitle` weight files.
//!
//! A conversion goes through the modules in this order. `checkpoint` opens the files of a checkpoint and finds its tensors;
//! `config` reads the model's configuration; `spec` merges it with the [`Options`]. Then, for one tensor of the weight file
//! after another, `fold` reads the checkpoint's tensors and folds linear layers into each other, `winograd` transforms the
//! weights of some convolutions, `quantise` packs panels of the wanted precision, and `output` writes them. `calibrate` runs
//! the model in half precision to sample the inputs of its layers, which rounding takes into account. `convert` drives it all.
//! The whole model is never in memory.
//!
//! Checkpoints are untrusted: files are opened by `regular_file`, JSON is read by `json`, and `text` makes their strings
//! printable. `docs/LIMITS.md` says what bounds the memory and the time of each reader.
//!
//! ```no_run
//! use beitle::file::format::Precision;
//! use beitle_quantize::{Options, convert};
//!
//! let options = Options::new("path/to/checkpoint", "model.beitle", Precision::Int8);
//! let report = convert(&options, &mut |now| println!("{}: {} of {}", now.phase, now.done, now.total))?;
//! println!("{report}");
//! # Ok::<(), beitle_quantize::Error>(())
//! ```

mod calibrate;
mod checkpoint;
mod config;
mod convert;
mod error;
mod fold;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "hub")]
pub mod hub;
mod json;
mod options;
mod output;
mod progress;
mod quantise;
mod regular_file;
mod sha256;
mod spec;
mod text;
mod winograd;

pub use convert::convert;
pub use error::Error;
pub use options::{Conv, Options, Rounding};
pub use output::data_sets::{DATA_SETS, Names};
pub use output::{Report, TensorReport};
pub use progress::{Phase, Progress};
