//! The arguments that select the views of a picture: `--mode`, `--flip`, `--scales`.

use crate::console::Failure;
use crate::numbers::decimal;
use beitle::Model;
use beitle::views::{Mode, Views};
use std::str::FromStr;

/// Arguments that select how pictures are fitted to the network's input.
#[derive(clap::Args)]
pub struct ViewArgs {
    /// How a picture is fitted to the network's input [default: as the weight file says, see `beitle info`]
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// The same as --mode native
    #[arg(long, conflicts_with = "mode")]
    native: bool,
    /// Run the mirrored picture too and average the probabilities. Doubles the run time; needs two bytes of memory per pixel
    /// and class
    #[arg(long)]
    flip: bool,
    /// Run the picture at several scales and average the probabilities: ratios of the window's size, such as
    /// 1,1.25,1.5, or `published` for 0.5,0.75,1,1.25,1.5,1.75. Requires --mode slide; needs two bytes of memory per
    /// pixel and class
    #[arg(long, value_name = "R,R,...")]
    scales: Option<Scales>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ModeArg {
    /// Stretch the whole picture to the input size
    Whole,
    /// Scale the short side to the window, at most 4:1, then slide a window over the picture
    Slide,
    /// Slide a window over the picture at its own resolution
    Native,
}

/// The ratios of `--scales`.
#[derive(Clone)]
struct Scales(Vec<f64>);

impl FromStr for Scales {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "published" {
            return Ok(Scales(Views::PUBLISHED_SCALES.to_vec()));
        }
        let ratio =
            |part: &str| decimal(part.trim()).ok_or_else(|| format!("`{part}` is not a number such as 1.25"));
        let ratios = text.split(',').map(ratio).collect::<Result<Vec<_>, _>>()?;
        Views::new(Mode::Slide).with_scales(&ratios).map_err(|e| e.to_string())?;
        Ok(Scales(ratios))
    }
}

impl ViewArgs {
    /// The views in which pictures are run.
    ///
    /// # Errors
    /// The arguments do not fit each other, or the model.
    pub fn views(&self, model: &Model<'_>) -> Result<Views, Failure> {
        let mode = match self.mode {
            _ if self.native => Mode::Native,
            None => Views::of(model.facts()).mode(),
            Some(ModeArg::Whole) => Mode::Whole,
            Some(ModeArg::Slide) => Mode::Slide,
            Some(ModeArg::Native) => Mode::Native,
        };
        let ratios = self.scales.as_ref().map_or(&[][..], |scales| &scales.0);
        let views = Views::new(mode).with_flip(self.flip).with_scales(ratios);
        views.map_err(|_| Failure::usage("--scales requires --mode slide"))
    }
}

/// Describes views in a few words.
pub fn describe(views: &Views) -> String {
    let mode = match views.mode() {
        Mode::Whole => "whole picture",
        Mode::Slide => "sliding window",
        _ => "sliding window, native resolution",
    };
    let scales = views.scales().iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let scales = if scales.is_empty() { scales } else { format!(", scales {scales}") };
    format!("{mode}{scales}{}", if views.flip() { ", mirrored too" } else { "" })
}
