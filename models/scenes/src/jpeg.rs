//! JPEG artefacts: 8x8 blocks through a quantised cosine transform, chroma at half resolution.
//!
//! Source: ITU-T T.81, the luminance table of its annex K, used for chroma as well with a coarser step.

use crate::colour::Colour;

const QUANTISERS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];

type Block = [[f32; 8]; 8];

/// The orthonormal basis of the cosine transform, one frequency per row.
fn cosine_basis() -> Block {
    let mut b = [[0.0; 8]; 8];
    for (k, row) in b.iter_mut().enumerate() {
        for (n, v) in row.iter_mut().enumerate() {
            let c = libm::cos(core::f64::consts::PI * (2 * n + 1) as f64 * k as f64 / 16.0);
            *v = (c * if k == 0 { 0.125f64.sqrt() } else { 0.5 }) as f32;
        }
    }
    b
}

fn product(a: &Block, b: &Block) -> Block {
    let mut out = [[0.0; 8]; 8];
    for i in 0..8 {
        for k in 0..8 {
            for j in 0..8 {
                out[i][j] += a[i][k] * b[k][j];
            }
        }
    }
    out
}

fn transpose(a: &Block) -> Block {
    let mut out = [[0.0; 8]; 8];
    for (i, row) in a.iter().enumerate() {
        for (j, v) in row.iter().enumerate() {
            out[j][i] = *v;
        }
    }
    out
}

/// Quantises the frequencies of one plane of values in `0..255`, in place. Blocks at the right and lower edge repeat
/// the last pixel.
fn degrade_plane(values: &mut [f32], w: usize, h: usize, step: f32) {
    let basis = cosine_basis();
    let transposed = transpose(&basis);
    for by in (0..h).step_by(8) {
        for bx in (0..w).step_by(8) {
            let mut block = [[0.0; 8]; 8];
            for (y, row) in block.iter_mut().enumerate() {
                for (x, v) in row.iter_mut().enumerate() {
                    *v = values[(by + y).min(h - 1) * w + (bx + x).min(w - 1)] - 128.0;
                }
            }
            let mut frequencies = product(&product(&basis, &block), &transposed);
            for (v, q) in frequencies.as_flattened_mut().iter_mut().zip(QUANTISERS) {
                let q = (f32::from(q) * step).max(1.0);
                *v = (*v / q + 0.5).floor() * q;
            }
            let block = product(&product(&transposed, &frequencies), &basis);
            for (y, row) in block.iter().enumerate().take(h - by) {
                for (x, v) in row.iter().enumerate().take(w - bx) {
                    values[(by + y) * w + bx + x] = *v + 128.0;
                }
            }
        }
    }
}

/// Compresses and decompresses a picture. `step` scales the quantisers: the larger, the coarser.
pub(crate) fn degrade(colours: &mut [Colour], w: usize, h: usize, step: f32) {
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let chroma_at = |i: usize| (i / w / 2) * cw + i % w / 2;
    let mut luma = vec![0.0; w * h];
    let mut chroma = [vec![0.0; cw * ch], vec![0.0; cw * ch]];
    let mut count = vec![0.0f32; cw * ch];
    for (i, c) in colours.iter().enumerate() {
        let [r, g, b] = c.map(|v| v.clamp(0.0, 1.0) * 255.0);
        luma[i] = 0.299 * r + 0.587 * g + 0.114 * b;
        let at = chroma_at(i);
        chroma[0][at] += (b - luma[i]) * 0.564;
        chroma[1][at] += (r - luma[i]) * 0.713;
        count[at] += 1.0;
    }
    for plane in &mut chroma {
        for (v, n) in plane.iter_mut().zip(&count) {
            *v = *v / n + 128.0;
        }
        degrade_plane(plane, cw, ch, step * 1.5);
    }
    degrade_plane(&mut luma, w, h, step);
    for (i, c) in colours.iter_mut().enumerate() {
        let at = chroma_at(i);
        let (y, cb, cr) = (luma[i], chroma[0][at] - 128.0, chroma[1][at] - 128.0);
        *c = [y + 1.402 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.773 * cb].map(|v| v * (1.0 / 255.0));
    }
}
