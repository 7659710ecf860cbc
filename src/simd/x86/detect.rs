//! Detection of the instructions of an x86-64 processor: with `std` by the standard library, without it by CPUID and XGETBV. A
//! test compares the two.

#[cfg(any(test, not(feature = "std")))]
use core::arch::x86_64::__cpuid_count;

/// Which instructions the processor has and the operating system has enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Detected {
    /// SSE4.1.
    pub sse41: bool,
    /// AVX2, FMA and F16C.
    pub avx2: bool,
    /// AVX-VNNI.
    pub avx_vnni: bool,
    /// AVX-512 F, BW, DQ, VL and VNNI.
    pub avx512: bool,
}

impl Detected {
    /// Asks the standard library.
    #[cfg(feature = "std")]
    pub fn new() -> Detected {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma") && has!("f16c");
        let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
        Detected {
            sse41: has!("sse4.1"),
            avx2,
            avx_vnni: avx2 && has!("avxvnni"),
            avx512: avx2 && avx512 && has!("avx512vnni"),
        }
    }

    /// Asks the processor.
    #[cfg(not(feature = "std"))]
    pub fn new() -> Detected {
        Detected::by_cpuid()
    }

    /// Asks the processor.
    #[cfg(any(test, not(feature = "std")))]
    fn by_cpuid() -> Detected {
        let basic = __cpuid_count(1, 0);
        let sse41 = bits(basic.ecx, &[19]);
        // OSXSAVE: whether XGETBV may be executed.
        if __cpuid_count(0, 0).eax < 7 || !bits(basic.ecx, &[27]) {
            return Detected { sse41, avx2: false, avx_vnni: false, avx512: false };
        }
        let extended = __cpuid_count(7, 0);
        // Whether the wider registers are enabled: XMM and YMM; masks and both parts of ZMM.
        let enabled = xcr0();
        let (ymm, zmm) = (bits(enabled, &[1, 2]), bits(enabled, &[5, 6, 7]));
        // FMA, AVX, F16C; AVX2.
        let avx2 = ymm && bits(basic.ecx, &[12, 28, 29]) && bits(extended.ebx, &[5]);
        // The highest valid subleaf of leaf 7 is in EAX of subleaf 0.
        let avx_vnni = avx2 && extended.eax >= 1 && bits(__cpuid_count(7, 1).eax, &[4]);
        // F, DQ, BW, VL; VNNI.
        let avx512 = avx2 && zmm && bits(extended.ebx, &[16, 17, 30, 31]) && bits(extended.ecx, &[11]);
        Detected { sse41, avx2, avx_vnni, avx512 }
    }
}

/// Whether all these bits are set.
#[cfg(any(test, not(feature = "std")))]
fn bits(word: u32, bits: &[u32]) -> bool {
    bits.iter().all(|bit| word >> bit & 1 == 1)
}

/// The low half of the register XCR0; CPUID must have reported OSXSAVE.
#[cfg(any(test, not(feature = "std")))]
fn xcr0() -> u32 {
    let low: u32;
    // SAFETY: the only caller has seen OSXSAVE, without which the instruction does not exist. It writes EDX and EAX.
    unsafe {
        core::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags));
    }
    low
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    /// Miri has neither CPUID nor assembly.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn the_processor_says_what_the_standard_library_says() {
        assert_eq!(Detected::by_cpuid(), Detected::new());
    }
}
