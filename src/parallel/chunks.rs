//! Loops over chunks of slices: each task receives its own chunk as `&mut`, so most operators need no `unsafe`.
//!
//! In: slices and a chunk size. Out: calls `each(i, chunk i of every slice, the worker's scratch)`, in parallel. [`Shared`]
//! serves operators whose tasks write chunks that are not contiguous.

use super::tasks::Workers;
use core::marker::PhantomData;
use core::ops::Range;

/// A mutable slice that several workers write at the same time, each to its own elements.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: a `Shared` holds an exclusive borrow of the slice, `T: Send` lets other threads write its elements, and the
// contracts of `slice` and `ptr` forbid two threads from accessing the same element.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

// A copy can do no more than the original: every access is `unsafe`.
impl<T> Copy for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Shared { start: data.as_mut_ptr(), len: data.len(), owner: PhantomData }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Elements `start..start + len`, shared too.
    ///
    /// # Panics
    /// If they are not inside the slice.
    pub(crate) fn part(self, start: usize, len: usize) -> Shared<'a, T> {
        assert!(start <= self.len && len <= self.len - start, "the part must lie inside the slice");
        Shared { start: self.start.wrapping_add(start), len, owner: PhantomData }
    }

    /// Elements `start..start + len`.
    ///
    /// # Panics
    /// If they are not inside the slice.
    ///
    /// # Safety
    /// As long as the result lives, nothing else accesses these elements.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "the chunk must lie inside the slice");
        // SAFETY: the range is inside the borrowed slice, as asserted; the caller guarantees exclusive access.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// The part of worker `worker`, where the slice is scratch divided equally among `workers` workers.
    pub(crate) fn worker_part(self, worker: usize, workers: usize) -> Shared<'a, T> {
        let len = self.len / workers;
        self.part(worker * len, len)
    }

    /// As [`worker_part`](Shared::worker_part), as a slice.
    ///
    /// # Safety
    /// As long as the result lives, nothing else accesses these elements.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn worker_slice(&self, worker: usize, workers: usize) -> &mut [T] {
        let len = self.len / workers;
        // SAFETY: the caller guarantees exclusive access.
        unsafe { self.slice(worker * len, len) }
    }

    /// A pointer to element `i`. Whoever writes through it must have exclusive access to the elements written.
    ///
    /// # Safety
    /// `i` is inside the slice or one past its end.
    pub(crate) unsafe fn ptr(&self, i: usize) -> *mut T {
        debug_assert!(i <= self.len, "the element must be inside the slice");
        // SAFETY: `i` is at most the length of the slice, by this function's precondition.
        unsafe { self.start.add(i) }
    }
}

/// Calls `each(i, chunk i of a, chunk i of b, the worker's scratch)` for every chunk, in parallel. Chunks of `a` have `a_size`
/// elements and chunks of `b` have `b_size`; the last ones may be shorter. `a` determines the number of chunks. `scratch` is
/// divided equally among the workers.
pub(crate) fn chunks2_with<T: Send, U: Send, S: Send>(
    workers: Workers,
    (a, a_size): (&mut [T], usize),
    (b, b_size): (&mut [U], usize),
    scratch: &mut [S],
    each: impl Fn(usize, &mut [T], &mut [U], &mut [S]) + Sync,
) {
    let (a_len, b_len, count) = (a.len(), b.len(), workers.count());
    let (a, b, scratch) = (Shared::new(a), Shared::new(b), Shared::new(scratch));
    workers.run(a_len.div_ceil(a_size), &|i, worker| {
        let (a_start, b_start) = (i * a_size, (i * b_size).min(b_len));
        // SAFETY: `Workers::run` calls this once for every i, and chunks of different i are disjoint; it never runs two
        // calls with the same worker id at a time, and the scratch of different workers is disjoint.
        unsafe {
            each(
                i,
                a.slice(a_start, a_size.min(a_len - a_start)),
                b.slice(b_start, b_size.min(b_len - b_start)),
                scratch.worker_slice(worker, count),
            );
        }
    });
}

/// [`chunks2_with`] without scratch.
pub(crate) fn chunks2<T: Send, U: Send>(
    workers: Workers,
    a: (&mut [T], usize),
    b: (&mut [U], usize),
    each: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    chunks2_with(workers, a, b, &mut [] as &mut [()], |i, a, b, _| each(i, a, b));
}

/// [`chunks2_with`] for one slice, without scratch.
pub(crate) fn chunks<T: Send>(
    workers: Workers,
    data: &mut [T],
    size: usize,
    each: impl Fn(usize, &mut [T]) + Sync,
) {
    chunks2_with(workers, (data, size), (&mut [] as &mut [()], 0), &mut [] as &mut [()], |i, chunk, _, _| {
        each(i, chunk)
    });
}

/// Calls `task(t, the worker's scratch)` for every task, in parallel. `scratch` is divided equally among the workers.
pub(crate) fn with_scratch<S: Send>(
    workers: Workers,
    tasks: usize,
    scratch: &mut [S],
    task: impl Fn(usize, &mut [S]) + Sync,
) {
    let (scratch, count) = (Shared::new(scratch), workers.count());
    // SAFETY: `Workers::run` never runs two calls with the same worker id at a time, and the scratch of different workers
    // is disjoint.
    workers.run(tasks, &|t, worker| task(t, unsafe { scratch.worker_slice(worker, count) }));
}

/// The number of tasks per worker to aim for, so that all workers end at about the same time.
pub(crate) const TASKS_PER_WORKER: usize = 16;

/// The number of tasks that suffices for several workers to end at about the same time, where smaller tasks would cost too much.
pub(crate) fn fewest_tasks(workers: usize) -> usize {
    if workers > 1 { 2 * workers } else { 1 }
}

/// Range `i` of `0..n` divided into `count` consecutive ranges of nearly equal length.
pub(crate) fn chunk_range(n: usize, count: usize, i: usize) -> Range<usize> {
    n * i / count..n * (i + 1) / count
}
