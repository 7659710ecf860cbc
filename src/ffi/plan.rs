//! `beitle_plan_views`: validates the parameters and plans the arena.

use crate::open::OpenEngine;
use crate::pointers::{self, ByteRange, check_disjoint, slice};
use crate::status::CallError;
use crate::types::{CEngine, CPlanParams};
use crate::versioned::{smallest_range, versioned};
use beitle::image::check_size;
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Facts, Model};

// Names of parameters in messages.
const PARAMS: &str = "params";
const ARENA_BYTES: &str = "arena_bytes";
const SCORES_COUNT: &str = "scores_count";

/// Plans the arena and stores the plan in the engine.
///
/// # Safety
/// The pointers are null, misaligned, or point to a [`CEngine`], a [`CPlanParams`] and numbers, which nothing else uses during the
/// call. So does `params.scales`, to as many numbers as stated there.
pub(crate) unsafe fn plan_views(
    engine: *mut CEngine,
    params: *const CPlanParams,
    arena_bytes: *mut usize,
    scores_count: *mut usize,
    message: ByteRange,
) -> Result<(), CallError> {
    let results = [ByteRange::of(arena_bytes, 1, ARENA_BYTES), ByteRange::of(scores_count, 1, SCORES_COUNT)];
    check_disjoint(
        &[message],
        &[OpenEngine::range(engine), smallest_range(params, PARAMS), results[0], results[1]],
    )?;
    // SAFETY: nothing else uses the engine. The model is copied, so that no reference to the engine remains.
    let (model, file) = {
        let open = unsafe { OpenEngine::at(engine)? };
        (open.model, open.file_range())
    };
    // SAFETY: the parameters are not written to; results that overlap them are rejected below.
    let (params, params_range) = unsafe { versioned(params, PARAMS, "params.size")? };
    let scales = ByteRange::of(params.scales, params.scale_count, "params.scales");
    let read = [file, OpenEngine::range(engine), params_range, scales];
    check_disjoint(&[message, results[0], results[1]], &read)?;
    // SAFETY: the scales are not written to, as checked above.
    let views = unsafe { views(model.facts(), &params)? };
    let (plan, scores) = plan(&model, &params, &views)?;
    if scores > 0 && scores_count.is_null() {
        return Err(CallError::Argument(SCORES_COUNT, "is NULL, but several views need scores"));
    }
    // SAFETY: nothing else uses the memory of the results.
    unsafe {
        pointers::write(arena_bytes, plan.bytes(), ARENA_BYTES)?;
        if !scores_count.is_null() {
            pointers::write(scores_count, scores, SCORES_COUNT)?;
        }
        OpenEngine::set_plan(engine, plan)
    }
}

/// The plan, and the number of scores for a class map of the size of the image.
fn plan(model: &Model, params: &CPlanParams, views: &Views) -> Result<(Plan, usize), CallError> {
    if params.workers == 0 {
        return Err(CallError::Argument("params.workers", "is 0"));
    }
    let (width, height) = (params.width, params.height);
    check_size(width, height)?;
    let plan = Plan::with_views(model, params.workers, (width, height), views)?;
    let scores = views.scores_len((width, height), model.facts().classes);
    Ok((plan, scores.ok_or(beitle::Error::TooLarge)?))
}

/// # Safety
/// If `params.scales` is non-null and aligned, it points to as many numbers as stated, which are not written to during the call.
unsafe fn views(facts: &Facts, params: &CPlanParams) -> Result<Views, CallError> {
    let mode = match params.mode {
        0 => Views::of(facts).mode(),
        1 => Mode::Whole,
        2 => Mode::Slide,
        3 => Mode::Native,
        _ => return Err(CallError::Argument("params.mode", "is not a mode")),
    };
    if params.flip > 1 {
        return Err(CallError::Argument("params.flip", "is neither 0 nor 1"));
    }
    // SAFETY: the requirement is the same.
    let scales = unsafe { slice(params.scales, params.scale_count, "params.scales")? };
    let views = Views::new(mode).with_flip(params.flip == 1).with_scales(scales)?;
    Ok(match params.overlap_bytes {
        0 => views,
        bytes => views.with_overlap_bytes(bytes),
    })
}
