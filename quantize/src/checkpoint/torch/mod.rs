//! Files written by `torch.save` (PyTorch 1.6 and later): an uncompressed zip archive.
//!
//! The entry `data.pkl` is a pickle that describes the tensors ([`pickle`]); the entries under `data/` hold their values
//! ([`archive`]). [`zip`] finds the archive's entries.

mod archive;
mod pickle;
mod zip;

pub(super) use archive::tensors;
#[cfg(test)]
pub(super) use pickle::state_dict;
