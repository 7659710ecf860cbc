//! Files written by `torch.save`: an uncompressed zip archive (PyTorch 1.6 and later), or the older format ([`legacy`]).
//!
//! The entry `data.pkl` is a pickle that describes the tensors ([`pickle`]); the entries under `data/` hold their values
//! ([`archive`]). [`zip`] finds the archive's entries.

mod archive;
pub(super) mod legacy;
mod pickle;
mod span;
mod zip;

pub(super) use archive::tensors;
/// The tensors of a state dict under one of the usual keys.
#[cfg(test)]
pub(super) fn state_dict(bytes: &[u8]) -> Result<Vec<pickle::DescribedTensor>, String> {
    pickle::state_dict(bytes, None)
}
