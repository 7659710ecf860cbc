//! What the fuzz targets do with an input, one file per target. Each has a function `run`, which takes any bytes and panics if it
//! finds a bug. `docs/decisions/028-fuzzing.md` has the results.
//!
//! A new target is a file here with a line in [`TARGETS`], a file in `fuzz_targets` with its entry in `Cargo.toml`, and seeds in
//! `tests/seeds.rs`.

pub mod c_api;
pub mod checkpoint;
#[path = "../../tests/common/formats.rs"]
mod formats;
pub mod image;
mod input;
mod memory;
mod outputs;
pub mod pictures;
pub mod random_model;
pub mod weight_file;

/// The name of a target and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("c_api", c_api::run),
    ("checkpoint", checkpoint::run),
    ("image", image::run),
    ("pictures", pictures::run),
    ("random_model", random_model::run),
    ("weight_file", weight_file::run),
];
