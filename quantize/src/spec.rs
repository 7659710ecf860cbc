//! What the file will say: the checkpoint's configuration, the recipe and the command line brought together.

use crate::checkpoint::Checkpoint;
use crate::config::{self, ModelConfig, Preprocessing};
use crate::error::Error;
use crate::{Conv, Options};
use beitle::format::{ABSOLUTE, Header, Precision, RELATIVE, Recipe, Role, SHARED};
use bytemuck::Zeroable;

/// Every fact of a conversion.
pub struct Spec {
    /// Width of the residual stream.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the MLP.
    pub hidden: usize,
    /// Blocks of the checkpoint.
    pub layers: usize,
    /// Side of a patch.
    pub patch: usize,
    /// Side of the patch grid the tables were trained for.
    pub trained_grid: usize,
    /// Input size.
    pub size: (usize, usize),
    /// Blocks before each tap.
    pub taps: [usize; 4],
    /// Classes.
    pub classes: usize,
    /// Their names, where the checkpoint has any.
    pub class_names: Option<Vec<String>>,
    /// Pyramid-pooling scales.
    pub pools: Vec<usize>,
    /// Absolute embeddings.
    pub absolute: bool,
    /// A relative table per block.
    pub relative: bool,
    /// One relative table for all.
    pub shared: bool,
    /// LayerNorm's epsilon.
    pub eps: f64,
    /// How it is meant to be run.
    pub recipe: Recipe,
    /// From picture to input.
    pub preprocessing: Preprocessing,
    /// What was asked for.
    pub precision: Precision,
    /// How the largest 3x3 convolutions run.
    pub conv: Conv,
    /// Layers that int8 would leave fewer dB stay in half precision.
    pub sqnr_floor: Option<f64>,
    /// How int8 weights are rounded, in words.
    pub rounding: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// unilm's window stride at its window of 640.
const STRIDE_AT_640: usize = 426;

impl Spec {
    /// Brings everything together.
    pub fn new(checkpoint: &Checkpoint, options: &Options) -> Result<Spec, Error> {
        let file = checkpoint.main_file();
        let wrong = |what: String| Err(Error::new(file, what));
        let mut notes = Vec::new();
        let folder = checkpoint.folder();
        let model = match folder {
            Some(folder) => ModelConfig::read(folder)?,
            None => config::infer(checkpoint)?,
        };
        let recipe = options.recipe.unwrap_or(if folder.is_some() { Recipe::Hf } else { Recipe::Paper });
        let preprocessing = preprocessing(folder, &model, recipe, &mut notes)?;

        let heads = match options.heads.or(model.heads) {
            Some(heads) => heads,
            None => {
                notes.push(format!("the checkpoint does not say its number of heads: taking {} (64 wide); `--heads` says otherwise", model.hidden / 64));
                model.hidden / 64
            }
        };
        if heads == 0 || !model.hidden.is_multiple_of(heads) || heads > 255 {
            return wrong(format!(
                "{} channels cannot be cut into {heads} heads (see --heads)",
                model.hidden
            ));
        }
        let taps = match options.taps {
            Some(taps) => taps,
            None => default_taps(checkpoint, &model, folder.is_some(), recipe)?,
        };
        if taps.windows(2).any(|w| w[0] > w[1]) || taps[3] > model.layers {
            return wrong(format!(
                "taps {taps:?} must rise and be at most {}, the number of blocks",
                model.layers
            ));
        }
        let size = options.size.unwrap_or((model.image_size, model.image_size));
        let p = model.patch;
        if [size.0, size.1].iter().any(|s| !s.is_multiple_of(p) || !(2..=256).contains(&(s / p))) {
            return wrong(format!(
                "{}x{}: width and height must be 2 to 256 whole patches of {p} pixels",
                size.0, size.1
            ));
        }
        if options.size.is_none() && folder.is_some() && (preprocessing.width, preprocessing.height) != size {
            notes.push(format!(
                "preprocessor_config.json resizes to {}x{}, but the model takes {}x{}: pictures are resized to the latter",
                preprocessing.width, preprocessing.height, size.0, size.1
            ));
        }
        if folder.is_some()
            && recipe == Recipe::Hf
            && model.classes == 150
            && model.image_size == 640
            && matches!(model.hidden, 768 | 1024)
        {
            notes.push(
                "this looks like one of the official ADE20K models: run as transformers runs it (recipe hf). Their published accuracy belongs to `--recipe paper`".into(),
            );
        }
        let eps = if recipe == Recipe::Paper { 1e-6 } else { model.eps };
        Ok(Spec {
            channels: model.hidden,
            heads,
            hidden: model.intermediate,
            layers: model.layers,
            patch: p,
            trained_grid: model.image_size / p,
            size,
            taps,
            classes: model.classes,
            class_names: model.class_names,
            pools: model.pool_scales,
            absolute: model.absolute,
            relative: model.relative,
            shared: model.shared,
            eps,
            recipe,
            preprocessing,
            precision: options.precision,
            rounding: "nearest".into(),
            conv: match options.precision {
                Precision::Int8 | Precision::Int4 => options.conv,
                _ => Conv::Direct,
            },
            sqnr_floor: options.sqnr_floor,
            notes,
        })
    }

    /// How a tensor is stored. Under int8 the embedding keeps half precision: it reads raw pixels, whose large common part
    /// turns the rounding of its weights into an error of the whole stream (on the random base-640 checkpoint it alone
    /// changed 5.8% of the pixels), and it is 0.2% of the multiplications. So do the pooling module's 1x1 convolutions, each of whose
    /// few dozen pixels colours a whole region of the map: a hundredth of the file, next to no time. Under int4 the classifier, a
    /// sliver of the file, and Winograd's matrices stay int8.
    pub fn precision_of(&self, role: Role, layer: u16) -> Precision {
        match (self.precision, role) {
            (Precision::Int8 | Precision::Int4, Role::Embed) => Precision::F16,
            (Precision::Int8, Role::Pool) => Precision::F16,
            (Precision::Int4, Role::Classify) => Precision::Int8,
            (Precision::Int4, _) if self.winograd_tile(role, layer).is_some() => Precision::Int8,
            (precision, _) => precision,
        }
    }

    /// See [`Conv::tile`].
    pub fn winograd_tile(&self, role: Role, layer: u16) -> Option<usize> {
        self.conv.tile(role, layer, self.grid().0)
    }

    /// Patches across and down.
    pub fn grid(&self) -> (usize, usize) {
        (self.size.0 / self.patch, self.size.1 / self.patch)
    }

    /// The file's header, but for what only the writer knows.
    pub fn header(&self, source_sha256: [u8; 32]) -> Header {
        let three = |v: [f64; 3]| v.map(|x| x as f32);
        let mut pool_scales = [0; 8];
        pool_scales.iter_mut().zip(&self.pools).for_each(|(h, s)| *h = *s as u32);
        let window = self.size.0.min(self.size.1);
        let slide = self.recipe == Recipe::Paper;
        let tile = |role, layer| self.winograd_tile(role, layer).unwrap_or(0) as u8;
        Header {
            width: self.size.0 as u32,
            height: self.size.1 as u32,
            patch: self.patch as u32,
            channels: self.channels as u32,
            heads: self.heads as u32,
            hidden: self.hidden as u32,
            blocks: self.taps[3] as u32,
            source_blocks: self.layers as u32,
            taps: self.taps.map(|t| t as u32),
            classes: self.classes as u32,
            pool_count: self.pools.len() as u32,
            pool_scales,
            eps: self.eps as f32,
            recipe: self.recipe as u32,
            mean: three(self.preprocessing.mean),
            std: three(self.preprocessing.std),
            rescale: self.preprocessing.rescale as f32,
            resample: self.preprocessing.resample,
            resize: u32::from(slide),
            short_side: if slide { window as u32 } else { 0 },
            stride: if slide { (window * STRIDE_AT_640 / 640).max(1) as u32 } else { 0 },
            position: (if self.absolute { ABSOLUTE } else { 0 })
                | match (self.relative, self.shared) {
                    (true, _) => RELATIVE,
                    (false, true) => SHARED,
                    (false, false) => 0,
                },
            reduce_labels: u32::from(self.preprocessing.reduce_labels),
            precision: self.precision as u32,
            source_sha256,
            winograd: [tile(Role::Fpn, 0), tile(Role::Fpn, 1), tile(Role::Fpn, 2), tile(Role::Fuse, 0)],
            ..Header::zeroed()
        }
    }
}

/// The paper's recipe is fixed; transformers' is in the folder.
fn preprocessing(
    folder: Option<&std::path::Path>,
    model: &ModelConfig,
    recipe: Recipe,
    notes: &mut Vec<String>,
) -> Result<Preprocessing, Error> {
    let own = match folder {
        Some(folder) => Preprocessing::read(folder)?,
        None => None,
    };
    match (recipe, own) {
        (Recipe::Hf, Some(own)) => Ok(own),
        (Recipe::Hf, None) => {
            notes.push(
                "no preprocessor_config.json: taking the defaults of transformers' BeitImageProcessor".into(),
            );
            Ok(Preprocessing {
                width: model.image_size,
                height: model.image_size,
                ..Preprocessing::default()
            })
        }
        (Recipe::Paper, own) => Ok(Preprocessing {
            width: model.image_size,
            height: model.image_size,
            resample: 16,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            rescale: 1.0 / 255.0,
            reduce_labels: own.map_or(model.classes == 150, |p| p.reduce_labels || model.classes == 150),
        }),
    }
}

/// The taps as blocks run before each. `out_indices` counts blocks from 0 in the paper's code, which reads after a block;
/// in transformers it counts hidden states from 1, the first of which is the embedding.
fn default_taps(
    checkpoint: &Checkpoint,
    model: &ModelConfig,
    folder: bool,
    recipe: Recipe,
) -> Result<[usize; 4], Error> {
    if folder {
        let indices = model.out_indices;
        return match recipe {
            Recipe::Paper => Ok(indices.map(|i| i + 1)),
            Recipe::Hf if indices[0] > 0 => Ok(indices.map(|i| i - 1)),
            Recipe::Hf => Err(Error::new(
                checkpoint.main_file(),
                format!(
                    "config.json: `out_indices` {indices:?} must be at least 1 (give the blocks before each tap with --taps)"
                ),
            )),
        };
    }
    match model.layers {
        12 => Ok([4, 6, 8, 12]),
        24 => Ok([8, 12, 16, 24]),
        n => Err(Error::new(
            checkpoint.main_file(),
            format!(
                "nothing says after which of the {n} blocks the pyramid taps the stream: give --taps A,B,C,D"
            ),
        )),
    }
}
