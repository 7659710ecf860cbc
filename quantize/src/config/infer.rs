//! A configuration from the shapes of the tensors, for checkpoints without `config.json`.

use beitle::file::format::{MlpActivation, Task};

use super::model::ModelConfig;
use crate::checkpoint::{Checkpoint, Scheme};
use crate::error::Error;

/// Input side, in pixels, of segmentation models whose tensors do not determine it: that of the published models.
const DEFAULT_SIDE: usize = 640;
/// The same of models that do not segment pictures.
const DEFAULT_PICTURE_SIDE: usize = 224;

/// The relative position tables of one block and of all blocks.
const BLOCK_TABLE: &str = "blocks.0.relative_position_bias_table";
const SHARED_TABLE: &str = "relative_position_bias_table";

/// Derives a configuration from the shapes of the tensors.
///
/// # Errors
/// A tensor that determines a dimension is missing or has an unexpected shape.
pub fn infer(checkpoint: &Checkpoint) -> Result<ModelConfig, Error> {
    let shapes = Shapes { checkpoint };
    let token = shapes.get("cls_token")?;
    let &[1, 1, hidden] = token else { return Err(shapes.misfit("cls_token", token, "[1, 1, hidden]")) };
    let (channels, patch) = shapes.patch()?;
    let task = checkpoint.task();
    let layers = shapes.count("blocks.", ".norm1.weight")?;
    let mlp = shapes.get("blocks.0.fc1.weight")?;
    let &[intermediate, _] = mlp else {
        return Err(shapes.misfit("blocks.0.fc1.weight", mlp, "[width, hidden]"));
    };
    let classes = if task == Task::Features { 0 } else { shapes.classes(task)? };
    let pool_scales = if task == Task::Segmentation { shapes.pool_scales()? } else { Vec::new() };
    let (heads, grid) = shapes.positions()?;
    let default_side = if task == Task::Segmentation { DEFAULT_SIDE } else { DEFAULT_PICTURE_SIDE };
    let image_size = grid.unwrap_or((default_side / patch).max(1)).checked_mul(patch);
    let Some(image_size) = image_size else {
        return Err(shapes.misfit("patch.weight", shapes.get("patch.weight")?, "a smaller patch"));
    };
    if let Some(heads) = heads.filter(|heads| *heads == 0 || !hidden.is_multiple_of(*heads)) {
        return Err(shapes.wrong(format!(
            "the relative position tables have {heads} heads; expected a divisor of the {hidden} channels"
        )));
    }
    Ok(ModelConfig {
        architecture: None,
        // A LayerNorm of the mean; without one, that of the tokens comes before the class token, or before a head for masked images.
        mean_pooling: checkpoint.shape("pool_norm.weight").is_some()
            || checkpoint.shape("norm.weight").is_none()
            || checkpoint.has_masked_image_head(),
        channels,
        activation: MlpActivation::Gelu,
        head_channels: (task == Task::Segmentation).then(|| shapes.head_channels()).transpose()?,
        hidden,
        layers,
        heads,
        intermediate,
        image_size: (image_size, image_size),
        patch,
        out_indices: None,
        eps: match checkpoint.scheme() {
            Scheme::Unilm | Scheme::Mmseg => 1e-6,
            Scheme::Transformers4 | Scheme::Transformers5 => 1e-12,
        },
        classes,
        class_names: None,
        pool_scales,
        absolute: checkpoint.shape("position_embeddings").is_some(),
        relative: checkpoint.shape(BLOCK_TABLE).is_some(),
        shared: checkpoint.shape(SHARED_TABLE).is_some(),
        layer_scale: None,
        notes: Vec::new(),
    })
}

/// The shapes of a checkpoint's tensors, with errors that name the tensor.
struct Shapes<'a> {
    checkpoint: &'a Checkpoint,
}

impl<'a> Shapes<'a> {
    fn wrong(&self, what: String) -> Error {
        Error::new(self.checkpoint.main_file(), what)
    }

    fn misfit(&self, name: &str, found: &[usize], expected: &str) -> Error {
        self.wrong(format!("tensor {name}: shape {found:?}; expected {expected}"))
    }

    fn get(&self, name: &str) -> Result<&'a [usize], Error> {
        self.checkpoint.shape(name).ok_or_else(|| {
            self.wrong(format!("tensor {name} is missing; the configuration cannot be inferred without it"))
        })
    }

    /// Number of tensors `before`N`after`, which must be numbered from 0 without gaps.
    fn count(&self, before: &str, after: &str) -> Result<usize, Error> {
        let matches =
            |name: &str| name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some();
        let count = self.checkpoint.names().filter(|name| matches(name)).count();
        for number in 0..count {
            let name = format!("{before}{number}{after}");
            if self.checkpoint.shape(&name).is_none() {
                return Err(self.wrong(format!("tensor {name} is missing, but a later one exists")));
            }
        }
        if count == 0 {
            return Err(self.wrong(format!("tensor {before}0{after} is missing")));
        }
        Ok(count)
    }

    /// Channels of the pictures, and the side of a patch.
    fn patch(&self) -> Result<(usize, usize), Error> {
        let kernel = self.get("patch.weight")?;
        match *kernel {
            [_, channels @ 1..=4, down, across] if down == across && down > 0 => Ok((channels, down)),
            _ => Err(self.misfit("patch.weight", kernel, "[hidden, 1 to 4 channels, side, side]")),
        }
    }

    fn classes(&self, task: Task) -> Result<usize, Error> {
        let shape = self.get("classifier.weight")?;
        let (dimensions, expected) = match task {
            Task::Segmentation => (4, "[classes, hidden, 1, 1]"),
            _ => (2, "[classes, hidden]"),
        };
        match shape.first() {
            Some(classes) if shape.len() == dimensions && *classes > 0 => Ok(*classes),
            _ => Err(self.misfit("classifier.weight", shape, expected)),
        }
    }

    /// Output sides of the pooling branches, of which only the number is known.
    fn pool_scales(&self) -> Result<Vec<usize>, Error> {
        match self.count("psp.", ".conv.weight")? {
            4 => Ok(vec![1, 2, 3, 6]),
            other => Err(self
                .wrong(format!("the pyramid pooling module has {other} branches; expected 4 (1, 2, 3, 6)"))),
        }
    }

    /// Width of the head.
    fn head_channels(&self) -> Result<usize, Error> {
        let name = "fpn.0.conv.weight";
        let shape = self.get(name)?;
        match shape {
            &[width, ..] if width > 0 => Ok(width),
            _ => Err(self.misfit(name, shape, "[width, width, 3, 3]")),
        }
    }

    /// The number of heads and the side of the patch grid; `None` if no position table or embedding determines them.
    fn positions(&self) -> Result<(Option<usize>, Option<usize>), Error> {
        let (mut heads, mut grid) = (None, None);
        for name in [BLOCK_TABLE, SHARED_TABLE] {
            let Some(table) = self.checkpoint.shape(name) else { continue };
            let misfit = || self.misfit(name, table, "[(2n-1)^2 + 3, heads] for n x n patches");
            let &[rows, columns] = table else { return Err(misfit()) };
            let side = rows.checked_sub(3).and_then(integer_sqrt).filter(|side| side % 2 == 1);
            let side = side.ok_or_else(misfit)?;
            heads = heads.or(Some(columns));
            grid = grid.or(Some(side.div_ceil(2)));
        }
        let name = "position_embeddings";
        if let Some(found) = self.checkpoint.shape(name) {
            let misfit = || self.misfit(name, found, "[1, n*n + 1, hidden] for n x n patches");
            let &[1, tokens, _] = found else { return Err(misfit()) };
            let side = tokens.checked_sub(1).and_then(integer_sqrt);
            grid = grid.or(Some(side.ok_or_else(misfit)?));
        }
        Ok((heads, grid))
    }
}

/// The square root of a positive square number; `None` of others.
fn integer_sqrt(square: usize) -> Option<usize> {
    let root = square.isqrt();
    (root > 0 && root * root == square).then_some(root)
}
