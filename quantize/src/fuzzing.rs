//! What the fuzz target `checkpoint` calls: every reader of a checkpoint, without a conversion. Not part of the interface.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::config::{ModelConfig, Preprocessing, infer};
use crate::error::Error;

/// Opens a checkpoint and reads its configuration, then every tensor of at most `max_elements` elements. Returns the number of
/// tensors, and the errors in the order in which they occurred.
pub fn read_checkpoint(path: &Path, max_elements: usize) -> (usize, Vec<Error>) {
    let checkpoint = match Checkpoint::open(path) {
        Ok(checkpoint) => checkpoint,
        Err(e) => return (0, vec![e]),
    };
    let mut errors = Vec::new();
    if let Some(folder) = checkpoint.folder() {
        errors.extend(ModelConfig::read(folder).err());
        errors.extend(Preprocessing::read(folder, 3).err());
    }
    errors.extend(infer(&checkpoint).err());
    let mut tensors = 0;
    for name in checkpoint.names() {
        tensors += 1;
        let shape = checkpoint.shape(name).unwrap_or(&[]);
        if shape.iter().product::<usize>() <= max_elements {
            errors.extend(checkpoint.read(name, shape).err());
        }
    }
    (tensors, errors)
}
