//! The facts themselves, and the storage type of each tensor.

use crate::config::Preprocessing;
use crate::options::Conv;
use beitle::file::Fit;
use beitle::file::format::{MlpActivation, Pooling, Precision, Recipe, Role, Task};

/// Everything that determines a conversion.
pub struct Spec {
    /// What the model computes.
    pub task: Task,
    /// How the features of a picture are made, unless the model segments it.
    pub pooling: Pooling,
    /// The tokens after the last block go through a LayerNorm.
    pub token_norm: bool,
    /// Channels of the pictures.
    pub picture_channels: usize,
    /// Activation function of the MLPs.
    pub activation: MlpActivation,
    /// Width of the head.
    pub head_channels: usize,
    /// Width of the residual stream.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the MLP.
    pub hidden: usize,
    /// Blocks in the checkpoint.
    pub layers: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Patches across and down, in the grid that the position tables were trained for.
    pub trained_grid: (usize, usize),
    /// Input width and height in pixels.
    pub size: (usize, usize),
    /// Number of blocks that run before each of the four features is read.
    pub feature_blocks: [usize; 4],
    /// Classes.
    pub classes: usize,
    /// Names of the classes, if the checkpoint has any.
    pub class_names: Option<Vec<String>>,
    /// Colours of the classes, if the options give any.
    pub colours: Option<Vec<[u8; 3]>>,
    /// Output sides of the pyramid pooling branches.
    pub pools: Vec<usize>,
    /// Absolute position embeddings are added.
    pub absolute: bool,
    /// Each block has its own table of relative positions.
    pub relative: bool,
    /// All blocks share one table of relative positions.
    pub shared: bool,
    /// The blocks have layer scale.
    pub layer_scale: bool,
    /// Epsilon of the layer norms.
    pub eps: f64,
    /// Which reference implementation the model follows.
    pub recipe: Recipe,
    /// How a picture becomes the model's input, except for its size.
    pub preprocessing: Preprocessing,
    /// The size of a picture before the middle is cut from it, unless the model runs in sliding windows.
    pub fit: Fit,
    /// The precision asked for.
    pub precision: Precision,
    /// Algorithm of the largest 3x3 convolutions.
    pub conv: Conv,
    /// Layers whose integer weights would have a lower SQNR, in dB, are stored in half precision.
    pub sqnr_floor: Option<f64>,
    /// How integer weights are rounded, in words.
    pub rounding: String,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

impl Spec {
    /// Storage type of a linear tensor.
    ///
    /// Some tensors deviate from the precision asked for. The patch embedding is never integer: it reads raw pixels, whose
    /// large mean turns weight rounding into an error of the whole residual stream (on the random base checkpoint at 640x640
    /// it alone changed 5.8% of the pixels), and it is only 0.2% of the multiplications. Under int8 the 1x1 convolutions of
    /// the pyramid pooling module are f16: each of their few dozen pixels affects a whole region of the map, and they are 1%
    /// of the file and take almost no time. So is the classifier of a classification model, which reads a single row. Under int4
    /// the classifier of a segmentation model, a tiny part of the file, and Winograd weights are int8.
    pub fn precision_of(&self, role: Role, layer: u16) -> Precision {
        match (self.precision, role) {
            (Precision::Int8 | Precision::Int4, Role::Embed) => Precision::F16,
            (Precision::Int8, Role::PspBranch) => Precision::F16,
            (Precision::Int8 | Precision::Int4, Role::Classifier) if self.task == Task::Classification => {
                Precision::F16
            }
            (Precision::Int4, Role::Classifier) => Precision::Int8,
            (Precision::Int4, _) if self.winograd_tile(role, layer).is_some() => Precision::Int8,
            (precision, _) => precision,
        }
    }

    /// Side of a Winograd convolution's output tile; see [`Conv::tile`].
    pub fn winograd_tile(&self, role: Role, layer: u16) -> Option<usize> {
        self.conv.tile(role, layer, self.grid().0).filter(|_| self.task == Task::Segmentation)
    }

    /// Patches across and down.
    pub fn grid(&self) -> (usize, usize) {
        (self.size.0 / self.patch, self.size.1 / self.patch)
    }

    /// Number of pixels of the smallest map that a large layer reads.
    pub fn coarsest_map(&self) -> usize {
        let (across, down) = self.grid();
        match self.task {
            Task::Segmentation => (across / 2) * (down / 2),
            _ => across * down,
        }
    }

    /// The grid of patches that the position embeddings are taken for: the trained one, or in transformers the square of as many
    /// patches (`BeitEmbeddings.interpolate_pos_encoding`).
    pub fn position_grid(&self) -> (usize, usize) {
        let (across, down) = self.trained_grid;
        match self.recipe {
            Recipe::Hf => ((across * down).isqrt(), (across * down).isqrt()),
            Recipe::Paper => self.trained_grid,
        }
    }
}
