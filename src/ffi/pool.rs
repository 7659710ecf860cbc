//! The caller's threads as a [`Parallel`]. C only starts calls of [`worker`].
//!
//! A caller may call `worker` after its `run` function has returned, from threads that are still on their way. The argument of
//! `worker` is therefore not a pointer, but the number of an entry in a table of this library and the entry's generation. A
//! late call finds the entry closed or in another generation, and returns. Generations wrap: a call that is late by a million
//! steps may find its own again, and then helps with a step that has just begun, which is harmless.

use crate::status::CallError;
use crate::types::CThreadPool;
use beitle::parallel::Parallel;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The caller's thread pool as a [`Parallel`].
pub(crate) struct CallerThreads<'a>(&'a CThreadPool);

// SAFETY: `CThreadPool` is not `Sync` because of its pointer `context`. The pointer is read in `run` only, which the engine calls
// on the thread that called `beitle_run`, and passed to the caller's own function.
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

/// The closure of a parallel step, without its lifetime.
type Work = *const (dyn Fn(usize) + Sync);

/// A parallel step in progress.
struct Entry {
    /// Whether a step uses the entry.
    taken: AtomicBool,
    /// The generation, whether the entry is open, and the number of active calls: see [`OPEN`].
    state: AtomicUsize,
    /// Written while the entry is taken and closed, read by calls that are active.
    work: UnsafeCell<Option<Work>>,
    /// Calls of [`worker`] so far in this generation. Each takes the next number as its thread number.
    calls: AtomicUsize,
    /// Whether a task panicked.
    panicked: AtomicBool,
}

/// Bit of [`Entry::state`]: calls may become active. The bits below count the active calls, those above are the generation.
const OPEN: usize = 1 << 11;
/// The generation's lowest bit in [`Entry::state`] and in the argument of [`worker`]. The argument's bits below hold the
/// entry's number, counted from 1 so that an argument is never null.
const GENERATION: usize = OPEN << 1;

/// While all entries are taken, further steps run on their calling thread alone.
static TABLE: [Entry; 16] = [const { Entry::new() }; 16];

// SAFETY: `work` is the only field that is not atomic. It is written by the step that has taken the entry, while the entry is
// closed and no call is active, and read by active calls. A call becomes active by an acquire operation on `state` that sees it
// open, which the writer stored with release ordering; it stops being active with release ordering, and `close` acquires.
unsafe impl Sync for Entry {}

impl Entry {
    const fn new() -> Self {
        Entry {
            taken: AtomicBool::new(false),
            state: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            calls: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        }
    }

    /// Makes a call active, unless the entry is closed, is in another generation, or has as many active calls as it can count.
    fn enter(&self, generation: usize) -> bool {
        let may_enter =
            |s: usize| s & !(GENERATION - 1) == generation && s & OPEN != 0 && s & (OPEN - 1) < OPEN - 1;
        let add = |s: usize| may_enter(s).then_some(s + 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, add).is_ok()
    }

    /// One call of [`worker`] in a generation. A panic is recorded: it must not unwind into the caller's threads.
    fn call(&self, generation: usize) {
        if !self.enter(generation) {
            return;
        }
        let thread = self.calls.fetch_add(1, Ordering::Relaxed);
        // SAFETY: this call is active, so `work` is not written to, and it points to a closure that exists until `close` has
        // returned, which waits for this call.
        if let Some(work) = unsafe { *self.work.get() } {
            // SAFETY: as above; the closure is `Sync`.
            let work = || unsafe { (*work)(thread) };
            #[cfg(feature = "std")]
            if std::panic::catch_unwind(core::panic::AssertUnwindSafe(work)).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            #[cfg(not(feature = "std"))]
            work();
        }
        self.state.fetch_sub(1, Ordering::Release);
    }

    /// Opens the entry for calls in a new generation, which is returned. The caller has taken the entry, and keeps `work` alive
    /// until [`close`](Entry::close) has returned.
    fn open(&self, work: Work) -> usize {
        let generation = (self.state.load(Ordering::Relaxed) & !(GENERATION - 1)).wrapping_add(GENERATION);
        self.calls.store(0, Ordering::Relaxed);
        self.panicked.store(false, Ordering::Relaxed);
        // SAFETY: the entry is taken by this step and closed, so nothing else accesses `work`.
        unsafe { *self.work.get() = Some(work) };
        self.state.store(generation | OPEN, Ordering::Release);
        generation
    }

    /// Closes the entry and waits for the active calls.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::Relaxed);
        while self.state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            core::hint::spin_loop();
        }
    }
}

/// The function that the caller's threads call, with the argument that `CThreadPool::run` got. With any other argument, or too
/// late, it does nothing.
extern "C" fn worker(argument: *mut c_void) {
    let argument = argument.addr();
    let entry = (argument & (GENERATION - 1)).checked_sub(1).and_then(|i| TABLE.get(i));
    if let Some(entry) = entry {
        entry.call(argument & !(GENERATION - 1));
    }
}

impl Parallel for CallerThreads<'_> {
    fn workers(&self) -> usize {
        self.0.workers
    }

    fn run(&self, _calls: usize, work: &(dyn Fn(usize) + Sync)) {
        let Some(run) = self.0.run else { return };
        let free = |entry: &Entry| !entry.taken.swap(true, Ordering::Acquire);
        let Some(index) = TABLE.iter().position(free) else { return };
        let entry = &TABLE[index];
        // SAFETY: the cast removes the lifetime only; `close` below ends all uses of the closure.
        let generation = entry.open(unsafe { core::mem::transmute::<&(dyn Fn(usize) + Sync), Work>(work) });
        let argument = core::ptr::without_provenance_mut(generation | (index + 1));
        // SAFETY: `include/beitle.h` requires a function that accepts `context` and does not unwind.
        unsafe { run(self.0.context, worker, argument) };
        entry.close();
        let panicked = entry.panicked.load(Ordering::Relaxed);
        entry.taken.store(false, Ordering::Release);
        assert!(!panicked, "a task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::WorkerFn;
    use std::sync::Mutex;

    unsafe extern "C" fn call_nothing(_: *mut c_void, _: WorkerFn, _: *mut c_void) {}

    unsafe extern "C" fn call_too_often(_: *mut c_void, worker: WorkerFn, argument: *mut c_void) {
        let argument = argument.addr();
        std::thread::scope(|s| {
            for _ in 0..5 {
                // SAFETY: `worker` accepts any argument.
                s.spawn(move || unsafe { worker(core::ptr::without_provenance_mut(argument)) });
            }
        });
        // SAFETY: as above.
        unsafe { worker(core::ptr::null_mut()) };
    }

    /// Threads that call `worker` while, and after, the function that got it returns.
    static LATE: Mutex<Vec<std::thread::JoinHandle<()>>> = Mutex::new(Vec::new());

    unsafe extern "C" fn call_late(_: *mut c_void, worker: WorkerFn, argument: *mut c_void) {
        let argument = argument.addr();
        let late = move || {
            for _ in 0..if cfg!(miri) { 5 } else { 200 } {
                // SAFETY: `worker` accepts any argument.
                unsafe { worker(core::ptr::without_provenance_mut(argument)) };
                std::thread::yield_now();
            }
        };
        LATE.lock().unwrap().push(std::thread::spawn(late));
    }

    fn pool(workers: usize, run: unsafe extern "C" fn(*mut c_void, WorkerFn, *mut c_void)) -> CThreadPool {
        CThreadPool { workers, run: Some(run), context: core::ptr::null_mut() }
    }

    #[test]
    fn calls_never_outlive_the_step() {
        for run in [call_nothing as unsafe extern "C" fn(_, _, _), call_too_often, call_late] {
            for _ in 0..if cfg!(miri) { 2 } else { 50 } {
                // Memory of this step only: a call that came too late would use it after it is gone.
                let active = Box::new(AtomicUsize::new(0));
                CallerThreads::new(&pool(2, run)).ok().unwrap().run(2, &|thread| {
                    assert!(thread < 1000);
                    active.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    active.fetch_sub(1, Ordering::SeqCst);
                });
                assert_eq!(active.load(Ordering::SeqCst), 0);
            }
        }
        LATE.lock().unwrap().drain(..).for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn any_argument_is_accepted() {
        for argument in [0, 1, 2, 16, 17, OPEN, GENERATION | 1, usize::MAX] {
            worker(core::ptr::without_provenance_mut(argument));
        }
    }

    #[test]
    #[cfg(feature = "std")]
    fn a_panic_in_a_task_reaches_the_calling_thread_only() {
        let pool = pool(2, call_too_often);
        let run = || CallerThreads::new(&pool).ok().unwrap().run(2, &|_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
