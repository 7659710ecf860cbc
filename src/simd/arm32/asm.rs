//! The macro that all vector code of 32-bit Arm goes through, and the test for flushed numbers.

/// Inline assembly with NEON and VFPv4 instructions: templates, a semicolon, and operands that end in a comma.
///
/// Stable Rust knows no q registers here, and ignores `out("q4")` without a word, so each block declares all registers as overwritten
/// by the names that VFP has for them: d0 to d31, of which d8 to d15 are callee-saved.
macro_rules! neon_asm {
    ($($template:expr),+ ; $($operands:tt)*) => {
        core::arch::asm!(
            ".fpu neon-vfpv4", $($template,)+ $($operands)*
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _, out("d12") _, out("d13") _, out("d14") _, out("d15") _,
            out("d16") _, out("d17") _, out("d18") _, out("d19") _, out("d20") _, out("d21") _, out("d22") _, out("d23") _,
            out("d24") _, out("d25") _, out("d26") _, out("d27") _, out("d28") _, out("d29") _, out("d30") _, out("d31") _,
            options(nostack),
        )
    };
}
pub(crate) use neon_asm;

/// The bits of the status register FPSCR that are set when an operation flushed a subnormal input (IDC) or result (UFC) to zero.
/// They stay set until they are cleared.
pub(crate) const FLUSHED: u32 = 1 << 7 | 1 << 3;

/// Clears the bits of [`FLUSHED`].
///
/// # Safety
/// The processor has VFP.
#[cold]
pub(crate) unsafe fn clear_flushed() {
    // SAFETY: the assembly changes status bits only that no compiled code reads; the processor has VFP, by this function's
    // precondition.
    unsafe {
        core::arch::asm!("vmrs {x}, fpscr", "bic {x}, {x}, {bits}", "vmsr fpscr, {x}", x = out(reg) _, bits = in(reg) FLUSHED,
                         options(nomem, nostack, preserves_flags));
    }
}
