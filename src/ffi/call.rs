//! The wrapper around every call from C.

use crate::pointers::ByteRange;
use crate::status::{CallError, Status};
use crate::text::TextBuffer;
use core::ffi::c_char;
use core::fmt::Write;

/// The name of the message in errors.
const MESSAGE: &str = "message";

/// Runs `body` and returns its status; the message of an error goes to `message`, which is empty after success. `body` gets the
/// range of the message. Before anything else, it must check it against everything that the call reads or writes: if they
/// overlap, the message is not written.
///
/// With the feature `std` a panic becomes [`Status::InternalError`], unless the library was built with `panic = "abort"`.
/// Without `std` the panic handler does not return.
///
/// # Safety
/// `message` is null, or `message_bytes` bytes at `message` are writable and not used otherwise during the call.
pub(crate) unsafe fn call(
    message: *mut c_char,
    message_bytes: usize,
    body: impl FnOnce(ByteRange) -> Result<(), CallError>,
) -> Status {
    let range = ByteRange::of(message, message_bytes, MESSAGE);
    let result = catch_panic(|| body(range));
    let status = result.as_ref().map_or_else(CallError::status, |()| Status::Ok);
    if matches!(result, Err(CallError::Overlap(a, b)) if a == MESSAGE || b == MESSAGE) {
        return status;
    }
    // SAFETY: `message` meets the requirements of `TextBuffer::new`, which are those of this function.
    let mut text = unsafe { TextBuffer::new(message, message_bytes) };
    if let Err(error) = result {
        // Writing to a `TextBuffer` never fails.
        let _ = write!(text, "{error}");
    }
    status
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
        let body = |_| panic!("this test panics on purpose");
        // SAFETY: `memory` has the stated size.
        assert_eq!(unsafe { call(memory.as_mut_ptr(), memory.len(), body) }, Status::InternalError);
        // SAFETY: `call` terminates the message.
        assert!(unsafe { CStr::from_ptr(memory.as_ptr()) }.to_str().unwrap().contains("internal error"));
        // SAFETY: a null message has no memory, whatever its stated size.
        assert_eq!(unsafe { call(core::ptr::null_mut(), 9, |_| Ok(())) }, Status::Ok);
    }
}
