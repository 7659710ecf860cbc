//! A function for the test of what becomes of a panic (`.ci/capi`). It is in no header and no released library.

use crate::call::call;
use crate::status::Status;
use core::ffi::c_char;

/// Panics inside the library.
///
/// # Safety
/// As for the functions of [`exports`](crate::exports).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_panic_test(message: *mut c_char, message_bytes: usize) -> Status {
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, |_| panic!("this test panics on purpose")) }
}
