//! `config.json` of UperNet over a BEiT backbone: the same network as BEiT for segmentation, but the head has a width of its own, and
//! the features are counted by stages: stage i comes after i blocks.

use beitle::file::format::Task;
use beitle::file::tensors::MAX_CHANNELS;

use super::architecture::Architecture;
use super::fields::Fields;
use super::head::{classes, index_list, pool_scales, stage_list};
use super::model::ModelConfig;
use crate::error::Error;

/// Reads the configuration of an `UperNetForSemanticSegmentation`.
pub(super) fn read(fields: &Fields) -> Result<ModelConfig, Error> {
    let Some(backbone) = fields.nested("backbone_config")? else {
        return Err(fields.wrong("backbone_config", "the configuration of a BEiT backbone", "nothing"));
    };
    if let Some(kind) = backbone.text("model_type")?.filter(|kind| *kind != "beit") {
        return Err(backbone.wrong("model_type", "\"beit\"", format!("{kind:?}")));
    }
    if !backbone.flag("add_fpn")?.unwrap_or(false) {
        return Err(backbone.wrong("add_fpn", "true: four features of different resolutions", false));
    }
    if let Some(eps) = backbone.number("batch_norm_eps")?.filter(|eps| *eps != 1e-5) {
        return Err(backbone.wrong("batch_norm_eps", "1e-5", eps));
    }
    let mut model = ModelConfig::backbone(&backbone)?;
    let states = model.layers + 1;
    let indices = index_list(&backbone, "out_indices", states)?;
    let stages = match indices {
        Some(indices) => Some(indices),
        None => stage_list(&backbone, 0..states)?,
    };
    let stages = stages.ok_or_else(|| backbone.wrong("out_indices", "four stages", "nothing"))?;
    let mut notes = vec![
        "transformers interpolates the logits of UperNet to the input size and again to the picture's, here they are \
         interpolated once"
            .to_owned(),
    ];
    // Counted as those of BEiT for segmentation: the hidden state before block i.
    model.out_indices = Some(stages.map(|stage| stage + 1));
    let (count, names) = classes(fields, &mut notes)?;
    model.architecture = Some(Architecture { task: Task::Segmentation, masked: false, upernet: true });
    model.head_channels = Some(fields.count("hidden_size", 1..=MAX_CHANNELS as usize)?.unwrap_or(512));
    model.pool_scales = pool_scales(fields)?;
    (model.classes, model.class_names, model.notes) = (count, Some(names), notes);
    Ok(model)
}
