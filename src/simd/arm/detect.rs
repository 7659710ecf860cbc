//! Detection of the instructions of a 64-bit Arm processor, beyond NEON: with `std` by the standard library. Without it only a
//! privileged program could ask the processor; there the target features of the build decide.

/// Which instructions the processor has.
#[derive(Clone, Copy)]
pub(crate) struct Detected {
    pub dotprod: bool,
    pub i8mm: bool,
}

impl Detected {
    /// Asks the standard library.
    #[cfg(feature = "std")]
    pub fn new() -> Detected {
        use std::arch::is_aarch64_feature_detected as has;
        Detected { dotprod: has!("dotprod"), i8mm: has!("i8mm") }
    }

    /// What every processor that can run this build has.
    #[cfg(not(feature = "std"))]
    pub fn new() -> Detected {
        Detected { dotprod: cfg!(target_feature = "dotprod"), i8mm: cfg!(target_feature = "i8mm") }
    }
}
