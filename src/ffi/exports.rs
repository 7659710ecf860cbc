//! The functions that open, plan and run a model, and those that need no model. `include/beitle.h` documents them for C: parameters,
//! ownership, threads and errors.
//!
//! Every function has the same safety requirement: pointers are null, misaligned, or point to as much memory as stated,
//! which nothing else uses during the call (memory that is only read may be read elsewhere).

use crate::call::call;
use crate::open::OpenEngine;
use crate::plan;
use crate::pointers::{self, ByteRange, check_disjoint};
use crate::run;
use crate::status::{CallError, Status};
use crate::types::{CEngine, CPlanParams, CRunParams};
use beitle::Isa;
use beitle::image::check_size;
use beitle::plan::Plan;
use core::ffi::{c_char, c_void};

/// Returns the version of this library: `major << 16 | minor << 8 | patch`.
#[unsafe(no_mangle)]
pub extern "C" fn beitle_version() -> u32 {
    const fn number(text: &str) -> u32 {
        match u32::from_str_radix(text, 10) {
            Ok(n) if n < 256 => n,
            _ => panic!("the encoding has 8 bits for each number of the version"),
        }
    }
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// Returns what a status means, as a short text in English; a text for unknown values, too.
#[unsafe(no_mangle)]
pub extern "C" fn beitle_status_string(status: i32) -> *const c_char {
    crate::status::meaning(status).as_ptr()
}

/// Returns the name of the instruction set that runs use unless they name another.
#[unsafe(no_mangle)]
pub extern "C" fn beitle_isa_name() -> *const c_char {
    Isa::detect().c_name().as_ptr()
}

/// Opens a model.
///
/// # Safety
/// See the module. The file is not written to for as long as the engine is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_open(
    engine: *mut CEngine,
    file: *const c_void,
    file_bytes: usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    // SAFETY: nothing else uses the memory at `engine` and `message`; the file stays unchanged.
    unsafe { call(message, message_bytes, |text| OpenEngine::open(engine, file, file_bytes, text)) }
}

/// Compares the file with its checksums.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_verify(
    engine: *const CEngine,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        check_disjoint(&[text], &[OpenEngine::range(engine)])?;
        // SAFETY: nothing else writes to the engine.
        let open = unsafe { OpenEngine::at(engine)? };
        check_disjoint(&[text], &[open.file_range()])?;
        Ok(open.model.verify()?)
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Plans the arena for `workers` threads and images of up to `width` x `height` pixels, and writes its size to
/// `arena_bytes`.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_plan(
    engine: *mut CEngine,
    workers: usize,
    width: usize,
    height: usize,
    arena_bytes: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        let result = ByteRange::of(arena_bytes, 1, "arena_bytes");
        check_disjoint(&[text], &[OpenEngine::range(engine), result])?;
        // SAFETY: nothing else uses the engine. The model is copied, so that no reference to the engine remains.
        let (model, file) = {
            let open = unsafe { OpenEngine::at(engine)? };
            (open.model, open.file_range())
        };
        check_disjoint(&[text, result], &[file, OpenEngine::range(engine)])?;
        if workers == 0 {
            return Err(CallError::Argument("workers", "is 0"));
        }
        check_size(width, height)?;
        let plan = Plan::new(&model, workers, (width, height))?;
        // SAFETY: nothing else uses the memory at `arena_bytes`.
        unsafe { pointers::write(arena_bytes, plan.bytes(), "arena_bytes")? };
        // SAFETY: nothing else uses the engine.
        unsafe { OpenEngine::set_plan(engine, plan) }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Plans the arena for images in the given views. Writes its size to `arena_bytes`, and the number of scores that a run needs to
/// `scores_count`.
///
/// # Safety
/// See the module; it applies to the pointer in `params`, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_plan_views(
    engine: *mut CEngine,
    params: *const CPlanParams,
    arena_bytes: *mut usize,
    scores_count: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    // SAFETY: `plan::plan_views` requires of its arguments what this function requires; nothing else uses the memory at `message`.
    unsafe {
        call(message, message_bytes, |text| plan::plan_views(engine, params, arena_bytes, scores_count, text))
    }
}

/// Runs an image.
///
/// # Safety
/// See the module; it applies to the pointers in `params`, too. The callbacks behave as `include/beitle.h` requires.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_run(
    engine: *const CEngine,
    params: *const CRunParams,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    // SAFETY: `run::run` requires of `engine` and `params` what this function requires; nothing else uses the memory at
    // `message`.
    unsafe { call(message, message_bytes, |text| run::run(engine, params, text)) }
}
