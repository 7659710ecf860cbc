//! Label files: PNG pictures of one channel whose pixel values are labels.

use beitle_pictures::{Error, Limits, zeroed};
use png::{ColorType, Transformations};
use std::io::Cursor;
use std::path::Path;

/// The labels of a picture.
pub struct Labels {
    /// Width and height.
    pub size: (usize, usize),
    values: Vec<u16>,
}

impl Labels {
    /// Reads a PNG file of one channel, grey or indexed. The stored values are the labels; palettes are ignored.
    ///
    /// # Errors
    /// What is wrong with the file, without the path.
    pub fn load(path: &Path, limits: &Limits) -> Result<Labels, Error> {
        let file = beitle_pictures::read(path, limits)?;
        beitle_pictures::guarded(|| Labels::decode(&file, limits))
    }

    fn decode(file: &[u8], limits: &Limits) -> Result<Labels, Error> {
        let damaged = |e: png::DecodingError| Error::content(format!("cannot be read as PNG: {e}"));
        let bytes = usize::try_from(limits.memory()).unwrap_or(usize::MAX);
        let file = Cursor::new(beitle_pictures::checked_png(file, limits)?);
        let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes });
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(damaged)?;
        let mut data = zeroed(reader.output_buffer_size().ok_or_else(|| Error::content("too large"))?)?;
        let info = reader.next_frame(&mut data).map_err(damaged)?;
        if !matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed) {
            let found = info.color_type;
            let wrong = format!("found {found:?} pixels; label files have one channel, grey or indexed");
            return Err(Error::content(wrong));
        }
        let (width, height) = (info.width as usize, info.height as usize);
        let mut values = zeroed(width * height)?;
        for (to, row) in values.chunks_mut(width).zip(data.chunks(info.line_size)) {
            unpack(row, info.bit_depth as usize, to);
        }
        Ok(Labels { size: (width, height), values })
    }

    /// The largest label other than `ignore`; 0 if there is none.
    pub fn largest(&self, ignore: u16) -> u16 {
        self.values.iter().copied().filter(|v| *v != ignore).max().unwrap_or(0)
    }

    /// The class of each pixel, `None` where the pixel is ignored: where its label is `ignore` and, with `reduce`, where
    /// it is 0. With `reduce`, label 1 is class 0.
    ///
    /// # Errors
    /// A label that is not a class.
    pub fn classes(
        &self,
        classes: usize,
        reduce: bool,
        ignore: u16,
    ) -> Result<impl Iterator<Item = Option<u16>> + '_, String> {
        let class = move |v: u16| match v {
            v if v == ignore => None,
            v if reduce => v.checked_sub(1),
            v => Some(v),
        };
        let known = |v: u16| class(v).is_none_or(|c| usize::from(c) < classes);
        if let Some(at) = self.values.iter().position(|v| !known(*v)) {
            let (x, y, v) = (at % self.size.0, at / self.size.0, self.values[at]);
            let (first, last) = (u8::from(reduce), classes - usize::from(!reduce));
            return Err(format!(
                "label {v} at column {x}, row {y}: the model's labels are {first} to {last}, and {ignore} is ignored"
            ));
        }
        Ok(self.values.iter().map(move |v| class(*v)))
    }
}

/// Writes the values of a row of packed pixels of `bits` bits each.
fn unpack(row: &[u8], bits: usize, values: &mut [u16]) {
    if bits == 16 {
        values.iter_mut().zip(row.as_chunks::<2>().0).for_each(|(to, b)| *to = u16::from_be_bytes(*b));
        return;
    }
    for (x, to) in values.iter_mut().enumerate() {
        *to = u16::from(row[x * bits / 8] >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use png::BitDepth;

    fn labels(values: &[u16]) -> Labels {
        Labels { size: (values.len(), 1), values: values.to_vec() }
    }

    #[test]
    fn labels_map_to_classes() {
        let l = labels(&[0, 1, 2, 255]);
        let plain: Vec<_> = l.classes(3, false, 255).unwrap().collect();
        assert_eq!(plain, [Some(0), Some(1), Some(2), None]);
        let reduced: Vec<_> = l.classes(2, true, 255).unwrap().collect();
        assert_eq!(reduced, [None, Some(0), Some(1), None]);
        assert!(l.classes(2, false, 255).is_err_and(|e| e.contains("label 2 at column 2")));
        assert!(l.classes(3, false, 254).is_err_and(|e| e.contains("label 255")));
    }

    #[test]
    fn stored_values_are_read_at_every_bit_depth() {
        let path = std::env::temp_dir().join(format!("beitle-labels-{}.png", std::process::id()));
        let limits = Limits::default();
        for (depth, data, want) in [
            (BitDepth::Two, vec![0b00_01_10_11, 0b11_00_00_00], vec![0, 1, 2, 3, 3]),
            (BitDepth::Eight, vec![0, 1, 200, 255, 7], vec![0, 1, 200, 255, 7]),
            (BitDepth::Sixteen, vec![0, 1, 1, 0, 0, 0, 0, 2, 0, 3], vec![1, 256, 0, 2, 3]),
        ] {
            let mut file = Vec::new();
            let mut encoder = png::Encoder::new(&mut file, 5, 1);
            encoder.set_depth(depth);
            encoder.set_color(ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&data).unwrap();
            std::fs::write(&path, &file).unwrap();
            assert_eq!(Labels::load(&path, &limits).unwrap().values, want);
        }
        let small = Limits { max_pixels: 4, ..limits };
        assert!(matches!(Labels::load(&path, &small), Err(Error::TooManyPixels { width: 5, height: 1, .. })));
        std::fs::write(&path, b"no").unwrap();
        assert!(Labels::load(&path, &limits).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
