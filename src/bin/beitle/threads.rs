//! Threads that the commands start themselves, to read and write while the engine runs.

use crate::console::Failure;
use beitle::memory::Arena;
use std::io;
use std::thread::Builder;

/// The stack of a thread, in bytes.
const STACK_BYTES: usize = 2 << 20;

/// The memory to be left over when a thread starts, in bytes. The process ends if even a small allocation fails.
const SPARE_BYTES: usize = 4 << 20;

/// Memory for threads that start later. To be reserved before the engine's threads start: the allocator gives each thread a region of
/// its own, as long as there is room, and would leave none for the next stack.
pub struct ThreadMemory {
    reserved: Vec<Arena>,
}

impl ThreadMemory {
    /// Memory for this number of threads.
    ///
    /// # Errors
    /// There is not enough.
    pub fn reserve(threads: usize) -> Result<ThreadMemory, Failure> {
        let reserved = (0..threads).map(|_| Arena::new(STACK_BYTES + SPARE_BYTES)).collect::<Result<_, _>>();
        Ok(ThreadMemory { reserved: reserved.map_err(not_started)? })
    }

    /// A builder of a thread with this name, to be started at once: the memory for it is free now.
    pub fn thread(&mut self, name: &str) -> Builder {
        drop(self.reserved.pop());
        Builder::new().name(name.into()).stack_size(STACK_BYTES)
    }
}

/// The failure of a command whose thread cannot be started.
pub fn not_started(e: io::Error) -> Failure {
    Failure::work(format_args!("cannot start a thread: {e}"))
}
