//! Panics of a decoder as errors. Decoders are large, and their input is anybody's file: a mistake in one must cost one
//! picture, not the program.

use crate::error::Error;
use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is in [`guarded`], where panics print nothing.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode`. A panic in it, on this thread, becomes an error and prints nothing.
///
/// The first call replaces the process's panic hook by one that is silent for guarded threads and calls the previous hook for
/// others. In programs built with `panic = "abort"` a panic still ends the program.
///
/// # Errors
/// Those of `decode`, and [`Error::Panicked`] if it panics.
pub fn guarded<T>(decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                previous(info);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    // Unwind safety: `decode` is consumed, and its result is dropped.
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(outer);
    result.unwrap_or_else(|cause| Err(Error::Panicked(message(&*cause).to_owned())))
}

fn message(cause: &(dyn Any + Send)) -> &str {
    cause
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| cause.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let failed: Result<(), _> = guarded(|| panic!("at byte {}", 7));
        assert_eq!(failed.unwrap_err().to_string(), "the decoder failed on this file: at byte 7");
        assert!(!IS_GUARDED.get());
        assert_eq!(guarded(|| Ok(3)).unwrap(), 3);
    }
}
