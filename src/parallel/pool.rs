//! The trait through which the engine uses several cores, and its two implementations: the calling thread alone
//! ([`Serial`]) and a thread pool ([`ThreadPool`]).

/// Runs numbered tasks on workers. Implement it to run the engine on threads of your own, such as those of an RTOS.
///
/// The engine's memory safety rests on the contract of [`run`](Parallel::run): a task writes only the chunk that belongs to
/// its number, and only the scratch memory that belongs to its worker. Which worker runs which task, and in what order, does
/// not change a result.
pub trait Parallel: Sync {
    /// The number of workers: at least 1, and the same for the lifetime of the value.
    fn workers(&self) -> usize;

    /// Calls `task(t, w)` exactly once for every task `t` in `0..tasks` and returns when all calls have returned.
    ///
    /// The worker id `w` is less than [`workers`](Parallel::workers), and no two calls with the same `w` overlap in time.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync));

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
    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        for t in 0..tasks {
            task(t, 0);
        }
    }
}

/// A pool of its own threads (rayon). With one worker no thread is started: the calling thread runs all tasks.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct ThreadPool {
    pool: Option<rayon::ThreadPool>,
    workers: usize,
}

#[cfg(feature = "std")]
impl ThreadPool {
    /// A pool of `n` workers; 0 means as many as the process may use.
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

/// The most queues that the tasks of one call are divided into.
#[cfg(feature = "std")]
const MAX_QUEUES: usize = 32;

#[cfg(feature = "std")]
impl Parallel for ThreadPool {
    fn workers(&self) -> usize {
        self.workers
    }

    /// Divides the tasks into one queue of consecutive tasks per worker. A thread empties its own queue, then helps with the
    /// others. The data that a thread wrote in one step is then mostly the data that it reads in the next, and stays in its
    /// core's cache.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        use core::sync::atomic::{AtomicUsize, Ordering};
        let workers = self.workers.min(tasks);
        let queues = workers.clamp(1, MAX_QUEUES);
        let end = |queue: usize| tasks * (queue + 1) / queues;
        let next: [AtomicUsize; MAX_QUEUES] =
            core::array::from_fn(|queue: usize| AtomicUsize::new(tasks * queue / queues));
        let work = |worker: usize| {
            let own = rayon::current_thread_index().unwrap_or(worker);
            for queue in (0..queues).map(|i| (own + i) % queues) {
                loop {
                    let t = next[queue].fetch_add(1, Ordering::Relaxed);
                    if t >= end(queue) {
                        break;
                    }
                    task(t, worker);
                }
            }
        };
        match &self.pool {
            Some(pool) if workers > 1 => pool.install(|| join_workers(0..workers, &work)),
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

/// Runs `work(w)` for every worker id of the range, as a tree of joins. A join keeps its job on the stack; a scope would
/// allocate.
#[cfg(feature = "std")]
fn join_workers(workers: core::ops::Range<usize>, work: &(dyn Fn(usize) + Sync)) {
    if workers.len() == 1 {
        return work(workers.start);
    }
    let middle = workers.start + workers.len() / 2;
    rayon::join(|| join_workers(workers.start..middle, work), || join_workers(middle..workers.end, work));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_task_runs_once_and_calls_of_a_worker_do_not_overlap() {
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
