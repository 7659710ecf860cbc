//! Modified checkpoints: reads the weights of a case, changes them, and writes them to another folder.
#![allow(dead_code)] // no test uses all of it

use super::Case;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The f32 tensors of a checkpoint: values and shape by name.
pub struct Weights(pub BTreeMap<String, (Vec<f32>, Vec<usize>)>);

impl Weights {
    pub fn open(file: &Path) -> Weights {
        let bytes = std::fs::read(file).unwrap();
        let all = SafeTensors::deserialize(&bytes).unwrap();
        let floats = all.iter().filter(|(_, t)| t.dtype() == Dtype::F32).map(|(name, t)| {
            let values = t.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (name.to_string(), (values, t.shape().to_vec()))
        });
        Weights(floats.collect())
    }

    pub fn get(&mut self, name: &str) -> &mut (Vec<f32>, Vec<usize>) {
        self.0.get_mut(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Multiplies output `channel` of a tensor by `factor`.
    pub fn row(&mut self, name: &str, channel: usize, factor: f32) {
        let (values, shape) = self.get(name);
        let size = values.len() / shape[0];
        values[channel * size..][..size].iter_mut().for_each(|v| *v *= factor);
    }

    /// Multiplies input `channel` of a tensor by `factor`.
    pub fn column(&mut self, name: &str, channel: usize, factor: f32) {
        let (values, shape) = self.get(name);
        let inner: usize = shape[2..].iter().product();
        for row in values.chunks_mut(shape[1] * inner) {
            row[channel * inner..][..inner].iter_mut().for_each(|v| *v *= factor);
        }
    }

    pub fn save(&self, file: &Path) {
        let views = self.0.iter().map(|(name, (values, shape))| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap())
        });
        safetensors::serialize_to_file(views, None, file).unwrap();
    }
}

/// Copies the checkpoint of a case to a folder of this process.
pub fn copy(case: &Case, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        std::fs::copy(case.folder.join(file), folder.join(file)).unwrap();
    }
    folder
}
