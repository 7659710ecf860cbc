//! The supported instruction sets: a table entry for each, run-time detection, and the micro-kernels as methods of [`Isa`].
//!
//! A table entry (`Spec`) names the lanes that row kernels are compiled for, the micro-kernels, and the largest tile of each. An
//! [`Isa`] is a reference to the entry of an instruction set that this processor has: [`Isa::available`] makes one after
//! detection, and [`Isa::assume`] on the caller's word. Calls of functions that need processor features rely on that.
//!
//! Adding an instruction set takes an entry here and a line in `in_build`, its lanes in [`LaneSet`] and in
//! [`mod@super::dispatch`] if they are new, and its peak loops in `peak`.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use super::arm::{detect::Detected, dotprod, i8mm, neon};
#[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
use super::arm32::{self, detect::Detected};
use super::lanes::{LANES, Lanes};
use super::portable::{self, Portable};
use super::tile::{MAX_PANELS, MAX_ROWS, MAX_SUMS, TileF, TileI8};
#[cfg(target_arch = "x86_64")]
use super::x86::{avx2, avx2_tile, avx512, detect::Detected, sse41, sse41_tile};
use core::ffi::CStr;
use half::f16;

/// The largest tile that one call of a micro-kernel computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileShape {
    /// Rows of activations (MR).
    pub rows: usize,
    /// Panels of 16 outputs (NR / 16).
    pub panels: usize,
}

/// The implementations of [`Lanes`]. Row kernels are compiled once for each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneSet {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Sse41,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon,
    #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
    Neon,
    #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
    NeonVfpv4,
}

impl LaneSet {
    /// Whether the build has the portable kernels. They are left out where nothing would use them: without `std`, if the build's
    /// target features already promise faster ones.
    pub const PORTABLE_IN_BUILD: bool = cfg!(any(
        test,
        feature = "std",
        not(any(
            all(target_arch = "x86_64", target_feature = "sse4.1"),
            all(target_arch = "aarch64", target_feature = "neon")
        ))
    ));

    /// Whether the build has the kernels of SSE4.1. Without `std` they would be a quarter of the code, so they are in the build only
    /// if its target features promise SSE4.1, and nothing faster.
    #[cfg(target_arch = "x86_64")]
    pub const SSE41_IN_BUILD: bool = cfg!(any(
        test,
        feature = "std",
        all(
            target_feature = "sse4.1",
            not(all(target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))
        )
    ));
}

/// The table entry of an instruction set: the lanes of its row kernels, and its micro-kernels with their largest tiles.
/// Micro-kernels take the numbers of rows and panels, then the operands.
struct Spec {
    name: &'static CStr,
    lanes: LaneSet,
    /// [`Lanes::SIGN_FLIP`] of `lanes`.
    sign_flip: u8,
    /// The largest tile of `tile_i8` in matrix products.
    shape_i8: TileShape,
    tile_i8: unsafe fn(usize, usize, &TileI8),
    /// The largest tile of `tile_i8` in attention, whose products have a short K; 16 panels hold a whole span of keys
    /// (`ops::attention`).
    shape_attention: TileShape,
    /// The largest tile of `tile_f32` and `tile_f16`.
    shape_f: TileShape,
    tile_f32: unsafe fn(usize, usize, &TileF<f32>),
    tile_f16: unsafe fn(usize, usize, &TileF<f16>),
}

const fn shape(rows: usize, panels: usize) -> TileShape {
    TileShape { rows, panels }
}

/// A shape in matrix products, whose sums fit the buffers of `ops::gemm`.
const fn product_shape(rows: usize, panels: usize) -> TileShape {
    assert!(rows <= MAX_ROWS && panels <= MAX_PANELS && rows * panels * LANES <= MAX_SUMS);
    shape(rows, panels)
}

static PORTABLE: Spec = Spec {
    name: c"portable",
    lanes: LaneSet::Portable,
    sign_flip: Portable::SIGN_FLIP,
    shape_i8: product_shape(4, 1),
    tile_i8: portable::tile_i8,
    shape_attention: shape(4, 1),
    shape_f: product_shape(4, 1),
    tile_f32: portable::tile_f32,
    tile_f16: portable::tile_f16,
};

#[cfg(target_arch = "x86_64")]
static SSE41: Spec = Spec {
    name: c"sse4.1",
    lanes: LaneSet::Sse41,
    sign_flip: sse41::Sse41::SIGN_FLIP,
    shape_i8: product_shape(8, 3),
    tile_i8: sse41_tile::tile_i8,
    shape_attention: shape(8, 4),
    shape_f: product_shape(4, 1),
    tile_f32: sse41_tile::tile_f32,
    tile_f16: sse41_tile::tile_f16,
};

#[cfg(target_arch = "x86_64")]
static AVX2: Spec = Spec {
    name: c"avx2",
    lanes: LaneSet::Avx2,
    sign_flip: avx2::Avx2::SIGN_FLIP,
    shape_i8: product_shape(5, 6),
    tile_i8: avx2_tile::tile_i8,
    shape_attention: shape(5, 16),
    shape_f: product_shape(6, 1),
    tile_f32: avx2_tile::tile_f32,
    tile_f16: avx2_tile::tile_f16,
};

#[cfg(target_arch = "x86_64")]
static AVX_VNNI: Spec = Spec {
    name: c"avxvnni",
    shape_i8: product_shape(6, 1),
    tile_i8: avx2_tile::tile_i8_vnni,
    shape_attention: shape(6, 1),
    ..AVX2
};

/// The tile of AVX-VNNI in AVX-512's encoding (EVEX), to test it on processors that have AVX-512 but not AVX-VNNI.
#[cfg(all(target_arch = "x86_64", any(test, feature = "bench")))]
static AVX_VNNI_EVEX: Spec = Spec { name: c"avxvnni-evex", tile_i8: avx2_tile::tile_i8_evex, ..AVX_VNNI };

#[cfg(target_arch = "x86_64")]
static AVX512: Spec = Spec {
    name: c"avx512",
    lanes: LaneSet::Avx512,
    sign_flip: avx512::Avx512::SIGN_FLIP,
    shape_i8: product_shape(8, 3),
    tile_i8: avx512::tile_i8,
    shape_attention: shape(5, 3),
    shape_f: product_shape(8, 3),
    tile_f32: avx512::tile_f32,
    tile_f16: avx512::tile_f16,
};

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
static NEON: Spec = Spec {
    name: c"neon",
    lanes: LaneSet::Neon,
    sign_flip: neon::Neon::SIGN_FLIP,
    shape_i8: product_shape(2, 1),
    tile_i8: super::arm::tile_i8::tile_i8,
    shape_attention: shape(2, 1),
    shape_f: product_shape(6, 1),
    tile_f32: super::arm::tile_f::tile_f32,
    tile_f16: super::arm::tile_f::tile_f16,
};

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
static DOTPROD: Spec = Spec {
    name: c"dotprod",
    shape_i8: product_shape(6, 3),
    tile_i8: dotprod::tile_i8,
    shape_attention: shape(6, 16),
    ..NEON
};

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
static I8MM: Spec = Spec {
    name: c"i8mm",
    shape_i8: product_shape(10, 3),
    tile_i8: i8mm::tile_i8,
    shape_attention: shape(8, 1),
    ..NEON
};

/// NEON of 32-bit Arm, without fused multiply-adds (Cortex-A8, A9).
#[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
static NEON: Spec = Spec {
    name: c"neon",
    lanes: LaneSet::Neon,
    sign_flip: arm32::lanes::Neon::<false>::SIGN_FLIP,
    shape_i8: product_shape(2, 1),
    tile_i8: arm32::tile_i8::tile_i8,
    shape_attention: shape(2, 1),
    shape_f: product_shape(4, 1),
    tile_f32: arm32::tile_f::emulated::tile_f32,
    tile_f16: arm32::tile_f::emulated::tile_f16,
};

/// NEON of 32-bit Arm with fused multiply-adds (Cortex-A5, A7, A15, A17, and 64-bit processors).
#[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
static NEON_VFPV4: Spec = Spec {
    name: c"neon-vfpv4",
    lanes: LaneSet::NeonVfpv4,
    shape_f: product_shape(2, 1),
    tile_f32: arm32::tile_f::tile_f32,
    tile_f16: arm32::tile_f::tile_f16,
    ..NEON
};

/// The slowest instruction set of the build, which every processor that runs it has.
const SLOWEST: &Spec = if LaneSet::PORTABLE_IN_BUILD { &PORTABLE } else { BASELINE };

/// The instruction set of a build without the portable kernels.
#[cfg(target_arch = "x86_64")]
const BASELINE: &Spec = if LaneSet::SSE41_IN_BUILD { &SSE41 } else { &AVX2 };
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
const BASELINE: &Spec = &NEON;
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
const BASELINE: &Spec = &PORTABLE;

/// An instruction set that this processor has: a value is made only after detection, or on the word of the caller of
/// [`Isa::assume`].
#[derive(Clone, Copy)]
pub struct Isa(&'static Spec);

impl core::fmt::Debug for Isa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Isa({})", self.name())
    }
}

/// The instruction sets of this build, slowest first, and whether this processor is known to have each.
fn in_build() -> impl DoubleEndedIterator<Item = (&'static Spec, bool)> {
    #[cfg(any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_feature = "neon"),
        all(target_arch = "arm", target_os = "linux", target_abi = "eabihf")
    ))]
    let detected = Detected::new();
    let all = [
        LaneSet::PORTABLE_IN_BUILD.then_some((&PORTABLE, true)),
        #[cfg(target_arch = "x86_64")]
        LaneSet::SSE41_IN_BUILD.then_some((&SSE41, detected.sse41)),
        #[cfg(target_arch = "x86_64")]
        Some((&AVX2, detected.avx2)),
        #[cfg(target_arch = "x86_64")]
        Some((&AVX_VNNI, detected.avx_vnni)),
        #[cfg(all(target_arch = "x86_64", any(test, feature = "bench")))]
        Some((&AVX_VNNI_EVEX, detected.avx512)),
        #[cfg(target_arch = "x86_64")]
        Some((&AVX512, detected.avx512)),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Some((&NEON, true)),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Some((&DOTPROD, detected.dotprod)),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Some((&I8MM, detected.i8mm)),
        #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
        Some((&NEON, detected.neon)),
        #[cfg(all(target_arch = "arm", target_os = "linux", target_abi = "eabihf"))]
        Some((&NEON_VFPV4, detected.vfpv4)),
    ];
    all.into_iter().flatten()
}

impl Isa {
    /// Every supported instruction set that this processor is known to have, slowest first. The processor is asked at run time, except
    /// without `std` on Arm, where the target features of the build decide (see [`Isa::assume`]).
    pub fn available() -> impl DoubleEndedIterator<Item = Isa> {
        in_build().filter(|(_, present)| *present).map(|(spec, _)| Isa(spec))
    }

    /// The fastest of the [available](Isa::available) instruction sets.
    pub fn detect() -> Isa {
        Isa::available().next_back().unwrap_or(Isa(SLOWEST))
    }

    /// The instruction set with this name, if it is [available](Isa::available): `portable`, `sse4.1`, `avx2`, `avxvnni`,
    /// `avx512`, `neon`, `dotprod` or `i8mm`; on 32-bit Arm `neon` or `neon-vfpv4`.
    pub fn by_name(name: &str) -> Option<Isa> {
        Isa::available().find(|isa| isa.name() == name)
    }

    /// The instruction set with this name, if the build has kernels for it: for a program without an operating system that
    /// knows its processor. On Arm a privileged program finds dot products in bits 44 to 47 of the register ID_AA64ISAR0_EL1
    /// and i8mm in bits 52 to 55 of ID_AA64ISAR1_EL1; they are not 0 if the processor has the instructions.
    ///
    /// # Safety
    /// The processor has these instructions and they are enabled.
    pub unsafe fn assume(name: &str) -> Option<Isa> {
        in_build().map(|(spec, _)| Isa(spec)).find(|isa| isa.name() == name)
    }

    /// The name of the instruction set, as [`Isa::by_name`] takes it.
    pub fn name(self) -> &'static str {
        self.0.name.to_str().unwrap_or_default()
    }

    /// [`Isa::name`] for C.
    pub fn c_name(self) -> &'static CStr {
        self.0.name
    }

    /// The lanes that the row kernels are compiled for.
    #[inline]
    pub(crate) fn lanes(self) -> LaneSet {
        self.0.lanes
    }

    /// The XOR mask of stored activation bytes: [`Lanes::SIGN_FLIP`].
    pub(crate) fn sign_flip(self) -> u8 {
        self.0.sign_flip
    }

    /// The largest tile of [`Isa::tile_i8`] in matrix products.
    pub(crate) fn shape_i8(self) -> TileShape {
        self.0.shape_i8
    }

    /// The largest tile of [`Isa::tile_i8`] in attention.
    pub(crate) fn shape_attention(self) -> TileShape {
        self.0.shape_attention
    }

    /// The largest tile of [`Isa::tile_f32`] and [`Isa::tile_f16`].
    pub(crate) fn shape_f(self) -> TileShape {
        self.0.shape_f
    }

    /// Computes a tile of int8 sums.
    ///
    /// # Safety
    /// The preconditions of [`TileI8`], with `rows` and `panels` within [`Isa::shape_i8`] or [`Isa::shape_attention`].
    #[inline]
    pub(crate) unsafe fn tile_i8(self, rows: usize, panels: usize, t: &TileI8) {
        // SAFETY: the preconditions of `TileI8` are this function's; the processor has the instructions, because
        // this is an `Isa`.
        unsafe { (self.0.tile_i8)(rows, panels, t) }
    }

    /// Computes a tile of f32 sums with f32 weights.
    ///
    /// # Safety
    /// The preconditions of [`TileF`], with `rows` and `panels` within [`Isa::shape_f`].
    #[inline]
    pub(crate) unsafe fn tile_f32(self, rows: usize, panels: usize, t: &TileF<f32>) {
        // SAFETY: the preconditions of `TileF` are this function's; the processor has the instructions, as in `tile_i8`.
        unsafe { (self.0.tile_f32)(rows, panels, t) }
    }

    /// Computes a tile of f32 sums with f16 weights.
    ///
    /// # Safety
    /// The preconditions of [`TileF`], with `rows` and `panels` within [`Isa::shape_f`].
    #[inline]
    pub(crate) unsafe fn tile_f16(self, rows: usize, panels: usize, t: &TileF<f16>) {
        // SAFETY: the preconditions of `TileF` are this function's; the processor has the instructions, as in `tile_i8`.
        unsafe { (self.0.tile_f16)(rows, panels, t) }
    }
}
