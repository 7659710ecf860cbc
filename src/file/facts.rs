//! What a weight file says about its model: sizes, recipe, preprocessing.

use super::format::{ABSOLUTE, Header, Precision, RELATIVE, Recipe, SHARED, padded};

/// Every fact of a model, as the file states it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Input width in pixels.
    pub width: usize,
    /// Input height in pixels.
    pub height: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Patches in a row.
    pub grid_width: usize,
    /// Rows of patches.
    pub grid_height: usize,
    /// Width of the residual stream and of the head.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the MLP's hidden layer.
    pub hidden: usize,
    /// Blocks stored and run.
    pub blocks: usize,
    /// Blocks of the checkpoint.
    pub source_blocks: usize,
    /// The neck reads the residual stream after so many blocks.
    pub feature_blocks: [usize; 4],
    /// Classes.
    pub classes: usize,
    /// How many of `pool_scales` are used.
    pub pool_count: usize,
    /// Pyramid-pooling scales.
    pub pool_scales: [usize; 8],
    /// LayerNorm's epsilon.
    pub eps: f32,
    /// How the model is meant to be run.
    pub recipe: Recipe,
    /// Normalisation, already folded into the weights.
    pub mean: [f32; 3],
    /// Normalisation, already folded into the weights.
    pub std: [f32; 3],
    /// Normally 1/255, already folded into the weights.
    pub rescale: f32,
    /// Pillow's number of the resize filter; 16 is OpenCV's bilinear.
    pub resample: u32,
    /// Short side and window stride in pixels where the picture's aspect is kept, `None` where it is stretched.
    pub sliding: Option<(usize, usize)>,
    /// Absolute position embeddings.
    pub absolute: bool,
    /// A relative-position table per block.
    pub relative: bool,
    /// One relative-position table for all blocks.
    pub shared: bool,
    /// Label files count from 1, 0 means "ignore".
    pub reduce_labels: bool,
    /// What was asked of the converter.
    pub precision: Precision,
    /// SHA-256 of the checkpoint.
    pub source_sha256: [u8; 32],
}

impl Facts {
    /// `None` where a number is not one of those the format knows (a parsed [`WeightFile`] has none such).
    pub(crate) fn new(h: &Header) -> Option<Facts> {
        Some(Facts {
            width: h.width as usize,
            height: h.height as usize,
            patch: h.patch as usize,
            grid_width: (h.width / h.patch) as usize,
            grid_height: (h.height / h.patch) as usize,
            channels: h.channels as usize,
            heads: h.heads as usize,
            hidden: h.hidden as usize,
            blocks: h.blocks as usize,
            source_blocks: h.source_blocks as usize,
            feature_blocks: h.feature_blocks.map(|t| t as usize),
            classes: h.classes as usize,
            pool_count: h.pool_count as usize,
            pool_scales: h.pool_scales.map(|s| s as usize),
            eps: h.eps,
            recipe: Recipe::from_code(h.recipe)?,
            mean: h.mean,
            std: h.std,
            rescale: h.rescale,
            resample: h.resample,
            sliding: (h.resize == 1).then_some((h.short_side as usize, h.stride as usize)),
            absolute: h.position & ABSOLUTE != 0,
            relative: h.position & RELATIVE != 0,
            shared: h.position & SHARED != 0,
            reduce_labels: h.reduce_labels != 0,
            precision: Precision::from_code(h.precision)?,
            source_sha256: h.source_sha256,
        })
    }

    /// Patches of the picture.
    pub fn patches(&self) -> usize {
        self.grid_width * self.grid_height
    }

    /// Patches and the class token.
    pub fn tokens(&self) -> usize {
        self.patches() + 1
    }

    /// Width of a head, padded to whole vectors.
    pub(crate) fn head_padded(&self) -> usize {
        padded(self.head_dim())
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.channels / self.heads
    }

    /// Width and height of a pyramid level: 4, 2, 1 and 1/2 times the grid.
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
