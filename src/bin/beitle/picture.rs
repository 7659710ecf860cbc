//! Picture files to packed RGB: decoded, rotated as their EXIF orientation says, and reduced to eight bits per channel
//! as Pillow's `convert("RGB")` does.

use crate::jpeg;
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader};
use std::io::Cursor;
use std::path::Path;

/// Extensions of the pictures read from folders. TIFF cannot be decoded; it is listed so that such files are reported
/// rather than silently skipped.
pub const EXTENSIONS: &[&str] =
    &["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "pnm", "ppm", "pgm", "pbm", "pam"];

/// A picture in memory, packed RGB.
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height][width][3]`.
    pub rgb: Vec<u8>,
}

/// Reads a picture. The format is detected from the content, not from the file's name.
///
/// # Errors
/// A description of what is wrong with the file, without the path.
pub fn load(path: &Path) -> Result<Picture, String> {
    let file = std::fs::read(path).map_err(|e| e.to_string())?;
    let reader = ImageReader::new(Cursor::new(&file)).with_guessed_format().map_err(|e| e.to_string())?;
    let Some(format) = reader.format().filter(|f| f.reading_enabled()) else {
        return Err("not a picture in a supported format (JPEG, PNG, BMP, WebP, PNM)".into());
    };
    let damaged = |e: image::ImageError| {
        let name = format.extensions_str().first().map_or(String::new(), |e| e.to_uppercase());
        format!("cannot be read as {name}: {e}")
    };
    if !jpeg::is_whole(&file) {
        return Err("truncated: the JPEG file has no end-of-image marker".into());
    }
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    decoded.apply_orientation(orientation);
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    if width == 0 || height == 0 {
        return Err("the picture has no pixels".into());
    }
    Ok(Picture { width, height, rgb: to_rgb(decoded) })
}

/// Drops transparency without blending. 16-bit channels keep their upper 8 bits, as in Pillow for colour; Pillow clips
/// 16-bit grey at 255 instead; this code does not. Floating-point channels range from 0 to 1.
fn to_rgb(decoded: DynamicImage) -> Vec<u8> {
    match decoded.color() {
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            decoded.into_rgb16().into_raw().into_iter().map(|v| (v >> 8) as u8).collect()
        }
        _ => decoded.into_rgb8().into_raw(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, Luma, LumaA, Rgba, RgbaImage};

    #[test]
    fn pixel_types_are_converted_to_rgb() {
        let rgba = RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 0]));
        assert_eq!(to_rgb(rgba.into()), [1, 2, 3], "transparency is dropped");
        let grey = GrayAlphaImage::from_pixel(1, 1, LumaA([9, 0]));
        assert_eq!(to_rgb(grey.into()), [9, 9, 9]);
        let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_pixel(1, 1, Luma([0x12ff]));
        assert_eq!(to_rgb(DynamicImage::ImageLuma16(deep)), [0x12; 3], "the upper eight bits");
    }

    #[test]
    fn format_is_detected_from_the_content() {
        let dir = std::env::temp_dir().join(format!("beitle-picture-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pixels.jpg");
        std::fs::write(&path, b"P6 2 1 255\n\x01\x02\x03\x04\x05\x06").unwrap();
        let picture = load(&path).unwrap();
        assert_eq!((picture.width, picture.height), (2, 1));
        assert_eq!(picture.rgb, [1, 2, 3, 4, 5, 6]);
        std::fs::write(&path, b"P6 2 2 255\n\x01\x02\x03\x04").unwrap();
        assert!(load(&path).is_err_and(|e| e.starts_with("cannot be read as PBM")));
        std::fs::write(&path, b"hello").unwrap();
        assert!(load(&path).is_err_and(|e| e.starts_with("not a picture")));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
