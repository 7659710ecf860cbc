//! Memory of an exact length, aligned as weight files and arenas must be. It comes from the allocator, so that AddressSanitizer
//! notices every access beyond it; pages of the operating system would end at a page boundary.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};

pub struct Aligned {
    start: *mut u8,
    layout: Layout,
}

impl Aligned {
    /// Memory of at least one byte, filled with a pattern.
    pub fn new(bytes: usize) -> Aligned {
        let layout =
            Layout::from_size_align(bytes.max(1), beitle::file::format::ALIGN).expect("a small size");
        // SAFETY: the layout has at least one byte.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: `alloc` returned that many bytes.
        unsafe { start.write_bytes(0xA5, layout.size()) };
        Aligned { start, layout }
    }

    pub fn copy_of(bytes: &[u8]) -> Aligned {
        let mut memory = Aligned::new(bytes.len());
        memory[..bytes.len()].copy_from_slice(bytes);
        memory
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `new` allocated and filled these bytes.
        unsafe { std::slice::from_raw_parts(self.start, self.layout.size()) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as `deref`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the memory with this layout.
        unsafe { dealloc(self.start, self.layout) };
    }
}
