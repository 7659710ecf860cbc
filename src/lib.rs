//! BEiT on edge devices: semantic segmentation, classification and features of pictures.
//!
//! [BEiT](https://arxiv.org/abs/2106.08254) is a vision transformer that is pre-trained on masked images. With a
//! [UPerNet](https://arxiv.org/abs/1807.10221) head it assigns a class, such as *road* or *sky*, to every pixel of a picture; with
//! a linear head, to the picture. This crate runs such models on a CPU. The `beitle-quantize` tool converts a checkpoint to a weight file once; the engine maps
//! the file and runs in an arena of fixed size, without allocating.
//!
//! ```no_run
//! use beitle::engine::{Engine, Output};
//! use beitle::image::{ImageView, PixelFormat};
//! use beitle::memory::{Arena, FileBytes};
//! use beitle::output::ClassMapMut;
//! use beitle::parallel::ThreadPool;
//! use beitle::plan::Plan;
//! use beitle::{Isa, Model};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (rgb, width, height) = (vec![0u8; 640 * 480 * 3], 640, 480);
//! // Once: read the weights and set up the memory. (`FileBytes::map` shares them between processes and copies nothing.)
//! let file = FileBytes::read("model.beitle")?;
//! let model = Model::new(file.bytes())?;
//! let threads = ThreadPool::new(2)?;
//! let plan = Plan::new(&model, 2, (width, height))?;
//! let mut arena = Arena::new(plan.bytes())?;
//! let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut())?;
//!
//! // For each picture: packed RGB bytes in, a class number per pixel out. Nothing is allocated here.
//! let picture = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8)?;
//! let mut map = vec![0u8; width * height];
//! let mut output = Output::map((width, height), ClassMapMut::U8(&mut map));
//! engine.run(&threads, &picture, &mut output, &mut ())?;
//!
//! let centre = map[height / 2 * width + width / 2];
//! println!("the pixel in the middle is {:?}", model.class_name(centre.into()));
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! In the order of the data flow:
//!
//! | module | contents |
//! | --- | --- |
//! | [`file`](mod@file) | the weight file: its format, its validation, and the [`Model`] that borrows it |
//! | [`memory`] | weight files, read or mapped, and arenas from the operating system (feature `std`) |
//! | [`plan`] | the size of the arena and the offset of each buffer |
//! | [`image`] | pictures: pixel formats, YUV among them, strides, crops, rotations, and resizing, byte-identical to Pillow or OpenCV |
//! | [`views`] | how a picture is fitted to the network: stretched, or in sliding windows, mirrored, at several scales |
//! | [`engine`] | [`Engine::run`](engine::Engine::run): a picture in, a class map, logits or features out |
//! | [`output`] | class maps, logits, features and tokens in the caller's memory |
//! | [`parallel`] | the threads: a pool, the calling thread alone, or your own implementation of a small trait |
//! | [`observe`] | progress, profiles, intermediate tensors, cancellation |
//!
//! [`Isa`] selects the kernels of an instruction set. [`Error`] is the error type of the engine; opening a file, allocating
//! an arena and starting threads return [`std::io::Error`].
//!
//! # Exactness
//!
//! The same file and picture give the same results, bit for bit, on every supported CPU and with any number of threads:
//!
//! - Integer products are exact on every instruction set.
//! - f32 code is written once, over vectors of 16 lanes with fused multiply-add and one fixed reduction tree.
//! - Each output of a matrix product is summed over its inputs in order by one accumulator. Threads divide the outputs, never the sums.
//!
//! # Features
//!
//! - `std` (default): memory-mapped files, a thread pool, and detection of the instruction set at run time.
//! - `peak`: `Isa::peak`, which measures the CPU's rate of multiply-accumulates.
//! - `bench`: access to single kernels for the benchmarks; not a stable interface.
//!
//! The command line (`beitle-cli`) and the C interface (`beitle-ffi`, declared in `include/beitle.h`) are packages of their own.
//!
//! # Without an operating system
//!
//! Without `std` the crate is `no_std` and needs no allocator. Link the weight file into the program at an address that is a
//! multiple of 64 and pass it to [`Model::new`] as a `&[u8]`. Pass [`Engine::new`](engine::Engine::new) a buffer of
//! [`Plan::bytes`](plan::Plan::bytes) bytes with the same alignment. [`Serial`](parallel::Serial) runs everything on the calling
//! thread; an RTOS can implement [`Parallel`](parallel::Parallel) with its own threads. [`Isa::detect`] asks
//! the processor for its instructions on x86-64. On Arm that would take privileges: there the target features of the build decide
//! (`-C target-feature=+dotprod,+i8mm`), or the program, by [`Isa::assume`].
#![cfg_attr(not(any(test, feature = "std")), no_std)]

mod arena;
pub mod engine;
pub mod error;
pub mod file;
pub mod image;
#[cfg(any(test, feature = "bench"))]
#[doc(hidden)]
pub mod kernel_list;
#[cfg(feature = "std")]
pub mod memory;
mod model;
pub mod observe;
mod ops;
pub mod output;
pub mod parallel;
pub mod plan;
mod simd;
pub mod views;

pub use error::Error;
pub use file::{Facts, Model};
pub use simd::isa::Isa;
