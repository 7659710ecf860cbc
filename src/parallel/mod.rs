//! Parallelism: a trait that calls a closure on several threads, a thread pool that implements it, the CPUs that the pool uses,
//! the tasks that the engine hands out inside the closure, and loops over chunks of slices.
//!
//! A *task* is a numbered, independent piece of an operator's output. A *worker* runs tasks, one at a time; its id selects
//! its own scratch memory. A *chunk* is the range of elements that one task writes. Operators split their outputs among
//! tasks, never a sum, so results depend neither on the number of workers nor on which worker runs which task.

pub(crate) mod chunks;
#[cfg(feature = "std")]
mod cores;
mod pool;
#[cfg(feature = "std")]
mod scheduler;
mod tasks;

#[cfg(feature = "std")]
pub use cores::Cores;
#[cfg(feature = "std")]
pub use pool::ThreadPool;
pub use pool::{Parallel, Serial};
pub(crate) use tasks::{Loop, Tasks, Workers};
