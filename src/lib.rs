//! beitle
#![cfg_attr(not(any(test, feature = "std")), no_std)]

mod activations;
pub mod crc;
pub mod engine;
pub mod error;
pub mod format;
pub mod image;
mod kernels;
#[cfg(feature = "std")]
pub mod mapped;
mod model;
pub mod observe;
pub mod parallel;
pub mod plan;
mod preprocess;
pub mod resize;
pub mod segment;
pub mod shapes;
pub mod weights;

pub use error::Error;
pub use kernels::Isa;
pub use weights::{Facts, Model};
