//! The engine as the commands use it: a file, a processor, and an arena that grows when a larger picture comes.

use crate::console::Failure;
use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, MappedFile};
use beitle::observe::Observer;
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use std::path::Path;

/// What the work runs on.
#[derive(clap::Args)]
pub struct Processor {
    /// ThreadPool, 0 for as many as the process may use; the results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Instruction set, the fastest unless given; the results do not depend on it
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
}

impl Processor {
    /// The instruction set asked for.
    ///
    /// # Errors
    /// The processor does not have it, or no such one is known.
    pub fn isa(&self) -> Result<Isa, Failure> {
        let Some(name) = &self.isa else { return Ok(Isa::detect()) };
        Isa::by_name(name).ok_or_else(|| {
            let names: Vec<_> = Isa::available().map(Isa::name).collect();
            Failure::usage(format_args!("--isa {name}: this processor has {}", names.join(", ")))
        })
    }

    /// The threads asked for.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn threads(&self) -> Result<ThreadPool, Failure> {
        ThreadPool::new(self.threads.into())
            .map_err(|e| Failure::work(format_args!("--threads {}: {e}", self.threads)))
    }
}

/// Maps a weight file.
///
/// # Errors
/// It cannot be read.
pub fn open(path: &Path) -> Result<MappedFile, Failure> {
    MappedFile::open(path).map_err(|e| Failure::work(format_args!("{}: {e}", path.display())))
}

/// The model in a mapped file.
///
/// # Errors
/// It is no weight file, or a damaged one.
pub fn model<'a>(path: &Path, file: &'a MappedFile) -> Result<Model<'a>, Failure> {
    if file.bytes().is_empty() {
        return Err(Failure::work(format_args!("{}: empty, a .beitle file was expected", path.display())));
    }
    Model::new(file.bytes()).map_err(|e| Failure::work(format_args!("{}: {e}", path.display())))
}

/// A class map in memory.
pub enum ClassMap {
    /// Up to 256 classes.
    U8(Vec<u8>),
    /// More.
    U16(Vec<u16>),
}

impl ClassMap {
    /// The map as the library reads it.
    pub fn view(&self) -> beitle::output::ClassMap<'_> {
        match self {
            ClassMap::U8(m) => beitle::output::ClassMap::U8(m),
            ClassMap::U16(m) => beitle::output::ClassMap::U16(m),
        }
    }
}

/// Runs a model, picture after picture.
pub struct Session<'m> {
    model: &'m Model<'m>,
    isa: Isa,
    threads: ThreadPool,
    planned: Option<(Plan, Arena)>,
}

impl<'m> Session<'m> {
    /// Nothing is allocated before the first picture.
    pub fn new(model: &'m Model<'m>, isa: Isa, threads: ThreadPool) -> Self {
        Session { model, isa, threads, planned: None }
    }

    /// Workers at work.
    pub fn workers(&self) -> usize {
        self.threads.workers()
    }

    /// The instruction set's name.
    pub fn isa(&self) -> &'static str {
        self.isa.name()
    }

    /// Multiply-accumulates a second that the processor reaches on registers alone, on the threads in use.
    pub fn peak(&self, int8: bool) -> Option<f64> {
        self.isa.peak(int8, &self.threads)
    }

    /// Bytes of the arena, once there is one.
    pub fn arena_bytes(&self) -> usize {
        self.planned.as_ref().map_or(0, |(plan, _)| plan.bytes())
    }

    /// How many numbers a picture's logits are, and their shape `[classes, height, width]`.
    pub fn logits_shape(&self) -> [usize; 3] {
        let facts = self.model.facts();
        let (width, height) = facts.level(0);
        [facts.classes, height, width]
    }

    /// The classes of an RGB picture, in its own size.
    ///
    /// # Errors
    /// The picture is too large for this machine, or the observer stops the run.
    pub fn run(
        &mut self,
        rgb: &[u8],
        size: (usize, usize),
        logits: Option<&mut [f32]>,
        observer: &mut dyn Observer,
    ) -> Result<ClassMap, beitle::Error> {
        let view = ImageView::packed(rgb, size.0, size.1, PixelFormat::Rgb8)?;
        let mut map = if self.model.facts().classes > 256 {
            ClassMap::U16(vec![0; size.0 * size.1])
        } else {
            ClassMap::U8(vec![0; size.0 * size.1])
        };
        let fits = |plan: &Plan| size.0 <= plan.picture().0 && size.1 <= plan.picture().1;
        let (plan, mut arena) = match self.planned.take() {
            Some(planned) if fits(&planned.0) => planned,
            old => {
                let (w, h) = old.map_or((0, 0), |(plan, _)| plan.picture());
                let plan = Plan::new(self.model, self.threads.workers(), (w.max(size.0), h.max(size.1)))?;
                (plan, Arena::new(plan.bytes()))
            }
        };
        let target = match &mut map {
            ClassMap::U8(m) => ClassMapMut::U8(m),
            ClassMap::U16(m) => ClassMapMut::U16(m),
        };
        let mut output = Output { logits, ..Output::map(size, target) };
        let result = Engine::new(self.model, &plan, self.isa, arena.bytes())
            .and_then(|mut engine| engine.run(&self.threads, &view, &mut output, observer));
        self.planned = Some((plan, arena));
        result.map(|()| map)
    }
}
