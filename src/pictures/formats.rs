//! Which decoder reads a file, and what its header must satisfy before that decoder allocates anything.

use crate::error::Error;
use crate::limits::Limits;
use crate::memory::zeroed;
use crate::rgb::{self, Picture};
use crate::{jpeg, webp};
use image::codecs::{bmp::BmpDecoder, png::PngDecoder, pnm::PnmDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageFormat};
use std::io::Cursor;

/// Decodes a file and applies its orientation.
pub fn decode(file: &[u8], limits: &Limits) -> Result<Picture, Error> {
    let (picture, orientation) =
        if jpeg::is_jpeg(file) { jpeg::decode(file, limits)? } else { decode_other(file, limits)? };
    rgb::oriented(picture, orientation)
}

fn decode_other(file: &[u8], limits: &Limits) -> Result<(Picture, Orientation), Error> {
    let format = image::guess_format(file).ok();
    let damaged = |e| damaged(format, e);
    match format {
        Some(ImageFormat::Png) => {
            let file = Cursor::new(checked_png(file, limits)?);
            pixels(PngDecoder::with_limits(file, decoder_limits(limits)).map_err(damaged)?, format, limits)
        }
        Some(ImageFormat::WebP) => {
            let file = Cursor::new(webp::checked(file, limits)?);
            pixels(WebPDecoder::new(file).map_err(damaged)?, format, limits)
        }
        Some(ImageFormat::Bmp) => {
            let decoder = BmpDecoder::new(Cursor::new(file)).map_err(damaged)?;
            let (width, height) = decoder.dimensions();
            limits.check(width.into(), height.into())?;
            if u64::from(width) * u64::from(height) > most_pixels_of_bmp(file) {
                return Err(too_short(ImageFormat::Bmp, file.len(), width, height));
            }
            pixels(decoder, format, limits)
        }
        Some(ImageFormat::Pnm) => {
            let decoder = PnmDecoder::new(file).map_err(damaged)?;
            let (width, height) = decoder.dimensions();
            limits.check(width.into(), height.into())?;
            if u64::from(width) * u64::from(height) > 8 * file.len() as u64 {
                return Err(too_short(ImageFormat::Pnm, file.len(), width, height));
            }
            pixels(decoder, format, limits)
        }
        _ => Err(unsupported(file)),
    }
}

fn damaged(format: Option<ImageFormat>, e: ImageError) -> Error {
    Error::content(format!("cannot be read as {}: {e}", format.map_or("", name)))
}

/// Decodes what a decoder has opened.
fn pixels(
    mut decoder: impl ImageDecoder,
    format: Option<ImageFormat>,
    limits: &Limits,
) -> Result<(Picture, Orientation), Error> {
    let damaged = |e| damaged(format, e);
    let (width, height) = decoder.dimensions();
    limits.check(width.into(), height.into())?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let colour = decoder.color_type();
    let bytes = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let mut decoded = zeroed(bytes)?;
    decoder.read_image(&mut decoded).map_err(damaged)?;
    let (rgb, alpha) = rgb::from_decoded(decoded, colour)?;
    Ok((Picture { width: width as usize, height: height as usize, rgb, alpha }, orientation))
}

/// The limits of the crate `image`: of memory, for what its PNG decoder allocates besides the pixels. The other decoders ignore
/// it. Those of BMP and PNM allocate no more than a row, that of WebP a few bytes for each pixel that [`webp::checked`] has
/// found to be announced. Sizes are checked here.
fn decoder_limits(limits: &Limits) -> image::Limits {
    let mut all = image::Limits::no_limits();
    all.max_alloc = Some(limits.memory() / 4);
    all
}

/// The file itself, after its header was checked: the announced size against the limits, and against the file's length, as
/// Deflate's output is at most 1032 times as long as its input.
///
/// # Errors
/// The header is too short, or announces more than is possible.
pub fn checked_png<'a>(file: &'a [u8], limits: &Limits) -> Result<&'a [u8], Error> {
    let Some([w3, w2, w1, w0, h3, h2, h1, h0, depth, colour]) = file.get(16..26) else {
        return Err(Error::content("cannot be read as PNG: the file ends in its header"));
    };
    let (width, height) =
        (u32::from_be_bytes([*w3, *w2, *w1, *w0]), u32::from_be_bytes([*h3, *h2, *h1, *h0]));
    limits.check(width.into(), height.into())?;
    // Samples of a pixel for the colour types grey, RGB, palette, grey with alpha and RGB with alpha.
    let samples = [1, 1, 3, 1, 2, 1, 4].get(usize::from(*colour)).copied().unwrap_or(1);
    let bits = u64::from(width) * u64::from(height) * samples * u64::from(*depth);
    if bits / 8 > 1032 * file.len() as u64 {
        return Err(too_short(ImageFormat::Png, file.len(), width, height));
    }
    Ok(file)
}

/// An upper bound of the pixels that a BMP file holds, from its header. A run of the two run-length encodings has at most 255 pixels
/// in two bytes; pixels that the encoding skips are not counted, so that a file may not consist of them.
fn most_pixels_of_bmp(file: &[u8]) -> u64 {
    let word =
        |at: usize| file.get(at..at + 2).map_or(0, |bytes| u64::from(bytes[0]) | u64::from(bytes[1]) << 8);
    // The oldest header, of 12 bytes, has shorter sides and no compression.
    let (bits, compression) = if word(14) == 12 { (word(24), 0) } else { (word(28), word(30)) };
    let bytes = file.len() as u64;
    match compression {
        1 | 2 => bytes * 255 / 2,
        _ => bytes * 8 / bits.max(1),
    }
}

fn too_short(format: ImageFormat, bytes: usize, width: u32, height: u32) -> Error {
    let name = name(format);
    Error::content(format!(
        "truncated or damaged: {bytes} bytes of {name} cannot hold {width}x{height} pixels"
    ))
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::WebP => "WebP",
        _ => "PNM",
    }
}

/// The error for a file that no decoder reads: it names the format, if it is known.
fn unsupported(file: &[u8]) -> Error {
    let starts_with = |signatures: &[&[u8]]| signatures.iter().any(|s| file.starts_with(s));
    let brand = if file.get(4..8) == Some(b"ftyp") { file.get(8..12).unwrap_or_default() } else { b"" };
    let name = match brand {
        b"avif" | b"avis" => "AVIF",
        b"heic" | b"heix" | b"heim" | b"heis" | b"mif1" | b"msf1" => "HEIF",
        _ if starts_with(&[b"II*\0", b"MM\0*"]) => "TIFF",
        _ if starts_with(&[b"GIF8"]) => "GIF",
        _ if starts_with(&[b"\xff\x0a", b"\0\0\0\x0cJXL "]) => "JPEG XL",
        _ if starts_with(&[b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"]) => "JPEG 2000",
        _ => return Error::content("not a picture in a supported format (JPEG, PNG, BMP, WebP, PNM)"),
    };
    Error::content(format!("{name} is not a supported format (JPEG, PNG, BMP, WebP and PNM are)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(file: &[u8]) -> String {
        decode(file, &Limits::default()).unwrap_err().to_string()
    }

    #[test]
    fn formats_without_a_decoder_are_named() {
        for (file, name) in [
            (&b"II*\0"[..], "TIFF"),
            (b"GIF89a", "GIF"),
            (b"\0\0\0\x1cftypavif", "AVIF"),
            (b"\0\0\0\x1cftypheic", "HEIF"),
            (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
            (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
            (b"hello", "not a picture"),
            (b"", "not a picture"),
        ] {
            assert!(message(file).starts_with(name), "{}", message(file));
        }
    }

    #[test]
    fn announced_sizes_are_checked_first() {
        let png = |w: u32, h: u32| {
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &w.to_be_bytes()[..], &h.to_be_bytes(), b"\x08\x02\0\0\0"]
                .concat()
        };
        assert!(
            message(&png(200_000, 200_000))
                .contains("200000x200000 pixels, more than the limit of 128000000")
        );
        assert!(message(&png(4_000, 4_000)).contains("29 bytes of PNG cannot hold 4000x4000 pixels"));
        assert!(message(&png(0, 7)).contains("no pixels"));
        assert!(message(b"P6 60000 60000 255\n").contains("more than the limit"));
        assert!(message(b"P6 6000 6000 255\n").contains("bytes of PNM cannot hold"));
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x60\xea\0\0\x60\xea\0\0\x01\0\x18\0".to_vec();
        bmp.resize(54, 0);
        assert!(message(&bmp).contains("60000x60000 pixels"), "{}", message(&bmp));
        for (bits, compression) in [(24, 0), (8, 0), (8, 1), (4, 2)] {
            bmp[18..26].copy_from_slice(&[0x24, 0x2c, 0, 0, 0x24, 0x2c, 0, 0]);
            (bmp[28], bmp[30]) = (bits, compression);
            // A palette of 2 colours.
            bmp[46] = 2;
            bmp.resize(if bits == 24 { 54 } else { 62 }, 0);
            let expected = format!("{} bytes of BMP cannot hold 11300x11300 pixels", bmp.len());
            assert!(message(&bmp).contains(&expected), "{}", message(&bmp));
        }
    }
}
