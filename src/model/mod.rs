//! The model, step by step in the order of the data: input, backbone, head.
//!
//! Each step reads and writes buffers of the arena and calls operators. None of them allocates. A step stands in one file
//! with its buffers: `buffers` says what it needs of the arena, `run` does it, and both take the shapes from one place.

pub(crate) mod backbone;
mod context;
mod frame;
pub(crate) mod head;
mod input;

pub(crate) use context::{Context, Planner};
pub(crate) use frame::{buffers, run};
