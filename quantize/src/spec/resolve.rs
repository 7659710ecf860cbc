//! Merges the checkpoint's configuration with the options and checks the result.

use super::facts::Spec;
use crate::checkpoint::{Checkpoint, Scheme};
use crate::config::{self, ModelConfig, Preprocessing};
use crate::error::Error;
use crate::options::{Conv, Options};
use beitle::file::format::{Precision, Recipe};
use std::path::Path;

impl Spec {
    /// Resolves every fact of a conversion.
    ///
    /// # Errors
    /// The configuration is missing or malformed, a fact is unknown, or an option contradicts the checkpoint.
    pub fn new(checkpoint: &Checkpoint, options: &Options) -> Result<Spec, Error> {
        let folder = checkpoint.folder();
        check_stated(checkpoint, options)?;
        let mut model = match folder {
            Some(folder) => ModelConfig::read(folder)?,
            None => config::infer(checkpoint)?,
        };
        let mut notes = std::mem::take(&mut model.notes);
        notes.extend(checkpoint.notes());
        let recipe = options.recipe.unwrap_or(if folder.is_some() { Recipe::Hf } else { Recipe::Paper });
        let mut preprocessing = preprocessing(folder, &model, recipe, &mut notes)?;
        notes.append(&mut preprocessing.notes);
        let context = Context { checkpoint, options, model: &model, recipe };
        let heads = context.heads(&mut notes)?;
        let feature_blocks = context.feature_blocks()?;
        let size = context.size(&preprocessing, &mut notes)?;
        context.note_official_models(&mut notes);
        let (class_names, colours) = match &options.names {
            Some(names) => {
                let (names, colours) = names.classes(checkpoint.main_file(), model.classes)?;
                (Some(names), colours)
            }
            None => (model.class_names, None),
        };
        Ok(Spec {
            channels: model.hidden,
            heads,
            hidden: model.intermediate,
            layers: model.layers,
            patch: model.patch,
            trained_grid: model.image_size / model.patch,
            size,
            feature_blocks,
            classes: model.classes,
            class_names,
            colours,
            pools: model.pool_scales,
            absolute: model.absolute,
            relative: model.relative,
            shared: model.shared,
            eps: if recipe == Recipe::Paper { 1e-6 } else { model.eps },
            recipe,
            preprocessing,
            precision: options.precision,
            conv: match options.precision {
                Precision::Int8 | Precision::Int4 => options.conv,
                Precision::F32 | Precision::F16 => Conv::Direct,
            },
            sqnr_floor: options.sqnr_floor,
            rounding: "nearest".into(),
            notes,
        })
    }
}

/// Checks that a checkpoint in the names of transformers has a configuration, or that the options say what it would say: features
/// would otherwise be read after the wrong blocks, and pictures normalised wrongly.
fn check_stated(checkpoint: &Checkpoint, options: &Options) -> Result<(), Error> {
    let transformers = matches!(checkpoint.scheme(), Scheme::Transformers4 | Scheme::Transformers5);
    let stated = options.recipe.is_some() && options.feature_blocks.is_some();
    if checkpoint.folder().is_some() || !transformers || stated {
        return Ok(());
    }
    let what = "its tensors have the names of transformers, but there is no config.json beside it; expected one, or \
                --recipe hf and --taps A,B,C,D (the blocks before each feature, out_indices minus 1)";
    Err(Error::new(checkpoint.main_file(), what))
}

/// The sources of facts.
struct Context<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    model: &'a ModelConfig,
    recipe: Recipe,
}

impl Context<'_> {
    fn wrong(&self, what: String) -> Error {
        Error::new(self.checkpoint.main_file(), what)
    }

    fn heads(&self, notes: &mut Vec<String>) -> Result<usize, Error> {
        let channels = self.model.hidden;
        let heads = self.options.heads.or(self.model.heads).unwrap_or_else(|| {
            let heads = channels / 64;
            notes.push(format!(
                "the checkpoint does not say its number of heads; assuming {heads}, of 64 channels each (--heads overrides)"
            ));
            heads
        });
        if heads == 0 || !channels.is_multiple_of(heads) || heads > 255 {
            return Err(
                self.wrong(format!("{channels} channels cannot be divided into {heads} heads (see --heads)"))
            );
        }
        Ok(heads)
    }

    fn feature_blocks(&self) -> Result<[usize; 4], Error> {
        let feature_blocks = match self.options.feature_blocks {
            Some(feature_blocks) => feature_blocks,
            None => self.default_feature_blocks()?,
        };
        if feature_blocks.windows(2).any(|w| w[0] > w[1]) || feature_blocks[3] > self.model.layers {
            return Err(self.wrong(format!(
                "feature blocks {feature_blocks:?} must be in ascending order and at most {}, the number of blocks \
                 (see --taps)",
                self.model.layers
            )));
        }
        Ok(feature_blocks)
    }

    /// From `out_indices`, which the reference implementations count differently: the paper's code counts blocks from 0 and
    /// reads features after a block; transformers counts hidden states from 1, the first being the embedding. Without
    /// `config.json`, those of the published models with as many blocks.
    fn default_feature_blocks(&self) -> Result<[usize; 4], Error> {
        if self.checkpoint.folder().is_some() {
            let indices = self.model.out_indices;
            return match self.recipe {
                Recipe::Paper => Ok(indices.map(|i| i + 1)),
                Recipe::Hf if indices[0] > 0 => Ok(indices.map(|i| i - 1)),
                Recipe::Hf => Err(self.wrong(format!(
                    "config.json: `out_indices` {indices:?} must be at least 1: for index 0 transformers 4 feeds only three \
                     features and transformers 5 the last hidden state, which --taps cannot say either"
                ))),
            };
        }
        match self.model.layers {
            12 => Ok([4, 6, 8, 12]),
            24 => Ok([8, 12, 16, 24]),
            n => Err(self.wrong(format!(
                "the checkpoint does not say after which of its {n} blocks the four features are read; give --taps A,B,C,D"
            ))),
        }
    }

    fn size(&self, preprocessing: &Preprocessing, notes: &mut Vec<String>) -> Result<(usize, usize), Error> {
        let patch = self.model.patch;
        let trained = (self.model.image_size, self.model.image_size);
        let resized = (preprocessing.width, preprocessing.height);
        // transformers runs models at the size to which the preprocessor resizes.
        let size = self.options.size.unwrap_or(if self.recipe == Recipe::Hf { resized } else { trained });
        if [size.0, size.1].iter().any(|s| !s.is_multiple_of(patch) || !(2..=256).contains(&(s / patch))) {
            return Err(self.wrong(format!(
                "{}x{}: width and height must be multiples of the patch size {patch}, 2 to 256 patches each",
                size.0, size.1
            )));
        }
        if self.options.size.is_none() && size != trained {
            notes.push(format!(
                "preprocessor_config.json resizes to {}x{}, but the model was trained at {}x{}: it runs at the former, as in \
                 transformers 5 (--size chooses)",
                size.0, size.1, trained.0, trained.1
            ));
        }
        Ok(size)
    }

    /// Adds a note for the official ADE20K models, which do not reach their published accuracy under transformers.
    fn note_official_models(&self, notes: &mut Vec<String>) {
        let model = self.model;
        if self.checkpoint.folder().is_some()
            && self.recipe == Recipe::Hf
            && model.classes == 150
            && model.image_size == 640
            && matches!(model.hidden, 768 | 1024)
        {
            notes.push(
                "this looks like one of the official ADE20K models; it will give the same results as transformers \
                 (recipe hf); the published accuracy requires `--recipe paper`"
                    .into(),
            );
        }
    }
}

/// The paper's preprocessing is always the same; that of transformers is read from the folder.
fn preprocessing(
    folder: Option<&Path>,
    model: &ModelConfig,
    recipe: Recipe,
    notes: &mut Vec<String>,
) -> Result<Preprocessing, Error> {
    let own = match folder {
        Some(folder) => Preprocessing::read(folder)?,
        None => None,
    };
    let (width, height) = (model.image_size, model.image_size);
    match (recipe, own) {
        (Recipe::Hf, Some(own)) => Ok(own),
        (Recipe::Hf, None) => {
            notes.push(
                "no preprocessor_config.json; using the defaults of transformers' BeitImageProcessor: bicubic resize, \
                 rescaled by 1/255, mean 0.5, standard deviation 0.5; and the size that the model was trained at"
                    .into(),
            );
            Ok(Preprocessing { width, height, ..Preprocessing::default() })
        }
        (Recipe::Paper, own) => Ok(Preprocessing {
            width,
            height,
            resample: 16,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            rescale: 1.0 / 255.0,
            reduce_labels: own.map_or(model.classes == 150, |p| p.reduce_labels || model.classes == 150),
            notes: Vec::new(),
        }),
    }
}
