//! Runs of the engine without Python's lock. A session has what one run at a time needs: threads, a plan and an arena. Concurrent calls
//! take one each, and return it for later calls.

use crate::errors;
use beitle::engine::{Engine, Output};
use beitle::image::ImageView;
use beitle::memory::{Arena, FileBytes};
use beitle::observe::{Observer, Stage};
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::views::Views;
use beitle::{Isa, Model};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The time between two looks at Python's signals.
pub const SIGNALS: Duration = Duration::from_millis(50);

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
    /// One thread, which calls the engine while the calling thread of Python looks at signals.
    runner: rayon::ThreadPool,
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
    /// No sessions yet; each will have `threads` threads (0: as many as there are fast processors). A run may use `max_memory` bytes.
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
            idle.drain(..).for_each(|Session { runner, threads, .. }| std::mem::forget((runner, threads)));
        }
        if let Some(session) = idle.pop() {
            return Ok(session);
        }
        let runner = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "beitle".into());
        let runner = runner.build().map_err(|e| errors::threads(&e))?;
        let threads = ThreadPool::new(self.threads).map_err(|e| errors::threads(&e))?;
        Ok(Session { process, runner, threads, planned: None })
    }
}

impl Session {
    fn run(&mut self, all: &Sessions, job: &Job<'_>, output: &mut Output<'_>) -> PyResult<()> {
        let Session { runner, threads, planned, .. } = self;
        let stop = AtomicBool::new(false);
        let (mut result, mut interrupt) = (Ok(()), None);
        // Python's signal handlers run on this thread, which therefore does not run the engine itself.
        runner.in_place_scope(|scope| {
            let (done, wait) = channel();
            let result = &mut result;
            let mut stop_run = Stop(&stop);
            scope.spawn(move |_| {
                *result = run_model(all, threads, planned, job, output, &mut stop_run);
                // The receiver waits for it.
                let _ = done.send(());
            });
            // Until it is done, or has panicked, which the scope passes on.
            while wait.recv_timeout(SIGNALS) == Err(RecvTimeoutError::Timeout) {
                if let Err(e) = Python::attach(|py| py.check_signals()) {
                    interrupt.get_or_insert(e);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        interrupt.map_or(result, Err)
    }
}

/// Runs a picture. The plan and the arena are kept for the next one.
fn run_model(
    all: &Sessions,
    threads: &ThreadPool,
    planned: &mut Option<(Plan, Arena)>,
    job: &Job<'_>,
    output: &mut Output<'_>,
    observer: &mut dyn Observer,
) -> PyResult<()> {
    // The file was checked when it was opened; this takes microseconds.
    let model = Model::new(job.file.bytes()).map_err(errors::run)?;
    let (plan, mut arena) = plan_for(all, &model, threads.workers(), planned.take(), job)?;
    let result = Engine::new(&model, &plan, all.isa, arena.bytes_mut())
        .and_then(|mut engine| engine.run(threads, &job.image, output, observer));
    *planned = Some((plan, arena));
    result.map_err(errors::run)
}

/// The plan and the arena of the last run if they fit, or else new ones.
fn plan_for(
    all: &Sessions,
    model: &Model<'_>,
    workers: usize,
    last: Option<(Plan, Arena)>,
    job: &Job<'_>,
) -> PyResult<(Plan, Arena)> {
    let size = (job.image.width(), job.image.height());
    let fits = |plan: &Plan| plan.fits(size) && *plan.views() == job.views;
    let check = |plan: &Plan| all.check_memory(plan.bytes().saturating_add(job.scores_bytes));
    let last = match last {
        Some(last) if fits(&last.0) => return check(&last.0).map(|()| last),
        last => last,
    };
    let plan = Plan::with_views(model, workers, size, &job.views).map_err(errors::run)?;
    check(&plan)?;
    let arena = last.map(|(_, arena)| arena).filter(|arena| arena.bytes().len() >= plan.bytes());
    let new = || Arena::new(plan.bytes()).map_err(|_| errors::memory(plan.bytes()));
    Ok((plan, arena.map_or_else(new, Ok)?))
}

/// Stops a run when it is told to.
struct Stop<'a>(&'a AtomicBool);

impl Observer for Stop<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}
