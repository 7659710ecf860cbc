//! Labelled street scenes drawn from a seed.
//!
//! In: a seed and a size. Out: an RGB picture and the exact class of every pixel. [`Scene::new`] plans a street from
//! random numbers; [`Scene::render`] paints it from far to near with a pinhole camera, then adds the faults of a cheap
//! camera.
//!
//! The same seed and size give the same bytes on every machine: all arithmetic is integers and plain `f32` operations,
//! and the few cosines come from `libm`. The demonstration model is trained on these scenes. Tests and benchmarks use
//! seeds it has not seen, from [`HELD_OUT`] on.
//!
//! ```
//! let picture = beitle_scenes::Scene::new(7).render(64, 48);
//! assert_eq!(picture.rgb.len(), 64 * 48 * 3);
//! assert!(picture.labels.iter().all(|&l| usize::from(l) < beitle_scenes::CLASSES.len()));
//! ```
#![forbid(unsafe_code)]

mod backdrop;
mod building;
mod camera;
mod canvas;
mod classes;
mod colour;
mod furniture;
mod ground;
mod jpeg;
mod light;
mod noise;
mod objects;
mod rng;
mod road;
mod scene;
mod sensor;
mod side;
mod street;

pub use classes::{CLASSES, PALETTE};
pub use scene::{HELD_OUT, Picture, Scene};
