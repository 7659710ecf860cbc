//! Pictures in memory: decoded pixels of any type to packed RGB of eight bits and opacity, and rotation by the EXIF
//! orientation.

use crate::error::Error;
use crate::memory::zeroed;
use image::ColorType;
use image::metadata::Orientation;
use std::borrow::Cow;

/// A picture in memory, packed RGB.
#[derive(Debug, PartialEq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height][width][3]`.
    pub rgb: Vec<u8>,
    /// The alpha channel of the file, if it has one, `[height][width]`. Models for pictures of two or four channels read another
    /// channel from it, such as infrared.
    pub alpha: Option<Vec<u8>>,
}

impl Picture {
    /// The bytes of the picture as a model for `channels` channels reads them: brightness for 1, brightness and alpha for 2, RGB for
    /// 3, RGB and alpha for 4.
    ///
    /// # Errors
    /// The picture has no alpha channel and the model needs it, or there is not enough memory.
    pub fn with_channels(&self, channels: usize) -> Result<Cow<'_, [u8]>, Error> {
        let alpha = || {
            self.alpha.as_deref().ok_or_else(|| {
                Error::content(format!(
                    "the model takes pictures of {channels} channels, the last from the alpha channel, which this picture lacks"
                ))
            })
        };
        Ok(match channels {
            1 => Cow::Owned(convert(&self.rgb, |rgb| [brightness(rgb)])?),
            2 => Cow::Owned(with_alpha(&convert(&self.rgb, |rgb| [brightness(rgb)])?, 1, alpha()?)?),
            4 => Cow::Owned(with_alpha(&self.rgb, 3, alpha()?)?),
            _ => Cow::Borrowed(&self.rgb),
        })
    }
}

/// Adds the alpha channel to pixels of `step` bytes.
fn with_alpha(pixels: &[u8], step: usize, alpha: &[u8]) -> Result<Vec<u8>, Error> {
    let mut all = zeroed(pixels.len() + alpha.len())?;
    for ((to, pixel), alpha) in all.chunks_mut(step + 1).zip(pixels.chunks(step)).zip(alpha) {
        to[..step].copy_from_slice(pixel);
        to[step] = *alpha;
    }
    Ok(all)
}

/// The brightness of a pixel, as Pillow's `convert("L")` computes it (ITU-R 601-2).
pub fn brightness([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 0x8000;
    (sum >> 16) as u8
}

/// Splits decoded pixels into packed RGB and alpha. 16-bit channels keep their upper 8 bits, as in Pillow for colour; Pillow
/// clips 16-bit grey at 255 instead; this code does not.
pub fn from_decoded(decoded: Vec<u8>, colour: ColorType) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let alpha = match colour {
        ColorType::La8 => Some(convert::<2, 1>(&decoded, |[_, a]| [a])?),
        ColorType::Rgba8 => Some(convert::<4, 1>(&decoded, |[.., a]| [a])?),
        ColorType::La16 => Some(convert::<4, 1>(&decoded, |[_, _, a0, a1]| [upper([a0, a1])])?),
        ColorType::Rgba16 => Some(convert::<8, 1>(&decoded, |[.., a0, a1]| [upper([a0, a1])])?),
        _ => None,
    };
    Ok((rgb_from_decoded(decoded, colour)?, alpha))
}

/// The colour of decoded pixels, without blending.
fn rgb_from_decoded(decoded: Vec<u8>, colour: ColorType) -> Result<Vec<u8>, Error> {
    match colour {
        ColorType::Rgb8 => Ok(decoded),
        ColorType::L8 => convert::<1, 3>(&decoded, |[l]| [l; 3]),
        ColorType::La8 => convert::<2, 3>(&decoded, |[l, _]| [l; 3]),
        ColorType::Rgba8 => convert::<4, 3>(&decoded, |[r, g, b, _]| [r, g, b]),
        ColorType::L16 => convert::<2, 3>(&decoded, |l| [upper(l); 3]),
        ColorType::La16 => convert::<4, 3>(&decoded, |[l0, l1, ..]| [upper([l0, l1]); 3]),
        ColorType::Rgb16 => convert::<6, 3>(&decoded, |[r0, r1, g0, g1, b0, b1]| {
            [upper([r0, r1]), upper([g0, g1]), upper([b0, b1])]
        }),
        ColorType::Rgba16 => convert::<8, 3>(&decoded, |[r0, r1, g0, g1, b0, b1, ..]| {
            [upper([r0, r1]), upper([g0, g1]), upper([b0, b1])]
        }),
        other => Err(Error::content(format!("pixels of type {other:?} are not supported"))),
    }
}

/// The upper byte of a 16-bit channel, which the decoders store in the processor's byte order.
fn upper(channel: [u8; 2]) -> u8 {
    (u16::from_ne_bytes(channel) >> 8) as u8
}

/// Converts pixels of `N` bytes to pixels of `M` bytes.
pub fn convert<const N: usize, const M: usize>(
    decoded: &[u8],
    of: impl Fn([u8; N]) -> [u8; M],
) -> Result<Vec<u8>, Error> {
    let pixels = decoded.as_chunks::<N>().0;
    let mut converted = zeroed(pixels.len() * M)?;
    for (to, from) in converted.as_chunks_mut::<M>().0.iter_mut().zip(pixels) {
        *to = of(*from);
    }
    Ok(converted)
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
    move_pixels(picture.rgb.as_chunks::<3>().0, w, rgb.as_chunks_mut::<3>().0, width, source);
    let alpha = match &picture.alpha {
        Some(from) => {
            let mut alpha = zeroed(from.len())?;
            move_pixels(from, w, &mut alpha, width, source);
            Some(alpha)
        }
        None => None,
    };
    Ok(Picture { width, height, rgb, alpha })
}

/// Fills a picture of `width` pixels in a row with the pixels of another, of `from_width`, at `source(x, y)`.
fn move_pixels<T: Copy>(
    from: &[T],
    from_width: usize,
    to: &mut [T],
    width: usize,
    source: impl Fn(usize, usize) -> (usize, usize),
) {
    for (y, row) in to.chunks_exact_mut(width).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = source(x, y);
            *pixel = from[y * from_width + x];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};

    #[test]
    fn pixel_types_are_converted_to_rgb() {
        let convert = |bytes: &[u8], colour| from_decoded(bytes.to_vec(), colour).unwrap().0;
        assert_eq!(convert(&[1, 2, 3, 0], ColorType::Rgba8), [1, 2, 3], "without blending");
        let alpha = |bytes: &[u8], colour| from_decoded(bytes.to_vec(), colour).unwrap().1;
        assert_eq!(alpha(&[1, 2, 3, 7, 4, 5, 6, 8], ColorType::Rgba8), Some(vec![7, 8]));
        assert_eq!((alpha(&[9, 5], ColorType::La8), alpha(&[9], ColorType::L8)), (Some(vec![5]), None));
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
            let alpha = Some((0..6).map(|i| 3 * i).collect());
            let got = Picture { width: 3, height: 2, rgb: rgb.clone(), alpha };
            let got = oriented(got, orientation).unwrap();
            let reds: Vec<u8> = got.rgb.iter().step_by(3).copied().collect();
            assert_eq!(got.alpha, Some(reds), "{code}");
            assert_eq!((got.width as u32, got.height as u32), (want.width(), want.height()), "{code}");
            assert_eq!(got.rgb, want.into_rgb8().into_raw(), "{code}");
        }
    }

    #[test]
    fn channels_are_those_that_a_model_takes() {
        let picture = |alpha| Picture { width: 2, height: 1, rgb: vec![1, 2, 3, 200, 200, 200], alpha };
        let opaque = picture(None);
        assert_eq!(opaque.with_channels(1).unwrap()[..], [2, 200]);
        assert_eq!(opaque.with_channels(3).unwrap()[..], [1, 2, 3, 200, 200, 200]);
        assert!(opaque.with_channels(4).unwrap_err().to_string().contains("4 channels"));
        let with_alpha = picture(Some(vec![7, 8]));
        assert_eq!(with_alpha.with_channels(2).unwrap()[..], [2, 7, 200, 8]);
        assert_eq!(with_alpha.with_channels(4).unwrap()[..], [1, 2, 3, 7, 200, 200, 200, 8]);
        assert!((0..=255).all(|v| brightness([v; 3]) == v));
    }
}
