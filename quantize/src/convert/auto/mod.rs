//! `--precision auto`: int8 where it costs little accuracy, half precision where int8 costs the most.
//!
//! The checkpoint is converted twice, to int8 and to half precision ([`run`]). Layers are split into groups ([`group`]). The
//! noise that a group adds to the logits is measured by running the half-precision model with only that group in int8;
//! noise of different layers adds up. Groups then return to half precision in the order of noise per multiplication, until a
//! wanted share of pixels agrees with the half-precision model ([`search`]), measured on the calibration pictures
//! ([`mod@reference`]). A mixture copies each tensor from one of the two conversions ([`mixture`]).

mod group;
mod mixture;
mod reference;
mod run;
mod search;

pub(super) use run::convert;
