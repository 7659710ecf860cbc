//! The dimensions of a model, and the fields of `config.json` that describe its backbone.

use beitle::file::format::MlpActivation;
use beitle::file::tensors::{MAX_CHANNELS, MAX_DIMENSION, MAX_HEAD_DIM, MAX_HEADS, MAX_PATCH};

use super::architecture::Architecture;
use super::fields::Fields;
use crate::error::Error;

/// Most channels of a picture.
const MAX_PICTURE_CHANNELS: usize = 4;

/// A model's dimensions, as its configuration gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// What the model is; `None` if the configuration does not say.
    pub architecture: Option<Architecture>,
    /// Whether the features of a picture are the mean of the patches, and not the class token.
    pub mean_pooling: bool,
    /// Channels of the pictures.
    pub channels: usize,
    /// Activation function of the MLPs.
    pub activation: MlpActivation,
    /// Width of the UPerNet head; `None`: as `hidden`.
    pub head_channels: Option<usize>,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; `None` if the checkpoint does not say.
    pub heads: Option<usize>,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Width and height of the input the model was trained with, in pixels.
    pub image_size: (usize, usize),
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// `out_indices`: which hidden states become the four features. Transformers and the paper's code count differently. `None`
    /// unless the model segments pictures.
    pub out_indices: Option<[usize; 4]>,
    /// Epsilon of the layer norms.
    pub eps: f64,
    /// Classes of a model that has any.
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
    /// Whether the blocks have layer scale; `None` if the tensors say.
    pub layer_scale: Option<bool>,
    /// What the user should know about the configuration.
    pub notes: Vec<String>,
}

impl ModelConfig {
    /// The fields of the backbone. The head has none.
    pub(super) fn backbone(fields: &Fields) -> Result<ModelConfig, Error> {
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
        let (width, height) = fields.input_size("image_size")?.unwrap_or((224, 224));
        if width < patch || height < patch {
            let found = format!("{width}x{height}");
            return Err(fields.wrong("image_size", &format!("at least patch_size {patch}"), found));
        }
        let eps = fields.number("layer_norm_eps")?.unwrap_or(1e-12);
        if eps <= 0.0 {
            return Err(fields.wrong("layer_norm_eps", "a positive number", eps));
        }
        let flag = |name| Ok::<_, Error>(fields.flag(name)?.unwrap_or(false));
        Ok(ModelConfig {
            architecture: None,
            mean_pooling: fields.flag("use_mean_pooling")?.unwrap_or(true),
            channels: channels(fields)?,
            activation: activation(fields)?,
            head_channels: None,
            hidden,
            layers,
            heads: Some(heads),
            intermediate: fields.count("intermediate_size", 1..=MAX_DIMENSION as usize)?.unwrap_or(3072),
            image_size: (width, height),
            patch,
            out_indices: None,
            eps,
            classes: 0,
            class_names: None,
            pool_scales: Vec::new(),
            absolute: flag("use_absolute_position_embeddings")?,
            relative: flag("use_relative_position_bias")?,
            shared: flag("use_shared_relative_position_bias")?,
            layer_scale: Some(fields.number("layer_scale_init_value")?.unwrap_or(0.1) > 0.0),
            notes: Vec::new(),
        })
    }
}

/// Channels of the pictures.
fn channels(fields: &Fields) -> Result<usize, Error> {
    let channels = fields.count("num_channels", 1..=4096)?.unwrap_or(3);
    if channels > MAX_PICTURE_CHANNELS {
        return Err(fields.wrong("num_channels", "1 to 4", channels));
    }
    Ok(channels)
}

/// Activation function of the MLPs. The neck's is always GELU.
fn activation(fields: &Fields) -> Result<MlpActivation, Error> {
    match fields.text("hidden_act")?.unwrap_or("gelu") {
        "gelu" => Ok(MlpActivation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(MlpActivation::GeluTanh),
        "relu" => Ok(MlpActivation::Relu),
        other => {
            let expected = "\"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\" or \"relu\"";
            Err(fields.wrong("hidden_act", expected, format!("{other:?}")))
        }
    }
}
