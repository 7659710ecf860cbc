//! Weight files: how they are opened, and the default model.

use crate::console::{Failure, warn};
use beitle::Model;
use beitle::file::format::Task;
use beitle::memory::FileBytes;
use std::path::Path;

/// The default model of a checkout of the repository.
const DEMONSTRATION: &str = "models/demo.beitle";

/// The path of the demonstration model, unless `quiet` after a note that it is used.
///
/// # Errors
/// The current folder does not contain it.
pub fn demonstration_model(quiet: bool) -> Result<&'static Path, Failure> {
    let path = Path::new(DEMONSTRATION);
    if !path.exists() {
        return Err(Failure::usage(format_args!(
            "no weight file given: use -m FILE. The demonstration model {DEMONSTRATION} is not in this folder; \
             `beitle-quantize microsoft/beit-base-finetuned-ade-640-640 -o base.beitle` downloads and converts a model for 150 classes"
        )));
    }
    if !quiet {
        warn(&format!(
            "no -m FILE given: using the demonstration model {DEMONSTRATION} (drawn street scenes, 12 classes)"
        ));
    }
    Ok(path)
}

/// Checks that a model computes what a command needs.
///
/// # Errors
/// It does not; the message names the command for it.
pub fn check_task(path: &Path, model: &Model<'_>, tasks: &[Task]) -> Result<(), Failure> {
    let task = model.facts().task;
    if tasks.contains(&task) {
        return Ok(());
    }
    let what = match task {
        Task::Segmentation => "segments pictures: use `beitle segment`",
        Task::Classification => "classifies pictures: use `beitle classify` or `beitle features`",
        Task::Features => "has no classes: use `beitle features`",
    };
    Err(Failure::file(path, format_args!("this model {what}")))
}

/// Arguments that say how weight files are opened.
#[derive(clap::Args)]
pub struct FileArgs {
    /// Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it
    #[arg(long)]
    no_mmap: bool,
}

/// A weight file in memory and its path.
pub struct ModelFile<'a> {
    /// The path, for messages.
    pub path: &'a Path,
    file: FileBytes,
}

impl<'a> ModelFile<'a> {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &'a Path, args: &FileArgs) -> Result<Self, Failure> {
        if args.no_mmap {
            let file = FileBytes::read(path).map_err(|e| Failure::file(path, e))?;
            return Ok(ModelFile { path, file });
        }
        // SAFETY: `--help` and README require that nothing changes a mapped weight file while the program runs.
        let file = unsafe { FileBytes::map(path) };
        Ok(ModelFile { path, file: file.map_err(|e| Failure::file(path, e))? })
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes().len() as u64
    }

    /// The model in the file.
    ///
    /// # Errors
    /// The file is not a weight file, or it is damaged.
    pub fn model(&self) -> Result<Model<'_>, Failure> {
        if self.file.bytes().is_empty() {
            return Err(Failure::file(self.path, "the file is empty, expected a .beitle file"));
        }
        Model::new(self.file.bytes()).map_err(|e| Failure::file(self.path, e))
    }

    /// The model in the file, to be run: its weights are read ahead.
    ///
    /// # Errors
    /// As [`model`](ModelFile::model).
    pub fn model_to_run(&self) -> Result<Model<'_>, Failure> {
        let model = self.model()?;
        self.file.read_ahead(model.read_order());
        Ok(model)
    }
}
