//! Running the engine: a mapped weight file, the threads and instruction set of the command line, and an arena that is
//! replaced by a larger one when a larger picture arrives.

use crate::class_map::ClassMapBuf;
use crate::console::{Failure, warn};
use crate::picture::Picture;
use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, MappedFile};
use beitle::observe::Observer;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use std::path::Path;

/// Arguments that select threads and instruction set.
#[derive(clap::Args)]
pub struct ProcessorArgs {
    /// Number of threads; 0 uses all that the process may use. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Instruction set [default: the fastest available]. Results do not depend on it
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
}

impl ProcessorArgs {
    /// The requested instruction set.
    ///
    /// # Errors
    /// The name is unknown, or this processor lacks the instructions.
    pub fn isa(&self) -> Result<Isa, Failure> {
        let Some(name) = &self.isa else { return Ok(Isa::detect()) };
        Isa::by_name(name).ok_or_else(|| {
            let names: Vec<_> = Isa::available().map(Isa::name).collect();
            Failure::usage(format_args!("--isa {name}: not available here; use one of {}", names.join(", ")))
        })
    }

    /// A pool of the requested number of threads.
    ///
    /// # Errors
    /// The operating system cannot start the threads.
    pub fn threads(&self) -> Result<ThreadPool, Failure> {
        ThreadPool::new(self.threads.into())
            .map_err(|e| Failure::work(format_args!("--threads {}: {e}", self.threads)))
    }
}

/// The default model of a checkout of the repository.
const DEMONSTRATION: &str = "models/demo.beitle";

/// The path of the demonstration model, after a note that it is used.
///
/// # Errors
/// The current folder does not contain it.
pub fn demonstration_model() -> Result<&'static Path, Failure> {
    let path = Path::new(DEMONSTRATION);
    if !path.exists() {
        return Err(Failure::usage(format_args!(
            "no weight file given: use -m FILE (the demonstration model {DEMONSTRATION} is not in this folder)"
        )));
    }
    warn(&format!(
        "no -m FILE given: using the demonstration model {DEMONSTRATION} (drawn street scenes, 12 classes)"
    ));
    Ok(path)
}

/// A mapped weight file and its path.
pub struct ModelFile<'a> {
    /// The path, for messages.
    pub path: &'a Path,
    file: MappedFile,
}

impl<'a> ModelFile<'a> {
    /// Maps a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &'a Path) -> Result<Self, Failure> {
        let file = MappedFile::open(path).map_err(|e| Failure::file(path, e))?;
        Ok(ModelFile { path, file })
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
}

/// Runs a model on one picture after another.
pub struct Session<'m> {
    model: &'m Model<'m>,
    isa: Isa,
    threads: ThreadPool,
    planned: Option<(Plan, Arena)>,
}

impl<'m> Session<'m> {
    /// A session without an arena; the first picture allocates it.
    pub fn new(model: &'m Model<'m>, isa: Isa, threads: ThreadPool) -> Self {
        Session { model, isa, threads, planned: None }
    }

    /// Number of worker threads.
    pub fn workers(&self) -> usize {
        self.threads.workers()
    }

    /// Name of the instruction set.
    pub fn isa(&self) -> &'static str {
        self.isa.name()
    }

    /// Multiply-accumulates per second of all threads when all operands are in registers, measured now. `None` where
    /// the instruction set has no such measurement.
    pub fn peak(&self, int8: bool) -> Option<f64> {
        self.isa.peak(int8, &self.threads)
    }

    /// Size of the arena, 0 before the first picture.
    pub fn arena_bytes(&self) -> usize {
        self.planned.as_ref().map_or(0, |(plan, _)| plan.bytes())
    }

    /// Shape of the logits: `[classes, height, width]`.
    pub fn logits_shape(&self) -> [usize; 3] {
        let facts = self.model.facts();
        let (width, height) = facts.level(0);
        [facts.classes, height, width]
    }

    /// The class map of a picture, in the picture's size. `logits`, where given, has the length of
    /// [`logits_shape`](Session::logits_shape).
    ///
    /// # Errors
    /// The picture is too large for this machine, or the observer stops the run.
    pub fn run(
        &mut self,
        picture: &Picture,
        logits: Option<&mut [f32]>,
        observer: &mut dyn Observer,
    ) -> Result<ClassMapBuf, beitle::Error> {
        let size = (picture.width, picture.height);
        let view = ImageView::packed(&picture.rgb, size.0, size.1, PixelFormat::Rgb8)?;
        let mut map = ClassMapBuf::new(size.0 * size.1, self.model.facts().classes)?;
        let (plan, mut arena) = self.plan_for(size)?;
        let mut output = Output { logits, ..Output::map(size, map.view_mut()) };
        let result = Engine::new(self.model, &plan, self.isa, arena.bytes())
            .and_then(|mut engine| engine.run(&self.threads, &view, &mut output, observer));
        self.planned = Some((plan, arena));
        result.map(|()| map)
    }

    /// Takes the current plan and arena if they fit pictures of this size, else makes larger ones.
    fn plan_for(&mut self, size: (usize, usize)) -> Result<(Plan, Arena), beitle::Error> {
        let old = self.planned.take();
        let (width, height) = old.as_ref().map_or((0, 0), |(plan, _)| plan.picture());
        if let Some(planned) = old
            && size.0 <= width
            && size.1 <= height
        {
            return Ok(planned);
        }
        let plan = Plan::new(self.model, self.threads.workers(), (width.max(size.0), height.max(size.1)))?;
        Ok((plan, Arena::new(plan.bytes())))
    }
}
