//! The library for C, as `tests/c.rs` links it: `cargo test` builds examples anyway, so that the test needs no second build.
//! What is given away is built as the README's "From C" says.
use beitle as _;
