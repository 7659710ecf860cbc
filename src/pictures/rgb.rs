//! Pictures in memory: decoded pixels of any type to packed RGB of eight bits, and rotation by the EXIF orientation.

use crate::error::Error;
use crate::memory::zeroed;
use image::ColorType;
use image::metadata::Orientation;

/// A picture in memory, packed RGB.
#[derive(Debug, PartialEq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height][width][3]`.
    pub rgb: Vec<u8>,
}

/// Drops transparency without blending. 16-bit channels keep their upper 8 bits, as in Pillow for colour; Pillow clips
/// 16-bit grey at 255 instead; this code does not.
pub fn from_decoded(decoded: Vec<u8>, colour: ColorType) -> Result<Vec<u8>, Error> {
    match colour {
        ColorType::Rgb8 => Ok(decoded),
        ColorType::L8 => convert::<1>(&decoded, |[l]| [l; 3]),
        ColorType::La8 => convert::<2>(&decoded, |[l, _]| [l; 3]),
        ColorType::Rgba8 => convert::<4>(&decoded, |[r, g, b, _]| [r, g, b]),
        ColorType::L16 => convert::<2>(&decoded, |l| [upper(l); 3]),
        ColorType::La16 => convert::<4>(&decoded, |[l0, l1, ..]| [upper([l0, l1]); 3]),
        ColorType::Rgb16 => convert::<6>(&decoded, |[r0, r1, g0, g1, b0, b1]| {
            [upper([r0, r1]), upper([g0, g1]), upper([b0, b1])]
        }),
        ColorType::Rgba16 => convert::<8>(&decoded, |[r0, r1, g0, g1, b0, b1, ..]| {
            [upper([r0, r1]), upper([g0, g1]), upper([b0, b1])]
        }),
        other => Err(Error::content(format!("pixels of type {other:?} are not supported"))),
    }
}

/// The upper byte of a 16-bit channel, which the decoders store in the processor's byte order.
fn upper(channel: [u8; 2]) -> u8 {
    (u16::from_ne_bytes(channel) >> 8) as u8
}

/// Converts pixels of `N` bytes.
pub fn convert<const N: usize>(
    decoded: &[u8],
    rgb_of: impl Fn([u8; N]) -> [u8; 3],
) -> Result<Vec<u8>, Error> {
    let pixels = decoded.as_chunks::<N>().0;
    let mut rgb = zeroed(pixels.len() * 3)?;
    for (to, from) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
        *to = rgb_of(*from);
    }
    Ok(rgb)
}

/// Rotates and mirrors a picture.
pub fn oriented(picture: Picture, orientation: Orientation) -> Result<Picture, Error> {
    if orientation == Orientation::NoTransforms {
        return Ok(picture);
    }
    let (w, h) = (picture.width, picture.height);
    // From a pixel of the result to that of the picture.
    let source = |x: usize, y: usize| match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (w - 1 - x, y),
        Orientation::FlipVertical => (x, h - 1 - y),
        Orientation::Rotate180 => (w - 1 - x, h - 1 - y),
        Orientation::Rotate90 => (y, h - 1 - x),
        Orientation::Rotate270 => (w - 1 - y, x),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate270FlipH => (w - 1 - y, h - 1 - x),
    };
    let is_upright = matches!(
        orientation,
        Orientation::FlipHorizontal | Orientation::FlipVertical | Orientation::Rotate180
    );
    let (width, height) = if is_upright { (w, h) } else { (h, w) };
    let mut rgb = zeroed(picture.rgb.len())?;
    let pixels = picture.rgb.as_chunks::<3>().0;
    for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (x, y) = source(x, y);
            *pixel = pixels[y * w + x];
        }
    }
    Ok(Picture { width, height, rgb })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};

    #[test]
    fn pixel_types_are_converted_to_rgb() {
        let convert = |bytes: &[u8], colour| from_decoded(bytes.to_vec(), colour).unwrap();
        assert_eq!(convert(&[1, 2, 3, 0], ColorType::Rgba8), [1, 2, 3], "transparency is dropped");
        assert_eq!(convert(&[9, 0, 8, 0], ColorType::La8), [9, 9, 9, 8, 8, 8]);
        assert_eq!(convert(&0x12ffu16.to_ne_bytes(), ColorType::L16), [0x12; 3], "the upper eight bits");
        let deep: Vec<u8> = [0x1234u16, 0x5678, 0x9abc, 0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!(convert(&deep, ColorType::Rgba16), [0x12, 0x56, 0x9a]);
        assert!(from_decoded(vec![0; 12], ColorType::Rgb32F).is_err());
    }

    #[test]
    fn orientations_are_those_of_the_image_crate() {
        let rgb: Vec<u8> = (0..3 * 2 * 3).collect();
        for code in 1..=8 {
            let orientation = Orientation::from_exif(code).unwrap();
            let mut want = DynamicImage::ImageRgb8(RgbImage::from_raw(3, 2, rgb.clone()).unwrap());
            want.apply_orientation(orientation);
            let got = oriented(Picture { width: 3, height: 2, rgb: rgb.clone() }, orientation).unwrap();
            assert_eq!((got.width as u32, got.height as u32), (want.width(), want.height()), "{code}");
            assert_eq!(got.rgb, want.into_rgb8().into_raw(), "{code}");
        }
    }
}
