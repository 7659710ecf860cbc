//! Encoding of PNG files: class maps, whose pixel values are class numbers, and grey and RGB pictures.

use crate::class_map::ClassMapBuf;
use png::{BitDepth, ColorType, Encoder, Filter};
use std::io::Read;
use std::path::Path;

/// What marks a file of this program: a text chunk with the keyword of PNG's specification for the program that made it.
const SOFTWARE: (&str, &str) = ("Software", "beitle");
/// The chunk lies within these first bytes, behind a palette of up to 256 colours.
const START: u64 = 2048;

/// Whether this program has made the file.
pub fn is_own(path: &Path) -> bool {
    let mut start = Vec::new();
    let is_read =
        beitle_files::open(path).is_ok_and(|(file, _)| file.take(START).read_to_end(&mut start).is_ok());
    let mark = ["tEXt", SOFTWARE.0, "\0", SOFTWARE.1].concat();
    is_read && start.starts_with(b"\x89PNG") && start.windows(mark.len()).any(|part| part == mark.as_bytes())
}

/// Encodes a class map: 8-bit indexed with `palette` (the colour of each class), or 16-bit grey for models of more than
/// 256 classes.
///
/// # Errors
/// The encoder's error.
pub fn encode_map(
    map: &ClassMapBuf,
    (width, height): (usize, usize),
    palette: &[[u8; 3]],
) -> Result<Vec<u8>, String> {
    let data = match map {
        ClassMapBuf::U8(m) => m.clone(),
        ClassMapBuf::U16(m) => m.iter().flat_map(|c| c.to_be_bytes()).collect(),
    };
    let wide = matches!(map, ClassMapBuf::U16(_));
    encode(&data, (width, height), |encoder| {
        if wide {
            encoder.set_color(ColorType::Grayscale);
            encoder.set_depth(BitDepth::Sixteen);
        } else {
            encoder.set_color(ColorType::Indexed);
            encoder.set_palette(palette.as_flattened().to_vec());
            // Filters predict a value from its neighbours, which does not help with class numbers.
            encoder.set_filter(Filter::NoFilter);
        }
    })
}

/// Encodes a mask as grey; a map of two bytes per pixel is none.
///
/// # Errors
/// The encoder's error.
pub fn encode_mask(map: &ClassMapBuf, size: (usize, usize)) -> Result<Vec<u8>, String> {
    match map {
        ClassMapBuf::U8(mask) => encode_grey(mask, size),
        ClassMapBuf::U16(_) => Err("a mask has a byte for each pixel".into()),
    }
}

/// Encodes a byte of grey per pixel.
///
/// # Errors
/// The encoder's error.
pub fn encode_grey(grey: &[u8], size: (usize, usize)) -> Result<Vec<u8>, String> {
    encode(grey, size, |encoder| encoder.set_color(ColorType::Grayscale))
}

/// Encodes packed RGB.
///
/// # Errors
/// The encoder's error.
pub fn encode_rgb(rgb: &[u8], size: (usize, usize)) -> Result<Vec<u8>, String> {
    encode(rgb, size, |encoder| {
        encoder.set_color(ColorType::Rgb);
        encoder.set_compression(png::Compression::Fast);
    })
}

fn encode(
    data: &[u8],
    (width, height): (usize, usize),
    settings: impl Fn(&mut Encoder<&mut Vec<u8>>),
) -> Result<Vec<u8>, String> {
    let side = |n: usize| u32::try_from(n).map_err(|_| "too large for a PNG file".to_string());
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, side(width)?, side(height)?);
    encoder.set_depth(BitDepth::Eight);
    settings(&mut encoder);
    encoder.add_text_chunk(SOFTWARE.0.into(), SOFTWARE.1.into()).map_err(|e| e.to_string())?;
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(data).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(file: &[u8]) -> (png::OutputInfo, Option<Vec<u8>>, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        (info, reader.info().palette.as_ref().map(|p| p.to_vec()), data)
    }

    #[test]
    fn pixel_values_are_class_numbers() {
        let map = ClassMapBuf::U8(vec![0, 1, 2, 2, 1, 0]);
        let palette = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
        let (info, plte, data) = decode(&encode_map(&map, (3, 2), &palette).unwrap());
        assert_eq!((info.width, info.height), (3, 2));
        assert_eq!((info.color_type, info.bit_depth), (ColorType::Indexed, BitDepth::Eight));
        assert_eq!(plte.unwrap(), palette.as_flattened());
        assert_eq!(data, [0, 1, 2, 2, 1, 0]);
    }

    #[test]
    fn more_than_256_classes_take_sixteen_bits() {
        let map = ClassMapBuf::U16(vec![300, 65_534]);
        let (info, _, data) = decode(&encode_map(&map, (1, 2), &[]).unwrap());
        assert_eq!((info.color_type, info.bit_depth), (ColorType::Grayscale, BitDepth::Sixteen));
        assert_eq!(data, [1, 44, 255, 254]);
    }
}
