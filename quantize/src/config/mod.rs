//! The configuration of a checkpoint: the model's dimensions and its preprocessing of pictures.
//!
//! Transformers folders say both in `config.json` ([`ModelConfig::read`]) and `preprocessor_config.json`
//! ([`Preprocessing::read`]). For checkpoints without these files, [`infer()`] derives the dimensions from the shapes of
//! the tensors.

mod fields;
mod infer;
mod model;
mod preprocessing;
#[cfg(test)]
mod tests;

pub use infer::infer;
pub use model::ModelConfig;
pub use preprocessing::Preprocessing;
