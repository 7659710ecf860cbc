//! Merges the checkpoint's configuration with the options and checks the result.

use super::facts::Spec;
use crate::checkpoint::{Checkpoint, Scheme};
use crate::config::{self, Architecture, ModelConfig, Preprocessing};
use crate::error::Error;
use crate::options::{Conv, Options};
use beitle::file::Fit;
use beitle::file::format::{Pooling, Precision, Recipe, Task};

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
        let recipe = recipe(checkpoint, options, &mut notes);
        let task = model.architecture.map_or_else(|| checkpoint.task(), |a| a.task);
        let context = Context { checkpoint, options, model: &model, recipe, task };
        let mut preprocessing = context.preprocessing(&mut notes)?;
        notes.append(&mut preprocessing.notes);
        let heads = context.heads(&mut notes)?;
        let feature_blocks = context.feature_blocks()?;
        let (size, fit) = context.size(&preprocessing, &mut notes)?;
        let pooling = context.pooling(&mut notes);
        let token_norm = token_norm(checkpoint, &model.architecture, pooling, task);
        if token_norm && pooling == Pooling::Mean {
            notes.push(
                "the model was trained on masked images: its tokens go through the LayerNorm before the head for that, which \
                 is left out; AutoModel of transformers leaves out both"
                    .into(),
            );
        }
        notes.extend(checkpoint.unused_head(task));
        context.note_official_models(&mut notes);
        context.note_positions(&mut notes)?;
        let layer_scale = context.layer_scale(&mut notes)?;
        let classes = if task == Task::Features { 0 } else { model.classes };
        let (class_names, colours) = match &options.names {
            Some(names) => {
                let (names, colours) = names.classes(checkpoint.main_file(), classes)?;
                (Some(names), colours)
            }
            None => (model.class_names, None),
        };
        Ok(Spec {
            task,
            pooling,
            token_norm,
            picture_channels: model.channels,
            activation: model.activation,
            head_channels: model.head_channels.unwrap_or(model.hidden),
            channels: model.hidden,
            heads,
            hidden: model.intermediate,
            layers: model.layers,
            patch: model.patch,
            trained_grid: (model.image_size.0 / model.patch, model.image_size.1 / model.patch),
            size,
            feature_blocks,
            classes,
            class_names,
            colours,
            pools: if task == Task::Segmentation { model.pool_scales } else { Vec::new() },
            absolute: model.absolute,
            relative: model.relative,
            shared: model.shared,
            layer_scale,
            eps: if recipe == Recipe::Paper { 1e-6 } else { model.eps },
            recipe,
            preprocessing,
            fit,
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

/// Whether the tokens after the last block go through a LayerNorm: before the class token becomes the features, and in models for
/// masked images before the head that is left out.
fn token_norm(
    checkpoint: &Checkpoint,
    architecture: &Option<Architecture>,
    pooling: Pooling,
    task: Task,
) -> bool {
    let masked = architecture.map_or_else(|| checkpoint.has_masked_image_head(), |a| a.masked);
    let has_norm = checkpoint.shape("norm.weight").is_some();
    task != Task::Segmentation && (pooling == Pooling::ClassToken || masked && has_norm)
}

/// The recipe asked for, or that of the code that named the tensors: a file of unilm or mmsegmentation may lie in a transformers
/// folder.
fn recipe(checkpoint: &Checkpoint, options: &Options, notes: &mut Vec<String>) -> Recipe {
    if let Some(recipe) = options.recipe {
        return recipe;
    }
    if is_of_transformers(checkpoint) {
        return Recipe::Hf;
    }
    if checkpoint.folder().is_some() {
        notes.push(
            "its tensors have the names of unilm or mmsegmentation: the recipe is paper, although a config.json lies beside \
             it, which gives the dimensions (--recipe hf overrides)"
                .into(),
        );
    }
    Recipe::Paper
}

/// Whether the tensors have the names of transformers.
fn is_of_transformers(checkpoint: &Checkpoint) -> bool {
    matches!(checkpoint.scheme(), Scheme::Transformers4 | Scheme::Transformers5)
}

/// Checks that a checkpoint in the names of transformers has a configuration, or that the options say what it would say: features
/// would otherwise be read after the wrong blocks, and pictures normalised wrongly.
fn check_stated(checkpoint: &Checkpoint, options: &Options) -> Result<(), Error> {
    let segments = checkpoint.task() == Task::Segmentation;
    let stated = options.recipe.is_some() && (options.feature_blocks.is_some() || !segments);
    if checkpoint.folder().is_some() || !is_of_transformers(checkpoint) || stated {
        return Ok(());
    }
    let taps = if segments {
        " and --taps A,B,C,D (the blocks before each feature, out_indices minus 1)"
    } else {
        ""
    };
    let what = "its tensors have the names of transformers, but there is no config.json beside it; expected one, or \
                --recipe hf";
    Err(Error::new(checkpoint.main_file(), format!("{what}{taps}")))
}

/// The sources of facts.
struct Context<'a> {
    checkpoint: &'a Checkpoint,
    options: &'a Options,
    model: &'a ModelConfig,
    recipe: Recipe,
    task: Task,
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
        if self.task != Task::Segmentation {
            return match self.options.feature_blocks {
                Some(_) => Err(self.wrong("has no neck that reads features: --taps does not apply".into())),
                None => Ok([self.model.layers; 4]),
            };
        }
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
        if let Some(indices) = self.model.out_indices {
            let upernet = self.model.architecture.is_some_and(|a| a.upernet);
            return match self.recipe {
                Recipe::Paper if !upernet => Ok(indices.map(|i| i + 1)),
                _ if indices[0] > 0 => Ok(indices.map(|i| i - 1)),
                _ => Err(self.wrong(format!(
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

    /// How the features of a picture are made.
    fn pooling(&self, notes: &mut Vec<String>) -> Pooling {
        if self.task == Task::Segmentation {
            return Pooling::Mean;
        }
        if !self.model.mean_pooling {
            if self.checkpoint.folder().is_none() {
                notes.push(
                    "the checkpoint has a LayerNorm for the tokens and none for their mean: the features of a picture are \
                     the class token"
                        .into(),
                );
            }
            return Pooling::ClassToken;
        }
        if self.checkpoint.shape("pool_norm.weight").is_none() {
            notes.push(
                "the checkpoint has no LayerNorm for the mean of the patches: it is taken with gain 1 and bias 0, as \
                 transformers initialises it"
                    .into(),
            );
        }
        Pooling::Mean
    }

    /// Width and height of the network's input, and the size of a picture before they are cut from its middle.
    fn size(
        &self,
        preprocessing: &Preprocessing,
        notes: &mut Vec<String>,
    ) -> Result<((usize, usize), Fit), Error> {
        let (patch, trained) = (self.model.patch, self.model.image_size);
        let resized = (preprocessing.width, preprocessing.height);
        let is_stated = self.options.size.is_some();
        let crop = preprocessing.crop.filter(|_| !is_stated);
        if self.task == Task::Segmentation && crop.is_some() {
            return Err(self.wrong(
                "preprocessor_config.json: do_center_crop cuts off a part of the picture, which would have no class map; \
                 expected false (--size WxH stretches pictures instead)"
                    .into(),
            ));
        }
        // transformers runs models at the size to which the preprocessor resizes.
        let own = if self.recipe == Recipe::Hf || crop.is_some() { crop.unwrap_or(resized) } else { trained };
        let size = self.options.size.unwrap_or(own);
        if [size.0, size.1].iter().any(|s| !s.is_multiple_of(patch) || !(2..=256).contains(&(s / patch))) {
            return Err(self.wrong(format!(
                "{}x{}: width and height must be multiples of the patch size {patch}, 2 to 256 patches each",
                size.0, size.1
            )));
        }
        if !is_stated && size != trained {
            let does = if crop.is_some() { "cuts out" } else { "resizes to" };
            notes.push(format!(
                "preprocessor_config.json {does} {}x{}, but the model was trained at {}x{}: it runs at the former, as in \
                 transformers 5 (--size chooses)",
                size.0, size.1, trained.0, trained.1
            ));
        }
        let fit = match (crop, preprocessing.keeps_ratio) {
            (Some(_), true) => Fit::ShortSide(resized.0),
            (Some(_), false) => Fit::Stretch(resized.0, resized.1),
            (None, _) => Fit::Stretch(size.0, size.1),
        };
        match (self.recipe, fit) {
            (_, _) if is_stated && preprocessing.crop.is_some() => {
                notes.push("--size: pictures are stretched to it, nothing is cut off".into());
            }
            (Recipe::Paper, Fit::ShortSide(short_side)) => notes.push(format!(
                "as unilm evaluates its models: bicubic resize of the short side to {short_side}, of which the middle \
                 {}x{} is taken, mean 0.5, standard deviation 0.5",
                size.0, size.1
            )),
            (Recipe::Hf, Fit::Stretch(..)) if preprocessing.keeps_ratio => notes.push(format!(
                "preprocessor_config.json resizes the shortest edge to {}: transformers 5 keeps the ratio of the sides, here \
                 pictures are stretched",
                resized.0
            )),
            _ => {}
        }
        Ok((size, fit))
    }

    /// Adds a note for the official ADE20K models, which do not reach their published accuracy under transformers.
    fn note_official_models(&self, notes: &mut Vec<String>) {
        let model = self.model;
        if self.checkpoint.folder().is_some()
            && self.recipe == Recipe::Hf
            && model.classes == 150
            && model.image_size == (640, 640)
            && self.task == Task::Segmentation
            && matches!(model.hidden, 768 | 1024)
        {
            notes.push(
                "this looks like one of the official ADE20K models; it will give the same results as transformers \
                 (recipe hf); the published accuracy requires `--recipe paper`"
                    .into(),
            );
        }
    }

    /// Checks position tables that are not square, and adds a note that they are read as transformers reads them.
    fn note_positions(&self, notes: &mut Vec<String>) -> Result<(), Error> {
        let (model, (width, height)) = (self.model, self.model.image_size);
        let (across, down) = (width / model.patch, height / model.patch);
        if self.recipe != Recipe::Hf || across == down {
            return Ok(());
        }
        let side = (across * down).isqrt();
        if model.absolute && side * side != across * down {
            return Err(self.wrong(format!(
                "config.json: image_size {width}x{height} has {across}x{down} patches, whose position embeddings \
                 transformers cannot resize; expected a square number of patches"
            )));
        }
        if model.absolute {
            notes.push(format!(
                "image_size is not square: as in transformers, position embeddings are taken for those of {side}x{side} \
                 patches"
            ));
        }
        if model.relative || model.shared {
            notes.push(
                "image_size is not square: as in transformers, width and height of the relative position tables are \
                 swapped"
                    .into(),
            );
        }
        Ok(())
    }

    /// Whether the blocks have layer scale. The configuration decides; without one, they have it if any of its tensors exists.
    ///
    /// If the configuration says no, the tensors are ignored, as in transformers. If it says yes, a missing tensor is an error:
    /// transformers would give it its initial values, and the model would not be the one that was trained.
    fn layer_scale(&self, notes: &mut Vec<String>) -> Result<bool, Error> {
        let is_of_transformers = is_of_transformers(self.checkpoint);
        let (found, missing): (Vec<_>, Vec<_>) = (0..self.model.layers)
            .flat_map(|block| [(block, 1), (block, 2)])
            .partition(|(block, i)| self.checkpoint.shape(&format!("blocks.{block}.lambda{i}")).is_some());
        // A configuration beside a file of unilm or mmsegmentation is not that file's own.
        let stated = self.model.layer_scale.filter(|_| is_of_transformers);
        let has = stated.unwrap_or(!found.is_empty());
        if !has && !found.is_empty() {
            notes.push(format!(
                "layer_scale_init_value is not positive: as in transformers, the {} tensors of layer scale are left out",
                found.len()
            ));
        }
        let Some((block, i)) = missing.first().filter(|_| has) else { return Ok(has) };
        let name = if is_of_transformers { "lambda" } else { "gamma" };
        let reason = match stated {
            Some(_) => "config.json has a positive layer_scale_init_value, or none, which stands for 0.1",
            None => "other blocks have one, or this block has the other",
        };
        Err(self.wrong(format!(
            "block {block} has no tensor {name}_{i}; expected one of shape [{}], because {reason}",
            self.model.hidden
        )))
    }

    /// That of the paper's code is always the same; that of transformers is read from the folder.
    fn preprocessing(&self, notes: &mut Vec<String>) -> Result<Preprocessing, Error> {
        let (model, channels) = (self.model, self.model.channels);
        let own = match self.checkpoint.folder() {
            Some(folder) => Preprocessing::read(folder, channels)?,
            None => None,
        };
        let (width, height) = model.image_size;
        let default = Preprocessing { width, height, ..Preprocessing::default(channels) };
        match (self.recipe, own) {
            (Recipe::Hf, Some(own)) => Ok(own),
            (Recipe::Hf, None) => {
                notes.push(
                    "no preprocessor_config.json; using the defaults of transformers' BeitImageProcessor: bicubic resize, \
                     rescaled by 1/255, mean 0.5, standard deviation 0.5; and the size that the model was trained at"
                        .into(),
                );
                Ok(default)
            }
            (Recipe::Paper, _) if self.task != Task::Segmentation => {
                let short_side = paper_short_side(width.max(height));
                let (sides, crop) = ((short_side, short_side), Some((width, height)));
                Ok(Preprocessing { width: sides.0, height: sides.1, keeps_ratio: true, crop, ..default })
            }
            (Recipe::Paper, own) => {
                let per_channel = |rgb: [f64; 3]| match channels {
                    3 => rgb.to_vec(),
                    n => vec![rgb.iter().sum::<f64>() / 3.0; n],
                };
                Ok(Preprocessing {
                    resample: 16,
                    mean: per_channel([0.485, 0.456, 0.406]),
                    std: per_channel([0.229, 0.224, 0.225]),
                    reduce_labels: own
                        .map_or(model.classes == 150, |p| p.reduce_labels || model.classes == 150),
                    ..default
                })
            }
        }
    }
}

/// The length of the short side from which unilm cuts the middle of `side` pixels (`datasets.py`, `build_transform`).
fn paper_short_side(side: usize) -> usize {
    if side < 384 { (side as f64 / (224.0 / 256.0)) as usize } else { side }
}
