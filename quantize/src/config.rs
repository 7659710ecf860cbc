//! What a checkpoint says of its model and of the pictures it takes: `config.json`, `preprocessor_config.json`, or the
//! shapes of the tensors where there are no such files.

mod fields;
mod infer;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::error::Error;
use fields::Fields;
pub use infer::infer;

/// The shape of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads, where something says how many.
    pub heads: Option<usize>,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Side of the input, in pixels.
    pub image_size: usize,
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// Where the pyramid taps the stream, as the configuration counts.
    pub out_indices: [usize; 4],
    /// Epsilon of the layer norms.
    pub eps: f64,
    /// Number of classes.
    pub classes: usize,
    /// Their names.
    pub class_names: Option<Vec<String>>,
    /// Output sides of the pooling pyramid.
    pub pool_scales: Vec<usize>,
    /// Absolute position embeddings are added.
    pub absolute: bool,
    /// Each block has its own table of relative positions.
    pub relative: bool,
    /// All blocks share one table of relative positions.
    pub shared: bool,
}

impl ModelConfig {
    /// Reads `config.json` of a transformers folder; absent fields are what `BeitConfig` takes them for.
    pub fn read(folder: &Path) -> Result<ModelConfig, Error> {
        let path = folder.join("config.json");
        let Some(fields) = Fields::read(&path)? else {
            return Err(Error::new(path, "is missing; expected the model's configuration"));
        };
        ModelConfig::from_fields(&fields)
    }

    fn from_fields(fields: &Fields) -> Result<ModelConfig, Error> {
        if let Some(kind) = fields.text("model_type")?.filter(|kind| *kind != "beit") {
            return Err(fields.wrong("model_type", "\"beit\"", kind));
        }
        if let Some(activation) = fields.text("hidden_act")?.filter(|name| *name != "gelu") {
            return Err(fields.wrong("hidden_act", "\"gelu\"", activation));
        }
        let channels = fields.count("num_channels", 1..=4096)?.unwrap_or(3);
        if channels != 3 {
            return Err(fields.wrong("num_channels", "3", channels));
        }
        let hidden = fields.count("hidden_size", 1..=65_536)?.unwrap_or(768);
        let layers = fields.count("num_hidden_layers", 1..=1000)?.unwrap_or(12);
        let heads = fields.count("num_attention_heads", 1..=65_536)?.unwrap_or(12);
        if !hidden.is_multiple_of(heads) {
            return Err(fields.wrong(
                "num_attention_heads",
                &format!("a divisor of hidden_size {hidden}"),
                heads,
            ));
        }
        let patch = fields.side("patch_size")?.unwrap_or(16);
        let image_size = fields.side("image_size")?.unwrap_or(224);
        if image_size < patch {
            return Err(fields.wrong("image_size", &format!("at least patch_size {patch}"), image_size));
        }
        let (classes, names) = classes(fields)?;
        let eps = fields.number("layer_norm_eps")?.unwrap_or(1e-12);
        if eps <= 0.0 {
            return Err(fields.wrong("layer_norm_eps", "a positive number", eps));
        }
        Ok(ModelConfig {
            hidden,
            layers,
            heads: Some(heads),
            intermediate: fields.count("intermediate_size", 1..=1_048_576)?.unwrap_or(3072),
            image_size,
            patch,
            out_indices: out_indices(fields, layers)?,
            eps,
            classes,
            class_names: Some(names),
            pool_scales: fields.counts("pool_scales", 1..=1024)?.unwrap_or_else(|| vec![1, 2, 3, 6]),
            absolute: fields.flag("use_absolute_position_embeddings")?.unwrap_or(false),
            relative: fields.flag("use_relative_position_bias")?.unwrap_or(false),
            shared: fields.flag("use_shared_relative_position_bias")?.unwrap_or(false),
        })
    }
}

/// The taps under any of the names the field has had, `[3, 5, 7, 11]` where it is left out.
fn out_indices(fields: &Fields, layers: usize) -> Result<[usize; 4], Error> {
    for name in ["out_indices", "segmentation_indices", "semantic_out_indices"] {
        let Some(found) = fields.counts(name, 0..=layers)? else { continue };
        let expected = "four rising block numbers";
        let four: [usize; 4] =
            found.as_slice().try_into().map_err(|_| fields.wrong(name, expected, format!("{found:?}")))?;
        if four.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(fields.wrong(name, expected, format!("{found:?}")));
        }
        return Ok(four);
    }
    if layers < 11 {
        return Err(fields.wrong("out_indices", "four rising block numbers", "nothing"));
    }
    Ok([3, 5, 7, 11])
}

fn classes(fields: &Fields) -> Result<(usize, Vec<String>), Error> {
    let Some(map) = fields.object("id2label")? else {
        let count = fields.count("num_labels", 1..=65_536)?.unwrap_or(2);
        return Ok((count, (0..count).map(|number| format!("LABEL_{number}")).collect()));
    };
    let mut names = vec![None; map.len()];
    for (key, name) in map {
        let place = key.parse::<usize>().ok().and_then(|number| names.get_mut(number));
        match (place, name.as_str()) {
            (Some(place @ None), Some(name)) => *place = Some(name.to_string()),
            _ => {
                let expected = format!("a name for each of 0 to {}", map.len().saturating_sub(1));
                return Err(fields.wrong("id2label", &expected, format!("{key:?}: {name}")));
            }
        }
    }
    let names: Vec<String> = names.into_iter().flatten().collect();
    if names.is_empty() {
        return Err(fields.wrong("id2label", "at least one class", "none"));
    }
    Ok((names.len(), names))
}

/// From a picture to the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Pictures are resized to this width.
    pub width: usize,
    /// Pictures are resized to this height.
    pub height: usize,
    /// Pillow's number of the filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming.
    pub resample: u32,
    /// Subtracted, per channel, after rescaling.
    pub mean: [f64; 3],
    /// Divided by, per channel.
    pub std: [f64; 3],
    /// Bytes are multiplied by this.
    pub rescale: f64,
    /// Label maps count from 1, with 0 for "no class".
    pub reduce_labels: bool,
}

impl Default for Preprocessing {
    /// `BeitImageProcessor`'s defaults.
    fn default() -> Preprocessing {
        Preprocessing {
            width: 224,
            height: 224,
            resample: 3,
            mean: [0.5; 3],
            std: [0.5; 3],
            rescale: 1.0 / 255.0,
            reduce_labels: false,
        }
    }
}

impl Preprocessing {
    /// Reads `preprocessor_config.json` of a transformers folder; `None` if there is none.
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
        let (mut mean, mut std) = (default.mean, default.std);
        if fields.flag("do_normalize")?.unwrap_or(true) {
            mean = fields.triple("image_mean")?.unwrap_or(mean);
            std = fields.triple("image_std")?.unwrap_or(std);
            if std.iter().any(|value| *value <= 0.0) {
                return Err(fields.wrong("image_std", "three positive numbers", format!("{std:?}")));
            }
        } else {
            (mean, std) = ([0.0; 3], [1.0; 3]);
        }
        let rescale = if fields.flag("do_rescale")?.unwrap_or(true) {
            fields.number("rescale_factor")?.unwrap_or(default.rescale)
        } else {
            1.0
        };
        if rescale <= 0.0 {
            return Err(fields.wrong("rescale_factor", "a positive number", rescale));
        }
        let reduce = fields.flag("do_reduce_labels")?.or(fields.flag("reduce_labels")?);
        Ok(Preprocessing {
            width,
            height,
            resample,
            mean,
            std,
            rescale,
            reduce_labels: reduce.unwrap_or(false),
        })
    }
}
