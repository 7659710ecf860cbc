//! The command line of the converter.

use beitle::format::{Precision, Recipe};
use beitle_quantize::{Conv, Options, Rounding, convert};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `--precision auto` asks for unless told: what costs a quarter of the time on models that never were trained.
const AGREEMENT: f64 = 0.976;

/// Converts a BEiT segmentation checkpoint into one .beitle weight file.
#[derive(Parser)]
#[command(name = "beitle-quantize", version)]
struct Arguments {
    /// A transformers folder (config.json and safetensors or pytorch_model.bin), or a .pth of unilm or mmsegmentation
    checkpoint: PathBuf,
    /// The file to write
    #[arg(short, long)]
    output: PathBuf,
    /// Of the weights: f32, f16, int8 (activations then are int8 too, quantised as they arrive), int4 (half the file of int8,
    /// the same activations), or auto (int8, but half precision where it takes that for --agreement)
    #[arg(long, default_value = "int8", value_parser = ["f32", "f16", "int8", "int4", "auto"])]
    precision: String,
    /// Under auto, the share of pixels that must agree with half precision, on the pictures the weights are rounded for
    /// [default: 0.976, which costs models that never were trained a quarter of the time]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    agreement: Option<f64>,
    /// Under int8 and int4, layers whose weights would keep less signal to noise stay in half precision; the report names them
    #[arg(long, value_name = "DB", value_parser = decibels)]
    sqnr_floor: Option<f64>,
    /// How to run the model: hf as transformers does, paper as it was trained (default: hf for a folder, paper for a .pth)
    #[arg(long, value_parser = recipe)]
    recipe: Option<Recipe>,
    /// After how many blocks the pyramid taps the stream, such as 4,6,8,12
    #[arg(long, value_parser = taps, value_name = "A,B,C,D")]
    taps: Option<[usize; 4]>,
    /// Number of attention heads, where the checkpoint does not say
    #[arg(long)]
    heads: Option<usize>,
    /// Another input size in pixels: N or WxH, multiples of the patch size
    #[arg(long, value_parser = size, value_name = "N|WxH")]
    size: Option<(usize, usize)>,
    /// 3x3 convolutions of the pyramid and the bottleneck under int8 and int4: winograd4 (Winograd's tiles of 4x4, a quarter of
    /// the multiplications), winograd2 (tiles of 2x2: a smaller file, less noise) or direct (the smallest file); Winograd's weights are int8
    /// [default: winograd4, under auto winograd2, under int4 direct]
    #[arg(long, value_parser = ["winograd4", "winograd2", "direct"])]
    conv: Option<String>,
    /// How integer weights are rounded: compensated (each makes up for the errors before it) or nearest (faster)
    #[arg(long, default_value = "compensated", value_parser = ["compensated", "nearest"])]
    rounding: String,
    /// Pictures like those to come (png, jpg), a handful, to round for; without, scenes drawn by this tool
    #[arg(long, value_name = "DIR", conflicts_with = "rounding")]
    calibrate: Option<PathBuf>,
}

fn share(s: &str) -> Result<f64, String> {
    let number = s.parse::<f64>().ok().filter(|n| (0.0..=1.0).contains(n));
    number.ok_or_else(|| "expected a share of pixels, 0 to 1".into())
}

fn decibels(s: &str) -> Result<f64, String> {
    s.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| "expected decibels, such as 35".into())
}

fn recipe(s: &str) -> Result<Recipe, String> {
    let found = Recipe::ALL.iter().find(|r| r.name() == s);
    found.copied().ok_or_else(|| "expected hf or paper".into())
}

fn taps(s: &str) -> Result<[usize; 4], String> {
    let numbers: Result<Vec<usize>, _> = s.split(',').map(|n| n.trim().parse()).collect();
    let four = numbers.ok().and_then(|n| n.try_into().ok());
    four.ok_or_else(|| "expected four numbers of blocks, such as 4,6,8,12".into())
}

fn size(s: &str) -> Result<(usize, usize), String> {
    let number = |n: &str| n.parse::<usize>().ok();
    let pair = match s.split_once('x') {
        Some((w, h)) => number(w).zip(number(h)),
        None => number(s).map(|n| (n, n)),
    };
    pair.ok_or_else(|| "expected pixels, such as 640 or 640x480".into())
}

fn main() -> ExitCode {
    let a = Arguments::parse();
    let auto = a.precision == "auto";
    let refuse = |message: &str| Arguments::command().error(ErrorKind::ArgumentConflict, message).exit();
    if a.agreement.is_some() && !auto {
        refuse("--agreement needs --precision auto");
    }
    if a.sqnr_floor.is_some() && !auto && !matches!(a.precision.as_str(), "int8" | "int4") {
        refuse("--sqnr-floor needs --precision int8, int4 or auto");
    }
    let options = Options {
        checkpoint: a.checkpoint,
        output: a.output,
        precision: Precision::ALL
            .iter()
            .copied()
            .find(|p| p.name() == a.precision)
            .unwrap_or(Precision::Int8),
        recipe: a.recipe,
        taps: a.taps,
        heads: a.heads,
        size: a.size,
        conv: match (a.conv.as_deref(), a.precision.as_str()) {
            (Some("direct"), _) | (None, "int4") => Conv::Direct,
            // The noise of larger tiles is more than half precision elsewhere can make up for.
            (Some("winograd2"), _) | (None, "auto") => Conv::Winograd2,
            _ => Conv::Winograd4,
        },
        rounding: if a.rounding == "nearest" {
            Rounding::Nearest
        } else {
            Rounding::Compensated(a.calibrate)
        },
        sqnr_floor: a.sqnr_floor,
        agreement: auto.then_some(a.agreement.unwrap_or(AGREEMENT)),
    };
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}, {elapsed}") {
        bar.set_style(style);
    }
    let start = std::time::Instant::now();
    let result = convert(&options, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    match result {
        Ok(report) => {
            for note in &report.notes {
                eprintln!("note: {note}");
            }
            println!("{report}");
            println!("{}: {:.1} s", options.output.display(), start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
