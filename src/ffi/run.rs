//! From a job to a run: every pointer and number of the job is looked at before the engine sees any.

use super::answer::Refusal;
use super::memory::{aligned, apart, read, slice, slice_mut, span};
use super::types::{Engine, Job, Map, Picture};
use super::{Opened, opened};
use beitle::Isa;
use beitle::engine::{Engine as Runner, Output};
use beitle::error::Error;
use beitle::format::ALIGN;
use beitle::image::{ImageView, PixelFormat, check_size};
use beitle::observe::{Observer, Stage};
use beitle::parallel::{Parallel, Serial};
use beitle::segment::MapMut;

/// # Safety
/// As [`super::beitle_run`].
pub(super) unsafe fn run(engine: *const Engine, job: *const Job) -> Result<(), Refusal> {
    // SAFETY: the caller's promise.
    let Opened { model, plan, .. } = unsafe { opened(engine)? };
    let plan = plan.as_ref().ok_or(Refusal::Argument("engine", "is not planned"))?;
    // SAFETY: the caller's promise; the size comes first in whatever version's job this is.
    if *unsafe { read(job.cast::<usize>(), "job")? } != size_of::<Job>() {
        return Err(Refusal::Argument("job.size", "is not this library's: a header of another version?"));
    }
    // SAFETY: the caller's promise.
    let job = unsafe { read(job, "job")? };

    // Before a slice of any of these exists: slices that are written overlap nothing.
    let logits = if job.logits.is_null() { 0 } else { job.logits_count };
    let map_span = match job.map.pixel_bytes {
        1 => span(job.map.data.cast::<u8>(), job.map.bytes, "job.map.data")?,
        2 => span(job.map.data.cast::<u16>(), job.map.bytes / 2, "job.map.data")?,
        _ => return Err(Refusal::Argument("job.map.pixel_bytes", "is neither 1 nor 2")),
    };
    aligned(job.arena, ALIGN, "job.arena")?;
    let written = [
        span(job.arena.cast::<u8>(), job.arena_bytes, "job.arena")?,
        map_span,
        span(job.logits, logits, "job.logits")?,
    ];
    let file = model.file().bytes();
    let only_read = [
        span(file.as_ptr(), file.len(), "file")?,
        span(job.picture.data, job.picture.bytes, "job.picture.data")?,
        span(engine, 1, "engine")?,
        span(job, 1, "job")?,
    ];
    apart(&written, &only_read)?;

    // SAFETY: the caller's promise.
    let image = unsafe { picture(&job.picture)? };
    let size = map_size(&job.map, &image)?;
    // SAFETY: the caller's promise, and apart from everything else.
    let map = unsafe {
        match job.map.pixel_bytes {
            1 => MapMut::U8(slice_mut(job.map.data.cast(), job.map.bytes, "job.map.data")?),
            _ => MapMut::U16(slice_mut(job.map.data.cast(), job.map.bytes / 2, "job.map.data")?),
        }
    };
    let logits = match job.logits.is_null() {
        true => None,
        // SAFETY: the caller's promise, and apart from everything else.
        false => Some(unsafe { slice_mut(job.logits, logits, "job.logits")? }),
    };
    // SAFETY: the caller's promise, and apart from everything else.
    let arena = unsafe { slice_mut(job.arena.cast::<u8>(), job.arena_bytes, "job.arena")? };
    if arena.len() < plan.bytes() {
        let (needed, found) = (plan.bytes(), arena.len());
        return Err(Error::Buffer { what: "arena bytes", needed, found }.into());
    }

    let mut output = Output { size, map, logits };
    let mut runner = Runner::new(model, plan, Isa::detect(), arena)?;
    let mut go = |par: &dyn Parallel| Ok(runner.run(par, &image, &mut output, &mut Progress(job))?);
    if job.threads.is_null() {
        return go(&Serial);
    }
    #[cfg(target_has_atomic = "ptr")]
    // SAFETY: the caller's promise.
    return go(&super::threads::Callers::new(unsafe { read(job.threads, "job.threads")? })?);
    #[cfg(not(target_has_atomic = "ptr"))]
    Err(Refusal::Argument("job.threads", "need a processor with atomic operations"))
}

/// # Safety
/// As [`super::beitle_run`].
unsafe fn picture<'a>(p: &Picture) -> Result<ImageView<'a>, Refusal> {
    let format = match p.format {
        0 => PixelFormat::Rgb8,
        1 => PixelFormat::Bgr8,
        2 => PixelFormat::Rgba8,
        3 => PixelFormat::Bgra8,
        4 => PixelFormat::Gray8,
        _ => return Err(Refusal::Argument("job.picture.format", "is no pixel format")),
    };
    check_size(p.width, p.height)?;
    let stride = if p.stride == 0 { p.width * format.bytes() } else { p.stride };
    // SAFETY: the caller's promise.
    let data = unsafe { slice(p.data, p.bytes, "job.picture.data")? };
    Ok(ImageView::new(data, p.width, p.height, stride, format)?)
}

/// Width and height of the map.
fn map_size(map: &Map, image: &ImageView) -> Result<(usize, usize), Refusal> {
    if (map.width, map.height) == (0, 0) {
        return Ok((image.width(), image.height()));
    }
    match check_size(map.width, map.height) {
        Ok(()) => Ok((map.width, map.height)),
        Err(_) => Err(Refusal::Argument("job.map.width, job.map.height", "are no size of a map")),
    }
}

/// The caller's progress function.
struct Progress<'a>(&'a Job);

// SAFETY: the pointers in it are used on the thread that called the library alone: `Callers` and `Serial` run everything
// but tasks there.
unsafe impl Send for Progress<'_> {}

impl Observer for Progress<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        // SAFETY: the function and its context belong together by the caller's promise.
        self.0.progress.is_none_or(|go_on| unsafe { go_on(self.0.progress_context) } == 0)
    }
}
