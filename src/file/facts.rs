//! The facts of a model: sizes, recipe and preprocessing, as the header of its weight file states them.

use super::format::{
    ABSOLUTE, Header, MlpActivation, Pooling, Precision, RELATIVE, Recipe, SHARED, Task, padded,
};

/// The facts of a model, from the header of its file ([`format`](mod@super::format) defines each field).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// What the model computes.
    pub task: Task,
    /// How the features of a picture are made, unless the task is segmentation.
    pub pooling: Pooling,
    /// Whether the tokens after the last block go through a LayerNorm, unless the task is segmentation.
    pub token_norm: bool,
    /// Input width in pixels.
    pub width: usize,
    /// Input height in pixels.
    pub height: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Patches in a row of the grid.
    pub grid_width: usize,
    /// Rows of the grid of patches.
    pub grid_height: usize,
    /// Channels of the network's input: 3 for R, G and B, or 1, 2 or 4. A byte per channel and pixel.
    pub picture_channels: usize,
    /// Width of the residual stream, and of the features of a picture.
    pub channels: usize,
    /// Width of the pooling module, the pyramid and the classifier of a segmentation model.
    pub head_channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the MLP's hidden layer.
    pub hidden: usize,
    /// Activation function of the MLPs.
    pub activation: MlpActivation,
    /// Transformer blocks that the file holds and the engine runs.
    pub blocks: usize,
    /// Transformer blocks of the checkpoint.
    pub source_blocks: usize,
    /// Feature i, which the neck reads, is the residual stream after `feature_blocks[i]` blocks (0: the embedding).
    pub feature_blocks: [usize; 4],
    /// The number of classes; 0 if the model has only features.
    pub classes: usize,
    /// The number of pooling branches: how many of `pool_scales` are used.
    pub pool_count: usize,
    /// Cells along a side of each pooling branch.
    pub pool_scales: [usize; 8],
    /// LayerNorm's epsilon.
    pub eps: f32,
    /// How the model is meant to be run.
    pub recipe: Recipe,
    /// Mean of each channel in the normalisation (p · rescale − mean) / std, which is already folded into the weights. The first
    /// `picture_channels` are used.
    pub mean: [f32; 4],
    /// Standard deviation of each channel in the normalisation.
    pub std: [f32; 4],
    /// Factor of the normalisation, normally 1/255.
    pub rescale: f32,
    /// The resize filter in Pillow's numbering, or 16 for OpenCV's bilinear; see [`Filter`](crate::image::resize::Filter).
    pub resample: u32,
    /// Short side and window stride in pixels, if the model was tested with sliding windows on pictures that keep their aspect ratio;
    /// `None` if pictures are stretched. [`Views::of`](crate::views::Views::of) follows it.
    pub sliding: Option<(usize, usize)>,
    /// How pictures are resized before the middle is cut from them, unless they are run in sliding windows.
    pub fit: Fit,
    /// Whether the model has absolute position embeddings.
    pub absolute: bool,
    /// Whether each block has a relative-position table of its own.
    pub relative: bool,
    /// Whether all blocks share one relative-position table.
    pub shared: bool,
    /// Whether label files number the classes from 1, with 0 for "ignore".
    pub reduce_labels: bool,
    /// The precision that was asked of the converter.
    pub precision: Precision,
    /// SHA-256 of the checkpoint file, or of all files of a sharded checkpoint.
    pub source_sha256: [u8; 32],
}

/// The size of a picture before the middle, of the input size, is cut from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fit {
    /// It is stretched to this width and height. With the input size, nothing is cut off.
    Stretch(usize, usize),
    /// It keeps its aspect ratio, and its short side gets this length.
    ShortSide(usize),
}

impl Facts {
    /// The facts of a header; `None` if an enumeration has an unknown value, which a header checked by
    /// [`ValidHeader`](super::tensors::ValidHeader) never has. `patch` must not be 0.
    pub(crate) fn new(h: &Header) -> Option<Facts> {
        let or = |value: u32, default: u32| if value == 0 { default as usize } else { value as usize };
        Some(Facts {
            task: Task::from_code(h.task)?,
            pooling: Pooling::from_code(h.pooling)?,
            token_norm: h.token_norm != 0,
            width: h.width as usize,
            height: h.height as usize,
            patch: h.patch as usize,
            grid_width: (h.width / h.patch) as usize,
            grid_height: (h.height / h.patch) as usize,
            picture_channels: or(h.picture_channels, 3),
            channels: h.channels as usize,
            head_channels: or(h.head_channels, h.channels),
            heads: h.heads as usize,
            hidden: h.hidden as usize,
            activation: MlpActivation::from_code(h.activation)?,
            blocks: h.blocks as usize,
            source_blocks: h.source_blocks as usize,
            feature_blocks: h.feature_blocks.map(|b| b as usize),
            classes: h.classes as usize,
            pool_count: h.pool_count as usize,
            pool_scales: h.pool_scales.map(|s| s as usize),
            eps: h.eps,
            recipe: Recipe::from_code(h.recipe)?,
            mean: with_fourth(h.mean, h.mean4),
            std: with_fourth(h.std, h.std4),
            rescale: h.rescale,
            resample: h.resample,
            sliding: (h.resize == 1).then_some((h.short_side as usize, h.stride as usize)),
            fit: match h.resize {
                2 => Fit::ShortSide(h.short_side as usize),
                _ => Fit::Stretch(or(h.stretch_width, h.width), or(h.stretch_height, h.height)),
            },
            absolute: h.position & ABSOLUTE != 0,
            relative: h.position & RELATIVE != 0,
            shared: h.position & SHARED != 0,
            reduce_labels: h.reduce_labels != 0,
            precision: Precision::from_code(h.precision)?,
            source_sha256: h.source_sha256,
        })
    }

    /// Values in a patch.
    pub(crate) fn patch_values(&self) -> usize {
        self.picture_channels * self.patch * self.patch
    }

    /// Patches in the grid.
    pub fn patches(&self) -> usize {
        self.grid_width * self.grid_height
    }

    /// Tokens: the patches and the class token.
    pub fn tokens(&self) -> usize {
        self.patches() + 1
    }

    /// The dimension of an attention head, padded to whole panels of 16.
    pub(crate) fn head_padded(&self) -> usize {
        padded(self.head_dim())
    }

    /// The dimension of an attention head.
    pub fn head_dim(&self) -> usize {
        self.channels / self.heads
    }

    /// Width and height in pixels of the map of pyramid level 0, 1, 2 or 3: 4, 2, 1 and 1/2 times the grid.
    pub fn level(&self, level: usize) -> (usize, usize) {
        let (w, h) = (self.grid_width, self.grid_height);
        match level {
            0 => (4 * w, 4 * h),
            1 => (2 * w, 2 * h),
            2 => (w, h),
            _ => (w / 2, h / 2),
        }
    }
}

fn with_fourth([a, b, c]: [f32; 3], d: f32) -> [f32; 4] {
    [a, b, c, d]
}
