//! `beitle_run`: validates the parameters, turns them into the engine's types, runs.

use crate::image;
use crate::open::OpenEngine;
use crate::pointers::{ByteRange, check_aligned, check_disjoint, read, slice, slice_mut};
use crate::status::CallError;
use crate::types::{CClassMap, CEngine, CRunParams};
use crate::versioned::{smallest_range, versioned};
use beitle::engine::{Engine, Output};
use beitle::file::format::ALIGN;
use beitle::image::{ImageView, check_size};
use beitle::observe::{Observer, Stage};
use beitle::output::{ClassMapMut, Points};
use beitle::parallel::{Parallel, Serial};
use beitle::{Error, Isa};
use core::ffi::CStr;

// Names of parameters in messages.
const ARENA: &str = "params.arena";
const CONFIDENCE: &str = "params.confidence";
const FEATURES: &str = "params.features";
const ISA: &str = "params.isa";
const LABELS: &str = "params.labels";
const LOGITS: &str = "params.logits";
const MAP: &str = "params.map.data";
const PARAMS: &str = "params";
const POINTS: &str = "params.points";
const RANKED: &str = "params.ranked";
const SCORES: &str = "params.scores";
const THREAD_POOL: &str = "params.thread_pool";
const TOKENS: &str = "params.tokens";

/// Runs the engine.
///
/// # Safety
/// `engine` and `params` are null, misaligned, or point to a [`CEngine`] and a [`CRunParams`] that are not written to during
/// the call. So do the pointers in `params`, to memory of the sizes stated there, which nothing else writes to; nothing else
/// reads the arena and the outputs. The callbacks behave as `include/beitle.h` requires.
pub(crate) unsafe fn run(
    engine: *const CEngine,
    params: *const CRunParams,
    message: ByteRange,
) -> Result<(), CallError> {
    check_disjoint(&[message], &[OpenEngine::range(engine), smallest_range(params, PARAMS)])?;
    // SAFETY: the `CEngine` is not written to during the call; outputs that overlap it are rejected below.
    let open = unsafe { OpenEngine::at(engine)? };
    check_disjoint(&[message], &[open.file_range()])?;
    // SAFETY: the parameters are not written to during the call; outputs that overlap them are rejected below.
    let (params, params_range) = unsafe { versioned(params, PARAMS, "params.size")? };
    let params = &params;
    check_disjoint(&[message], &[params_range])?;
    check_disjoint(&[message], &buffers(params))?;
    let OpenEngine { model, plan, .. } = open;
    let plan = plan.as_ref().ok_or(CallError::Argument("engine", "has no plan"))?;
    // SAFETY: the name is not written to during the call.
    let (isa, name_range) = unsafe { isa(params)? };
    check_disjoint(&[message], &[name_range])?;
    check_buffers(engine, open, (params, params_range), name_range)?;

    // SAFETY: the image is not written to: the caller does not, and `check_buffers` found no output there.
    let image = unsafe { image::view(&params.image, &params.frame)? };
    let size = map_size(&params.map, &image)?;
    // SAFETY: `check_buffers` established that the outputs and the arena are disjoint from each other and from everything that
    // is read; the caller does not use them during the call.
    let (mut output, arena) = unsafe {
        let output = Output {
            size,
            map: class_map(&params.map)?,
            logits: optional(params.logits, params.logits_count, LOGITS)?,
            scores: optional(params.scores, params.scores_count, SCORES)?,
            features: optional(params.features, params.features_count, FEATURES)?,
            tokens: optional(params.tokens, params.tokens_count, TOKENS)?,
            confidence: optional(params.confidence, params.confidence_count, CONFIDENCE)?,
            min_confidence: min_confidence(params)?,
            labels: slice(params.labels, params.labels_count, LABELS)?,
            points: points(params)?,
        };
        (output, slice_mut(params.arena.cast::<u8>(), params.arena_bytes, ARENA)?)
    };
    if arena.len() < plan.bytes() {
        let (needed, found) = (plan.bytes(), arena.len());
        return Err(Error::Buffer { what: "arena bytes", needed, found }.into());
    }

    let mut engine = Engine::new(model, plan, isa, arena)?;
    let mut run =
        |par: &dyn Parallel| Ok(engine.run(par, &image, &mut output, &mut ProgressCallback(params))?);
    if params.thread_pool.is_null() {
        return run(&Serial);
    }
    #[cfg(target_has_atomic = "ptr")]
    // SAFETY: the thread pool is not written to during the call.
    return run(&crate::pool::CallerThreads::new(unsafe { read(params.thread_pool, THREAD_POOL)? })?);
    #[cfg(not(target_has_atomic = "ptr"))]
    Err(CallError::Argument(THREAD_POOL, "requires a CPU with atomic operations"))
}

/// The instruction set of the run, and the memory of its name.
///
/// # Safety
/// `params.isa` is null or points to a text with a terminating zero that is not written to during the call. Where the processor
/// cannot be asked for its instructions, it has those that the text names.
unsafe fn isa(params: &CRunParams) -> Result<(Isa, ByteRange), CallError> {
    if params.isa.is_null() {
        return Ok((Isa::detect(), ByteRange::of(params.isa, 0, ISA)));
    }
    // SAFETY: the text has a terminating zero.
    let name = unsafe { CStr::from_ptr(params.isa) };
    let range = ByteRange::of(params.isa, name.count_bytes() + 1, ISA);
    let name = name.to_str().unwrap_or_default();
    let found = if cfg!(all(target_arch = "aarch64", not(feature = "std"))) {
        // SAFETY: the caller answers for the instructions.
        unsafe { Isa::assume(name) }
    } else {
        Isa::by_name(name)
    };
    let isa = found.ok_or(CallError::Argument(ISA, "names no instruction set that this processor has"))?;
    Ok((isa, range))
}

/// The memory that `params` names, whatever it is.
fn buffers(params: &CRunParams) -> [ByteRange; 14] {
    let [image, plane1, plane2] = image::ranges(&params.image, &params.frame);
    [
        ByteRange::of(params.arena.cast::<u8>(), params.arena_bytes, ARENA),
        ByteRange::of(params.map.data.cast::<u8>(), params.map.bytes, MAP),
        ByteRange::of(params.logits, params.logits_count, LOGITS),
        ByteRange::of(params.scores, params.scores_count, SCORES),
        ByteRange::of(params.features, params.features_count, FEATURES),
        ByteRange::of(params.tokens, params.tokens_count, TOKENS),
        ByteRange::of(params.confidence, params.confidence_count, CONFIDENCE),
        ByteRange::of(params.ranked, params.ranked_count, RANKED),
        ByteRange::of(params.labels, params.labels_count, LABELS),
        ByteRange::of(params.points, params.points_count, POINTS),
        image,
        plane1,
        plane2,
        ByteRange::of(params.thread_pool, 1, THREAD_POOL),
    ]
}

/// Checks pointers and sizes of all buffers, and that none that is written overlaps another. No slice of them exists yet.
fn check_buffers(
    engine: *const CEngine,
    open: &OpenEngine,
    (params, params_range): (&CRunParams, ByteRange),
    name_range: ByteRange,
) -> Result<(), CallError> {
    let map = match params.map.pixel_bytes {
        _ if params.map.data.is_null() => ByteRange::of(params.map.data.cast::<u8>(), 0, MAP),
        1 => ByteRange::new(params.map.data.cast::<u8>(), params.map.bytes, MAP)?,
        2 => ByteRange::new(params.map.data.cast::<u16>(), params.map.bytes / 2, MAP)?,
        _ => return Err(CallError::Argument("params.map.pixel_bytes", "is neither 1 nor 2")),
    };
    check_aligned(params.arena, ALIGN, ARENA)?;
    let written = [
        ByteRange::new(params.arena.cast::<u8>(), params.arena_bytes, ARENA)?,
        map,
        optional_range(params.logits, params.logits_count, LOGITS)?,
        optional_range(params.scores, params.scores_count, SCORES)?,
        optional_range(params.features, params.features_count, FEATURES)?,
        optional_range(params.tokens, params.tokens_count, TOKENS)?,
        optional_range(params.confidence, params.confidence_count, CONFIDENCE)?,
        optional_range(params.ranked, params.ranked_count, RANKED)?,
    ];
    // What cannot exist is reported where it becomes a slice.
    let [image, plane1, plane2] = image::ranges(&params.image, &params.frame);
    let only_read = [
        open.file_range(),
        image,
        plane1,
        plane2,
        OpenEngine::range(engine),
        params_range,
        name_range,
        ByteRange::of(params.thread_pool, 1, THREAD_POOL),
        ByteRange::of(params.labels, params.labels_count, LABELS),
        ByteRange::of(params.points, params.points_count, POINTS),
    ];
    check_disjoint(&written, &only_read)
}

/// The range of an output that may be null.
fn optional_range<T>(p: *const T, len: usize, name: &'static str) -> Result<ByteRange, CallError> {
    ByteRange::new(p, if p.is_null() { 0 } else { len }, name)
}

/// An output that may be null.
///
/// # Safety
/// That of [`slice_mut`].
unsafe fn optional<'a, T: bytemuck::Pod>(
    p: *mut T,
    len: usize,
    name: &'static str,
) -> Result<Option<&'a mut [T]>, CallError> {
    // SAFETY: the requirement is the same.
    if p.is_null() { Ok(None) } else { unsafe { slice_mut(p, len, name).map(Some) } }
}

/// The class map, which may be null; otherwise `pixel_bytes` is 1 or 2.
///
/// # Safety
/// If `map.data` is non-null and aligned, it points to `map.bytes` bytes that nothing else uses during `'a`.
unsafe fn class_map<'a>(map: &CClassMap) -> Result<Option<ClassMapMut<'a>>, CallError> {
    if map.data.is_null() {
        return Ok(None);
    }
    // SAFETY: both slices consist of at most `map.bytes` bytes at `map.data`.
    unsafe {
        Ok(Some(match map.pixel_bytes {
            1 => ClassMapMut::U8(slice_mut(map.data.cast(), map.bytes, MAP)?),
            _ => ClassMapMut::U16(slice_mut(map.data.cast(), map.bytes / 2, MAP)?),
        }))
    }
}

/// The confidence below which a pixel is unknown.
fn min_confidence(params: &CRunParams) -> Result<u8, CallError> {
    u8::try_from(params.min_confidence)
        .map_err(|_| CallError::Argument("params.min_confidence", "is greater than 255"))
}

/// The points at which classes are wanted, which may be null.
///
/// # Safety
/// That of [`slice`] for the points, and of [`slice_mut`] for the classes.
unsafe fn points<'a>(params: &CRunParams) -> Result<Option<Points<'a>>, CallError> {
    if params.points.is_null() {
        return Ok(None);
    }
    // SAFETY: the requirement is the same.
    let (points, ranked) = unsafe {
        (
            slice(params.points, params.points_count, POINTS)?,
            slice_mut(params.ranked, params.ranked_count, RANKED)?,
        )
    };
    Ok(Some(Points::new(points, ranked)?))
}

/// Width and height of the class map.
fn map_size(map: &CClassMap, image: &ImageView) -> Result<(usize, usize), CallError> {
    if (map.width, map.height) == (0, 0) {
        return Ok((image.width(), image.height()));
    }
    match check_size(map.width, map.height) {
        Ok(()) => Ok((map.width, map.height)),
        Err(_) => Err(CallError::Argument(
            "params.map.width, params.map.height",
            "must both be 0, or both be from 1 to 16777216",
        )),
    }
}

/// `params.progress` as an observer.
struct ProgressCallback<'a>(&'a CRunParams);

// SAFETY: the engine calls its observer on the thread that called `Engine::run` or `Parallel::enter`'s body. `Serial` and
// `CallerThreads` do not override `enter`, so that both are the thread that called `beitle_run`, and the pointers never
// reach another thread.
unsafe impl Send for ProgressCallback<'_> {}

impl Observer for ProgressCallback<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        let CRunParams { progress, progress_context, .. } = *self.0;
        // SAFETY: `include/beitle.h` requires a function that accepts `progress_context`, on the calling thread.
        progress.is_none_or(|progress| unsafe { progress(progress_context) } == 0)
    }

    fn window(&mut self, done: usize, total: usize) {
        if let Some(window_done) = self.0.window_done {
            // SAFETY: as in `done`.
            unsafe { window_done(self.0.progress_context, done, total) };
        }
    }
}
