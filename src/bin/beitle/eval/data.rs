//! Data sets: which pictures, which label files, and what these say.

use crate::console::Failure;
use crate::inputs;
use png::{BitDepth, ColorType, Transformations};
use std::path::{Path, PathBuf};

/// A picture and its labels.
pub struct Item {
    /// The picture.
    pub image: PathBuf,
    /// Its label file.
    pub labels: Option<PathBuf>,
}

/// Where pictures and labels lie below a data set's root.
const LAYOUTS: [(&str, &str); 2] = [("images/validation", "annotations/validation"), ("images", "labels")];

/// Lists a data set.
///
/// # Errors
/// No pictures, or a picture without labels where there is a folder of labels.
pub fn find(data: &Path, labels: Option<&Path>, limit: Option<usize>) -> Result<Vec<Item>, Failure> {
    let known = LAYOUTS.iter().map(|(i, l)| (data.join(i), data.join(l))).find(|(i, _)| i.is_dir());
    let (images, found) = match known {
        Some((images, labels)) => (images, labels.is_dir().then_some(labels)),
        None => (data.to_path_buf(), None),
    };
    let labels = labels.map(Path::to_path_buf).or(found);
    let pictures = inputs::folder(&images)?;
    let pictures = pictures.into_iter().take(limit.unwrap_or(usize::MAX));
    pictures
        .map(|image| {
            let file = labels.as_ref().map(|folder| {
                folder.join(image.file_stem().unwrap_or(image.as_os_str())).with_extension("png")
            });
            match file {
                Some(file) if !file.is_file() => Err(Failure::work(format_args!(
                    "{}: the labels of {} were expected here",
                    file.display(),
                    image.display()
                ))),
                labels => Ok(Item { image, labels }),
            }
        })
        .collect()
}

/// A label file: the numbers in it.
pub struct Labels {
    /// Width and height.
    pub size: (usize, usize),
    values: Vec<u16>,
}

impl Labels {
    /// Reads a PNG of one channel: grey or indexed; the stored numbers are the labels, palettes do not matter.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(path: &Path) -> Result<Labels, String> {
        let file = std::fs::read(path).map_err(|e| e.to_string())?;
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(|e| format!("cannot be read as PNG: {e}"))?;
        let mut data = vec![0; reader.output_buffer_size().ok_or("too large")?];
        let info = reader.next_frame(&mut data).map_err(|e| format!("cannot be read as PNG: {e}"))?;
        if !matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed) {
            return Err(format!("{:?}: label files have one channel, grey or indexed", info.color_type));
        }
        let bits = match info.bit_depth {
            BitDepth::Sixteen => 16,
            depth => depth as usize,
        };
        let width = info.width as usize;
        let row = |row: &[u8]| -> Vec<u16> {
            match bits {
                16 => row.as_chunks::<2>().0.iter().map(|b| u16::from_be_bytes(*b)).take(width).collect(),
                _ => (0..width)
                    .map(|x| u16::from(row[x * bits / 8] >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1))
                    .collect(),
            }
        };
        let values = data[..info.buffer_size()].chunks(info.line_size).flat_map(row).collect();
        Ok(Labels { size: (width, info.height as usize), values })
    }

    /// The class of each pixel, `None` where it is to be ignored. `reduce`: 0 is ignored and 1 is the first class.
    ///
    /// # Errors
    /// A number that is no class.
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
            let last = classes - usize::from(!reduce);
            return Err(format!(
                "label {v} at column {x}, row {y}: the model knows {} to {last}, and {ignore} is ignored",
                u8::from(reduce)
            ));
        }
        Ok(self.values.iter().map(move |v| class(*v)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[u16]) -> Labels {
        Labels { size: (values.len(), 1), values: values.to_vec() }
    }

    #[test]
    fn labels_become_classes() {
        let l = labels(&[0, 1, 2, 255]);
        let plain: Vec<_> = l.classes(3, false, 255).unwrap().collect();
        assert_eq!(plain, [Some(0), Some(1), Some(2), None]);
        let reduced: Vec<_> = l.classes(2, true, 255).unwrap().collect();
        assert_eq!(reduced, [None, Some(0), Some(1), None]);
        assert!(l.classes(2, false, 255).is_err_and(|e| e.contains("label 2 at column 2")));
        assert!(l.classes(3, false, 254).is_err_and(|e| e.contains("label 255")));
    }

    #[test]
    fn numbers_are_read_as_stored_whatever_the_depth() {
        let path = std::env::temp_dir().join(format!("beitle-labels-{}.png", std::process::id()));
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
            assert_eq!(Labels::load(&path).unwrap().values, want);
        }
        std::fs::write(&path, b"no").unwrap();
        assert!(Labels::load(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
