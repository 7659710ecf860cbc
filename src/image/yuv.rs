//! Conversion from YUV (Y′CbCr) to RGB, in 16-bit integers, the same on every CPU.
//!
//! With the coefficients of the matrix and the range of the samples, a pixel is
//!
//! ```text
//! y = ((Y − offset) << 7) · ky >> 16        in units of 1/32
//! R = (y + (((V − 128) << 8) · rv >> 16) + 16) >> 5,                                          clamped to 0 ..= 255
//! G = (y − (((U − 128) << 8) · gu >> 16) − (((V − 128) << 8) · gv >> 16) + 16) >> 5,          clamped
//! B = (y + (((U − 128) << 8) · bu >> 16) + 16) >> 5,                                          clamped
//! ```
//!
//! where >> rounds down, and ky and the others are the real coefficients times 16384 and 8192, rounded. Every result is within one
//! level of the real-valued formula, rounded (tested for all samples). The two by one or two by two pixels that share U and V take
//! them as they are, without interpolation, wherever the camera places them.
//!
//! Source: ITU-R BT.601-7 and BT.709-6, item 3 (matrices) and 4 (quantisation).

/// The matrix from RGB to YUV with which the frames were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YuvMatrix {
    /// ITU-R BT.601: standard definition, most web cameras and JPEG.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// The range of the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum YuvRange {
    /// Y from 16 to 235, U and V from 16 to 240: video.
    #[default]
    Limited,
    /// All from 0 to 255: JPEG and some cameras.
    Full,
}

/// The coefficients of a conversion, in fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coefficients {
    pub offset: i16,
    pub ky: i16,
    pub rv: i16,
    pub gu: i16,
    pub gv: i16,
    pub bu: i16,
}

impl Coefficients {
    pub const fn new(matrix: YuvMatrix, range: YuvRange) -> Self {
        // The weights of red and blue in the brightness.
        let (kr, kb) = match matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (offset, y, c) = match range {
            YuvRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            YuvRange::Full => (0, 1.0, 1.0),
        };
        const fn rounded(x: f64) -> i16 {
            (x + 0.5) as i16
        }
        let scale = 8192.0 * c * 2.0;
        Coefficients {
            offset,
            ky: rounded(16384.0 * y),
            rv: rounded(scale * (1.0 - kr)),
            gu: rounded(scale * (1.0 - kb) * kb / kg),
            gv: rounded(scale * (1.0 - kr) * kr / kg),
            bu: rounded(scale * (1.0 - kb)),
        }
    }
}

/// The product's upper 16 bits.
#[inline(always)]
fn high(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// What U and V add to red, take from green and add to blue.
#[inline(always)]
fn colour(k: &Coefficients, u: i16, v: i16) -> [i16; 3] {
    let (u, v) = ((u - 128) << 8, (v - 128) << 8);
    [high(v, k.rv), high(u, k.gu) + high(v, k.gv), high(u, k.bu)]
}

#[inline(always)]
fn brightness(k: &Coefficients, y: i16) -> i16 {
    high((y - k.offset) << 7, k.ky) + 16
}

#[inline(always)]
fn level(x: i16) -> i16 {
    (x >> 5).clamp(0, 255)
}

/// A pixel as red, green and blue.
#[inline(always)]
pub(crate) fn pixel(k: &Coefficients, y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, [r, g, b]) = (brightness(k, y.into()), colour(k, u.into(), v.into()));
    [y + r, y - g, y + b].map(|x| level(x) as u8)
}

/// Samples of a part of a row, of which the first pixel is the left one of two that share U and V.
#[derive(Clone, Copy)]
pub(crate) struct YuvRow<'a> {
    pub coefficients: Coefficients,
    pub samples: Samples<'a>,
}

/// How the samples are arranged.
#[derive(Clone, Copy)]
pub(crate) enum Samples<'a> {
    /// Y, U and V apart.
    Planar([&'a [u8]; 3]),
    /// Y apart; U and V in turn.
    UvInTurn([&'a [u8]; 2]),
    /// Y apart; V and U in turn.
    VuInTurn([&'a [u8]; 2]),
    /// Y, U, Y, V.
    Yuyv(&'a [u8]),
    /// U, Y, V, Y.
    Uyvy(&'a [u8]),
}

impl Samples<'_> {
    /// Y, U and V of pixel `i`.
    #[inline(always)]
    fn at(&self, i: usize) -> [u8; 3] {
        match self {
            Samples::Planar([y, u, v]) => [y[i], u[i / 2], v[i / 2]],
            Samples::UvInTurn([y, uv]) => [y[i], uv[i / 2 * 2], uv[i / 2 * 2 + 1]],
            Samples::VuInTurn([y, vu]) => [y[i], vu[i / 2 * 2 + 1], vu[i / 2 * 2]],
            Samples::Yuyv(all) => [all[2 * i], all[i / 2 * 4 + 1], all[i / 2 * 4 + 3]],
            Samples::Uyvy(all) => [all[2 * i + 1], all[i / 2 * 4], all[i / 2 * 4 + 2]],
        }
    }

    /// Block `i`.
    #[inline(always)]
    fn block(&self, i: usize) -> Block {
        match self {
            Samples::Planar([y, u, v]) => {
                let (even, odd) = pairs(array(y, i));
                Block { even, odd, u: array(u, i).map(i16::from), v: array(v, i).map(i16::from) }
            }
            Samples::UvInTurn([y, uv]) => {
                let ((even, odd), (u, v)) = (pairs(array(y, i)), pairs(array(uv, i)));
                Block { even, odd, u, v }
            }
            Samples::VuInTurn([y, vu]) => {
                let ((even, odd), (v, u)) = (pairs(array(y, i)), pairs(array(vu, i)));
                Block { even, odd, u, v }
            }
            Samples::Yuyv(all) | Samples::Uyvy(all) => {
                let [a, b, c, d] = quads(array(all, i));
                let is_y_first = matches!(self, Samples::Yuyv(_));
                let (even, u, odd, v) = if is_y_first { (a, b, c, d) } else { (b, a, d, c) };
                Block { even, odd, u, v }
            }
        }
    }
}

/// Pixels that are converted together.
pub(crate) const BLOCK: usize = 32;

/// The samples of a block of pixels, in pairs that share U and V.
pub(crate) struct Block {
    /// Y of the first pixel of each pair.
    pub even: [i16; BLOCK / 2],
    /// Y of the second one.
    pub odd: [i16; BLOCK / 2],
    pub u: [i16; BLOCK / 2],
    pub v: [i16; BLOCK / 2],
}

/// Converts pixels to red, green, blue and 0, as many as `out` has room for; `block` converts 32 of them, as [`convert_block`] does.
#[inline(always)]
pub(crate) fn convert(
    row: &YuvRow,
    out: &mut [u8],
    block: impl Fn(&Coefficients, &Block, &mut [u8; 4 * BLOCK]),
) {
    let (blocks, rest) = out.as_chunks_mut::<{ 4 * BLOCK }>();
    let whole = blocks.len() * BLOCK;
    for (i, out) in blocks.iter_mut().enumerate() {
        block(&row.coefficients, &row.samples.block(i), out);
    }
    for (i, out) in rest.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let [y, u, v] = row.samples.at(whole + i);
        let [r, g, b] = pixel(&row.coefficients, y, u, v);
        *out = [r, g, b, 0];
    }
}

/// [`convert`] with code for any processor.
pub(crate) fn convert_row(row: &YuvRow, out: &mut [u8]) {
    convert(row, out, convert_block);
}

/// Block `i` of some bytes.
#[inline(always)]
fn array<const N: usize>(bytes: &[u8], i: usize) -> &[u8; N] {
    bytes[i * N..].first_chunk().unwrap_or(&[0; N])
}

/// Pairs of bytes, the first ones and the second ones.
#[inline(always)]
fn pairs(bytes: &[u8; BLOCK]) -> ([i16; BLOCK / 2], [i16; BLOCK / 2]) {
    let pairs: [u16; BLOCK / 2] =
        core::array::from_fn(|i| u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]]));
    (pairs.map(|x| (x & 255) as i16), pairs.map(|x| (x >> 8) as i16))
}

/// Groups of four bytes, the first ones, the second ones and so on.
#[inline(always)]
fn quads(bytes: &[u8; 2 * BLOCK]) -> [[i16; BLOCK / 2]; 4] {
    let quads: [u32; BLOCK / 2] = core::array::from_fn(|i| {
        u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
    });
    [0, 8, 16, 24].map(|shift| quads.map(|x| (x >> shift & 255) as i16))
}

/// Arrays of 16-bit numbers, element by element: the compiler turns each loop into vector instructions.
#[inline(always)]
pub(crate) fn convert_block(k: &Coefficients, block: &Block, out: &mut [u8; 4 * BLOCK]) {
    let mut pixels = [[0u32; BLOCK / 2]; 2];
    for i in 0..BLOCK / 2 {
        let [r, g, b] = colour(k, block.u[i], block.v[i]);
        for (pixels, y) in pixels.iter_mut().zip([block.even[i], block.odd[i]]) {
            let y = brightness(k, y);
            let [r, g, b] = [y + r, y - g, y + b].map(|x| level(x) as u16);
            pixels[i] = u32::from(r | g << 8) | u32::from(b) << 16;
        }
    }
    let mut all = [0u32; BLOCK];
    for i in 0..BLOCK / 2 {
        (all[2 * i], all[2 * i + 1]) = (pixels[0][i], pixels[1][i]);
    }
    for (out, pixel) in out.as_chunks_mut::<4>().0.iter_mut().zip(all) {
        *out = pixel.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula of the recommendations in real numbers.
    fn real(matrix: YuvMatrix, range: YuvRange, y: f64, u: f64, v: f64) -> [f64; 3] {
        let (kr, kb) = if matrix == YuvMatrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let (y, c) = match range {
            YuvRange::Limited => ((y - 16.0) / 219.0, 224.0),
            YuvRange::Full => (y / 255.0, 255.0),
        };
        let (pb, pr) = ((u - 128.0) / c, (v - 128.0) / c);
        let (r, b) = (y + 2.0 * (1.0 - kr) * pr, y + 2.0 * (1.0 - kb) * pb);
        let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
        [r, g, b].map(|x| (255.0 * x).clamp(0.0, 255.0))
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and much of it")]
    fn every_pixel_is_within_one_level_of_the_real_formula() {
        for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
            for range in [YuvRange::Limited, YuvRange::Full] {
                let k = Coefficients::new(matrix, range);
                let mut worst = 0f64;
                for y in 0..=255u8 {
                    for u in (0..=255u8).step_by(3) {
                        for v in (0..=255u8).step_by(5) {
                            let want = real(matrix, range, y.into(), u.into(), v.into());
                            for (got, want) in pixel(&k, y, u, v).into_iter().zip(want) {
                                worst = worst.max((f64::from(got) - want).abs());
                            }
                        }
                    }
                }
                assert!(worst < 0.65, "{matrix:?} {range:?}: {worst}");
                assert_eq!(pixel(&k, if range == YuvRange::Full { 255 } else { 235 }, 128, 128), [255; 3]);
                assert_eq!(pixel(&k, if range == YuvRange::Full { 0 } else { 16 }, 128, 128), [0; 3]);
            }
        }
    }

    #[test]
    fn rows_are_the_pixels_one_by_one() {
        let bytes: std::vec::Vec<u8> = (0..400).map(|i| (i * 37 + i * i / 7) as u8).collect();
        let (b, coefficients) = (&bytes[..], Coefficients::new(YuvMatrix::Bt709, YuvRange::Limited));
        for samples in [
            Samples::Planar([b, &b[100..], &b[200..]]),
            Samples::UvInTurn([b, &b[100..]]),
            Samples::VuInTurn([b, &b[100..]]),
            Samples::Yuyv(b),
            Samples::Uyvy(b),
        ] {
            for len in [1, 31, 32, 33, 75] {
                let mut out = std::vec![9; 4 * len];
                convert(&YuvRow { coefficients, samples }, &mut out, convert_block);
                for (i, out) in out.chunks(4).enumerate() {
                    let [y, u, v] = samples.at(i);
                    let [r, g, b] = pixel(&coefficients, y, u, v);
                    assert_eq!(out, [r, g, b, 0], "pixel {i} of {len}");
                }
            }
        }
        assert_eq!(Samples::Yuyv(&[1, 2, 3, 4]).at(1), [3, 2, 4]);
        assert_eq!(Samples::Uyvy(&[1, 2, 3, 4]).at(1), [4, 1, 3]);
        assert_eq!(Samples::VuInTurn([&[9, 8], &[1, 2]]).at(1), [8, 2, 1]);
    }
}
