//! Arrays of the caller while a run uses them. Python goes on meanwhile, and may change an array's dtype or shape, or pass its memory
//! to another call. Runs therefore work on a view of their own, and their memory is in a register.

use numpy::PyUntypedArray;
use pyo3::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A new array object for the memory of `array`. Nobody else has it, so that its dtype, shape and flags stay what they are.
pub fn private_view<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let class = array.py().get_type::<PyUntypedArray>();
    // Not the method of the array, which a subclass may have replaced.
    Ok(class.call_method1("view", (array, &class))?.cast_into()?)
}

/// What a run does with memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Other runs may read it, too.
    Read,
    /// No other run may use it.
    Write,
}

/// Memory that runs use at the moment. rust-numpy registers borrowed arrays by the object that owns their memory; arrays that
/// `numpy.frombuffer` has made of one buffer have different owners. Locked only by threads that hold Python's lock: a process that
/// forks meanwhile copies it unlocked.
static IN_USE: Mutex<Vec<(Range<usize>, Access)>> = Mutex::new(Vec::new());

fn in_use() -> MutexGuard<'static, Vec<(Range<usize>, Access)>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry of the register, which ends with this value.
pub struct Registered {
    memory: Range<usize>,
    access: Access,
}

impl Registered {
    /// Registers `memory`, a range of addresses; `None` if a run writes to a part of it, or reads a part that this one would write.
    pub fn new(memory: Range<usize>, access: Access) -> Option<Self> {
        let mut in_use = in_use();
        let conflicts = |(other, of_other): &(Range<usize>, Access)| {
            (access == Access::Write || *of_other == Access::Write) && overlap(other, &memory)
        };
        if in_use.iter().any(conflicts) {
            return None;
        }
        in_use.push((memory.clone(), access));
        Some(Registered { memory, access })
    }

    /// Whether a part of `memory` is in this entry.
    pub fn overlaps(&self, memory: &Range<usize>) -> bool {
        overlap(&self.memory, memory)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut in_use = in_use();
        // Readers of the same memory have equal entries, of which any will do.
        if let Some(at) = in_use.iter().position(|entry| *entry == (self.memory.clone(), self.access)) {
            in_use.swap_remove(at);
        }
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
