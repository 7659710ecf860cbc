//! The arena: one slice of memory that holds every buffer of a run. The steps of the model state sizes and lifetimes in, and a
//! [`Layout`] with the offset of each buffer comes out.

mod buffers;
mod layout;

pub(crate) use buffers::{Buf, phase};
pub(crate) use layout::Layout;
