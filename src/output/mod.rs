//! The output of a run, in the memory of the caller: class maps, confidences, logits, features; and what is computed from class
//! maps afterwards.

mod area;
mod class_map;
mod contour;
mod points;
mod regions;
mod request;
mod rle;

pub use area::{Area, areas};
pub use class_map::{ClassMap, ClassMapMut};
pub use contour::contour;
pub(crate) use points::rank;
pub use points::{Points, Ranked};
pub use regions::{Connectivity, Region, regions, scratch_len};
pub use request::Output;
pub use rle::{rle, rle_text};
