//! A configuration from the shapes of the tensors, for checkpoints without `config.json`.

use super::model::ModelConfig;
use crate::checkpoint::{Checkpoint, Scheme};
use crate::error::Error;

/// Input side, in pixels, of models whose tensors do not determine it: that of the published models.
const DEFAULT_SIDE: usize = 640;

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
    let patch = shapes.patch()?;
    let layers = shapes.count("blocks.", ".norm1.weight")?;
    let mlp = shapes.get("blocks.0.fc1.weight")?;
    let &[intermediate, _] = mlp else {
        return Err(shapes.misfit("blocks.0.fc1.weight", mlp, "[width, hidden]"));
    };
    let classes = shapes.classes()?;
    let pool_scales = match shapes.count("psp.", ".conv.weight")? {
        4 => vec![1, 2, 3, 6],
        other => {
            return Err(shapes
                .wrong(format!("the pyramid pooling module has {other} branches; expected 4 (1, 2, 3, 6)")));
        }
    };
    let (heads, grid) = shapes.positions()?;
    let image_size = grid.unwrap_or((DEFAULT_SIDE / patch).max(1)).checked_mul(patch);
    let Some(image_size) = image_size else {
        return Err(shapes.misfit("patch.weight", shapes.get("patch.weight")?, "a smaller patch"));
    };
    if let Some(heads) = heads.filter(|heads| *heads == 0 || !hidden.is_multiple_of(*heads)) {
        return Err(shapes.wrong(format!(
            "the relative position tables have {heads} heads; expected a divisor of the {hidden} channels"
        )));
    }
    Ok(ModelConfig {
        hidden,
        layers,
        heads,
        intermediate,
        image_size,
        patch,
        out_indices: match layers {
            12 => [3, 5, 7, 11],
            24 => [7, 11, 15, 23],
            _ => [1, 2, 3, 4].map(|quarter| (layers * quarter / 4).saturating_sub(1)),
        },
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

    /// Side of a patch.
    fn patch(&self) -> Result<usize, Error> {
        let kernel = self.get("patch.weight")?;
        match *kernel {
            [_, 3, down, across] if down == across && down > 0 => Ok(down),
            _ => Err(self.misfit("patch.weight", kernel, "[hidden, 3, side, side]")),
        }
    }

    fn classes(&self) -> Result<usize, Error> {
        let shape = self.get("classifier.weight")?;
        match shape.first() {
            Some(classes) if shape.len() == 4 && *classes > 0 => Ok(*classes),
            _ => Err(self.misfit("classifier.weight", shape, "[classes, hidden, 1, 1]")),
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
