//! The list of all kernels and operators, each as a run on inputs from a seed, on any instruction set.
//!
//! In: a [`Size`] and a seed. Out: the bits that the kernel wrote. The property tests compare them with those of the portable
//! instruction set, and the benchmarks (`cargo bench -p beitle-benches`) time the runs.

mod inputs;
mod list;
mod operators;
mod pictures;
mod tiles;

#[cfg(test)]
mod fma_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod winograd_tests;

pub use inputs::{Kernel, KernelRun, Size, Source};
pub use list::KERNELS;
