//! Fused entry points: a GEMM tile interleaved with the row kernel that processes the previous tile.
//!
//! On Zen 4, `vpdpbusd` occupies two of the core's four vector ports. With AVX-512, the epilogue of a tile, or the softmax of a
//! block, therefore runs on the other two while the next one is multiplied (`x86::fused`). On other instruction sets the two
//! run in sequence: fusing them there would only take registers from the micro-kernel.

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::LaneSet;
use super::kernels::attention::accumulate::AccumulateBlocks;
use super::kernels::attention::softmax::SoftmaxBlocks;
use super::kernels::epilogue::DequantiseTile;
use super::tile::TileI8;
#[cfg(target_arch = "x86_64")]
use super::x86::fused;

impl Isa {
    /// Whether a tile's epilogue should be deferred and passed to [`Isa::tile_i8_with_epilogue`] of the next tile.
    pub(crate) fn fuses_epilogue(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.lanes() == LaneSet::Avx512;
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// [`Isa::tile_i8`] of `t` interleaved with [`Isa::dequantise_tile`] of `previous`, a tile whose sums are complete.
    ///
    /// # Safety
    /// The preconditions of both; neither reads what the other writes.
    #[inline]
    pub(crate) unsafe fn tile_i8_with_epilogue(
        self,
        rows: usize,
        panels: usize,
        t: &TileI8,
        previous: &DequantiseTile,
    ) {
        // SAFETY: the preconditions of both kernels are this function's; the processor has the instructions, because
        // this is an `Isa`.
        unsafe {
            match self.lanes() {
                #[cfg(target_arch = "x86_64")]
                LaneSet::Avx512 => fused::tile_i8_with_epilogue(rows, panels, t, previous),
                _ => {
                    self.tile_i8(rows, panels, t);
                    self.dequantise_tile(previous);
                }
            }
        }
    }

    /// The fused kernel for Q·Kᵀ and the softmax of whole blocks of keys, if the instruction set has one. A call must meet the
    /// preconditions of `x86::fused::qk_softmax`.
    pub(crate) fn fused_qk_softmax(self) -> Option<unsafe fn(&TileI8, &SoftmaxBlocks)> {
        match self.lanes() {
            #[cfg(target_arch = "x86_64")]
            LaneSet::Avx512 => Some(fused::qk_softmax),
            _ => None,
        }
    }

    /// The fused kernel for P·V and its accumulation over whole blocks of keys, if the instruction set has one. A call must meet the
    /// preconditions of `x86::fused::pv`.
    pub(crate) fn fused_pv(self) -> Option<unsafe fn(&TileI8, &AccumulateBlocks)> {
        match self.lanes() {
            #[cfg(target_arch = "x86_64")]
            LaneSet::Avx512 => Some(fused::pv),
            _ => None,
        }
    }
}
