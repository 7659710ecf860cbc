//! From a result to a status and a message in the caller's memory.

use super::types::Status;
use beitle::error::Error;
use core::ffi::c_char;
use core::fmt::{self, Write};

/// Why a call was refused.
pub(super) enum Refusal {
    /// An argument: which, and what is wrong with it.
    Argument(&'static str, &'static str),
    /// Memory that does not start at a multiple of so many bytes.
    Misaligned(&'static str, usize),
    /// The engine's own error.
    Engine(Error),
    /// It panicked.
    #[cfg(feature = "std")]
    Panic,
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Refusal::Engine(e)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Argument(what, wrong) => write!(f, "{what} {wrong}"),
            Refusal::Misaligned(what, to) => write!(f, "{what} does not start at a multiple of {to}"),
            Refusal::Engine(e) => e.fmt(f),
            #[cfg(feature = "std")]
            Refusal::Panic => f.write_str("a defect of this library stopped the call; please report it"),
        }
    }
}

impl Refusal {
    fn status(&self) -> Status {
        match self {
            Refusal::Argument(..) => Status::Argument,
            Refusal::Misaligned(..) => Status::Misaligned,
            #[cfg(feature = "std")]
            Refusal::Panic => Status::Internal,
            Refusal::Engine(e) => match e {
                Error::Misaligned => Status::Misaligned,
                Error::Magic => Status::NotAModel,
                Error::Version { .. } => Status::OtherVersion,
                Error::Truncated { .. }
                | Error::Checksum { .. }
                | Error::Header { .. }
                | Error::Tensor { .. }
                | Error::Missing { .. }
                | Error::Unexpected { .. } => Status::Damaged,
                Error::Buffer { .. } => Status::Buffer,
                Error::Image { .. } => Status::Picture,
                Error::TooLarge => Status::TooLarge,
                Error::Cancelled => Status::Cancelled,
                // The enum is non-exhaustive; every variant of this version is above.
                _ => Status::Internal,
            },
        }
    }
}

/// Text for C: as much as there is room for, whole characters, ending in a zero byte.
pub(super) struct Text {
    to: *mut u8,
    room: usize,
    len: usize,
    /// Whether something was left out.
    pub cut: bool,
}

impl Text {
    /// # Safety
    /// `to` is null, or `room` bytes from there may be written for as long as this lives.
    pub unsafe fn new(to: *mut c_char, room: usize) -> Text {
        let to = to.cast::<u8>();
        if !to.is_null() && room > 0 {
            // SAFETY: there is room for one byte at least.
            unsafe { to.write(0) };
        }
        Text { to, room: if to.is_null() { 0 } else { room }, len: 0, cut: false }
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let free = self.room.saturating_sub(self.len + 1);
        // After a cut nothing more is written: a text with a hole would mislead.
        let mut take = if self.cut { 0 } else { free.min(s.len()) };
        while !s.is_char_boundary(take) {
            take -= 1;
        }
        self.cut |= take < s.len();
        if take > 0 {
            // SAFETY: `len + take + 1 <= room`, and the caller's memory is not a Rust string.
            unsafe {
                self.to.add(self.len).copy_from_nonoverlapping(s.as_ptr(), take);
                self.to.add(self.len + take).write(0);
            }
            self.len += take;
        }
        Ok(())
    }
}

/// Does a call's work and tells C how it ended. With `std` a panic becomes a status; without, the program's panic handler
/// has the last word.
///
/// # Safety
/// As [`Text::new`].
pub(super) unsafe fn answer(
    message: *mut c_char,
    room: usize,
    work: impl FnOnce() -> Result<(), Refusal>,
) -> Status {
    // SAFETY: the caller's promise.
    let mut text = unsafe { Text::new(message, room) };
    #[cfg(feature = "std")]
    let result = std::panic::catch_unwind(core::panic::AssertUnwindSafe(work)).unwrap_or(Err(Refusal::Panic));
    #[cfg(not(feature = "std"))]
    let result = work();
    match result {
        Ok(()) => Status::Ok,
        Err(refusal) => {
            // Writing into `Text` cannot fail.
            let _ = write!(text, "{refusal}");
            refusal.status()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ffi::CStr;

    #[test]
    fn text_is_cut_between_characters() {
        for (room, want) in [(1, ""), (2, "a"), (3, "a"), (4, "aß"), (5, "aßc"), (6, "aßcd")] {
            let mut memory = [0x7F as c_char; 8];
            // SAFETY: there is as much room as said.
            let mut text = unsafe { Text::new(memory.as_mut_ptr(), room) };
            text.write_str("aß").and_then(|()| text.write_str("cd")).unwrap();
            assert_eq!(text.cut, room < 6);
            // SAFETY: `Text` ends what it writes.
            assert_eq!(unsafe { CStr::from_ptr(memory.as_ptr()) }.to_str(), Ok(want));
            assert!(memory[room..].iter().all(|&c| c == 0x7F));
        }
    }

    #[test]
    #[cfg(feature = "std")]
    fn a_panic_is_a_status() {
        let mut memory = [0x7F as c_char; 90];
        let work = || panic!("meant to happen");
        // SAFETY: there is as much room as said.
        assert_eq!(unsafe { answer(memory.as_mut_ptr(), memory.len(), work) }, Status::Internal);
        // SAFETY: `answer` ends what it writes.
        assert!(unsafe { CStr::from_ptr(memory.as_ptr()) }.to_str().unwrap().contains("defect"));
        // SAFETY: no message.
        assert_eq!(unsafe { answer(core::ptr::null_mut(), 9, || Ok(())) }, Status::Ok);
    }
}
