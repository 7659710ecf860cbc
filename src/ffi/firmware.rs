//! Where a panic goes in a static library without an operating system: to a function of the firmware's own.

unsafe extern "C" {
    fn beitle_panicked() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: the header asks for a function that does not return.
    unsafe { beitle_panicked() }
}
