//! Reading `config.json` of a transformers folder, whatever the architecture.

use std::path::Path;

use beitle::file::format::Task;

use super::architecture;
use super::fields::Fields;
use super::head::{FOUR_BLOCKS, classes, out_indices, pool_scales};
use super::model::ModelConfig;
use super::upernet;
use crate::error::Error;

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
        let architecture = architecture::of(fields)?;
        if architecture.is_some_and(|a| a.upernet) {
            return upernet::read(fields);
        }
        let mut model = ModelConfig::backbone(fields)?;
        model.architecture = architecture;
        if architecture.is_none_or(|a| a.task == Task::Segmentation) {
            model.out_indices = out_indices(fields, model.layers, &mut model.notes)?;
            // A configuration that does not say what the model is may be that of a model without head.
            if model.out_indices.is_none() && architecture.is_some() {
                return Err(fields.wrong("out_indices", FOUR_BLOCKS, "nothing"));
            }
        }
        if let Some(kind) = fields.text("problem_type")?
            && kind != "single_label_classification"
            && architecture.is_some_and(|a| a.task == Task::Classification)
        {
            model.notes.push(format!(
                "config.json has problem_type {kind:?}: the logits are the model's, but `beitle classify` and `beitle eval` \
                 take them for those of one class in each picture"
            ));
        }
        let (classes, names) = classes(fields, &mut model.notes)?;
        (model.classes, model.class_names) = (classes, Some(names));
        model.pool_scales = pool_scales(fields)?;
        Ok(model)
    }
}
