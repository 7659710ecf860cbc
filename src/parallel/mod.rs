//! Several cores: a small trait for handing out tasks, thread pools, and loops over chunks of slices.

pub(crate) mod chunks;
pub(crate) mod pool;

#[cfg(feature = "std")]
pub use pool::ThreadPool;
pub use pool::{Parallel, Serial};
