//! `config.json` of a transformers folder.

use std::path::Path;

use beitle::file::tensors::{
    MAX_BLOCKS, MAX_CHANNELS, MAX_DIMENSION, MAX_HEAD_DIM, MAX_HEADS, MAX_PATCH, MAX_POOL_SCALE, MAX_POOLS,
};

use super::fields::Fields;
use crate::error::Error;

/// A model's dimensions, as its configuration gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; `None` if the checkpoint does not say.
    pub heads: Option<usize>,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Side of the square input the model was trained with, in pixels.
    pub image_size: usize,
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// `out_indices`: which hidden states become the four features. Transformers and the paper's code count differently.
    pub out_indices: [usize; 4],
    /// Epsilon of the layer norms.
    pub eps: f64,
    /// Classes.
    pub classes: usize,
    /// Names of the classes, if the checkpoint has any.
    pub class_names: Option<Vec<String>>,
    /// Output sides of the pyramid pooling branches.
    pub pool_scales: Vec<usize>,
    /// Absolute position embeddings are added.
    pub absolute: bool,
    /// Each block has its own table of relative positions.
    pub relative: bool,
    /// All blocks share one table of relative positions.
    pub shared: bool,
}

impl ModelConfig {
    /// Reads `config.json` of a transformers folder. Absent fields have the defaults of transformers' `BeitConfig`.
    ///
    /// # Errors
    /// The file is missing or malformed, or describes a model that is not supported; the message names the field.
    pub fn read(folder: &Path) -> Result<ModelConfig, Error> {
        let path = folder.join("config.json");
        let Some(fields) = Fields::read(&path)? else {
            return Err(Error::new(path, "is missing; expected the model's configuration"));
        };
        ModelConfig::from_fields(&fields)
    }

    fn from_fields(fields: &Fields) -> Result<ModelConfig, Error> {
        check_architecture(fields)?;
        let hidden = fields.count("hidden_size", 1..=MAX_CHANNELS as usize)?.unwrap_or(768);
        let layers = fields.count("num_hidden_layers", 1..=1000)?.unwrap_or(12);
        let heads = fields.count("num_attention_heads", 1..=MAX_HEADS as usize)?.unwrap_or(12);
        if !hidden.is_multiple_of(heads) || hidden / heads > MAX_HEAD_DIM as usize {
            let expected = format!(
                "a divisor of hidden_size {hidden}, of at most {MAX_HEAD_DIM} channels for each head"
            );
            return Err(fields.wrong("num_attention_heads", &expected, heads));
        }
        let patch = fields.side("patch_size")?.unwrap_or(16);
        if patch > MAX_PATCH as usize {
            return Err(fields.wrong("patch_size", &format!("at most {MAX_PATCH}"), patch));
        }
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
            intermediate: fields.count("intermediate_size", 1..=MAX_DIMENSION as usize)?.unwrap_or(3072),
            image_size,
            patch,
            out_indices: out_indices(fields, layers)?,
            eps,
            classes,
            class_names: Some(names),
            pool_scales: fields
                .counts("pool_scales", MAX_POOLS as usize, 1..=MAX_POOL_SCALE as usize)?
                .unwrap_or_else(|| vec![1, 2, 3, 6]),
            absolute: fields.flag("use_absolute_position_embeddings")?.unwrap_or(false),
            relative: fields.flag("use_relative_position_bias")?.unwrap_or(false),
            shared: fields.flag("use_shared_relative_position_bias")?.unwrap_or(false),
        })
    }
}

/// Rejects models other than BEiT with GELU and RGB input.
fn check_architecture(fields: &Fields) -> Result<(), Error> {
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
    Ok(())
}

/// `out_indices` under any of the names the field has had; `[3, 5, 7, 11]` by default.
fn out_indices(fields: &Fields, layers: usize) -> Result<[usize; 4], Error> {
    for name in ["out_indices", "segmentation_indices", "semantic_out_indices"] {
        let Some(found) = fields.counts(name, 4, 0..=layers.min(MAX_BLOCKS as usize))? else { continue };
        let expected = "four ascending block numbers";
        let four: [usize; 4] =
            found.as_slice().try_into().map_err(|_| fields.wrong(name, expected, format!("{found:?}")))?;
        if four.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(fields.wrong(name, expected, format!("{found:?}")));
        }
        return Ok(four);
    }
    if layers < 11 {
        return Err(fields.wrong("out_indices", "four ascending block numbers", "nothing"));
    }
    Ok([3, 5, 7, 11])
}

/// The number of classes and their names.
fn classes(fields: &Fields) -> Result<(usize, Vec<String>), Error> {
    let Some(map) = fields.object("id2label")? else {
        let count = fields.count("num_labels", 1..=MAX_DIMENSION as usize)?.unwrap_or(2);
        return Ok((count, (0..count).map(|number| format!("LABEL_{number}")).collect()));
    };
    if !(1..=MAX_DIMENSION as usize).contains(&map.len()) {
        return Err(fields.wrong("id2label", &format!("1 to {MAX_DIMENSION} classes"), map.len()));
    }
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
    Ok((names.len(), names))
}
