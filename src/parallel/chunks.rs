//! Mutable memory shared out among tasks: each task sees its own chunk, so tasks need no `unsafe`.

use super::pool::Parallel;
use core::marker::PhantomData;
use core::ops::Range;

/// A slice whose disjoint parts several workers write.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for an exclusive borrow of `T: Send` data; who takes parts out promises that they are disjoint.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Shared { start: data.as_mut_ptr(), len: data.len(), owner: PhantomData }
    }

    /// # Safety
    /// No two parts that are alive at a time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "a part of a slice must lie inside it");
        // SAFETY: inside the borrowed slice; disjoint by the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// Where element `i` is.
    ///
    /// # Safety
    /// `i` is inside the slice, or one past its end.
    pub(crate) unsafe fn at(&self, i: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.start.add(i) }
    }
}

/// Calls `each(i, chunk i of a, chunk i of b, the worker's own scratch)` for the chunks of `a` of `a_size` elements and
/// those of `b` of `b_size` (the last may be shorter), several at a time. `scratch` is cut into one part a worker.
pub(crate) fn chunks2_with<T: Send, U: Send, S: Send>(
    par: &dyn Parallel,
    (a, a_size): (&mut [T], usize),
    (b, b_size): (&mut [U], usize),
    scratch: &mut [S],
    each: impl Fn(usize, &mut [T], &mut [U], &mut [S]) + Sync,
) {
    let (a_len, b_len, each_scratch) = (a.len(), b.len(), scratch.len() / par.workers());
    let (a, b, scratch) = (Shared::new(a), Shared::new(b), Shared::new(scratch));
    par.run(a_len.div_ceil(a_size), &|i, worker| {
        let (from, b_from) = (i * a_size, (i * b_size).min(b_len));
        // SAFETY: chunk i belongs to task i alone, and a worker runs one task at a time (the contract of
        // `Parallel::run`).
        unsafe {
            each(
                i,
                a.part(from, a_size.min(a_len - from)),
                b.part(b_from, b_size.min(b_len - b_from)),
                scratch.part(worker * each_scratch, each_scratch),
            );
        }
    });
}

/// As [`chunks2_with`] without scratch.
pub(crate) fn chunks2<T: Send, U: Send>(
    par: &dyn Parallel,
    a: (&mut [T], usize),
    b: (&mut [U], usize),
    each: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    chunks2_with(par, a, b, &mut [] as &mut [()], |i, a, b, _| each(i, a, b));
}

/// As [`chunks2_with`] over one slice, without scratch.
pub(crate) fn chunks<T: Send>(
    par: &dyn Parallel,
    data: &mut [T],
    size: usize,
    each: impl Fn(usize, &mut [T]) + Sync,
) {
    chunks2_with(par, (data, size), (&mut [] as &mut [()], 0), &mut [] as &mut [()], |i, chunk, _, _| {
        each(i, chunk)
    });
}

/// Calls `task(t, the worker's own scratch)` for every task; `scratch` is cut into one part a worker.
pub(crate) fn with_scratch<S: Send>(
    par: &dyn Parallel,
    tasks: usize,
    scratch: &mut [S],
    task: impl Fn(usize, &mut [S]) + Sync,
) {
    let size = scratch.len() / par.workers();
    let scratch = Shared::new(scratch);
    // SAFETY: part w belongs to worker w, who runs one task at a time (the contract of `Parallel::run`).
    par.run(tasks, &|t, w| task(t, unsafe { scratch.part(w * size, size) }));
}

/// Tasks per worker to aim at, so that workers finish at about the same time.
pub(crate) const TASKS_PER_WORKER: usize = 16;

/// Part `i` of `0..n` cut into `parts` nearly equal ranges.
pub(crate) fn part(n: usize, parts: usize, i: usize) -> Range<usize> {
    n * i / parts..n * (i + 1) / parts
}
