//! Typed views into a file's tensors: borrowed, nothing copied.

use crate::error::Error;
use crate::format::{
    ABSOLUTE, Entry, File, Header, Kind, LANES, Precision, RELATIVE, Recipe, Role, SHARED, padded,
    winograd_taps,
};
use crate::kernels::MAX_PANELS;
use half::f16;

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
    pub taps: [usize; 4],
    /// Classes.
    pub classes: usize,
    /// How many of `pool_scales` count.
    pub pools: usize,
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
    /// `None` where a number is not one of those the format knows (a parsed [`File`] has none such).
    fn new(h: &Header) -> Option<Facts> {
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
            taps: h.taps.map(|t| t as usize),
            classes: h.classes as usize,
            pools: h.pool_count as usize,
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

/// Panels of weights, see the format.
#[derive(Clone, Copy)]
pub(crate) enum Panels<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Int8 { weights: &'a [i8], scale: &'a [f32], sum: &'a [i32] },
    Int4 { weights: &'a [u8], scale: &'a [f32], sum: &'a [i32], multipliers: &'a [i8] },
}

/// One or several matrices of `n` outputs by `k` inputs, with biases.
#[derive(Clone, Copy)]
pub(crate) struct Linear<'a> {
    pub role: Role,
    pub layer: u16,
    pub n: usize,
    pub k: usize,
    pub taps: usize,
    pub panels: Panels<'a>,
    bias: &'a [f32],
    bias_rows: usize,
}

impl<'a> Linear<'a> {
    fn new(file: &File<'a>, e: &Entry) -> Option<Self> {
        let [weights, scales, _] = e.linear_parts()?;
        let bytes = file.bytes_of(e);
        let (weights, rest) = bytes.split_at_checked(weights)?;
        let (scales, bias) = rest.split_at_checked(scales)?;
        let panels = match Kind::from_code(e.kind)? {
            Kind::F32 => Panels::F32(bytemuck::try_cast_slice(weights).ok()?),
            Kind::F16 => Panels::F16(bytemuck::try_cast_slice(weights).ok()?),
            Kind::Int4 => {
                let column = 4 * usize::from(e.taps) * padded(e.n as usize);
                let (scale, rest) = scales.split_at_checked(column)?;
                let (sum, multipliers) = rest.split_at_checked(column)?;
                Panels::Int4 {
                    weights,
                    scale: bytemuck::try_cast_slice(scale).ok()?,
                    sum: bytemuck::try_cast_slice(sum).ok()?,
                    multipliers: bytemuck::try_cast_slice(multipliers).ok()?,
                }
            }
            _ => {
                let (scale, sum) = scales.split_at(scales.len() / 2);
                Panels::Int8 {
                    weights: bytemuck::try_cast_slice(weights).ok()?,
                    scale: bytemuck::try_cast_slice(scale).ok()?,
                    sum: bytemuck::try_cast_slice(sum).ok()?,
                }
            }
        };
        Some(Linear {
            role: Role::from_code(e.role)?,
            layer: e.layer,
            n: e.n as usize,
            k: e.k as usize,
            taps: e.taps.into(),
            panels,
            bias: bytemuck::try_cast_slice(bias).ok()?,
            bias_rows: e.bias_rows.into(),
        })
    }

    /// Matrices that are in no file: (outputs, inputs, taps) and their panels, no bias.
    #[cfg(any(test, feature = "bench"))]
    pub fn bare(role: Role, (n, k, taps): (usize, usize, usize), panels: Panels<'a>) -> Self {
        Linear { role, layer: 0, n, k, taps, panels, bias: &[], bias_rows: 0 }
    }

    /// The bias of a tap, padded; `None` where there is none.
    pub fn bias(&self, tap: usize) -> Option<&'a [f32]> {
        let n = padded(self.n);
        let row = if self.bias_rows == 1 { 0 } else { tap };
        self.bias.get(row * n..(row + 1) * n)
    }

    /// Panels in each tap's matrix.
    pub fn panel_count(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// Whether activations are multiplied as bytes.
    pub fn is_int8(&self) -> bool {
        matches!(self.panels, Panels::Int8 { .. } | Panels::Int4 { .. })
    }

    /// Bytes of a panel as the int8 tiles read it.
    pub fn panel_bytes(&self) -> usize {
        self.k.div_ceil(4) * 4 * LANES
    }

    /// Bytes of int8 that a product needs for weights of four bits: as many panels as a tile has, of all matrices that it
    /// sums.
    pub fn unpacked_bytes(&self) -> usize {
        let taps = match (self.role, self.layer) {
            (Role::Fpn | Role::Top, _) | (Role::Fuse, 0) => self.taps,
            _ => 1,
        };
        match self.panels {
            Panels::Int4 { .. } => taps * MAX_PANELS * self.panel_bytes(),
            _ => 0,
        }
    }

    /// Outputs along a side of a tile, where a 3x3 convolution is stored for Winograd's F(2x2, 3x3) or F(4x4, 3x3).
    pub fn winograd_tile(&self) -> Option<usize> {
        [2, 4].into_iter().find(|&tile| self.taps == winograd_taps(tile))
    }
}

/// A model in memory: its facts and its tensors, borrowed from the file's bytes.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    file: File<'a>,
    facts: Facts,
}

impl<'a> Model<'a> {
    /// Checks the structure of `bytes` (which must start at a multiple of 64) and borrows it; microseconds, whatever the
    /// size. Tensor contents are checked by [`Model::verify`] alone.
    ///
    /// # Errors
    /// What is wrong with the file, by field.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let file = File::parse(bytes)?;
        let facts = Facts::new(file.header()).ok_or(Error::Magic)?;
        let model = Model { file, facts };
        for role in [Role::ClassNames, Role::Source, Role::Tool, Role::Report] {
            model.text(role)?;
        }
        Ok(model)
    }

    /// Reads every byte and compares the checksums.
    ///
    /// # Errors
    /// The first tensor that is damaged.
    pub fn verify(&self) -> Result<(), Error> {
        self.file.verify()
    }

    /// The model's facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The file itself, for its tables.
    pub fn file(&self) -> &File<'a> {
        &self.file
    }

    fn text(&self, role: Role) -> Result<&'a str, Error> {
        let e = self.file.find(role, 0).ok_or(Error::Missing { role: role.name(), layer: 0 })?;
        let bytes = self.file.bytes_of(e);
        core::str::from_utf8(bytes).map_err(|bad| Error::Tensor {
            role: role.name(),
            layer: 0,
            field: "UTF-8 up to byte",
            found: bad.valid_up_to() as u64,
            expected: bytes.len() as u64,
        })
    }

    /// The checkpoint's name.
    pub fn source(&self) -> &'a str {
        self.text(Role::Source).unwrap_or("")
    }

    /// The converter and its version.
    pub fn tool(&self) -> &'a str {
        self.text(Role::Tool).unwrap_or("")
    }

    /// The converter's report, JSON.
    pub fn report(&self) -> &'a str {
        self.text(Role::Report).unwrap_or("")
    }

    /// The name of a class.
    pub fn class_name(&self, class: usize) -> Option<&'a str> {
        self.text(Role::ClassNames).ok()?.lines().nth(class)
    }

    /// The colour of a class.
    pub fn colour(&self, class: usize) -> [u8; 3] {
        let palette = self.file.find(Role::Palette, 0).map_or(&[][..], |e| self.file.bytes_of(e));
        palette.as_chunks().0.get(class).copied().unwrap_or([0; 3])
    }

    /// A linear tensor. The file has been checked: it is there and of the right shape.
    pub(crate) fn linear(&self, role: Role, layer: usize) -> Result<Linear<'a>, Error> {
        let missing = Error::Missing { role: role.name(), layer: layer as u16 };
        let entry = self.file.find(role, layer as u16).ok_or(missing)?;
        Linear::new(&self.file, entry).ok_or(missing)
    }

    /// A plain tensor.
    pub(crate) fn plain(&self, role: Role, layer: usize) -> Result<&'a [f32], Error> {
        let missing = Error::Missing { role: role.name(), layer: layer as u16 };
        let entry = self.file.find(role, layer as u16).ok_or(missing)?;
        bytemuck::try_cast_slice(self.file.bytes_of(entry)).map_err(|_| missing)
    }

    /// The relative-position table of a block: per head, the table and its three last entries.
    pub(crate) fn bias(&self, block: usize) -> Result<Option<&'a [f32]>, Error> {
        match (self.facts.relative, self.facts.shared) {
            (true, _) => self.plain(Role::Bias, block).map(Some),
            (_, true) => self.plain(Role::Bias, 0).map(Some),
            _ => Ok(None),
        }
    }
}
