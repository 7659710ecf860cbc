//! The trait through which the engine uses several cores, and its two implementations: the calling thread alone
//! ([`Serial`]) and a thread pool ([`ThreadPool`]).

/// Threads for the engine. Implement it to run the engine on threads of your own, such as those of an RTOS.
///
/// An implementation only calls a closure on its threads. The engine itself hands out tasks and worker ids inside that
/// closure, so that memory safety and results do not depend on the implementation: however often it calls the closure, every
/// task runs exactly once.
pub trait Parallel: Sync {
    /// The number of threads that may help. The engine asks once per run, and uses no more workers than this number; 0 counts
    /// as 1.
    fn workers(&self) -> usize;

    /// Calls `work(thread)` `calls` times, on different threads at the same time, and returns when all calls have returned. The
    /// calling thread may be one of them.
    ///
    /// `thread` should always be the same number for the same thread, from 0 to [`workers`](Parallel::workers) − 1: a thread
    /// then gets the tasks whose data it has in its caches. A call returns when no task is left. Fewer calls, even none, are
    /// slower but correct, since the calling thread completes the work; further calls return at once.
    ///
    /// An implementation with unsafe code must ensure that whatever the calls did happens before this function returns.
    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync));

    /// Runs `body` once. `body` calls [`run`](Parallel::run) many times, so this is the place to enter a thread pool.
    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        body();
    }
}

/// One worker: the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn workers(&self) -> usize {
        1
    }
    fn run(&self, _calls: usize, work: &(dyn Fn(usize) + Sync)) {
        work(0);
    }
}

/// A pool of its own threads (rayon). With one worker no thread is started: the calling thread runs all tasks. Use a pool for
/// one run at a time: runs that share it wait for one another.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct ThreadPool {
    pool: Option<rayon::ThreadPool>,
    workers: usize,
}

#[cfg(feature = "std")]
impl ThreadPool {
    /// A pool of `n` workers; 0: as many as [`available_parallelism`](std::thread::available_parallelism) reports.
    ///
    /// # Errors
    /// If the operating system cannot start the threads.
    pub fn new(n: usize) -> Result<ThreadPool, std::io::Error> {
        let workers = if n == 0 { std::thread::available_parallelism().map_or(1, |n| n.get()) } else { n };
        let pool = match workers {
            1 => None,
            n => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(n)
                    .thread_name(|i| std::format!("beitle-{i}"))
                    .build()
                    .map_err(std::io::Error::other)?,
            ),
        };
        Ok(ThreadPool { pool, workers })
    }
}

#[cfg(feature = "std")]
impl Parallel for ThreadPool {
    fn workers(&self) -> usize {
        self.workers
    }

    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        match &self.pool {
            Some(pool) if calls > 1 => pool.install(|| join_calls(0..calls, work)),
            _ => work(0),
        }
    }

    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        match &self.pool {
            Some(pool) => pool.install(body),
            None => body(),
        }
    }
}

/// Calls `work(this thread's index)` for every element of the range, as a tree of joins. A join keeps its job on the stack; a
/// scope would allocate.
#[cfg(feature = "std")]
fn join_calls(calls: core::ops::Range<usize>, work: &(dyn Fn(usize) + Sync)) {
    if calls.len() == 1 {
        return work(rayon::current_thread_index().unwrap_or(calls.start));
    }
    let middle = calls.start + calls.len() / 2;
    rayon::join(|| join_calls(calls.start..middle, work), || join_calls(middle..calls.end, work));
}
