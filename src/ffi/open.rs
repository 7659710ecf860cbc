//! The open engine inside a [`CEngine`].

use crate::pointers::{ByteRange, check_disjoint, read, slice, write};
use crate::status::CallError;
use crate::types::CEngine;
use beitle::Model;
use beitle::plan::Plan;
use core::ffi::c_void;

/// The contents of a [`CEngine`] after `beitle_open`.
#[repr(C)]
pub(crate) struct OpenEngine {
    /// [`SEAL`]. The first field, where [`OpenEngine::at`] looks for it.
    seal: u64,
    pub model: Model<'static>,
    /// `None` before `beitle_plan`.
    pub plan: Option<Plan>,
}

/// The first word of an open engine. Zeroed memory does not have it.
const SEAL: u64 = u64::from_le_bytes(*b"beitle\x00\x01");

const _: () = assert!(
    size_of::<OpenEngine>() <= size_of::<CEngine>() && align_of::<OpenEngine>() <= align_of::<CEngine>()
);

impl OpenEngine {
    /// The open engine at `engine`.
    ///
    /// # Safety
    /// If `engine` is non-null and aligned, it points to a [`CEngine`] that is not written to during `'a`.
    pub unsafe fn at<'a>(engine: *const CEngine) -> Result<&'a OpenEngine, CallError> {
        // SAFETY: the requirement is the same; `CEngine` consists of `MaybeUninit`, so that any contents are valid.
        unsafe { read(engine, "engine")? };
        // SAFETY: `read` established that `engine` is non-null and aligned. A `CEngine` has more than one word, and C has
        // initialised it.
        if unsafe { engine.cast::<u64>().read() } != SEAL {
            return Err(CallError::Argument("engine", "is not open"));
        }
        // SAFETY: `include/beitle.h` requires an engine that is zeroed, that `open` has written, or a whole copy of one; of
        // these, only an open one has the seal. Size and alignment are asserted above.
        Ok(unsafe { &*engine.cast::<OpenEngine>() })
    }

    /// The memory of the engine at `engine`, whatever `engine` is.
    pub fn range(engine: *const CEngine) -> ByteRange {
        ByteRange::of(engine, 1, "engine")
    }

    /// The memory of the weight file.
    pub fn file_range(&self) -> ByteRange {
        let file = self.model.file().bytes();
        ByteRange::of(file.as_ptr(), file.len(), "the file")
    }

    /// `beitle_open`: parses the file and writes the open engine to `engine`, or leaves it not open.
    ///
    /// # Safety
    /// If the pointers are non-null and aligned, `engine` points to a [`CEngine`] that nothing else uses during the call,
    /// and `file` to `file_bytes` bytes that are not written to for as long as the engine is used.
    pub unsafe fn open(
        engine: *mut CEngine,
        file: *const c_void,
        file_bytes: usize,
        message: ByteRange,
    ) -> Result<(), CallError> {
        let file = file.cast::<u8>();
        let (own, file_range) = (OpenEngine::range(engine), ByteRange::of(file, file_bytes, "file"));
        check_disjoint(&[message], &[own, file_range])?;
        check_disjoint(&[own], &[file_range])?;
        // Whatever is wrong with the file, the engine is no longer open.
        // SAFETY: nothing else uses the `CEngine` at `engine`.
        unsafe { write(engine, CEngine::new(), "engine")? };
        // SAFETY: the bytes at `file` are not written to while the engine is used, and they are reached through the engine
        // only. `check_disjoint` established that the engine, which is written to, lies elsewhere.
        let bytes = unsafe { slice(file, file_bytes, "file")? };
        let open = OpenEngine { seal: SEAL, model: Model::new(bytes)?, plan: None };
        // SAFETY: `write` above established that `engine` is non-null and aligned. The assertion above established that an
        // `OpenEngine` fits.
        unsafe { engine.cast::<OpenEngine>().write(open) };
        Ok(())
    }

    /// Replaces the plan of the open engine at `engine`.
    ///
    /// # Safety
    /// As [`OpenEngine::at`], and nothing else uses the engine during the call.
    pub unsafe fn set_plan(engine: *mut CEngine, plan: Plan) -> Result<(), CallError> {
        // SAFETY: the requirement of this function includes that of `at`.
        unsafe { OpenEngine::at(engine)? };
        // SAFETY: `at` found an open engine there, and nothing else uses it.
        unsafe { (*engine.cast::<OpenEngine>()).plan = Some(plan) };
        Ok(())
    }
}
