//! The arena: one slice of memory for everything that a run needs, and where each buffer lies in it.

mod buffers;
mod layout;

pub(crate) use buffers::{Buf, phase};
pub(crate) use layout::Layout;
