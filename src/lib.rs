//! beitle
#![cfg_attr(not(any(test, feature = "std")), no_std)]

pub mod crc;
pub mod error;
pub mod format;
pub mod image;
mod kernels;
pub mod parallel;
pub mod resize;
pub mod segment;
mod shapes;
pub mod weights;

pub use error::Error;
pub use kernels::Isa;
pub use weights::{Facts, Model};
