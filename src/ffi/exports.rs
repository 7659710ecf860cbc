//! The exported functions. `include/beitle.h` documents them for C: parameters, ownership, threads and errors.
//!
//! Every function has the same safety requirement: pointers are null, misaligned, or point to as much memory as stated,
//! which nothing else uses during the call (memory that is only read may be read elsewhere).

use crate::call::{call, call_without_message};
use crate::open::OpenEngine;
use crate::plan;
use crate::pointers::{self, ByteRange, check_disjoint};
use crate::run;
use crate::status::{CallError, Status};
use crate::text::TextBuffer;
use crate::types::{CEngine, CInfo, CPlanParams, CRunParams};
use crate::versioned::{result_range, smallest_range, write_result};
use beitle::file::format::Task;
use beitle::image::check_size;
use beitle::plan::Plan;
use core::ffi::{c_char, c_void};
use core::fmt::Write;

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

/// Writes the task and the dimensions of the model to `info`.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_model_info(
    engine: *const CEngine,
    info: *mut CInfo,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        check_disjoint(&[text], &[OpenEngine::range(engine), smallest_range(info, "info")])?;
        // SAFETY: nothing else writes to the engine.
        let open = unsafe { OpenEngine::at(engine)? };
        // SAFETY: nothing else uses the memory at `info`.
        let info_range = unsafe { result_range(info, "info", "info.size")? };
        check_disjoint(&[text, info_range], &[open.file_range(), OpenEngine::range(engine)])?;
        let facts = open.model.facts();
        let segments = facts.task == Task::Segmentation;
        let (logits_width, logits_height) = if segments { facts.level(0) } else { (1, 1) };
        let value = CInfo {
            size: size_of::<CInfo>(),
            input_width: facts.width,
            input_height: facts.height,
            classes: facts.classes,
            logits_width,
            logits_height,
            features: if segments { 0 } else { facts.channels },
            tokens: if segments { 0 } else { facts.tokens() },
            task: facts.task as u32,
            image_channels: facts.picture_channels as u32,
        };
        // SAFETY: nothing else uses the memory at `info`.
        unsafe { write_result(info, value, "info", "info.size") }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Writes the name of a class to `name`. If it is truncated, the status is [`Status::BufferTooSmall`].
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_class_name(
    engine: *const CEngine,
    class_index: usize,
    name: *mut c_char,
    name_bytes: usize,
) -> Status {
    let mut truncated = false;
    let status = call_without_message(|| {
        let written = [ByteRange::of(name, name_bytes, "name")];
        check_disjoint(&written, &[OpenEngine::range(engine)])?;
        // SAFETY: nothing else writes to the engine.
        let opened = unsafe { OpenEngine::at(engine) };
        if let Ok(open) = &opened {
            check_disjoint(&written, &[open.file_range()])?;
        }
        // SAFETY: nothing else uses the memory at `name`. An error leaves an empty text.
        let mut text = unsafe { TextBuffer::new(name, name_bytes) };
        let found = opened?.model.class_name(class_index);
        // Writing to a `TextBuffer` never fails.
        let _ = text.write_str(found.ok_or(CallError::Argument("class_index", "is out of range"))?);
        truncated = text.truncated;
        Ok(())
    });
    if status == Status::Ok && truncated { Status::BufferTooSmall } else { status }
}

/// Writes the colour of a class to `rgb`: red, green, blue.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_class_colour(
    engine: *const CEngine,
    class_index: usize,
    rgb: *mut [u8; 3],
) -> Status {
    call_without_message(|| {
        // SAFETY: nothing else writes to the engine.
        let open = unsafe { OpenEngine::at(engine)? };
        let model = &open.model;
        check_disjoint(&[ByteRange::of(rgb, 1, "rgb")], &[OpenEngine::range(engine), open.file_range()])?;
        if class_index >= model.facts().classes {
            return Err(CallError::Argument("class_index", "is out of range"));
        }
        // SAFETY: nothing else uses the memory at `rgb`.
        unsafe { pointers::write(rgb, model.colour(class_index), "rgb") }
    })
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
