//! The wrapper around every call from C.

use crate::status::{CallError, Status};
use crate::text::TextBuffer;
use core::ffi::c_char;
use core::fmt::Write;

/// Runs `body` and returns its status; the message of an error goes to `message`, which is empty after success.
///
/// With the feature `std` a panic becomes [`Status::InternalError`]; without it the panic handler does not return.
///
/// # Safety
/// `message` is null, or `message_bytes` bytes at `message` are writable and not used otherwise during the call.
pub(crate) unsafe fn call(
    message: *mut c_char,
    message_bytes: usize,
    body: impl FnOnce() -> Result<(), CallError>,
) -> Status {
    // SAFETY: `message` meets the requirements of `TextBuffer::new`, which are those of this function.
    let mut text = unsafe { TextBuffer::new(message, message_bytes) };
    match catch_panic(body) {
        Ok(()) => Status::Ok,
        Err(error) => {
            // Writing to a `TextBuffer` never fails.
            let _ = write!(text, "{error}");
            error.status()
        }
    }
}

/// [`call`] for functions without a message.
pub(crate) fn call_without_message(body: impl FnOnce() -> Result<(), CallError>) -> Status {
    // SAFETY: the message is null.
    unsafe { call(core::ptr::null_mut(), 0, body) }
}

#[cfg(feature = "std")]
fn catch_panic(body: impl FnOnce() -> Result<(), CallError>) -> Result<(), CallError> {
    // After a panic only the caller's memory remains, whose contents are then documented as unspecified.
    std::panic::catch_unwind(core::panic::AssertUnwindSafe(body)).unwrap_or(Err(CallError::Panic))
}

#[cfg(not(feature = "std"))]
fn catch_panic(body: impl FnOnce() -> Result<(), CallError>) -> Result<(), CallError> {
    body()
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use core::ffi::CStr;

    #[test]
    fn a_panic_becomes_a_status() {
        let mut memory = [0x7F as c_char; 90];
        let body = || panic!("this test panics on purpose");
        // SAFETY: `memory` has the stated size.
        assert_eq!(unsafe { call(memory.as_mut_ptr(), memory.len(), body) }, Status::InternalError);
        // SAFETY: `call` terminates the message.
        assert!(unsafe { CStr::from_ptr(memory.as_ptr()) }.to_str().unwrap().contains("internal error"));
        // SAFETY: a null message has no memory, whatever its stated size.
        assert_eq!(unsafe { call(core::ptr::null_mut(), 9, || Ok(())) }, Status::Ok);
    }
}
