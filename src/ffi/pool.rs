//! The caller's threads. C only starts calls of [`worker`]; the tasks are distributed here, so that a caller cannot run one
//! twice or leave one out.

use crate::status::CallError;
use crate::types::CThreadPool;
use beitle::parallel::{Parallel, Serial};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The caller's thread pool as a [`Parallel`].
pub(crate) struct CallerThreads<'a>(&'a CThreadPool);

// SAFETY: `CThreadPool` is not `Sync` because of its pointer `context`. It is used in `run` only, which the engine calls on
// the thread that called `beitle_run`, and passed to the caller's own function.
unsafe impl Sync for CallerThreads<'_> {}

impl<'a> CallerThreads<'a> {
    pub fn new(pool: &'a CThreadPool) -> Result<Self, CallError> {
        match (pool.workers, pool.run) {
            (0, _) => Err(CallError::Argument("params.thread_pool.workers", "is 0")),
            (_, None) => Err(CallError::Argument("params.thread_pool.run", "is NULL")),
            _ => Ok(CallerThreads(pool)),
        }
    }
}

/// One parallel step: the state that its workers share.
struct Step<'a> {
    task: &'a (dyn Fn(usize, usize) + Sync),
    tasks: usize,
    workers: usize,
    /// The first task that no worker has taken.
    next_task: AtomicUsize,
    /// Calls of [`worker`] so far. Each call takes the next number as its worker id.
    calls: AtomicUsize,
    /// Calls of [`worker`] that have not returned.
    active: AtomicUsize,
    /// Whether a task panicked.
    panicked: AtomicBool,
}

impl Step<'_> {
    /// Runs tasks until none is left. A panic is recorded: it must not unwind into the caller's threads.
    fn run_tasks(&self, worker_id: usize) {
        let tasks = || {
            loop {
                let t = self.next_task.fetch_add(1, Ordering::Relaxed);
                if t >= self.tasks {
                    return;
                }
                (self.task)(t, worker_id);
            }
        };
        #[cfg(feature = "std")]
        if std::panic::catch_unwind(core::panic::AssertUnwindSafe(tasks)).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        #[cfg(not(feature = "std"))]
        tasks();
    }
}

/// The function that the caller's threads call. Calls beyond the number of workers return at once.
///
/// # Safety
/// `argument` is null, or the argument that `CThreadPool::run` was called with, and that call has not returned.
unsafe extern "C" fn worker(argument: *mut c_void) {
    if argument.is_null() {
        return;
    }
    // SAFETY: the argument points to the `Step` of `CallerThreads::run`, which is alive until the caller's function has
    // returned and `active` is 0. It is only read, and its counters are atomic.
    let step = unsafe { &*argument.cast_const().cast::<Step>() };
    step.active.fetch_add(1, Ordering::Relaxed);
    let worker_id = step.calls.fetch_add(1, Ordering::Relaxed);
    if worker_id < step.workers {
        step.run_tasks(worker_id);
    }
    step.active.fetch_sub(1, Ordering::Release);
}

impl Parallel for CallerThreads<'_> {
    fn workers(&self) -> usize {
        self.0.workers
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let Some(run) = self.0.run.filter(|_| self.0.workers > 1 && tasks > 1) else {
            return Serial.run(tasks, task);
        };
        let step = Step {
            task,
            tasks,
            workers: self.0.workers,
            next_task: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        };
        // SAFETY: `include/beitle.h` requires a function that accepts `context`. `step` outlives the call and every call of
        // `worker` that it made.
        unsafe { run(self.0.context, worker, (&raw const step).cast_mut().cast()) };
        // If the function returned while worker calls were active, wait for them before `step` goes away.
        while step.active.load(Ordering::Acquire) != 0 {
            core::hint::spin_loop();
        }
        // No worker is active: this thread may take any worker id for the tasks that are left.
        step.run_tasks(0);
        assert!(!step.panicked.load(Ordering::Relaxed), "a task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::WorkerFn;

    unsafe extern "C" fn call_nothing(_: *mut c_void, _: WorkerFn, _: *mut c_void) {}

    unsafe extern "C" fn call_too_often(_: *mut c_void, worker: WorkerFn, argument: *mut c_void) {
        let argument = argument.expose_provenance();
        std::thread::scope(|s| {
            for _ in 0..5 {
                // SAFETY: the scope ends, and with it all calls, before this function returns.
                s.spawn(move || unsafe { worker(core::ptr::with_exposed_provenance_mut(argument)) });
            }
        });
        // SAFETY: the argument may be null.
        unsafe { worker(core::ptr::null_mut()) };
    }

    #[test]
    fn every_task_runs_once_for_any_number_of_worker_calls() {
        for run in [call_nothing as unsafe extern "C" fn(_, _, _), call_too_often] {
            for (workers, tasks) in [(1, 5), (2, 0), (2, 1), (2, 100), (3, 2)] {
                let pool = CThreadPool { workers, run: Some(run), context: core::ptr::null_mut() };
                let seen: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                let busy: Vec<_> = (0..workers).map(|_| AtomicUsize::new(0)).collect();
                CallerThreads::new(&pool).ok().unwrap().run(tasks, &|t, w| {
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
    fn a_panic_in_a_task_reaches_the_calling_thread_only() {
        let pool = CThreadPool { workers: 2, run: Some(call_too_often), context: core::ptr::null_mut() };
        let run = || CallerThreads::new(&pool).ok().unwrap().run(9, &|t, _| assert_ne!(t, 3, "on purpose"));
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
