//! The backbone of BEiT: pixels in, four features out. The patch embedding starts the residual stream, each block adds attention
//! and an MLP to it in place, and the features are copies of it after certain blocks.

pub(crate) mod attention;
pub(crate) mod embed;
pub(crate) mod features;
pub(crate) mod mlp;
