//! A second static library of Rust, which `.ci/capi` links into one program with `libbeitle.a`. With `--cfg bare` it is built
//! without `std` and has a panic handler of its own.
#![cfg_attr(bare, no_std)]

#[cfg(bare)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Adds two numbers; panics if the sum does not fit.
#[unsafe(no_mangle)]
pub extern "C" fn other_add(a: u32, b: u32) -> u32 {
    a.checked_add(b).expect("the sum must fit")
}
