//! Threads of the commands, beside those of the engine.

use crate::console::Failure;
use std::io;
use std::thread::Builder;

/// The stack of a thread, in bytes.
const STACK_BYTES: usize = 2 << 20;

/// What must be left when a thread starts, in bytes: a small allocation that fails ends the process.
const SPARE_BYTES: usize = 8 << 20;

/// A thread of this name, to be started at once.
///
/// # Errors
/// There is not enough memory for it.
pub fn thread(name: &str) -> Result<Builder, Failure> {
    memmap2::MmapMut::map_anon(STACK_BYTES + SPARE_BYTES).map_err(not_started)?;
    Ok(Builder::new().name(name.into()).stack_size(STACK_BYTES))
}

/// The failure of a command whose thread cannot be started.
pub fn not_started(e: io::Error) -> Failure {
    Failure::work(format_args!("cannot start a thread: {e}"))
}
