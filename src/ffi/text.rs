//! Text for C in the caller's memory.

use core::ffi::c_char;
use core::fmt::{self, Write};

/// A C string under construction: UTF-8 with a terminating zero, truncated between characters where the memory ends.
pub(crate) struct TextBuffer {
    /// Null if `capacity` is 0.
    data: *mut u8,
    /// Bytes at `data`, the terminating zero included.
    capacity: usize,
    /// Bytes written, without the terminating zero; less than `capacity` unless both are 0.
    len: usize,
    /// Whether text was left out.
    pub truncated: bool,
}

impl TextBuffer {
    /// An empty string in the memory at `data`. If `data` is null, all text is left out.
    ///
    /// # Safety
    /// `data` is null, or `capacity` bytes at `data` are writable and not used otherwise while the value exists.
    pub unsafe fn new(data: *mut c_char, capacity: usize) -> TextBuffer {
        let data = data.cast::<u8>();
        let capacity = if data.is_null() { 0 } else { capacity };
        if capacity > 0 {
            // SAFETY: `data` is not null and has at least one writable byte.
            unsafe { data.write(0) };
        }
        TextBuffer { data, capacity, len: 0, truncated: false }
    }
}

impl Write for TextBuffer {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let free = self.capacity.saturating_sub(self.len + 1);
        // Text behind a truncated part would look as if nothing were missing.
        let mut take = if self.truncated { 0 } else { free.min(s.len()) };
        while !s.is_char_boundary(take) {
            take -= 1;
        }
        self.truncated |= take < s.len();
        if take > 0 {
            // SAFETY: `take <= capacity - len - 1`, so that both writes end within the `capacity` writable bytes that the
            // caller of `new` provided exclusively; `s` is therefore elsewhere.
            unsafe {
                self.data.add(self.len).copy_from_nonoverlapping(s.as_ptr(), take);
                self.data.add(self.len + take).write(0);
            }
            self.len += take;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ffi::CStr;

    #[test]
    fn text_is_truncated_between_characters() {
        for (capacity, want) in [(1, ""), (2, "a"), (3, "a"), (4, "aß"), (5, "aßc"), (6, "aßcd")] {
            let mut memory = [0x7F as c_char; 8];
            // SAFETY: `memory` has more than `capacity` bytes.
            let mut text = unsafe { TextBuffer::new(memory.as_mut_ptr(), capacity) };
            text.write_str("aß").and_then(|()| text.write_str("cd")).unwrap();
            assert_eq!(text.truncated, capacity < 6);
            // SAFETY: `TextBuffer` terminates the string.
            assert_eq!(unsafe { CStr::from_ptr(memory.as_ptr()) }.to_str(), Ok(want));
            assert!(memory[capacity..].iter().all(|&c| c == 0x7F));
        }
    }
}
