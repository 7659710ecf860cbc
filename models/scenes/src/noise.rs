//! Noise for surfaces: a value at every point that depends on the point and a seed alone.
//!
//! Sources: the mixing steps are `prospector32` of Chris Wellons' hash-prospector; [`noise`] is classic value noise,
//! smoothed by the cubic `3t² - 2t³`.

/// A hash of a lattice point.
#[inline]
pub(crate) fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ seed;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// [`hash`] as a number in `[0, 1)`.
#[inline]
pub(crate) fn hash_unit(x: i32, y: i32, seed: u32) -> f32 {
    (hash(x, y, seed) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Value noise in `[0, 1)`, one lattice cell per unit.
#[inline]
pub(crate) fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (ix, iy) = (fx as i32, fy as i32);
    let (tx, ty) = (x - fx, y - fy);
    let (tx, ty) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let (a, b) = (hash_unit(ix, iy, seed), hash_unit(ix.wrapping_add(1), iy, seed));
    let iy = iy.wrapping_add(1);
    let (c, d) = (hash_unit(ix, iy, seed), hash_unit(ix.wrapping_add(1), iy, seed));
    let (top, bottom) = (a + (b - a) * tx, c + (d - c) * tx);
    top + (bottom - top) * ty
}

/// Three octaves of [`noise`], still in `[0, 1)`.
#[inline]
pub(crate) fn fractal_noise(x: f32, y: f32, seed: u32) -> f32 {
    (4.0 * noise(x, y, seed)
        + 2.0 * noise(2.03 * x + 7.1, 2.03 * y + 3.3, seed ^ 0x1234)
        + noise(4.1 * x + 1.7, 4.1 * y + 9.2, seed ^ 0x4321))
        * (1.0 / 7.0)
}
