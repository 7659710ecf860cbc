//! How the engine uses several cores: one small trait, so that an RTOS can bring its own threads.

/// Runs numbered tasks on workers. Which worker runs which task never changes a result.
pub trait Parallel: Sync {
    /// How many workers there are, at least 1.
    fn workers(&self) -> usize;

    /// Calls `task(t, w)` once for every `t` in `0..tasks`, with `w < self.workers()` and never two calls with the same
    /// `w` at a time, and returns when all have finished.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync));

    /// Runs `body`, which calls [`run`](Parallel::run) many times: a place to enter a thread pool once.
    fn enter(&self, body: &mut (dyn FnMut() + Send)) {
        body();
    }
}

/// One worker: the caller itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn workers(&self) -> usize {
        1
    }
    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        for t in 0..tasks {
            task(t, 0);
        }
    }
}

/// A pool of threads of its own (rayon); with one thread there is no pool and the caller does the work.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct ThreadPool {
    pool: Option<rayon::ThreadPool>,
    workers: usize,
}

#[cfg(feature = "std")]
impl ThreadPool {
    /// A pool of exactly `n` threads (0: as many as the process may use).
    ///
    /// # Errors
    /// The operating system gives no threads.
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

/// Shares of a step's tasks: as many as workers, at most so many.
#[cfg(feature = "std")]
const SHARES: usize = 32;

#[cfg(feature = "std")]
impl Parallel for ThreadPool {
    fn workers(&self) -> usize {
        self.workers
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        use core::sync::atomic::{AtomicUsize, Ordering};
        let workers = self.workers.min(tasks);
        // Each thread begins with a share of its own, the same of as many tasks, and then helps others: what it has written in one
        // step it reads in the next, and lines of its cache need not come from another core's.
        let shares = workers.clamp(1, SHARES);
        let end = |share: usize| tasks * (share + 1) / shares;
        let next: [AtomicUsize; SHARES] =
            core::array::from_fn(|share: usize| AtomicUsize::new(tasks * share / shares));
        let work = |worker: usize| {
            let own = rayon::current_thread_index().unwrap_or(worker);
            for share in (0..shares).map(|i| (own + i) % shares) {
                loop {
                    let t = next[share].fetch_add(1, Ordering::Relaxed);
                    if t >= end(share) {
                        break;
                    }
                    task(t, worker);
                }
            }
        };
        // A tree of joins rather than a scope: joins keep their jobs on the stack, nothing is allocated.
        fn tree(workers: core::ops::Range<usize>, work: &(dyn Fn(usize) + Sync)) {
            if workers.len() == 1 {
                return work(workers.start);
            }
            let middle = workers.start + workers.len() / 2;
            rayon::join(|| tree(workers.start..middle, work), || tree(middle..workers.end, work));
        }
        match &self.pool {
            Some(pool) if workers > 1 => pool.install(|| tree(0..workers, &work)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_task_runs_once_and_no_worker_twice_at_a_time() {
        for threads in 1..5 {
            let pool = ThreadPool::new(threads).unwrap();
            assert_eq!(pool.workers(), threads);
            for tasks in [0, 1, 2, 7, 100] {
                let seen: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                let busy: Vec<_> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|t, w| {
                    assert_eq!(busy[w].fetch_add(1, Ordering::SeqCst), 0);
                    seen[t].fetch_add(1, Ordering::SeqCst);
                    busy[w].fetch_sub(1, Ordering::SeqCst);
                });
                assert!(seen.iter().all(|n| n.load(Ordering::SeqCst) == 1));
            }
        }
    }
}
