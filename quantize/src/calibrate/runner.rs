//! Runs a converted model on pictures.

use super::pictures::Pictures;
use crate::error::Error;
use beitle::engine::{Engine, Output};
use beitle::file::format::Task;
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::observe::Observer;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Facts, Isa, Model};
use std::path::{Path, PathBuf};

/// A converted model, mapped and ready to run.
pub struct Runner {
    path: PathBuf,
    file: FileBytes,
    facts: Facts,
    threads: ThreadPool,
}

impl Runner {
    /// Maps a temporary weight file of this process.
    ///
    /// # Errors
    /// The file cannot be read or is not a weight file.
    pub fn open(path: &Path) -> Result<Runner, Error> {
        // SAFETY: this process has made the file under a name of its own, and does not write to it any more.
        let file = unsafe { FileBytes::map(path) }.map_err(|e| Error::io(path, "cannot read", e))?;
        let facts = *Model::new(file.bytes()).map_err(|e| Error::new(path, e.to_string()))?.facts();
        let threads = ThreadPool::new(0).map_err(|e| Error::io(path, "cannot start threads to run it", e))?;
        Ok(Runner { path: path.to_owned(), file, facts, threads })
    }

    /// The model's facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Width and height of the model's input.
    fn size(&self) -> (usize, usize) {
        (self.facts.width, self.facts.height)
    }

    /// Runs the model on picture `i`. Returns the logits `[classes][pixels of level 0]`, of a model that does not segment pictures the
    /// features.
    ///
    /// # Errors
    /// The picture cannot be read or lacks a channel, or the engine rejects it or the model.
    pub fn run(&self, pictures: &Pictures, i: usize, observer: &mut dyn Observer) -> Result<Vec<f32>, Error> {
        let picture = pictures.get(i, self.size())?;
        let path = pictures.paths().nth(i).unwrap_or(&self.path);
        let failed = |e: beitle::Error| Error::new(&self.path, format!("calibration: {e}"));
        let model = Model::new(self.file.bytes()).map_err(failed)?;
        let size = (picture.width, picture.height);
        let plan = Plan::new(&model, self.threads.workers(), size).map_err(failed)?;
        let mut arena =
            Arena::new(plan.bytes()).map_err(|e| Error::io(&self.path, "calibration: no memory", e))?;
        let channels = self.facts.picture_channels;
        let pixels = picture.with_channels(channels).map_err(|e| Error::new(path, e.to_string()))?;
        let view =
            ImageView::packed(&pixels, size.0, size.1, PixelFormat::of_channels(channels)).map_err(failed)?;
        let (width, height) = self.facts.level(0);
        let segments = self.facts.task == Task::Segmentation;
        let len = if segments { self.facts.classes * width * height } else { self.facts.channels };
        let mut logits = vec![0.0; len];
        let mut output = if segments { Output::logits(&mut logits) } else { Output::features(&mut logits) };
        Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut())
            .and_then(|mut engine| engine.run(&self.threads, &view, &mut output, observer))
            .map_err(failed)?;
        Ok(logits)
    }
}
