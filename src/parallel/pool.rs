//! The trait through which the engine uses several cores, and its two implementations: the calling thread alone
//! ([`Serial`]) and a thread pool ([`ThreadPool`]).

#[cfg(feature = "std")]
use super::{cores::Cores, scheduler};

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

/// A pool of its own threads (rayon). With one worker that may use any CPU no thread is started: the calling thread runs all
/// tasks. Use a pool for one run at a time: runs that share it wait for one another.
///
/// On Linux, the workers have the shortest time slice, and each has a CPU of its own if they may use as many CPUs as there are workers.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct ThreadPool {
    pool: Option<rayon::ThreadPool>,
    cores: Option<Cores>,
}

#[cfg(feature = "std")]
impl ThreadPool {
    /// A pool of `n` workers, which may use the CPUs of the process.
    ///
    /// 0: a worker for each CPU that the process may use, at most as many as
    /// [`available_parallelism`](std::thread::available_parallelism) reports. If some of these CPUs are slow ([`Cores::fast`]), a
    /// worker for each fast one, and they run on those only.
    ///
    /// # Errors
    /// If the operating system cannot start the threads.
    pub fn new(n: usize) -> Result<ThreadPool, std::io::Error> {
        if n > 0 {
            return ThreadPool::start(n);
        }
        let available = std::thread::available_parallelism().map_or(1, |n| n.get());
        let Some(fast) = Cores::fast() else { return ThreadPool::start(available) };
        let n = available.min(fast.len());
        // A sandbox may forbid it.
        ThreadPool::pinned(n, fast).or_else(|_| ThreadPool::start(n))
    }

    /// A pool of `n` workers that run on the CPUs `cores` only; 0: a worker for each of these CPUs.
    ///
    /// # Errors
    /// [`Unsupported`](std::io::ErrorKind::Unsupported) on systems other than Linux and Android,
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a CPU that does not exist or that the process may not use, or if the
    /// operating system cannot start the threads.
    pub fn on(cores: Cores, n: usize) -> Result<ThreadPool, std::io::Error> {
        cores.check()?;
        ThreadPool::pinned(if n == 0 { cores.len() } else { n }, cores)
    }

    /// A pool whose workers may use all CPUs of the process.
    fn start(workers: usize) -> Result<ThreadPool, std::io::Error> {
        if workers <= 1 {
            return Ok(ThreadPool { pool: None, cores: None });
        }
        let pool = start_threads(workers)?;
        // A sandbox may forbid it.
        let _ = Cores::usable().and_then(|usable| place(&pool, &usable));
        Ok(ThreadPool { pool: Some(pool), cores: None })
    }

    /// A pool whose workers run on these CPUs. Even a single worker gets a thread of its own, so that the calling thread's CPUs do
    /// not change.
    fn pinned(workers: usize, cores: Cores) -> Result<ThreadPool, std::io::Error> {
        let pool = start_threads(workers)?;
        place(&pool, &cores)?;
        Ok(ThreadPool { pool: Some(pool), cores: Some(cores) })
    }

    /// The CPUs on which the workers run; `None`: all that the process may use.
    pub fn cores(&self) -> Option<&Cores> {
        self.cores.as_ref()
    }
}

/// Places the threads on these CPUs ([`Cores::pin`]). They also ask for the shortest time slice, so that none of them keeps the others
/// waiting for long.
#[cfg(feature = "std")]
fn place(pool: &rayon::ThreadPool, cores: &Cores) -> Result<(), std::io::Error> {
    let place = |thread: rayon::BroadcastContext<'_>| {
        scheduler::shorten_slice();
        cores.pin(thread.index(), thread.num_threads())
    };
    pool.broadcast(place).into_iter().collect()
}

/// Starts threads, if there is memory for all of them and some to spare.
///
/// # Errors
/// There is not, or the operating system cannot start a thread.
///
/// The process ends if even a small allocation fails, in a new thread or in this one. So memory is reserved before the first thread
/// starts: the allocator gives each thread a region of its own, as long as there is room, and would leave none for the next stack.
/// The spare part is for what the program does next, such as starting threads for files.
#[cfg(feature = "std")]
fn start_threads(n: usize) -> Result<rayon::ThreadPool, std::io::Error> {
    const STACK_BYTES: usize = 2 << 20;
    /// What a thread takes besides its stack.
    const START_BYTES: usize = 128 << 10;
    const SPARE_BYTES: usize = 16 << 20;
    let reserve = memmap2::MmapMut::map_anon;
    let spare = reserve(SPARE_BYTES)?;
    let mut reserved =
        (0..n).map(|_| reserve(STACK_BYTES + START_BYTES)).collect::<Result<std::vec::Vec<_>, _>>()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n).spawn_handler(|thread| {
        drop(reserved.pop());
        let builder = std::thread::Builder::new().name(std::format!("beitle-{}", thread.index()));
        builder.stack_size(STACK_BYTES).spawn(|| thread.run()).map(drop)
    });
    let pool = pool.build().map_err(std::io::Error::other);
    drop(spare);
    pool
}

#[cfg(feature = "std")]
impl Parallel for ThreadPool {
    fn workers(&self) -> usize {
        // Rayon starts at most 255 threads on 32-bit processors, whatever it is asked for.
        self.pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
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

#[cfg(all(test, feature = "std", any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::vec::Vec;

    /// The CPUs of each worker's thread.
    fn cores_of_workers(pool: &ThreadPool) -> Vec<Cores> {
        let seen = Mutex::new(Vec::new());
        let all_begin = std::sync::Barrier::new(pool.workers());
        pool.enter(&mut || {
            pool.run(pool.workers(), &|_| {
                all_begin.wait();
                seen.lock().unwrap().push(Cores::usable().unwrap());
            });
        });
        seen.into_inner().unwrap()
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri reports rayon's own threads as leaks")]
    fn workers_run_on_the_chosen_cores_only() {
        let usable = Cores::usable().unwrap();
        for n in [1, usable.len() + 1].into_iter().filter(|n| *n != usable.len()) {
            let pool = ThreadPool::on(usable.clone(), n).unwrap();
            assert_eq!((pool.workers(), pool.cores()), (n, Some(&usable)));
            assert_eq!(cores_of_workers(&pool), std::vec![usable.clone(); n]);
            let pool = ThreadPool::new(n).unwrap();
            assert_eq!((pool.workers(), pool.cores()), (n, None));
            assert_eq!(cores_of_workers(&pool), std::vec![usable.clone(); n]);
        }
        let first = Cores::new((0..).find(|cpu| Cores::new([*cpu]).check().is_ok()));
        let pool = ThreadPool::on(first.clone(), 0).unwrap();
        assert_eq!((pool.workers(), cores_of_workers(&pool)), (1, std::vec![first.clone()]));
        // The calling thread is not pinned.
        assert_eq!(Cores::usable().unwrap(), usable);
        assert!(ThreadPool::on(Cores::new([8191]), 1).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri reports rayon's own threads as leaks")]
    fn as_many_workers_as_cores_have_one_each() {
        let usable = Cores::usable().unwrap();
        let n = usable.len();
        let each: Vec<_> = (0..8192).map(|cpu| Cores::new([cpu])).filter(|cpu| cpu.check().is_ok()).collect();
        for pool in [ThreadPool::new(n), ThreadPool::on(usable.clone(), n), ThreadPool::on(usable.clone(), 0)]
        {
            let seen = cores_of_workers(&pool.unwrap());
            assert_eq!(seen.len(), n);
            assert!(each.iter().all(|cpu| seen.contains(cpu)), "{seen:?}");
        }
    }
}
