//! The C interface of beitle, declared and documented for C in `include/beitle.h`.
//!
//! Each exported function converts its arguments from C, calls the engine and converts the result back to C:
//!
//! | file | content |
//! | --- | --- |
//! | `types` | the structures of the header |
//! | `status` | the errors of a call and their status values |
//! | `text` | messages and names, written to memory of the caller |
//! | `pointers` | pointers and sizes from C: validated, then turned into references and slices |
//! | `open` | the open engine inside a [`CEngine`] |
//! | `pool` | the caller's threads as a [`Parallel`](beitle::parallel::Parallel) |
//! | `versioned` | structures of arguments of older and newer versions of the header |
//! | `image` | the image of a run as a view |
//! | `plan` | `beitle_plan_views` |
//! | `run` | `beitle_run` |
//! | `maps` | the functions that evaluate class maps |
//! | `call` | the wrapper around every call: it catches panics and turns an error into a status and a message |
//! | `describe` | the functions that describe an open model |
//! | `exports` | the other exported functions |
//!
//! The crate allocates nothing. Its only global state is the table of parallel steps in `pool`. With the feature `std` a panic
//! becomes [`Status::InternalError`], unless the program is built with `panic = "abort"`; without it a panic ends in the panic
//! handler of the program (in `libbeitle`, that of `src/capi`).
#![cfg_attr(not(any(test, feature = "std")), no_std)]

mod call;
mod describe;
mod exports;
mod image;
mod maps;
mod open;
#[cfg(feature = "panic-test")]
mod panic_test;
mod plan;
mod pointers;
#[cfg(target_has_atomic = "ptr")]
mod pool;
mod run;
mod status;
mod text;
mod types;
mod versioned;

pub use describe::*;
pub use exports::*;
pub use maps::*;
#[cfg(feature = "panic-test")]
pub use panic_test::beitle_panic_test;
pub use status::Status;
pub use types::{
    CClassMap, CEngine, CFrame, CImage, CInfo, CPlanParams, CPlane, CRunParams, CThreadPool, ENGINE_WORDS,
    WorkerFn,
};
