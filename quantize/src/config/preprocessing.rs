//! `preprocessor_config.json` of a transformers folder.

use std::path::Path;

use super::fields::Fields;
use crate::error::Error;

/// How a picture becomes the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Width that pictures are resized to.
    pub width: usize,
    /// Height that pictures are resized to.
    pub height: usize,
    /// The resize filter by Pillow's numbers: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming; or 16, OpenCV's
    /// bilinear filter.
    pub resample: u32,
    /// Per channel, subtracted after rescaling.
    pub mean: [f64; 3],
    /// Per channel, the divisor after the mean has been subtracted.
    pub std: [f64; 3],
    /// Factor that pixel bytes are multiplied by first.
    pub rescale: f64,
    /// Label files number the classes from 1, and 0 is ignored.
    pub reduce_labels: bool,
    /// What the engine does differently, if it does.
    pub notes: Vec<String>,
}

impl Default for Preprocessing {
    /// The defaults of transformers' `BeitImageProcessor`.
    fn default() -> Preprocessing {
        Preprocessing {
            width: 224,
            height: 224,
            resample: 3,
            mean: [0.5; 3],
            std: [0.5; 3],
            rescale: 1.0 / 255.0,
            reduce_labels: false,
            notes: Vec::new(),
        }
    }
}

impl Preprocessing {
    /// Reads `preprocessor_config.json` of a transformers folder; `None` if there is no such file.
    ///
    /// # Errors
    /// The file is malformed or asks for unsupported steps; the message names the field.
    pub fn read(folder: &Path) -> Result<Option<Preprocessing>, Error> {
        match Fields::read(&folder.join("preprocessor_config.json"))? {
            Some(fields) => Preprocessing::from_fields(&fields).map(Some),
            None => Ok(None),
        }
    }

    fn from_fields(fields: &Fields) -> Result<Preprocessing, Error> {
        let default = Preprocessing::default();
        let (width, height) = fields.size("size")?.unwrap_or((default.width, default.height));
        if fields.flag("do_center_crop")?.unwrap_or(false) {
            let crop = fields.size("crop_size")?.unwrap_or((224, 224));
            if crop != (width, height) {
                return Err(fields.wrong(
                    "do_center_crop",
                    &format!("false, or a crop_size equal to size {width}x{height}"),
                    format!("a crop to {}x{}, which is not supported", crop.0, crop.1),
                ));
            }
        }
        let resample = match fields.count("resample", 0..=5)? {
            Some(number) => number as u32,
            None => default.resample,
        };
        let (mean, std) = normalisation(fields)?;
        let rescale = if fields.flag("do_rescale")?.unwrap_or(true) {
            fields.number("rescale_factor")?.unwrap_or(default.rescale)
        } else {
            1.0
        };
        if rescale as f32 <= 0.0 {
            return Err(fields.wrong("rescale_factor", "a positive number", rescale));
        }
        let reduce = fields.flag("do_reduce_labels")?.or(fields.flag("reduce_labels")?);
        let reduce_labels = reduce.unwrap_or(false);
        let mut notes = Vec::new();
        if !fields.flag("do_resize")?.unwrap_or(true) {
            notes.push(
                "preprocessor_config.json has do_resize false: transformers takes a picture in its own size, here it is \
                 resized to the model's input"
                    .into(),
            );
        } else if fields.keeps_ratio("size") {
            notes.push(format!(
                "preprocessor_config.json resizes the shortest edge to {width}: transformers 5 keeps the ratio of the \
                 sides, here pictures are stretched to a square"
            ));
        }
        Ok(Preprocessing { width, height, resample, mean, std, rescale, reduce_labels, notes })
    }
}

/// Mean and standard deviation per channel; 0 and 1 if normalisation is switched off.
fn normalisation(fields: &Fields) -> Result<([f64; 3], [f64; 3]), Error> {
    if !fields.flag("do_normalize")?.unwrap_or(true) {
        return Ok(([0.0; 3], [1.0; 3]));
    }
    let default = Preprocessing::default();
    let mean = fields.triple("image_mean")?.unwrap_or(default.mean);
    let std = fields.triple("image_std")?.unwrap_or(default.std);
    // Weight files store them as f32, in which the smallest numbers are 0.
    if std.iter().any(|value| *value as f32 <= 0.0) {
        return Err(fields.wrong("image_std", "three positive numbers", format!("{std:?}")));
    }
    Ok((mean, std))
}
