//! The C library `beitle`: the functions of `include/beitle.h`, linked into one file.
#![cfg_attr(not(feature = "std"), no_std)]

// The dependency must be named, or the linker would not see its exported functions.
pub use beitle_ffi::*;

#[cfg(not(feature = "std"))]
unsafe extern "C" {
    /// The program's own function, declared in `include/beitle.h`.
    fn beitle_panicked() -> !;
}

/// Without an operating system, a panic calls the program's own function.
#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: `include/beitle.h` requires a function without parameters that does not return.
    unsafe { beitle_panicked() }
}
