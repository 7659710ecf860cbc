//! Threads that the commands start themselves, to read and write while the engine runs.

use crate::console::Failure;
use beitle::memory::Arena;
use std::io;
use std::thread::Builder;

/// The stack of a thread, in bytes.
const STACK_BYTES: usize = 2 << 20;

/// The memory to be left over when a thread starts, in bytes. The process ends if even a small allocation fails.
const SPARE_BYTES: usize = 4 << 20;

/// A builder of a thread with this name, to be started at once: there is memory for it now.
///
/// # Errors
/// There is not enough memory for it.
pub fn thread(name: &str) -> Result<Builder, Failure> {
    Arena::new(STACK_BYTES + SPARE_BYTES).map_err(not_started)?;
    Ok(Builder::new().name(name.into()).stack_size(STACK_BYTES))
}

/// The failure of a command whose thread cannot be started.
pub fn not_started(e: io::Error) -> Failure {
    Failure::work(format_args!("cannot start a thread: {e}"))
}
