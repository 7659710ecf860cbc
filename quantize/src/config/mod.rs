//! The configuration of a checkpoint: the model's dimensions and its preprocessing of pictures.
//!
//! Transformers folders say both in `config.json` ([`ModelConfig::read`]) and `preprocessor_config.json`
//! ([`Preprocessing::read`]). For checkpoints without these files, [`infer()`] derives the dimensions from the shapes of
//! the tensors. [`check_architecture`] refuses other models before anything else is read.

mod architecture;
mod fields;
mod head;
mod infer;
mod model;
mod preprocessing;
mod read;
#[cfg(test)]
mod tests;
mod upernet;

pub use architecture::{Architecture, check as check_architecture};
pub use infer::infer;
pub use model::ModelConfig;
pub use preprocessing::Preprocessing;
