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
    /// Whether only the short side gets this length, and the long side follows. Width and height are then equal.
    pub keeps_ratio: bool,
    /// Width and height of the middle that is cut from a resized picture, if that is smaller.
    pub crop: Option<(usize, usize)>,
    /// The resize filter by Pillow's numbers: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming; or 16, OpenCV's
    /// bilinear filter.
    pub resample: u32,
    /// Per channel, subtracted after rescaling.
    pub mean: Vec<f64>,
    /// Per channel, the divisor after the mean has been subtracted.
    pub std: Vec<f64>,
    /// Factor that pixel bytes are multiplied by first.
    pub rescale: f64,
    /// Label files number the classes from 1, and 0 is ignored.
    pub reduce_labels: bool,
    /// What the engine does differently, if it does.
    pub notes: Vec<String>,
}

impl Preprocessing {
    /// The defaults of transformers' `BeitImageProcessor`, for pictures of `channels` channels.
    pub fn default(channels: usize) -> Preprocessing {
        Preprocessing {
            width: 224,
            height: 224,
            keeps_ratio: false,
            crop: None,
            resample: 3,
            mean: vec![0.5; channels],
            std: vec![0.5; channels],
            rescale: 1.0 / 255.0,
            reduce_labels: false,
            notes: Vec::new(),
        }
    }

    /// Reads `preprocessor_config.json` of a transformers folder; `None` if there is no such file.
    ///
    /// # Errors
    /// The file is malformed or asks for unsupported steps; the message names the field.
    pub fn read(folder: &Path, channels: usize) -> Result<Option<Preprocessing>, Error> {
        match Fields::read(&folder.join("preprocessor_config.json"))? {
            Some(fields) => Preprocessing::from_fields(&fields, channels).map(Some),
            None => Ok(None),
        }
    }

    fn from_fields(fields: &Fields, channels: usize) -> Result<Preprocessing, Error> {
        let default = Preprocessing::default(channels);
        let (width, height) = fields.size("size")?.unwrap_or((default.width, default.height));
        let resample = match fields.count("resample", 0..=5)? {
            Some(number) => number as u32,
            None => default.resample,
        };
        let (mean, std) = normalisation(fields, channels)?;
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
        }
        let keeps_ratio = fields.keeps_ratio("size");
        let crop = crop(fields, (width, height))?;
        Ok(Preprocessing {
            width,
            height,
            keeps_ratio,
            crop,
            resample,
            mean,
            std,
            rescale,
            reduce_labels,
            notes,
        })
    }
}

/// The size of the middle that is cut from a picture of `size`; `None` if it is all of it.
fn crop(fields: &Fields, size: (usize, usize)) -> Result<Option<(usize, usize)>, Error> {
    if !fields.flag("do_center_crop")?.unwrap_or(false) {
        return Ok(None);
    }
    if fields.keeps_ratio("size") && fields.has_part("size", "longest_edge") {
        return Err(fields.wrong("size", "shortest_edge alone where do_center_crop is true", "longest_edge"));
    }
    let crop = fields.size("crop_size")?.unwrap_or((224, 224));
    if crop.0 > size.0 || crop.1 > size.1 {
        let expected = format!("at most size {}x{}", size.0, size.1);
        return Err(fields.wrong("crop_size", &expected, format!("{}x{}", crop.0, crop.1)));
    }
    Ok((crop != size || fields.keeps_ratio("size")).then_some(crop))
}

/// Mean and standard deviation per channel; 0 and 1 if normalisation is switched off.
fn normalisation(fields: &Fields, channels: usize) -> Result<(Vec<f64>, Vec<f64>), Error> {
    if !fields.flag("do_normalize")?.unwrap_or(true) {
        return Ok((vec![0.0; channels], vec![1.0; channels]));
    }
    let default = Preprocessing::default(channels);
    let mean = fields.per_channel("image_mean", channels)?.unwrap_or(default.mean);
    let std = fields.per_channel("image_std", channels)?.unwrap_or(default.std);
    // Weight files store them as f32, in which the smallest numbers are 0.
    if std.iter().any(|value| *value as f32 <= 0.0) {
        return Err(fields.wrong("image_std", "positive numbers", format!("{std:?}")));
    }
    Ok((mean, std))
}
