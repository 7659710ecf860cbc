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
    /// What the user should know about the configuration.
    pub notes: Vec<String>,
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
        let mut notes = Vec::new();
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
        let (classes, names) = classes(fields, &mut notes)?;
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
            out_indices: out_indices(fields, layers, &mut notes)?,
            eps,
            classes,
            class_names: Some(names),
            pool_scales: fields
                .counts("pool_scales", MAX_POOLS as usize, 1..=MAX_POOL_SCALE as usize)?
                .unwrap_or_else(|| vec![1, 2, 3, 6]),
            absolute: fields.flag("use_absolute_position_embeddings")?.unwrap_or(false),
            relative: fields.flag("use_relative_position_bias")?.unwrap_or(false),
            shared: fields.flag("use_shared_relative_position_bias")?.unwrap_or(false),
            notes,
        })
    }
}

/// Rejects models other than BEiT with a UPerNet head, GELU and RGB input, by what the configuration says they are.
fn check_architecture(fields: &Fields) -> Result<(), Error> {
    if let Some(kind) = fields.text("model_type")?.filter(|kind| !["beit", "data2vec-vision"].contains(kind))
    {
        return Err(fields.wrong("model_type", "\"beit\" or \"data2vec-vision\"", format!("{kind:?}")));
    }
    let known = ["BeitForSemanticSegmentation", "Data2VecVisionForSemanticSegmentation"];
    let architectures = fields.texts("architectures")?.unwrap_or_default();
    if let Some(other) = architectures.iter().find(|name| !known.contains(name)) {
        return Err(fields.wrong("architectures", known[0], other));
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

/// The names that the field `out_indices` has had, the newest first.
const INDEX_FIELDS: [&str; 3] = ["out_indices", "segmentation_indices", "semantic_out_indices"];

/// `out_indices` under any of its names, or `out_features`; `[3, 5, 7, 11]` by default. Negative indices count from the last hidden
/// state.
fn out_indices(fields: &Fields, layers: usize, notes: &mut Vec<String>) -> Result<[usize; 4], Error> {
    const EXPECTED: &str = "four ascending block numbers";
    let states = layers.min(MAX_BLOCKS as usize) + 1;
    let mut lists: Vec<(&str, [usize; 4])> = Vec::new();
    for name in INDEX_FIELDS {
        let Some(found) = fields.indices(name, 4, states - 1)? else { continue };
        let from_start =
            found.iter().map(|&i| if i < 0 { (states as i64 + i) as usize } else { i as usize }).collect();
        lists.push((name, four_ascending(fields, name, EXPECTED, from_start)?));
    }
    if let Some(&(name, list)) = lists.first() {
        if let Some((other, differs)) = lists[1..].iter().find(|(_, other)| *other != list) {
            notes.push(format!(
                "config.json has {name} {list:?} and {other} {differs:?}: transformers 5 reads the first, which is used \
                 here; transformers 4.33 to 4.57 read the second"
            ));
        }
        return Ok(list);
    }
    if let Some(names) = fields.texts("out_features")? {
        let expected = "four ascending names such as \"stage4\"";
        let number = |name: &&str| {
            name.strip_prefix("stage")?.parse().ok().filter(|stage| (1..states).contains(stage))
        };
        let stages: Option<Vec<usize>> = names.iter().map(number).collect();
        let stages = stages.ok_or_else(|| fields.wrong("out_features", expected, format!("{names:?}")))?;
        return four_ascending(fields, "out_features", expected, stages);
    }
    if layers < 11 {
        return Err(fields.wrong("out_indices", EXPECTED, "nothing"));
    }
    Ok([3, 5, 7, 11])
}

fn four_ascending(
    fields: &Fields,
    name: &str,
    expected: &str,
    found: Vec<usize>,
) -> Result<[usize; 4], Error> {
    match <[usize; 4]>::try_from(found.as_slice()) {
        Ok(four) if four.is_sorted() => Ok(four),
        _ => Err(fields.wrong(name, expected, format!("{found:?}"))),
    }
}

/// The number of classes, which is that of the entries of `id2label` as in transformers, and their names. A class without an entry
/// gets the name of an entry without a class.
fn classes(fields: &Fields, notes: &mut Vec<String>) -> Result<(usize, Vec<String>), Error> {
    let Some(map) = fields.object("id2label")? else {
        let count = fields.count("num_labels", 1..=MAX_DIMENSION as usize)?.unwrap_or(2);
        return Ok((count, (0..count).map(|number| format!("LABEL_{number}")).collect()));
    };
    if !(1..=MAX_DIMENSION as usize).contains(&map.len()) {
        return Err(fields.wrong("id2label", &format!("1 to {MAX_DIMENSION} classes"), map.len()));
    }
    let mut names = vec![None; map.len()];
    let mut others = Vec::new();
    for (key, name) in map {
        let wrong = || fields.wrong("id2label", "names with numbers as keys", format!("{key:?}: {name}"));
        let number = key.parse::<u32>().map_err(|_| wrong())?;
        let name = name.as_str().ok_or_else(wrong)?;
        match names.get_mut(number as usize) {
            Some(place @ None) => *place = Some(name.to_string()),
            Some(_) => return Err(wrong()),
            None => others.push((number, name.to_string())),
        }
    }
    others.sort();
    if let Some((number, _)) = others.first() {
        notes.push(format!(
            "id2label has {} entries, hence as many classes, but numbers such as {number}: classes without an \
             entry get these names",
            names.len()
        ));
    }
    let mut others = others.into_iter().map(|(_, name)| name);
    let names: Vec<String> = names.into_iter().filter_map(|name| name.or_else(|| others.next())).collect();
    Ok((names.len(), names))
}
