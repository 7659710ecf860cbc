//! The backbone of BEiT: pixels in, four features out. The patch embedding starts the residual stream, each block adds attention
//! and an MLP to it in place, and the features are copies of it after certain blocks.
//!
//! A block is two kinds of steps: [`attention`], in which all tokens meet, and [`token_layers`], in which each thread takes tokens
//! of its own through everything up to the next attention.

pub(crate) mod attention;
pub(crate) mod embed;
pub(crate) mod features;
mod mlp;
mod scratch;
pub(crate) mod token_layers;
