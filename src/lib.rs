//! BEiT semantic segmentation for edge devices: one mapped weight file, one arena, the same bytes on every CPU.
//!
//! The data flows one way, and so does this list:
//!
//! | step | module | what |
//! | --- | --- | --- |
//! | file | [`file`], [`memory`] | bytes in memory, their structure checked; [`Model`]: facts and typed views, nothing copied |
//! | plan | [`plan`] | how many bytes the arena needs and what lies where |
//! | picture | [`image`] | any pixel format and stride, resized to the byte as Pillow or OpenCV does |
//! | backbone, neck, head | `model` | embedding, blocks, pyramid, head in bands of rows |
//! | class map | [`output`] | a class for each pixel |
//!
//! [`engine`] runs the steps, [`observe`] watches them, [`parallel`] says on which threads, [`Isa`] with which
//! instructions. The crate is `no_std` without `alloc`; the feature `std` (on by default) adds memory maps, threads and
//! run-time detection of instruction sets. The command line (`beitle-cli`) and the C interface (`beitle-ffi`) are packages
//! of their own.
//!
//! ```no_run
//! use beitle::engine::{Engine, Output};
//! use beitle::image::{ImageView, PixelFormat};
//! use beitle::memory::{Arena, MappedFile};
//! use beitle::output::ClassMapMut;
//! use beitle::parallel::ThreadPool;
//! use beitle::plan::Plan;
//! use beitle::{Isa, Model};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (rgb, width, height) = (vec![0u8; 640 * 480 * 3], 640, 480);
//! let file = MappedFile::open("model.beitle")?;
//! let model = Model::new(file.bytes())?;
//! let threads = ThreadPool::new(2)?;
//! let plan = Plan::new(&model, 2, (width, height))?;
//! let mut arena = Arena::new(plan.bytes());
//! let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes())?;
//!
//! let picture = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8)?;
//! let mut map = vec![0u8; width * height];
//! let mut output = Output::map((width, height), ClassMapMut::U8(&mut map));
//! engine.run(&threads, &picture, &mut output, &mut ())?; // nothing is allocated from here on
//! println!("the middle is {:?}", model.class_name(map[map.len() / 2 + width / 2].into()));
//! # Ok(())
//! # }
//! ```
//!
//! # Exactness
//!
//! The same file and picture give the same logits bit for bit on every supported CPU and for every number of threads:
//! integer products are exact on every instruction set, f32 code is written once over a 16-lane vector with fused
//! multiply-add and one fixed reduction tree, an output is summed along its inputs by one accumulator in order, and threads
//! split outputs, never sums.
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

pub use error::Error;
pub use file::{Facts, Model};
pub use simd::isa::Isa;
