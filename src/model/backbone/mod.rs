//! The backbone: patch embedding, blocks of attention and MLP on the residual stream, and the features taken from it.

pub(crate) mod attention;
pub(crate) mod embed;
pub(crate) mod features;
pub(crate) mod mlp;
