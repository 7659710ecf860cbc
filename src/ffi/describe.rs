//! The functions that describe an open model. `include/beitle.h` documents them for C. Their safety requirement is that of
//! [`exports`](crate::exports).

use crate::call::call;
use crate::open::OpenEngine;
use crate::pointers::{self, ByteRange, check_disjoint};
use crate::status::{CallError, Status};
use crate::text::TextBuffer;
use crate::types::{CEngine, CInfo};
use crate::versioned::{result_range, smallest_range, write_result};
use beitle::Model;
use beitle::file::format::Task;
use core::ffi::c_char;
use core::fmt::Write;

/// Writes the facts of the model to `info`.
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
        // SAFETY: nothing else uses the memory at `info`.
        unsafe { write_result(info, facts(&open.model), "info", "info.size") }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

fn facts(model: &Model) -> CInfo {
    let facts = model.facts();
    let segments = facts.task == Task::Segmentation;
    let (logits_width, logits_height) = if segments { facts.level(0) } else { (1, 1) };
    CInfo {
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
        precision: facts.precision as u32,
        format_version: model.file().header().version,
        source_sha256: facts.source_sha256,
    }
}

/// Writes the name of the checkpoint to `name`. If it is truncated, the status is [`Status::BufferTooSmall`].
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_model_name(
    engine: *const CEngine,
    name: *mut c_char,
    name_bytes: usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let source = |model: &Model<'static>| Ok(model.source());
    // SAFETY: `write_name` requires what this function requires.
    unsafe { write_name(engine, (name, name_bytes), (message, message_bytes), source) }
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
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let class = |model: &Model<'static>| {
        model.class_name(class_index).ok_or(CallError::Argument("class_index", "is out of range"))
    };
    // SAFETY: `write_name` requires what this function requires.
    unsafe { write_name(engine, (name, name_bytes), (message, message_bytes), class) }
}

/// Writes the text that `find` gives, or as much of it as there is room for, to the memory at `name`; an empty text if there is
/// none.
///
/// # Safety
/// See the module.
unsafe fn write_name(
    engine: *const CEngine,
    (name, name_bytes): (*mut c_char, usize),
    (message, message_bytes): (*mut c_char, usize),
    find: impl FnOnce(&Model<'static>) -> Result<&'static str, CallError>,
) -> Status {
    let body = |text: ByteRange| {
        let written = ByteRange::of(name, name_bytes, "name");
        check_disjoint(&[text, written], &[OpenEngine::range(engine)])?;
        check_disjoint(&[text], &[written])?;
        // SAFETY: nothing else writes to the engine.
        let opened = unsafe { OpenEngine::at(engine) };
        if let Ok(open) = &opened {
            check_disjoint(&[text, written], &[open.file_range()])?;
        }
        // SAFETY: nothing else uses the memory at `name`.
        let mut buffer = unsafe { TextBuffer::new(name, name_bytes) };
        let found = find(&opened?.model)?;
        // Writing to a `TextBuffer` never fails.
        let _ = buffer.write_str(found);
        if buffer.truncated { Err(CallError::Truncated("name", found.len() + 1)) } else { Ok(()) }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
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
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        let written = ByteRange::of(rgb, 1, "rgb");
        check_disjoint(&[text], &[OpenEngine::range(engine), written])?;
        // SAFETY: nothing else writes to the engine.
        let open = unsafe { OpenEngine::at(engine)? };
        let model = &open.model;
        check_disjoint(&[text, written], &[OpenEngine::range(engine), open.file_range()])?;
        if class_index >= model.facts().classes {
            return Err(CallError::Argument("class_index", "is out of range"));
        }
        // SAFETY: nothing else uses the memory at `rgb`.
        unsafe { pointers::write(rgb, model.colour(class_index), "rgb") }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}
