//! Every kernel as work that any instruction set can do: the one list behind the property tests (the same bits everywhere)
//! and the benchmarks (`cargo bench --features bench`).

mod inputs;
mod list;
mod operators;
mod tiles;

#[cfg(test)]
mod tests;

pub use inputs::{Kernel, KernelRun, Size, Source};
pub use list::KERNELS;
