//! Detection of NEON and VFPv4 on 32-bit Arm: the kernel's list of the processor's features, which a program finds in its
//! auxiliary vector.

/// Which instructions the processor has.
#[derive(Clone, Copy)]
pub(crate) struct Detected {
    pub neon: bool,
    /// NEON and fused multiply-adds (VFPv4).
    pub vfpv4: bool,
}

impl Detected {
    /// Reads the auxiliary vector of this process, once.
    #[cfg(feature = "std")]
    pub fn new() -> Detected {
        static HWCAP: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
        let bits = *HWCAP.get_or_init(|| hwcap(&std::fs::read("/proc/self/auxv").unwrap_or_default()));
        // HWCAP_NEON and HWCAP_VFPv4 of Linux's asm/hwcap.h.
        let neon = bits & 1 << 12 != 0;
        Detected { neon, vfpv4: neon && bits & 1 << 16 != 0 }
    }

    /// Without `std` nothing is known: the target features of 32-bit Arm are invisible to stable Rust.
    #[cfg(not(feature = "std"))]
    pub fn new() -> Detected {
        Detected { neon: false, vfpv4: false }
    }
}

/// The value of AT_HWCAP in an auxiliary vector, which is pairs of (type, value); 0 if there is none.
#[cfg(feature = "std")]
fn hwcap(auxv: &[u8]) -> u32 {
    const AT_HWCAP: u32 = 16;
    let words = auxv.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w));
    let (types, values) = (words.clone().step_by(2), words.skip(1).step_by(2));
    types.zip(values).find(|(kind, _)| *kind == AT_HWCAP).map_or(0, |(_, value)| value)
}
