//! Running the engine: threads, instruction set and limits of the command line, and an arena that is replaced by a larger one
//! when a larger picture arrives.

use crate::class_map::ClassMapBuf;
use crate::console::Failure;
use crate::cores;
use crate::labels::Labels;
pub use crate::limits::{RunError, RunLimits};
use crate::limits::{WorkLimit, memory};
use crate::picture::Picture;
use beitle::engine::{Engine, Output};
use beitle::file::format::Task;
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::Arena;
use beitle::observe::Observer;
use beitle::output::{Points, Ranked};
use beitle::parallel::{Cores, Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Isa, Model};
use std::io::ErrorKind;

/// Arguments that select threads and instruction set.
#[derive(clap::Args)]
pub struct ProcessorArgs {
    /// Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the
    /// speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places
    /// them. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps
    /// busy. Results do not depend on it
    #[arg(long, value_name = "LIST", value_parser = cores::parse)]
    cores: Option<Cores>,
    /// Instruction set [default: the fastest available]. Results do not depend on it
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
    /// Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and
    /// tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    max_arena: usize,
    /// Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less
    /// than 2000
    #[arg(long, value_name = "GMAC", default_value_t = 20_000)]
    max_work: u64,
    /// Most windows of one picture, in all views together
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    max_windows: usize,
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

    /// The limits of a run.
    pub fn limits(&self) -> RunLimits {
        RunLimits {
            arena_bytes: self.max_arena.saturating_mul(1 << 20),
            macs: self.max_work.saturating_mul(1_000_000_000),
            windows: self.max_windows,
        }
    }

    /// A pool of the requested number of threads, on the requested CPUs.
    ///
    /// # Errors
    /// The process cannot use the CPUs, or the operating system cannot start the threads.
    pub fn threads(&self) -> Result<ThreadPool, Failure> {
        let n = self.threads;
        let Some(cores) = &self.cores else {
            return ThreadPool::new(n.into())
                .map_err(|e| Failure::work(format_args!("--threads {n}: cannot start threads: {e}")));
        };
        ThreadPool::on(cores.clone(), n.into()).map_err(|e| match e.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported => {
                Failure::usage(format_args!("--cores {cores}: {e}"))
            }
            _ => Failure::work(format_args!("--threads {n} --cores {cores}: cannot start threads: {e}")),
        })
    }
}

/// What is wanted of the pixels of a picture; by default the class of each.
#[derive(Default)]
pub struct WantedPixels<'a> {
    /// Width and height of the map; `None`: those of the picture.
    pub size: Option<(usize, usize)>,
    /// What the map holds; `None`: the classes.
    pub labels: Option<&'a Labels>,
    pub confidence: bool,
    /// Columns and rows in the map.
    pub points: &'a [[usize; 2]],
    /// Classes at each point; at most all.
    pub top: usize,
}

/// The results of the pixels of a picture.
pub struct Pixels {
    /// Width and height of the map.
    pub size: (usize, usize),
    pub map: ClassMapBuf,
    /// A byte for each pixel, empty if not wanted.
    pub confidence: Vec<u8>,
    /// The most likely classes at each point, `[points][classes]`.
    pub ranked: Vec<Ranked>,
}

/// The results that are wanted of a model that does not segment pictures.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    pub logits: bool,
    pub features: bool,
    pub tokens: bool,
}

/// The results of a model that does not segment pictures; empty if not wanted.
pub struct Pooled {
    /// `[classes]`
    pub logits: Vec<f32>,
    /// `[channels]`
    pub features: Vec<f32>,
    /// `[tokens][channels]`
    pub tokens: Vec<f32>,
}

/// Runs a model on one picture after another.
pub struct Session<'m> {
    model: &'m Model<'m>,
    isa: Isa,
    threads: ThreadPool,
    limits: RunLimits,
    views: Views,
    planned: Option<(Plan, Arena)>,
}

impl<'m> Session<'m> {
    /// A session without an arena; the first picture allocates it.
    ///
    /// # Errors
    /// The arguments name an instruction set that this processor lacks, or the operating system cannot start the threads.
    pub fn new(model: &'m Model<'m>, views: Views, processor: &ProcessorArgs) -> Result<Self, Failure> {
        let (isa, threads, limits) = (processor.isa()?, processor.threads()?, processor.limits());
        Ok(Session { model, isa, threads, limits, views, planned: None })
    }

    /// The views in which pictures are run.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Number of worker threads.
    pub fn workers(&self) -> usize {
        self.threads.workers()
    }

    /// The CPUs on which the worker threads run; `None`: any.
    pub fn cores(&self) -> Option<&Cores> {
        self.threads.cores()
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

    /// What the model computes.
    pub fn task(&self) -> Task {
        self.model.facts().task
    }

    /// Shape of the logits of a segmentation model: `[classes, height, width]`.
    pub fn logits_shape(&self) -> [usize; 3] {
        let facts = self.model.facts();
        let (width, height) = facts.level(0);
        [facts.classes, height, width]
    }

    /// The class map of a picture, in the picture's size. `logits`, where given, has the length of
    /// [`logits_shape`](Session::logits_shape).
    ///
    /// # Errors
    /// The picture is too large for this machine, the model exceeds a limit, or the observer stops the run.
    pub fn run(
        &mut self,
        picture: &Picture,
        logits: Option<&mut [f32]>,
        observer: &mut dyn Observer,
    ) -> Result<ClassMapBuf, RunError> {
        Ok(self.run_picture(picture, &WantedPixels::default(), logits, observer)?.map)
    }

    /// [`run_view`](Session::run_view) for a picture.
    ///
    /// # Errors
    /// As [`run_view`](Session::run_view).
    pub fn run_picture(
        &mut self,
        picture: &Picture,
        wanted: &WantedPixels<'_>,
        logits: Option<&mut [f32]>,
        observer: &mut dyn Observer,
    ) -> Result<Pixels, RunError> {
        let pixels = picture.with_channels(self.picture_channels()).map_err(RunError::Picture)?;
        self.run_view(&self.view(picture, &pixels)?, wanted, logits, observer)
    }

    /// [`run`](Session::run) for a view, with all results that are wanted of its pixels.
    ///
    /// # Errors
    /// As [`run`](Session::run); or a point lies outside the map.
    pub fn run_view(
        &mut self,
        view: &ImageView<'_>,
        wanted: &WantedPixels<'_>,
        logits: Option<&mut [f32]>,
        observer: &mut dyn Observer,
    ) -> Result<Pixels, RunError> {
        let size = wanted.size.unwrap_or((view.width(), view.height()));
        if let Some(&point) = wanted.points.iter().find(|[x, y]| *x >= size.0 || *y >= size.1) {
            return Err(RunError::Point(point, size));
        }
        let classes = self.model.facts().classes;
        let (values, table, min_confidence) = match wanted.labels {
            Some(labels) => (labels.values(), labels.table(), labels.min_confidence()),
            None => (classes, &[][..], 0),
        };
        let pixels = size.0.saturating_mul(size.1);
        // The map and the confidences of a picture follow from --max-pixels; those of a map of another size do not.
        let own_bytes =
            if wanted.size.is_some() { pixels.saturating_mul(1 + usize::from(values > 256)) } else { 0 };
        let own_bytes = own_bytes.saturating_mul(if wanted.confidence { 2 } else { 1 });
        let results = self.scores_len(size).saturating_mul(size_of::<u16>()).saturating_add(own_bytes);
        let planned = self.plan_for((view.width(), view.height()), results)?;
        let mut map = ClassMapBuf::new(pixels, values).ok_or(RunError::Memory(pixels))?;
        let mut confidence = memory(if wanted.confidence { pixels } else { 0 })?;
        let mut ranked = vec![Ranked::default(); wanted.points.len() * wanted.top.min(classes)];
        let mut scores = self.new_scores(size)?;
        let mut output = Output { logits, ..Output::map(size, map.view_mut()) };
        output.scores = scores.as_deref_mut();
        output.labels = table;
        output.min_confidence = min_confidence;
        output.confidence = wanted.confidence.then_some(&mut confidence);
        if !wanted.points.is_empty() {
            output.points = Some(Points::new(wanted.points, &mut ranked)?);
        }
        self.run_to(view, planned, &mut output, observer)?;
        if wanted.labels.is_some_and(Labels::is_mask) {
            map.turn_into_mask();
        }
        Ok(Pixels { size, map, confidence, ranked })
    }

    /// Channels of the pictures that the model takes.
    fn picture_channels(&self) -> usize {
        self.model.facts().picture_channels
    }

    /// A picture with the model's channels, whose bytes are `pixels`.
    fn view<'a>(&self, picture: &Picture, pixels: &'a [u8]) -> Result<ImageView<'a>, RunError> {
        let format = PixelFormat::of_channels(self.picture_channels());
        Ok(ImageView::packed(pixels, picture.width, picture.height, format)?)
    }

    /// The results of a model that does not segment pictures, as far as they are wanted.
    ///
    /// # Errors
    /// As [`run`](Session::run).
    pub fn run_pooled(
        &mut self,
        picture: &Picture,
        wanted: Wanted,
        observer: &mut dyn Observer,
    ) -> Result<Pooled, RunError> {
        let f = self.model.facts();
        let lengths = [
            (wanted.logits, f.classes),
            (wanted.features, f.channels),
            (wanted.tokens, f.tokens() * f.channels),
        ];
        let lengths = lengths.map(|(is_wanted, len)| if is_wanted { len } else { 0 });
        let bytes = |len: usize| len * size_of::<f32>();
        let planned = self.plan_for((picture.width, picture.height), bytes(lengths.iter().sum()))?;
        let [logits, features, tokens] = lengths.map(memory);
        let mut results = Pooled { logits: logits?, features: features?, tokens: tokens? };
        let mut output = Output {
            logits: wanted.logits.then_some(&mut results.logits),
            features: wanted.features.then_some(&mut results.features),
            tokens: wanted.tokens.then_some(&mut results.tokens),
            ..Output::default()
        };
        let pixels = picture.with_channels(self.picture_channels()).map_err(RunError::Picture)?;
        self.run_to(&self.view(picture, &pixels)?, planned, &mut output, observer)?;
        let all = [&results.logits, &results.features, &results.tokens];
        if !all.into_iter().flatten().all(|x| x.is_finite()) {
            return Err(RunError::NotFinite);
        }
        Ok(results)
    }

    /// Runs a picture to the buffers of `output` with the plan and arena of [`plan_for`](Session::plan_for), which are kept.
    fn run_to(
        &mut self,
        view: &ImageView<'_>,
        (plan, mut arena): (Plan, Arena),
        output: &mut Output,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let mut observer = WorkLimit::new(observer, self.limits);
        let result = Engine::new(self.model, &plan, self.isa, arena.bytes_mut())
            .and_then(|mut engine| engine.run(&self.threads, view, output, &mut observer));
        self.planned = Some((plan, arena));
        match result {
            Err(e) => Err(observer.exceeded.unwrap_or(e.into())),
            Ok(()) => Ok(()),
        }
    }

    /// Memory for the logits, zeroed.
    ///
    /// # Errors
    /// The operating system refuses so much memory.
    pub fn new_logits(&self) -> Result<Vec<f32>, RunError> {
        memory(self.logits_shape().iter().product())
    }

    /// The number of scores that a run needs; `usize::MAX` if it cannot be addressed.
    fn scores_len(&self, size: (usize, usize)) -> usize {
        self.views.scores_len(size, self.model.facts().classes).unwrap_or(usize::MAX)
    }

    /// Memory for the scores of several views of a picture, if there are several views.
    fn new_scores(&self, size: (usize, usize)) -> Result<Option<Vec<u16>>, RunError> {
        if !self.views.are_several() {
            return Ok(None);
        }
        memory(self.scores_len(size)).map(Some)
    }

    /// Takes the current plan and arena if they fit pictures of this size, else makes new ones. Together with `results`, the
    /// bytes of the results and scores of a run, they must stay below the limit.
    fn plan_for(&mut self, size: (usize, usize), results: usize) -> Result<(Plan, Arena), RunError> {
        let limit = self.limits.arena_bytes;
        let check = |plan: &Plan| match results.saturating_add(plan.bytes()) {
            needed if needed > limit => Err(RunError::Arena(needed, limit)),
            _ => Ok(()),
        };
        let (width, height) = match self.planned.take() {
            Some(planned) if planned.0.fits(size) => {
                check(&planned.0)?;
                return Ok(planned);
            }
            old => old.map_or((0, 0), |(plan, _)| plan.picture()),
        };
        let planned = match self.views.mode() {
            Mode::Whole => (width.max(size.0), height.max(size.1)),
            _ => size,
        };
        let plan = Plan::with_views(self.model, self.threads.workers(), planned, &self.views)?;
        check(&plan)?;
        let arena = Arena::new(plan.bytes()).map_err(|_| RunError::Memory(plan.bytes()))?;
        Ok((plan, arena))
    }
}
