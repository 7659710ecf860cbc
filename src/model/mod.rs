//! The model as a sequence of steps: a picture in, a class map out.
//!
//! The data flows through `input` (resize), [`backbone`] (patch embedding, transformer blocks, features) and [`head`] (neck,
//! pooling module, pyramid, classifier). A step reads and writes buffers of the arena and calls operators
//! ([`ops`](crate::ops)); none allocates. Each step is a file with two functions: `buffers` tells the [`Planner`] which buffers
//! the step needs, of which sizes and for how long, and `run` does the work. Both take the shapes from the same function, so
//! they cannot disagree. Functions that both call are not inlined: they run a few times per frame, and one copy keeps the
//! program small (`.ci/no-std` has the budget).

pub(crate) mod backbone;
mod context;
mod frame;
pub(crate) mod head;
mod input;

pub(crate) use context::{Context, Planner};
pub(crate) use frame::{buffers, run};
