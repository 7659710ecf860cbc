//! Tasks and worker ids, handed out to the calls that a [`Parallel`] makes.
//!
//! The tasks of a step are divided into queues, one per worker: a queue has a range of consecutive tasks of each loop. A worker
//! empties its own queue, then helps with the others. The data that a thread wrote in one step is then mostly the data that it
//! reads in the next, and stays in its core's cache; and a core that is slower than the others runs fewer tasks. All counters are
//! atomic and belong to the step, so that a task is claimed once and a worker id is given once, whatever the implementation of
//! [`Parallel`] does.

use super::pool::{Parallel, Serial};

/// The threads of a run.
#[derive(Clone, Copy)]
pub(crate) struct Workers<'a> {
    par: &'a dyn Parallel,
    /// [`Parallel::workers`], asked once: scratch memory is divided by it.
    count: usize,
}

impl<'a> Workers<'a> {
    pub fn new(par: &'a dyn Parallel) -> Self {
        // Without atomics the tasks cannot be shared.
        let count = if cfg!(target_has_atomic = "ptr") { par.workers().max(1) } else { 1 };
        Workers { par, count }
    }

    /// The calling thread alone: for the operators inside a task.
    pub fn alone() -> Workers<'static> {
        Workers { par: &Serial, count: 1 }
    }

    /// The number of workers: at least 1.
    pub fn count(self) -> usize {
        self.count
    }

    /// Calls `task(t, w)` exactly once for every task `t` in `0..tasks` and returns when all calls have returned.
    ///
    /// The worker id `w` is less than [`count`](Workers::count), and no two calls with the same `w` overlap in time.
    pub fn run(self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        self.run_all(&[Loop { count: tasks, run: task }]);
    }

    /// Runs several loops as one step: the tasks of all of them, in any order and at the same time. Each worker begins with the
    /// first loops, so they should be those with the longest tasks: short ones at the end let all workers finish together.
    ///
    /// Every task runs once, and no two tasks with the same worker id overlap in time, whichever loops they belong to.
    pub fn run_all(self, loops: &[Loop]) {
        #[cfg(target_has_atomic = "ptr")]
        {
            let tasks = loops.iter().map(|l| l.count).sum();
            if self.count.min(tasks) > 1 {
                return shared::run(self.par, self.count.min(tasks), loops);
            }
        }
        for l in loops {
            (0..l.count).for_each(|t| (l.run)(t, 0));
        }
    }
}

/// Independent tasks, to be run once as a loop of a step ([`Workers::run_all`]).
pub(crate) struct Tasks<F> {
    count: usize,
    run: F,
}

impl<F: Fn(usize, usize) + Sync> Tasks<F> {
    /// `count` tasks; `run(task, worker)` runs one.
    ///
    /// # Safety
    /// Calls of `run` may overlap in time, as long as no two of them have the same task or the same worker.
    pub unsafe fn new(count: usize, run: F) -> Self {
        Tasks { count, run }
    }

    /// The loop over all tasks. As it borrows them exclusively, no other loop runs them at the same time.
    pub fn as_loop(&mut self) -> Loop<'_> {
        Loop { count: self.count, run: &self.run }
    }
}

/// A loop over [`Tasks`].
pub(crate) struct Loop<'a> {
    count: usize,
    run: &'a (dyn Fn(usize, usize) + Sync),
}

impl Loop<'_> {
    /// No task.
    pub const NONE: Self = Loop { count: 0, run: &|_, _| {} };
}

#[cfg(target_has_atomic = "ptr")]
mod shared {
    use super::{Loop, Parallel};
    use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// The most queues that the tasks of one step are divided into. Further workers own no queue.
    const MAX_QUEUES: usize = 32;

    /// A range of consecutive tasks of each loop, one loop after another. It belongs to the worker whose id is the queue's index.
    struct Queue {
        /// How many of its tasks were claimed; it goes on beyond their number.
        claimed: AtomicUsize,
        /// Whether a call has this worker id.
        owned: AtomicBool,
    }

    /// The tasks of one step.
    struct Step<'a> {
        loops: &'a [Loop<'a>],
        workers: usize,
        queues: [Queue; MAX_QUEUES],
        /// Worker ids given out above those of the queues.
        others: AtomicUsize,
        /// Calls that have not returned. A call that panics is never subtracted.
        unfinished: AtomicUsize,
    }

    impl Step<'_> {
        /// The number of queues in use.
        fn queue_count(&self) -> usize {
            self.workers.min(MAX_QUEUES)
        }

        /// Task `i` of a queue, as its loop and its number there; `None` after the last one.
        fn task(&self, queue: usize, mut i: usize) -> Option<(&Loop<'_>, usize)> {
            for l in self.loops {
                let [start, end] = [queue, queue + 1].map(|queue| l.count * queue / self.queue_count());
                if i < end - start {
                    return Some((l, start + i));
                }
                i -= end - start;
            }
            None
        }

        /// A worker id that no other call of this step has; `None` after as many calls as workers. It is `thread`, if possible.
        fn claim_worker(&self, thread: usize) -> Option<usize> {
            let count = self.queue_count();
            for worker in (thread..thread + count).map(|i| i % count) {
                // Only atomicity matters here: what tasks write is published by the return of `Parallel::run`.
                if !self.queues[worker].owned.swap(true, Ordering::Relaxed) {
                    return Some(worker);
                }
            }
            // Read first, so that the counter cannot wrap however many calls there are.
            if count + self.others.load(Ordering::Relaxed) >= self.workers {
                return None;
            }
            let id = count + self.others.fetch_add(1, Ordering::Relaxed);
            (id < self.workers).then_some(id)
        }

        /// Runs tasks until none is left, those of the worker's own queue first.
        fn work(&self, worker: usize) {
            let count = self.queue_count();
            for queue in (worker..worker + count).map(|i| i % count) {
                let claim = || self.task(queue, self.queues[queue].claimed.fetch_add(1, Ordering::Relaxed));
                while let Some((l, t)) = claim() {
                    (l.run)(t, worker);
                }
            }
        }
    }

    /// [`Workers::run_all`](super::Workers::run_all) for at least two workers.
    pub(super) fn run(par: &dyn Parallel, workers: usize, loops: &[Loop]) {
        let queues =
            [const { Queue { claimed: AtomicUsize::new(0), owned: AtomicBool::new(false) } }; MAX_QUEUES];
        let (others, unfinished) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let step = &Step { loops, workers, queues, others, unfinished };
        par.run(workers, &|thread| {
            if let Some(worker) = step.claim_worker(thread % workers) {
                step.unfinished.fetch_add(1, Ordering::Relaxed);
                step.work(worker);
                step.unfinished.fetch_sub(1, Ordering::Relaxed);
            }
        });
        // An implementation that has swallowed a panic must not make an incomplete step look complete.
        assert!(step.unfinished.load(Ordering::Relaxed) == 0, "a task panicked");
        // The calls borrowed `step` and have returned: every id is free again for the tasks that no call has claimed.
        step.work(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "std")]
    use crate::parallel::pool::ThreadPool;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::vec::Vec;

    /// Makes `calls` calls at the same time, whatever the engine asks for, all with the same thread number.
    struct Careless {
        workers: usize,
        calls: usize,
    }

    impl Parallel for Careless {
        fn workers(&self) -> usize {
            self.workers
        }
        fn run(&self, _: usize, work: &(dyn Fn(usize) + Sync)) {
            std::thread::scope(|s| {
                for _ in 0..self.calls {
                    s.spawn(|| work(usize::MAX));
                }
            });
        }
    }

    fn check(par: &dyn Parallel) {
        let workers = Workers::new(par);
        for tasks in [0, 1, 2, 7, 100] {
            let seen: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            let busy: Vec<_> = (0..workers.count()).map(|_| AtomicUsize::new(0)).collect();
            workers.run(tasks, &|t, w| {
                assert_eq!(busy[w].fetch_add(1, Ordering::SeqCst), 0);
                seen[t].fetch_add(1, Ordering::SeqCst);
                busy[w].fetch_sub(1, Ordering::SeqCst);
            });
            assert!(seen.iter().all(|n| n.load(Ordering::SeqCst) == 1));
        }
        check_together(workers);
    }

    /// Several loops as one step: every task of each runs once, and a worker runs one task at a time.
    fn check_together(workers: Workers) {
        let counts = [3, 0, 20, 1];
        let busy: Vec<_> = (0..workers.count()).map(|_| AtomicUsize::new(0)).collect();
        let seen = counts.map(|count| (0..count).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
        let mut tasks = [0, 1, 2, 3].map(|i| {
            let (seen, busy) = (&seen[i], &busy);
            let run = move |t: usize, w: usize| {
                assert_eq!(busy[w].fetch_add(1, Ordering::SeqCst), 0);
                seen[t].fetch_add(1, Ordering::SeqCst);
                busy[w].fetch_sub(1, Ordering::SeqCst);
            };
            // SAFETY: atomic counters.
            unsafe { Tasks::new(counts[i], run) }
        });
        workers.run_all(&tasks.each_mut().map(|tasks| tasks.as_loop()));
        assert!(seen.iter().flatten().all(|n| n.load(Ordering::SeqCst) == 1));
    }

    /// Two workers in simulated time: a task of `costs[w]` ends on worker w only when the other worker's clock has got as far.
    /// Returns the number of tasks of each, and the time at which the last task ended.
    fn simulate(costs: [usize; 2], loops: [usize; 2]) -> ([usize; 2], usize) {
        #[derive(Default)]
        struct Time {
            clocks: [usize; 2],
            tasks: [usize; 2],
        }
        let (time, advanced) = (Mutex::new(Time::default()), Condvar::new());
        let total: usize = loops.iter().sum();
        let run = |_: usize, w: usize| {
            let mut now = time.lock().unwrap();
            now.clocks[w] += costs[w];
            now.tasks[w] += 1;
            advanced.notify_all();
            // After the last task the other worker's clock may stand still.
            let waits =
                |now: &mut Time| now.tasks.iter().sum::<usize>() < total && now.clocks[w] > now.clocks[1 - w];
            drop(advanced.wait_while(now, waits).unwrap());
        };
        let loops = loops.map(|count| Loop { count, run: &run });
        Workers::new(&Careless { workers: 2, calls: 2 }).run_all(&loops);
        let now = time.into_inner().unwrap();
        (now.tasks, now.clocks.into_iter().max().unwrap())
    }

    #[test]
    fn a_core_that_is_three_times_slower_runs_a_quarter_of_the_tasks() {
        for loops in [[40, 0], [12, 28], [7, 33]] {
            for costs in [[1, 3], [3, 1]] {
                let (tasks, end) = simulate(costs, loops);
                let slow = if costs[0] > costs[1] { 0 } else { 1 };
                assert!((9..=11).contains(&tasks[slow]), "{tasks:?} of {loops:?}");
                assert_eq!(tasks[0] + tasks[1], 40);
                // 30 is ideal; the slow core's last task may begin up to just before.
                assert!(end <= 33, "{end}");
            }
            let (tasks, end) = simulate([1, 1], loops);
            assert!(tasks[0].abs_diff(20) <= 1 && end <= 21, "{tasks:?} {end}");
        }
    }

    #[test]
    #[cfg(feature = "std")]
    #[cfg_attr(miri, ignore = "Miri reports rayon's own threads as leaks")]
    fn every_task_runs_once_in_a_thread_pool() {
        check(&Serial);
        for threads in 1..5 {
            check(&ThreadPool::new(threads).unwrap());
        }
    }

    /// Swallows panics.
    struct Swallows;

    impl Parallel for Swallows {
        fn workers(&self) -> usize {
            2
        }
        fn run(&self, _: usize, work: &(dyn Fn(usize) + Sync)) {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(0)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "printing the panic takes minutes")]
    #[should_panic(expected = "a task panicked")]
    fn a_swallowed_panic_is_raised_again() {
        Workers::new(&Swallows).run(5, &|t, _| assert_ne!(t, 1, "this test panics on purpose"));
    }

    #[test]
    fn no_implementation_can_run_a_task_twice_or_share_a_worker_id() {
        let (workers, calls) =
            if cfg!(miri) { (&[3][..], &[0, 5][..]) } else { (&[0, 1, 2, 3, 40][..], &[0, 1, 2, 5, 50][..]) };
        for &workers in workers {
            for &calls in calls {
                check(&Careless { workers, calls });
            }
        }
    }
}
