//! Fused entry points: a matrix product interleaved with the row kernel that follows it.
//!
//! On AVX-512 `vpdpbusd` keeps two of the processor's four vector ports busy, so that the epilogue of one tile runs on the
//! others while the next tile is multiplied ([`fused`](super::x86::fused)). Elsewhere the two run one after the other.

use super::isa::{Isa, LaneSet};
use super::kernels::attention::accumulate::AccumulateBlocks;
use super::kernels::attention::softmax::SoftmaxBlocks;
use super::kernels::epilogue::DequantiseTile;
use super::tile::TileI8;
#[cfg(target_arch = "x86_64")]
use super::x86::fused;

impl Isa {
    /// Whether a tile's epilogue is better run by [`Isa::tile_i8_with_epilogue`] of the next tile.
    pub(crate) fn fuses_epilogue(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.lanes() == LaneSet::Avx512;
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// [`Isa::tile_i8`] for `t` and [`Isa::dequantise_tile`] for `other`, a tile computed before.
    ///
    /// # Safety
    /// The preconditions of both; neither reads what the other writes.
    #[inline]
    pub(crate) unsafe fn tile_i8_with_epilogue(
        self,
        rows: usize,
        panels: usize,
        t: &TileI8,
        other: &DequantiseTile,
    ) {
        // SAFETY: the preconditions are this function's; an `Isa` exists only where the processor has the instructions.
        unsafe {
            match self.lanes() {
                #[cfg(target_arch = "x86_64")]
                LaneSet::Avx512 if LaneSet::AVX512_IN_BUILD => {
                    fused::tile_i8_with_epilogue(rows, panels, t, other)
                }
                _ => {
                    self.tile_i8(rows, panels, t);
                    self.dequantise_tile(other);
                }
            }
        }
    }

    /// The fused function for Q·Kᵀ and the softmax of whole blocks of keys, where there is one.
    pub(crate) fn fused_qk_softmax(self) -> Option<unsafe fn(&TileI8, &SoftmaxBlocks)> {
        match self.lanes() {
            #[cfg(target_arch = "x86_64")]
            LaneSet::Avx512 if LaneSet::AVX512_IN_BUILD => Some(fused::qk_softmax),
            _ => None,
        }
    }

    /// The fused function for P·V and its accumulation over whole blocks of keys, where there is one.
    pub(crate) fn fused_pv(self) -> Option<unsafe fn(&TileI8, &AccumulateBlocks)> {
        match self.lanes() {
            #[cfg(target_arch = "x86_64")]
            LaneSet::Avx512 if LaneSet::AVX512_IN_BUILD => Some(fused::pv),
            _ => None,
        }
    }
}
