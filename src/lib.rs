//! beitle
#![cfg_attr(not(any(test, feature = "std")), no_std)]

pub mod crc;
pub mod error;
pub mod format;
mod shapes;

pub use error::Error;
