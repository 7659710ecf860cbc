//! What a run writes: class maps and logits in the caller's memory.

mod class_map;
mod request;

pub use class_map::{ClassMap, ClassMapMut};
pub use request::Output;
