//! What goes through the C ABI, as `include/beitle.h` declares it; a test compares the two.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;

/// How a call ended.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A pointer, a size or a number that makes no sense; also an engine that is not open or not planned.
    Argument = 1,
    /// Not a `.beitle` file.
    NotAModel = 2,
    /// A weight file of a version that this build does not read.
    OtherVersion = 3,
    /// A weight file that is cut short, damaged or makes no sense.
    Damaged = 4,
    /// Memory that does not start where it must.
    Misaligned = 5,
    /// Memory that is too small for what goes there.
    Buffer = 6,
    /// A picture that cannot be taken.
    Picture = 7,
    /// More memory would be needed than this machine can address.
    TooLarge = 8,
    /// The progress function asked to stop.
    Cancelled = 9,
    /// A defect of this library: it would have panicked.
    Internal = 10,
}

/// Words in an [`Engine`].
pub const ENGINE_WORDS: usize = 256;

/// Memory for an engine; its contents are the library's own.
#[repr(C)]
pub struct Engine {
    pub(super) opaque: [MaybeUninit<u64>; ENGINE_WORDS],
}

impl Engine {
    /// Memory that holds no engine yet.
    #[must_use]
    pub const fn new() -> Self {
        Engine { opaque: [MaybeUninit::zeroed(); ENGINE_WORDS] }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Engine::new()
    }
}

/// What a model is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Width in pixels that pictures are brought to.
    pub input_width: usize,
    /// Height.
    pub input_height: usize,
    /// Classes.
    pub classes: usize,
    /// Width of the logits.
    pub logits_width: usize,
    /// Height.
    pub logits_height: usize,
}

/// A picture in the caller's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// The first row's first byte.
    pub data: *const u8,
    /// Bytes there are.
    pub bytes: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes from one row to the next; 0: rows follow each other without gaps.
    pub stride: usize,
    /// Order of a pixel's bytes: RGB, BGR, RGBA, BGRA, grey from 0.
    pub format: u32,
}

/// A class map in the caller's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// The first row's first pixel.
    pub data: *mut c_void,
    /// Bytes there are.
    pub bytes: usize,
    /// Pixels in a row; 0 with height 0: as large as the picture.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1, or 2 for any number of classes.
    pub pixel_bytes: u32,
}

/// What a thread calls to do its share.
pub type Work = unsafe extern "C" fn(argument: *mut c_void);

/// The caller's threads.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    /// Threads that may work at a time.
    pub workers: usize,
    /// Calls `work(argument)` on several threads and returns when all these calls have.
    pub run: Option<unsafe extern "C" fn(context: *mut c_void, work: Work, argument: *mut c_void)>,
    /// Passed to `run`.
    pub context: *mut c_void,
}

/// Everything one run needs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Size of this structure, which shows whether header and library belong together.
    pub size: usize,
    /// Working memory.
    pub arena: *mut c_void,
    /// Its bytes.
    pub arena_bytes: usize,
    /// What is looked at.
    pub picture: Picture,
    /// Where its classes go.
    pub map: Map,
    /// Where the logits go, or null.
    pub logits: *mut f32,
    /// Numbers there is room for.
    pub logits_count: usize,
    /// The caller's threads, or null: the calling one.
    pub threads: *const Threads,
    /// Called after each step, or null; anything but 0 stops the run.
    pub progress: Option<unsafe extern "C" fn(context: *mut c_void) -> c_int>,
    /// Passed to `progress`.
    pub progress_context: *mut c_void,
}
