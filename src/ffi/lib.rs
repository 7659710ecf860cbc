//! The C ABI: what `include/beitle.h` declares, which is where it is documented for those who call it.
//!
//! An engine is opened, planned and run in memory that the caller gives; nothing is allocated and there is no global
//! state. What can be checked of an argument is checked, and refused with a status and a message. No panic reaches C:
//! with `std` it becomes [`Status::Internal`], without it ends in the program's panic handler.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

mod answer;
mod memory;
mod run;
#[cfg(target_has_atomic = "ptr")]
mod threads;
mod types;

pub use types::{ENGINE_WORDS, Engine, Info, Job, Map, Picture, Status, Threads, Work};

use answer::{Refusal, Text, answer};
use beitle::image::check_size;
use beitle::plan::Plan;
use beitle::weights::Model;
use core::ffi::{c_char, c_void};
use core::fmt::Write;

/// What an [`Engine`]'s memory holds once it is open.
#[repr(C)]
struct Opened {
    seal: u64,
    model: Model<'static>,
    plan: Option<Plan>,
}

/// Memory without it was never opened.
const SEAL: u64 = u64::from_le_bytes(*b"beitle\x00\x01");

const _: () =
    assert!(size_of::<Opened>() <= size_of::<Engine>() && align_of::<Opened>() <= align_of::<Engine>());

/// The engine in the caller's memory.
///
/// # Safety
/// Where `engine` is neither null nor misaligned, an [`Engine`] is there that nobody changes meanwhile.
unsafe fn opened<'a>(engine: *const Engine) -> Result<&'a Opened, Refusal> {
    // SAFETY: the caller's promise.
    unsafe { memory::read(engine, "engine")? };
    // SAFETY: an `Engine` is large enough, and any bits are a number.
    if unsafe { engine.cast::<u64>().read() } != SEAL {
        return Err(Refusal::Argument("engine", "is not open"));
    }
    // SAFETY: only `beitle_open` writes the seal, last, behind a whole `Opened`.
    Ok(unsafe { &*engine.cast::<Opened>() })
}

/// This build's version, `major << 16 | minor << 8 | patch`.
#[unsafe(no_mangle)]
pub extern "C" fn beitle_version() -> u32 {
    const fn number(text: &str) -> u32 {
        match u32::from_str_radix(text, 10) {
            Ok(n) if n < 256 => n,
            _ => panic!("a version's numbers are below 256"),
        }
    }
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// Opens a model: checks the file's structure and writes the engine.
///
/// # Safety
/// Pointers that are not null point to as much memory as said, which nobody else uses during the call; the file stays
/// there unchanged for as long as the engine is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_open(
    engine: *mut Engine,
    file: *const c_void,
    file_bytes: usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let open = || {
        memory::apart(
            &[memory::span(engine, 1, "engine")?],
            &[memory::span(file.cast::<u8>(), file_bytes, "file")?],
        )?;
        // SAFETY: the caller's promise. Should opening fail, the memory holds no engine.
        unsafe { memory::write(engine, Engine::new(), "engine")? };
        // SAFETY: the caller's promise.
        let bytes = unsafe { memory::slice(file.cast::<u8>(), file_bytes, "file")? };
        let opened = Opened { seal: SEAL, model: Model::new(bytes)?, plan: None };
        // SAFETY: checked to be neither null nor misaligned, and large enough.
        unsafe { engine.cast::<Opened>().write(opened) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { answer(message, message_bytes, open) }
}

/// Compares the whole file with its checksums.
///
/// # Safety
/// As [`beitle_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_verify(
    engine: *const Engine,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { answer(message, message_bytes, || Ok(opened(engine)?.model.verify()?)) }
}

/// Says what the model is.
///
/// # Safety
/// As [`beitle_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_info_of(
    engine: *const Engine,
    info: *mut Info,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let say = || {
        // SAFETY: the caller's promise.
        let f = unsafe { opened(engine)? }.model.facts();
        let (logits_width, logits_height) = f.level(0);
        let found = Info {
            input_width: f.width,
            input_height: f.height,
            classes: f.classes,
            logits_width,
            logits_height,
        };
        // SAFETY: the caller's promise.
        unsafe { memory::write(info, found, "info") }
    };
    // SAFETY: the caller's promise.
    unsafe { answer(message, message_bytes, say) }
}

/// Writes the name of a class, ending in a zero byte; cut, with [`Status::Buffer`], where there is too little room.
///
/// # Safety
/// As [`beitle_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_class_name(
    engine: *const Engine,
    number: usize,
    name: *mut c_char,
    name_bytes: usize,
) -> Status {
    // SAFETY: the caller's promise.
    let mut text = unsafe { Text::new(name, name_bytes) };
    let say = || {
        // SAFETY: the caller's promise.
        let found = unsafe { opened(engine)? }.model.class_name(number);
        // Writing into `Text` cannot fail.
        let _ = text.write_str(found.ok_or(Refusal::Argument("number", "is not a class of the model"))?);
        Ok(())
    };
    // SAFETY: no message.
    let status = unsafe { answer(core::ptr::null_mut(), 0, say) };
    if status == Status::Ok && text.cut { Status::Buffer } else { status }
}

/// Writes the colour of a class: red, green, blue.
///
/// # Safety
/// As [`beitle_open`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_class_colour(
    engine: *const Engine,
    number: usize,
    rgb: *mut [u8; 3],
) -> Status {
    let say = || {
        // SAFETY: the caller's promise.
        let model = &unsafe { opened(engine)? }.model;
        if number >= model.facts().classes {
            return Err(Refusal::Argument("number", "is not a class of the model"));
        }
        // SAFETY: the caller's promise.
        unsafe { memory::write(rgb, model.colour(number), "rgb") }
    };
    // SAFETY: the caller's promise; no message.
    unsafe { answer(core::ptr::null_mut(), 0, say) }
}

/// Lays out the working memory for so many workers and pictures of up to this size, and says how many bytes it takes.
///
/// # Safety
/// As [`beitle_open`]; no run of the same engine is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_plan(
    engine: *mut Engine,
    workers: usize,
    width: usize,
    height: usize,
    arena_bytes: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let lay_out = || {
        // SAFETY: the caller's promise.
        let model = unsafe { opened(engine)? }.model;
        if workers == 0 {
            return Err(Refusal::Argument("workers", "is 0"));
        }
        check_size(width, height)?;
        let plan = Plan::new(&model, workers, (width, height))?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(arena_bytes, plan.bytes(), "arena_bytes")? };
        // SAFETY: an open engine is there, which nobody else uses.
        unsafe { (*engine.cast::<Opened>()).plan = Some(plan) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { answer(message, message_bytes, lay_out) }
}

/// Turns a picture into a map.
///
/// # Safety
/// As [`beitle_open`], also for the pointers in `job`; its functions are what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_run(
    engine: *const Engine,
    job: *const Job,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe { answer(message, message_bytes, || run::run(engine, job)) }
}
