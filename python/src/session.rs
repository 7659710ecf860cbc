//! Runs of the engine without Python's lock. A session has what one run at a time needs: threads, a plan and an arena. Calls of several
//! threads of Python take one each, and leave it to later calls.

use crate::errors;
use beitle::engine::{Engine, Output};
use beitle::image::ImageView;
use beitle::memory::{Arena, FileBytes};
use beitle::observe::{Observer, Stage};
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Isa, Model};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The time between two looks at Python's signals.
const SIGNALS: Duration = Duration::from_millis(50);

/// The sessions of a model that no call uses.
pub struct Sessions {
    threads: usize,
    max_memory: usize,
    isa: Isa,
    /// Locked only by threads that hold Python's lock: a process that forks meanwhile copies it unlocked.
    idle: Mutex<Vec<Session>>,
}

struct Session {
    /// The process that has started the threads; they do not exist in a process that was forked from it.
    process: u32,
    threads: ThreadPool,
    planned: Option<(Plan, Arena)>,
}

/// A run, apart from its results.
pub struct Job<'a> {
    /// The weight file.
    pub file: &'a FileBytes,
    /// The picture.
    pub image: ImageView<'a>,
    /// How it is fitted to the input.
    pub views: Views,
    /// Bytes that the caller has for the scores of several views.
    pub scores_bytes: usize,
}

impl Sessions {
    /// Sessions of `threads` threads; 0: as many as there are processors. None is started yet. A run may use `max_memory` bytes.
    pub fn new(threads: usize, isa: Isa, max_memory: usize) -> Self {
        Sessions { threads, max_memory, isa, idle: Mutex::new(Vec::new()) }
    }

    /// Checks that a run may use so much memory.
    pub fn check_memory(&self, bytes: usize) -> PyResult<()> {
        if bytes <= self.max_memory {
            return Ok(());
        }
        let limit = self.max_memory;
        let what = format!("the run needs {bytes} bytes of working memory; max_memory allows {limit}");
        Err(PyMemoryError::new_err(what))
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Runs a picture without Python's lock. An exception of a signal handler, such as `KeyboardInterrupt`, ends the run.
    pub fn run(&self, py: Python<'_>, job: &Job<'_>, output: &mut Output<'_>) -> PyResult<()> {
        let mut session = self.take()?;
        let result = py.detach(|| session.run(self, job, output));
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        result
    }

    fn take(&self) -> PyResult<Session> {
        let process = std::process::id();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.last().is_some_and(|session| session.process != process) {
            // To end threads that do not exist here could take a lock that one of them held when the process was forked.
            idle.drain(..).for_each(|Session { threads, .. }| std::mem::forget(threads));
        }
        if let Some(session) = idle.pop() {
            return Ok(session);
        }
        let threads = ThreadPool::new(self.threads)
            .map_err(|e| PyRuntimeError::new_err(format!("threads: cannot start {}: {e}", self.threads)))?;
        Ok(Session { process, threads, planned: None })
    }
}

impl Session {
    fn run(&mut self, all: &Sessions, job: &Job<'_>, output: &mut Output<'_>) -> PyResult<()> {
        let stop = AtomicBool::new(false);
        let mut interrupt = None;
        // A thread of Python sees its signals only if it does not run the engine itself.
        let result = thread::scope(|scope| {
            let (done, wait) = channel();
            let mut stop_run = Stop(&stop);
            let run = thread::Builder::new().name("beitle".into()).spawn_scoped(scope, move || {
                let result = self.run_model(all, job, output, &mut stop_run);
                // The receiver waits for it.
                let _ = done.send(());
                result
            });
            let run = run.map_err(|e| PyRuntimeError::new_err(format!("cannot start a thread: {e}")))?;
            while wait.recv_timeout(SIGNALS) == Err(RecvTimeoutError::Timeout) {
                if let Err(e) = Python::attach(|py| py.check_signals()) {
                    interrupt.get_or_insert(e);
                    stop.store(true, Ordering::Relaxed);
                }
            }
            run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        interrupt.map_or(result, Err)
    }

    fn run_model(
        &mut self,
        all: &Sessions,
        job: &Job<'_>,
        output: &mut Output<'_>,
        observer: &mut dyn Observer,
    ) -> PyResult<()> {
        // The file was checked when it was opened; this takes microseconds.
        let model = Model::new(job.file.bytes()).map_err(errors::run)?;
        let (plan, mut arena) = self.plan_for(all, &model, job)?;
        let result = Engine::new(&model, &plan, all.isa, arena.bytes_mut())
            .and_then(|mut engine| engine.run(&self.threads, &job.image, output, observer));
        self.planned = Some((plan, arena));
        result.map_err(errors::run)
    }

    /// The plan and the arena of the last run if they fit, or else new ones.
    fn plan_for(&mut self, all: &Sessions, model: &Model<'_>, job: &Job<'_>) -> PyResult<(Plan, Arena)> {
        let size = (job.image.width(), job.image.height());
        let last = self.planned.take();
        let stretched = job.views.mode() == Mode::Whole;
        let fits = |plan: &Plan| {
            let (width, height) = plan.picture();
            let fits = if stretched { size.0 <= width && size.1 <= height } else { size == (width, height) };
            fits && *plan.views() == job.views
        };
        match last {
            Some(last) if fits(&last.0) => {
                all.check_memory(last.0.bytes().saturating_add(job.scores_bytes))?;
                Ok(last)
            }
            last => {
                let plan =
                    Plan::with_views(model, self.threads.workers(), size, &job.views).map_err(errors::run)?;
                all.check_memory(plan.bytes().saturating_add(job.scores_bytes))?;
                let arena = last.map(|(_, arena)| arena).filter(|arena| arena.bytes().len() >= plan.bytes());
                let new = || Arena::new(plan.bytes()).map_err(|_| errors::memory(plan.bytes()));
                Ok((plan, arena.map_or_else(new, Ok)?))
            }
        }
    }
}

/// Stops a run when it is told to.
struct Stop<'a>(&'a AtomicBool);

impl Observer for Stop<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}
