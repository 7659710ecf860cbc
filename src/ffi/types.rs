//! The structures of `include/beitle.h`, which documents them. `tests/c.rs` compares sizes and offsets with the C compiler's.

use beitle::output::Ranked;
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;

/// `BEITLE_ENGINE_WORDS`: size of a [`CEngine`] in 64-bit words.
pub const ENGINE_WORDS: usize = 256;

/// `beitle_engine`: storage for an open model and its plan.
#[repr(C)]
pub struct CEngine {
    opaque: [MaybeUninit<u64>; ENGINE_WORDS],
}

impl CEngine {
    /// Zeroed storage: an engine that is not open.
    #[must_use]
    pub const fn new() -> Self {
        CEngine { opaque: [MaybeUninit::zeroed(); ENGINE_WORDS] }
    }
}

impl Default for CEngine {
    fn default() -> Self {
        CEngine::new()
    }
}

/// `beitle_info`: what a model computes, and its dimensions.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CInfo {
    /// Size of this structure in the caller's version of the header.
    pub size: usize,
    /// Width in pixels of the images that the model processes.
    pub input_width: usize,
    /// Height in pixels of the images that the model processes.
    pub input_height: usize,
    /// Number of classes; 0 if the model has only features.
    pub classes: usize,
    /// Columns of the logits; 1 unless the task is segmentation.
    pub logits_width: usize,
    /// Rows of the logits; 1 unless the task is segmentation.
    pub logits_height: usize,
    /// Number of features of an image, which is that of the numbers in a token; 0 if the task is segmentation.
    pub features: usize,
    /// Number of tokens; 0 if the task is segmentation.
    pub tokens: usize,
    /// 0 segmentation, 1 classification, 2 features.
    pub task: u32,
    /// Channels of the images that the model processes.
    pub image_channels: u32,
    /// Precision of the weights: 0 f32, 1 f16, 2 int8, 3 int4.
    pub precision: u32,
    /// Version of the weight file's format.
    pub format_version: u32,
    /// SHA-256 of the checkpoint.
    pub source_sha256: [u8; 32],
}

impl Default for CInfo {
    /// Zeros, and the size of this structure.
    fn default() -> Self {
        CInfo {
            size: size_of::<CInfo>(),
            input_width: 0,
            input_height: 0,
            classes: 0,
            logits_width: 0,
            logits_height: 0,
            features: 0,
            tokens: 0,
            task: 0,
            image_channels: 0,
            precision: 0,
            format_version: 0,
            source_sha256: [0; 32],
        }
    }
}

/// `beitle_image`: an image in the caller's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CImage {
    /// First byte of the top row.
    pub data: *const u8,
    /// Size of the memory at `data`.
    pub bytes: usize,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes from one row to the next; 0: rows are contiguous.
    pub stride: usize,
    /// Pixel format: 0 RGB, 1 BGR, 2 RGBA, 3 BGRA, 4 grey, 5 two channels, 6 RGB565, 7 16-bit grey, 8 YUYV, 9 UYVY, 10 NV12, 11 NV21,
    /// 12 I420.
    pub format: u32,
}

/// `beitle_plane`: a plane of an image after the first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CPlane {
    /// First byte of the top row; null: the plane lies behind the one before.
    pub data: *const u8,
    /// Size of the memory at `data`.
    pub bytes: usize,
    /// Bytes from one row to the next; 0: rows are contiguous.
    pub stride: usize,
}

/// `beitle_frame`: how the image of a camera is stored and seen.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CFrame {
    /// The second and the third plane.
    pub planes: [CPlane; 2],
    /// First column and row, width and height of the part that is seen, as stored; all 0: the whole image.
    pub crop: [usize; 4],
    /// Quarter turns clockwise of that part, 0 to 3.
    pub rotation: u32,
    /// Whether it is then mirrored left to right: 0 or 1.
    pub mirror: u32,
    /// Matrix of YUV: 0 BT.601, 1 BT.709.
    pub matrix: u32,
    /// Range of YUV: 0 limited, 1 full.
    pub range: u32,
    /// The 16-bit grey that becomes 0 and 255; both 0: 0 and 65535.
    pub gray16: [u16; 2],
}

impl Default for CFrame {
    /// Zeros: the whole image as it is stored.
    fn default() -> Self {
        let plane = CPlane { data: core::ptr::null(), bytes: 0, stride: 0 };
        CFrame {
            planes: [plane; 2],
            crop: [0; 4],
            rotation: 0,
            mirror: 0,
            matrix: 0,
            range: 0,
            gray16: [0; 2],
        }
    }
}

/// `beitle_class_map`: a class map in the caller's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CClassMap {
    /// First pixel of the top row: u8 or u16, see `pixel_bytes`.
    pub data: *mut c_void,
    /// Size of the memory at `data`.
    pub bytes: usize,
    /// Width in pixels; width and height of 0 mean the size of the image.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes per pixel: 1 (up to 256 classes) or 2.
    pub pixel_bytes: u32,
}

/// The function that `beitle_thread_pool.run` calls on each thread.
pub type WorkerFn = unsafe extern "C" fn(argument: *mut c_void);

/// `beitle_thread_pool`: the caller's threads.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CThreadPool {
    /// Maximum number of concurrent calls of the worker function.
    pub workers: usize,
    /// Calls `worker(argument)` on several threads, and returns after all these calls have returned.
    pub run: Option<unsafe extern "C" fn(context: *mut c_void, worker: WorkerFn, argument: *mut c_void)>,
    /// Passed to `run`.
    pub context: *mut c_void,
}

/// `beitle_run_params`: the arguments of a run.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CRunParams {
    /// Size of this structure in the caller's version of the header.
    pub size: usize,
    /// Scratch memory, aligned to 64 bytes.
    pub arena: *mut c_void,
    /// Size of the arena in bytes.
    pub arena_bytes: usize,
    /// The input.
    pub image: CImage,
    /// The output.
    pub map: CClassMap,
    /// Output logits, or null.
    pub logits: *mut f32,
    /// Size of the memory at `logits`, in floats.
    pub logits_count: usize,
    /// The caller's threads; null: the calling thread only.
    pub thread_pool: *const CThreadPool,
    /// Called a few hundred times during a run, or null. A value other than 0 cancels the run.
    pub progress: Option<unsafe extern "C" fn(context: *mut c_void) -> c_int>,
    /// Passed to `progress` and `window_done`.
    pub progress_context: *mut c_void,
    /// Output scores of several views, or null.
    pub scores: *mut u16,
    /// Size of the memory at `scores`, in elements.
    pub scores_count: usize,
    /// Called after each window of the image, or null.
    pub window_done: Option<unsafe extern "C" fn(context: *mut c_void, done: usize, total: usize)>,
    /// Output features of the image, or null.
    pub features: *mut f32,
    /// Size of the memory at `features`, in floats.
    pub features_count: usize,
    /// Output tokens, or null.
    pub tokens: *mut f32,
    /// Size of the memory at `tokens`, in floats.
    pub tokens_count: usize,
    /// How `image` is stored and seen.
    pub frame: CFrame,
    /// Output confidences, or null.
    pub confidence: *mut u8,
    /// Size of the memory at `confidence`, in bytes.
    pub confidence_count: usize,
    /// Pixels with a lower confidence are unknown, 0 to 255.
    pub min_confidence: usize,
    /// The numbers that the map holds instead of the classes; null: the classes.
    pub labels: *const u16,
    /// Number of elements at `labels`.
    pub labels_count: usize,
    /// Columns and rows of points of the map, or null.
    pub points: *const [usize; 2],
    /// Number of points.
    pub points_count: usize,
    /// The output: the most likely classes at each point.
    pub ranked: *mut Ranked,
    /// Number of elements at `ranked`, for all points together.
    pub ranked_count: usize,
    /// Name of an instruction set with a terminating zero; null: the best one.
    pub isa: *const c_char,
}

/// `beitle_plan_params`: the arguments of a plan with views.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CPlanParams {
    /// Size of this structure in the caller's version of the header.
    pub size: usize,
    /// Number of threads.
    pub workers: usize,
    /// Width of the image in pixels.
    pub width: usize,
    /// Height of the image in pixels.
    pub height: usize,
    /// How the image is fitted to the network's input: 0 as the file says, 1 whole, 2 slide, 3 native.
    pub mode: u32,
    /// Whether mirrored views are run, too: 0 or 1.
    pub flip: u32,
    /// Ratios of several scales.
    pub scales: *const f64,
    /// Number of ratios.
    pub scale_count: usize,
    /// About how many bytes of logits to keep for overlapping windows; 0: the default.
    pub overlap_bytes: usize,
}

/// A structure of arguments that begins with its size, so that later versions can have more fields.
///
/// # Safety
/// The structure is `repr(C)`, its first field is the size, a `usize`, and all other fields may be zero.
pub(crate) unsafe trait Versioned: Copy {
    /// The sizes in earlier versions of the header.
    const EARLIER_SIZES: &'static [usize];
}

// SAFETY: numbers, pointers, and optional functions, for which zero is `None`.
unsafe impl Versioned for CRunParams {
    const EARLIER_SIZES: &'static [usize] = &[
        core::mem::offset_of!(CRunParams, scores),
        core::mem::offset_of!(CRunParams, features),
        core::mem::offset_of!(CRunParams, frame),
        core::mem::offset_of!(CRunParams, confidence),
        core::mem::offset_of!(CRunParams, isa),
    ];
}

// SAFETY: numbers and a pointer.
unsafe impl Versioned for CPlanParams {
    const EARLIER_SIZES: &'static [usize] = &[];
}

// SAFETY: numbers.
unsafe impl Versioned for CInfo {
    const EARLIER_SIZES: &'static [usize] = &[core::mem::offset_of!(CInfo, precision)];
}
