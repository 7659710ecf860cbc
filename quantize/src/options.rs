//! What to convert and how: the options of one conversion.

use crate::output::data_sets::Names;
use beitle::file::format::{Precision, Recipe, Role};
use std::path::PathBuf;

/// The usual [`Options::agreement`]. On models with random weights it costs a quarter more time than plain int8.
const AGREEMENT: f64 = 0.976;

/// Options of one conversion.
#[derive(Clone, Debug)]
pub struct Options {
    /// A transformers folder, one of its weight files, or a `.pth` file.
    pub checkpoint: PathBuf,
    /// The weight file to write.
    pub output: PathBuf,
    /// The key of the state dict in a `torch.save` file that holds several; the usual ones are tried without it.
    pub key: Option<String>,
    /// Storage type of the weights.
    pub precision: Precision,
    /// Which reference implementation the model follows. `None`: transformers for a transformers folder, the paper's code
    /// for any other file.
    pub recipe: Option<Recipe>,
    /// Number of blocks that run before each of the four features is read. `None`: as the checkpoint says.
    pub feature_blocks: Option<[usize; 4]>,
    /// Attention heads. `None`: as the checkpoint says, or 64 channels per head.
    pub heads: Option<usize>,
    /// Class names and colours, instead of those of the checkpoint.
    pub names: Option<Names>,
    /// Input width and height in pixels. `None`: the size the model was trained with.
    pub size: Option<(usize, usize)>,
    /// How the largest 3x3 convolutions run under int8 and int4. Winograd weights are always int8; they take at least three
    /// times the space of int4 weights, so [`Options::new`] chooses direct convolutions under int4.
    pub conv: Conv,
    /// How int8 and int4 weights are rounded.
    pub rounding: Rounding,
    /// Under int8 and int4, layers whose weights would have a lower signal-to-quantisation-noise ratio than this many dB are
    /// stored in half precision. Winograd convolutions are not affected.
    pub sqnr_floor: Option<f64>,
    /// Under int8, layers are stored in half precision until this share of pixels agrees with the half-precision model.
    pub agreement: Option<f64>,
}

impl Options {
    /// Default options for a checkpoint, an output file and a precision.
    pub fn new(checkpoint: impl Into<PathBuf>, output: impl Into<PathBuf>, precision: Precision) -> Options {
        Options {
            checkpoint: checkpoint.into(),
            output: output.into(),
            key: None,
            precision,
            recipe: None,
            feature_blocks: None,
            heads: None,
            names: None,
            size: None,
            conv: if precision == Precision::Int4 { Conv::Direct } else { Conv::Winograd4 },
            rounding: Rounding::Compensated(None),
            sqnr_floor: None,
            agreement: None,
        }
    }

    /// Default options for int8 with as many layers in half precision as the usual agreement needs: what `--precision auto` means.
    pub fn auto(checkpoint: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Options {
        Options {
            // With F(4x4, 3x3) many more layers would need half precision (docs/decisions/007).
            conv: Conv::Winograd2,
            agreement: Some(AGREEMENT),
            ..Options::new(checkpoint, output, Precision::Int8)
        }
    }
}

/// How integer weights are rounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Each weight to the nearest.
    Nearest,
    /// In order, each weight compensating for the rounding errors of those before it, given samples of the layer's inputs.
    /// The samples come from running the model on the pictures of a folder, or on generated scenes without one.
    Compensated(Option<PathBuf>),
}

/// Algorithm of the largest 3x3 convolutions under int8 and int4: the FPN convolutions and the FPN bottleneck's view of the
/// finest level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conv {
    /// Direct: nine multiplications per output.
    Direct,
    /// Winograd's F(2x2, 3x3): four multiplications per output.
    Winograd2,
    /// Winograd's F(4x4, 3x3): 2.25 multiplications per output; F(2x2, 3x3) at level 2.
    Winograd4,
}

impl Conv {
    /// The algorithm with this name: `winograd4`, `winograd2` or `direct`.
    pub fn by_name(name: &str) -> Option<Conv> {
        match name {
            "winograd4" => Some(Conv::Winograd4),
            "winograd2" => Some(Conv::Winograd2),
            "direct" => Some(Conv::Direct),
            _ => None,
        }
    }

    /// Side of the output tile of a convolution that runs by Winograd's algorithm; `None` for all other layers. `grid_width`
    /// is the number of patches across the picture, which is level 2's width; a row of the map must be a whole number of
    /// tiles.
    pub fn tile(self, role: Role, layer: u16, grid_width: usize) -> Option<usize> {
        let (width, role_limit) = match (role, layer) {
            (Role::FpnConv | Role::FpnBottleneck, 0) => (4 * grid_width, 4),
            (Role::FpnConv, 1) => (2 * grid_width, 4),
            (Role::FpnConv, 2) => (grid_width, 2),
            _ => return None,
        };
        let limit = match self {
            Conv::Direct => 0,
            Conv::Winograd2 => 2,
            Conv::Winograd4 => role_limit,
        };
        [4, 2].into_iter().find(|&tile| tile <= limit && width.is_multiple_of(tile))
    }
}
