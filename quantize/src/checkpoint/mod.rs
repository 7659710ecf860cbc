//! Checkpoints: a path in, tensors by canonical name out.
//!
//! [`Checkpoint::open`] finds the weight files behind a path, reads their headers ([`mod@safetensors`] or [`torch`]
//! archives) and gives every tensor its canonical name ([`names`]). [`Checkpoint::read`] then seeks
//! to one tensor at a time, so a conversion holds a single tensor in memory, never the whole model. Files are untrusted:
//! every size and offset is checked against the file and against [`limits`], and pickles are parsed without running anything.

mod limits;
mod names;
mod open;
mod reader;
mod safetensors;
mod shards;
mod tensor;
#[cfg(test)]
mod tests;
mod torch;

pub use names::Scheme;
pub use reader::Checkpoint;
#[cfg(feature = "hub")]
pub(crate) use {limits::MAX_FILE, shards::read_index};
