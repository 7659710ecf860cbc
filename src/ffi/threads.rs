//! The caller's threads. C only says "work here, and here": which thread does which task is settled on this side, so that a
//! caller cannot get it wrong.

use super::answer::Refusal;
use super::types::Threads;
use beitle::parallel::{Parallel, Serial};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Threads that the caller brings.
pub(super) struct Callers<'a>(&'a Threads);

// SAFETY: the pointer in it is only handed back to the caller's function, from the thread that called the library.
unsafe impl Sync for Callers<'_> {}

impl<'a> Callers<'a> {
    pub fn new(threads: &'a Threads) -> Result<Self, Refusal> {
        match (threads.workers, threads.run) {
            (0, _) => Err(Refusal::Argument("threads.workers", "is 0")),
            (_, None) => Err(Refusal::Argument("threads.run", "is NULL")),
            _ => Ok(Callers(threads)),
        }
    }
}

/// The tasks of one call of [`Parallel::run`].
struct Batch<'a> {
    task: &'a (dyn Fn(usize, usize) + Sync),
    tasks: usize,
    workers: usize,
    /// The first task that nobody has taken.
    next: AtomicUsize,
    /// Calls of [`work`] so far: the number of one is its worker's.
    calls: AtomicUsize,
    /// Calls that have not returned.
    inside: AtomicUsize,
    /// Whether a task panicked.
    failed: AtomicBool,
}

impl Batch<'_> {
    fn work(&self, worker: usize) {
        let tasks = || {
            loop {
                let t = self.next.fetch_add(1, Ordering::Relaxed);
                if t >= self.tasks {
                    return;
                }
                (self.task)(t, worker);
            }
        };
        #[cfg(feature = "std")]
        if std::panic::catch_unwind(core::panic::AssertUnwindSafe(tasks)).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        #[cfg(not(feature = "std"))]
        tasks();
    }
}

/// What the caller's threads call. More calls than workers do no harm, fewer neither.
///
/// # Safety
/// `argument` is what `run` was given, and `run` has not returned.
unsafe extern "C" fn work(argument: *mut c_void) {
    if argument.is_null() {
        return;
    }
    // SAFETY: the caller's promise; a `Batch` is only read and its counters are atomic.
    let batch = unsafe { &*argument.cast_const().cast::<Batch>() };
    batch.inside.fetch_add(1, Ordering::Relaxed);
    let worker = batch.calls.fetch_add(1, Ordering::Relaxed);
    if worker < batch.workers {
        batch.work(worker);
    }
    batch.inside.fetch_sub(1, Ordering::Release);
}

impl Parallel for Callers<'_> {
    fn workers(&self) -> usize {
        self.0.workers
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let Some(run) = self.0.run.filter(|_| self.0.workers > 1 && tasks > 1) else {
            return Serial.run(tasks, task);
        };
        let batch = Batch {
            task,
            tasks,
            workers: self.0.workers,
            next: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        };
        // SAFETY: the function and its context are the caller's; `batch` lives until after the call.
        unsafe { run(self.0.context, work, (&raw const batch).cast_mut().cast()) };
        // A caller that came back too early, or never called `work`, loses time but breaks nothing.
        while batch.inside.load(Ordering::Acquire) != 0 {
            core::hint::spin_loop();
        }
        batch.work(0);
        assert!(!batch.failed.load(Ordering::Relaxed), "a task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Work;

    unsafe extern "C" fn never(_: *mut c_void, _: Work, _: *mut c_void) {}

    unsafe extern "C" fn too_often(_: *mut c_void, work: Work, argument: *mut c_void) {
        let argument = argument.expose_provenance();
        std::thread::scope(|s| {
            for _ in 0..5 {
                // SAFETY: the library's own pair, while it waits.
                s.spawn(move || unsafe { work(core::ptr::with_exposed_provenance_mut(argument)) });
            }
        });
        // SAFETY: a null argument is allowed.
        unsafe { work(core::ptr::null_mut()) };
    }

    #[test]
    fn whatever_the_caller_does_every_task_runs_once() {
        for run in [never as unsafe extern "C" fn(_, _, _), too_often] {
            for (workers, tasks) in [(1, 5), (2, 0), (2, 1), (2, 100), (3, 2)] {
                let threads = Threads { workers, run: Some(run), context: core::ptr::null_mut() };
                let seen: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                let busy: Vec<_> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
                Callers::new(&threads).ok().unwrap().run(tasks, &|t, w| {
                    assert_eq!(busy[w].fetch_add(1, Ordering::SeqCst), 0);
                    seen[t].fetch_add(1, Ordering::SeqCst);
                    busy[w].fetch_sub(1, Ordering::SeqCst);
                });
                assert!(seen.iter().all(|n| n.load(Ordering::SeqCst) == 1));
            }
        }
    }

    #[test]
    #[cfg(feature = "std")]
    fn a_panic_of_a_task_stays_on_this_side() {
        let threads = Threads { workers: 2, run: Some(too_often), context: core::ptr::null_mut() };
        let run = || Callers::new(&threads).ok().unwrap().run(9, &|t, _| assert_ne!(t, 3, "meant to fail"));
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
