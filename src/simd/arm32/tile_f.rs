//! The floating-point micro-kernel of VFPv4: 2 rows by 1 panel, a vector of weights times one activation in all lanes.
//!
//! | registers | contents |
//! | --- | --- |
//! | q8–q11, q12–q15 | accumulators of rows 0 and 1 |
//! | q0–q3 | 16 weights of one k |
//! | q4, q5 | activations of rows 0 and 1 |
//! | q6, q7 | f16 weights, before they are widened |
//!
//! NEON's arithmetic flushes subnormal numbers to zero and says so in the status register. The sums are stored only if nothing
//! was flushed; otherwise the tile is computed again by scalar instructions.

use super::asm::{FLUSHED, clear_flushed, neon_asm};
use super::lanes::Neon;
use crate::simd::lanes::{LANES, Lanes};
use crate::simd::tile::{TileF, Widen, float_tiles, tile_f};
use half::f16;

/// A weight type, and the assembly that computes a tile of it.
trait Weight: Widen {
    /// Computes a tile and stores it, unless a number was flushed to zero; returns the status bits that tell.
    ///
    /// # Safety
    /// The preconditions of [`TileF`], with rows 0 and `last` and one panel; the processor has VFPv4.
    unsafe fn try_tile(t: &TileF<Self>, last: usize) -> u32;
}

#[rustfmt::skip]
macro_rules! tile_asm {
    ($t:ident, $last:ident, $load:literal) => {{
        let (mut k, mut flushed) = ($t.k, FLUSHED);
        let out = [$t.out, $t.out.add($last * LANES)];
        neon_asm!(
            "vmov.i32 q8, #0", "vmov.i32 q9, #0", "vmov.i32 q10, #0", "vmov.i32 q11, #0",
            "vmov.i32 q12, #0", "vmov.i32 q13, #0", "vmov.i32 q14, #0", "vmov.i32 q15, #0",
            "cmp {overwrite}, #0", "bne 2f",
            "vldmia {out0}, {{d16-d23}}", "vldmia {out1}, {{d24-d31}}",
            "2:", "subs {k}, {k}, #1", "blt 3f",
            $load,
            "vld1.32 {{d8[], d9[]}}, [{a0}]!", "vld1.32 {{d10[], d11[]}}, [{a1}]!",
            "vfma.f32 q8, q0, q4", "vfma.f32 q12, q0, q5", "vfma.f32 q9, q1, q4", "vfma.f32 q13, q1, q5",
            "vfma.f32 q10, q2, q4", "vfma.f32 q14, q2, q5", "vfma.f32 q11, q3, q4", "vfma.f32 q15, q3, q5",
            "b 2b",
            "3:", "vmrs {k}, fpscr", "ands {flushed}, {flushed}, {k}", "bne 4f",
            "vstmia {out0}, {{d16-d23}}", "vstmia {out1}, {{d24-d31}}",
            "4:";
            k = inout(reg) k, flushed = inout(reg) flushed, overwrite = in(reg) u32::from($t.overwrite),
            a0 = inout(reg) $t.a => _, a1 = inout(reg) $t.a.add($last * $t.a_pitch) => _, w = inout(reg) $t.w => _,
            out0 = in(reg) out[0], out1 = in(reg) out[1],
        );
        let _ = k;
        flushed
    }};
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn try_tile(t: &TileF<f32>, last: usize) -> u32 {
        // SAFETY: the loop reads `t.k` activations of each row and 16 · `t.k` weights, and `out` has two rows of 16, by this
        // function's preconditions. Every register that the assembly writes is an operand.
        unsafe { tile_asm!(t, last, "vld1.32 {{d0-d3}}, [{w}]!\nvld1.32 {{d4-d7}}, [{w}]!") }
    }
}

impl Weight for f16 {
    #[inline(always)]
    unsafe fn try_tile(t: &TileF<f16>, last: usize) -> u32 {
        // SAFETY: as above.
        unsafe {
            tile_asm!(
                t,
                last,
                "vld1.16 {{d12-d15}}, [{w}]!\nvcvt.f32.f16 q0, d12\nvcvt.f32.f16 q1, d13
                            vcvt.f32.f16 q2, d14\nvcvt.f32.f16 q3, d15"
            )
        }
    }
}

/// The tile in assembly, or by [`tile_f`] if numbers were flushed.
///
/// # Safety
/// The preconditions of [`TileF`], with `ROWS` rows and one panel; the processor has VFPv4.
#[inline(always)]
unsafe fn tile_or_scalar<L: Lanes, W: Weight, const ROWS: usize, const PANELS: usize>(l: L, t: &TileF<W>) {
    const { assert!(PANELS == 1 && ROWS <= 2) }
    // SAFETY: the preconditions are this function's.
    unsafe {
        if W::try_tile(t, ROWS - 1) != 0 {
            tile_f::<L, W, ROWS, PANELS>(l, t);
            clear_flushed();
        }
    }
}

float_tiles!(Neon::<true>::new(), tile_or_scalar, Weight, [inline(never)], 1 2, [1]);

/// The tile of processors without VFPv4.
pub(crate) mod emulated {
    use super::{Neon, Widen, float_tiles, tile_f};
    float_tiles!(Neon::<false>::new(), tile_f, Widen, [inline(never)], 1 2 3 4, [1]);
}
