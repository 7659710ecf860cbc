//! The output of a run, in the memory of the caller: class maps, logits, features.

mod class_map;
mod request;

pub use class_map::{ClassMap, ClassMapMut};
pub use request::Output;
