//! Command-line arguments and their translation to options.

use beitle::file::format::{Precision, Recipe};
use beitle_quantize::{Conv, Names, Options, Rounding};
use clap::Parser;
use clap::error::ErrorKind;
use std::path::PathBuf;

/// Converts a BEiT checkpoint into a .beitle weight file.
#[derive(Parser)]
#[command(name = "beitle-quantize", version)]
pub struct Arguments {
    /// A transformers folder (config.json with safetensors or pytorch_model.bin), a .pth file of unilm or mmsegmentation, a model of the
    /// Hugging Face Hub (owner/name or owner/name@revision), or the URL of a .pth file
    checkpoint: PathBuf,
    /// The weight file to write
    #[arg(short, long)]
    output: PathBuf,
    /// Key of the state dict in a .pth or .bin file that holds several, such as state_dict_ema [default: the first of the usual
    /// names]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Precision of the weights: f32; f16; int8 (activations are then quantised to int8 as well); int4 (half the size of int8,
    /// int8 activations); or auto (int8, with as many layers in half precision as --agreement needs)
    #[arg(long, default_value = "int8", value_parser = ["f32", "f16", "int8", "int4", "auto"])]
    precision: String,
    /// For auto: the share of pixels that must agree with half precision, measured on the calibration pictures
    /// [default: 0.976, which makes models with random weights a quarter slower than plain int8]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    agreement: Option<f64>,
    /// For int8, int4 and auto: keep layers in half precision whose weights would have a lower signal-to-noise ratio; they are
    /// listed as notes
    #[arg(long, value_name = "DB", value_parser = decibels)]
    sqnr_floor: Option<f64>,
    /// How to run the model: hf, as transformers does, or paper, as the published models were trained [default: hf for tensors
    /// named as in transformers, paper for those of unilm and mmsegmentation]
    #[arg(long, value_parser = recipe)]
    recipe: Option<Recipe>,
    /// Number of backbone blocks before each of the four features that the neck of a segmentation model reads, such as 4,6,8,12
    /// [default: as the checkpoint says]
    #[arg(long = "taps", value_parser = feature_blocks, value_name = "A,B,C,D")]
    feature_blocks: Option<[usize; 4]>,
    /// Number of attention heads, if the checkpoint does not say
    #[arg(long)]
    heads: Option<usize>,
    /// Class names and colours, instead of the checkpoint's: a data set (ade20k, cityscapes, coco-stuff, voc, camvid), or a text file with one
    /// class per line, `name` or `red green blue name`
    #[arg(long, value_name = "NAME|FILE")]
    names: Option<String>,
    /// Input size in pixels, multiples of the patch size. Nothing is then cut off a picture before it is classified
    /// [default: the preprocessor's under hf, else that the model was trained with]
    #[arg(long, value_parser = size, value_name = "N|WxH")]
    size: Option<(usize, usize)>,
    /// For int8, int4 and auto: how the largest 3x3 convolutions run. winograd4: Winograd's F(4x4, 3x3), a quarter of the
    /// multiplications; winograd2: F(2x2, 3x3), a smaller file and less noise; direct: the smallest file. Winograd weights are
    /// always int8 [default: winograd4; for auto winograd2; for int4 direct]
    #[arg(long, value_parser = ["winograd4", "winograd2", "direct"])]
    conv: Option<String>,
    /// How integer weights are rounded: compensated (each compensates for the rounding errors of those before it) or nearest
    /// (faster)
    #[arg(long, default_value = "compensated", value_parser = ["compensated", "nearest"])]
    rounding: String,
    /// Folder with a handful of typical pictures (JPEG, PNG, BMP, WebP, PNM) to calibrate rounding with [default: generated scenes]
    #[arg(long, value_name = "DIR", conflicts_with = "rounding")]
    calibrate: Option<PathBuf>,
}

impl Arguments {
    /// The options; or, if arguments contradict each other, the kind of error and a message.
    pub fn into_options(self) -> Result<Options, (ErrorKind, &'static str)> {
        let auto = self.precision == "auto";
        if self.agreement.is_some() && !auto {
            return Err((ErrorKind::ArgumentConflict, "--agreement needs --precision auto"));
        }
        if self.sqnr_floor.is_some() && !matches!(self.precision.as_str(), "int8" | "int4" | "auto") {
            return Err((ErrorKind::ArgumentConflict, "--sqnr-floor needs --precision int8, int4 or auto"));
        }
        let defaults = match Precision::ALL.iter().find(|precision| precision.name() == self.precision) {
            Some(precision) => Options::new(self.checkpoint, self.output, *precision),
            None => Options::auto(self.checkpoint, self.output),
        };
        Ok(Options {
            conv: self.conv.as_deref().and_then(Conv::by_name).unwrap_or(defaults.conv),
            rounding: match self.rounding.as_str() {
                "nearest" => Rounding::Nearest,
                _ => Rounding::Compensated(self.calibrate),
            },
            key: self.key,
            recipe: self.recipe,
            feature_blocks: self.feature_blocks,
            heads: self.heads,
            names: self.names.map(|source| Names::new(source.into())),
            size: self.size,
            sqnr_floor: self.sqnr_floor,
            agreement: self.agreement.or(defaults.agreement),
            ..defaults
        })
    }
}

fn share(s: &str) -> Result<f64, String> {
    let number = s.parse::<f64>().ok().filter(|n| (0.0..=1.0).contains(n));
    number.ok_or_else(|| "expected a share of pixels from 0 to 1".into())
}

fn decibels(s: &str) -> Result<f64, String> {
    s.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| "expected decibels, such as 35".into())
}

fn recipe(s: &str) -> Result<Recipe, String> {
    let found = Recipe::ALL.iter().find(|r| r.name() == s);
    found.copied().ok_or_else(|| "expected hf or paper".into())
}

fn feature_blocks(s: &str) -> Result<[usize; 4], String> {
    let numbers: Result<Vec<usize>, _> = s.split(',').map(|n| n.trim().parse()).collect();
    let four = numbers.ok().and_then(|n| n.try_into().ok());
    four.ok_or_else(|| "expected four block numbers, such as 4,6,8,12".into())
}

fn size(s: &str) -> Result<(usize, usize), String> {
    let number = |n: &str| n.parse::<usize>().ok();
    let pair = match s.split_once('x') {
        Some((w, h)) => number(w).zip(number(h)),
        None => number(s).map(|n| (n, n)),
    };
    pair.ok_or_else(|| "expected a size in pixels, such as 640 or 640x480".into())
}
