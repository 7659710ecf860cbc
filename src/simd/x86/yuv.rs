//! YUV to RGB with AVX2, which AVX-512 uses as well: the compiler's code takes three times as long.

use crate::image::yuv::{BLOCK, Block, Coefficients};
use core::arch::x86_64::*;

/// [`convert_block`](crate::image::yuv::convert_block), to the bit. Vectors have 16-bit lanes.
///
/// Not inlined: a function of its own has the instructions whoever calls it, and its closures have them too.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn yuv_to_rgb(k: &Coefficients, block: &Block, out: &mut [u8; 4 * BLOCK]) {
    // SAFETY: AVX2, by this function's precondition; the arrays are as long as what is loaded and stored.
    unsafe {
        let load = |samples: &[i16; BLOCK / 2]| _mm256_loadu_si256(samples.as_ptr().cast());
        let splat = |x| _mm256_set1_epi16(x);
        let centred = |samples| _mm256_slli_epi16::<8>(_mm256_sub_epi16(load(samples), splat(128)));
        let (u, v) = (centred(&block.u), centred(&block.v));
        let r = _mm256_mulhi_epi16(v, splat(k.rv));
        let g = _mm256_add_epi16(_mm256_mulhi_epi16(u, splat(k.gu)), _mm256_mulhi_epi16(v, splat(k.gv)));
        let b = _mm256_mulhi_epi16(u, splat(k.bu));
        // Red, green and blue, not yet clamped.
        let levels = |y| {
            let y = _mm256_slli_epi16::<7>(_mm256_sub_epi16(load(y), splat(k.offset)));
            let y = _mm256_add_epi16(_mm256_mulhi_epi16(y, splat(k.ky)), splat(16));
            [_mm256_add_epi16(y, r), _mm256_sub_epi16(y, g), _mm256_add_epi16(y, b)]
                .map(|x| _mm256_srai_epi16::<5>(x))
        };
        let (even, odd) = (levels(&block.even), levels(&block.odd));
        // Clamped to bytes, pixels in order; each half of a vector has 16 pixels.
        let in_turn =
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
        let [r, g, b] = [0, 1, 2].map(|c| _mm256_shuffle_epi8(_mm256_packus_epi16(even[c], odd[c]), in_turn));
        let zero = _mm256_setzero_si256();
        let rg = [_mm256_unpacklo_epi8(r, g), _mm256_unpackhi_epi8(r, g)];
        let b = [_mm256_unpacklo_epi8(b, zero), _mm256_unpackhi_epi8(b, zero)];
        // Pixels 0 to 3 of each half, then 4 to 7 and so on.
        let quads = [
            _mm256_unpacklo_epi16(rg[0], b[0]),
            _mm256_unpackhi_epi16(rg[0], b[0]),
            _mm256_unpacklo_epi16(rg[1], b[1]),
            _mm256_unpackhi_epi16(rg[1], b[1]),
        ];
        let to: *mut __m256i = out.as_mut_ptr().cast();
        _mm256_storeu_si256(to, _mm256_permute2x128_si256::<0x20>(quads[0], quads[1]));
        _mm256_storeu_si256(to.add(1), _mm256_permute2x128_si256::<0x20>(quads[2], quads[3]));
        _mm256_storeu_si256(to.add(2), _mm256_permute2x128_si256::<0x31>(quads[0], quads[1]));
        _mm256_storeu_si256(to.add(3), _mm256_permute2x128_si256::<0x31>(quads[2], quads[3]));
    }
}
