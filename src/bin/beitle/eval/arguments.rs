//! The arguments of `beitle eval`.

use crate::console::Failure;
use crate::model_file::FileArgs;
use crate::naming::{OTHER_DATA, has_ending, is_standard};
use crate::picture::PictureArgs;
use crate::session::ProcessorArgs;
use crate::verified::VerifyArgs;
use crate::views::ViewArgs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Arguments of `beitle eval`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures: a folder of them, a folder with `images` and `labels` in it, or the root of a data set laid out like
    /// ADE20K (images/validation, annotations/validation). For a model that classifies pictures: a folder with a folder for each
    /// class, named like it
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Folder of label files: PNG files named like the pictures, whose pixel values are classes [default: found in DATA]
    #[arg(long, value_name = "DIR")]
    pub labels: Option<PathBuf>,
    /// Weight file; repeat the option for several [default: the demonstration model, models/demo.beitle]
    #[arg(short, long = "model", value_name = "FILE")]
    pub models: Vec<PathBuf>,
    /// Reference to compare every model with, usually the f32 file of the same checkpoint
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Whether label files number the classes from 1 and 0 is ignored, as in ADE20K [default: as the weight file says]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub reduce_labels: Option<bool>,
    /// Ignore pixels with this label [default: 255]
    #[arg(long, value_name = "N")]
    pub ignore: Option<u16>,
    /// Use only the first N pictures; of folders of classes, one of each class in turn
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// Write all results to a JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a self-contained HTML page with scores, noise by stage and the pictures with the lowest agreement
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub views: ViewArgs,
    #[command(flatten)]
    pub verify: VerifyArgs,
    #[command(flatten)]
    pub open: FileArgs,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub processor: ProcessorArgs,
}

impl Args {
    /// The most pictures that are used.
    pub fn most_pictures(&self) -> usize {
        self.limit.map_or(usize::MAX, NonZeroUsize::get)
    }

    /// Checks that the files for results are not named like pictures or labels, or `-`.
    ///
    /// # Errors
    /// One of them is.
    pub fn check_results(&self) -> Result<(), Failure> {
        for (option, file) in [("--json", &self.json), ("--html", &self.html)] {
            let Some(file) = file else { continue };
            let name = file.display();
            if is_standard(file) {
                return Err(Failure::usage(format_args!(
                    "{option} -: standard output has the scores; give a file"
                )));
            }
            if has_ending(file, &OTHER_DATA) || has_ending(file, &["png"]) {
                return Err(Failure::usage(format_args!(
                    "{option} {name}: the ending is that of another kind of file"
                )));
            }
        }
        Ok(())
    }

    /// The label of pixels that are ignored.
    pub fn ignored_label(&self) -> u16 {
        self.ignore.unwrap_or(255)
    }
}
