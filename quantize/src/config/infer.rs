//! A configuration from the shapes of the tensors, for checkpoints that come without one.

use super::ModelConfig;
use crate::checkpoint::{Checkpoint, Scheme};
use crate::error::Error;

/// The side of the input where neither tables nor embeddings say it: that of the published models.
const SIDE: usize = 640;

/// What the tensors' shapes say of the model.
pub fn infer(checkpoint: &Checkpoint) -> Result<ModelConfig, Error> {
    let wrong = |what: String| Error::new(checkpoint.main_file(), what);
    let shape = |name: &str| {
        checkpoint.shape(name).ok_or_else(|| {
            wrong(format!("tensor {name} is missing; the configuration cannot be told without it"))
        })
    };
    let misfit = |name: &str, found: &[usize], expected: &str| {
        wrong(format!("tensor {name}: shape {found:?}; expected {expected}"))
    };

    let token = shape("cls_token")?;
    let &[1, 1, hidden] = token else { return Err(misfit("cls_token", token, "[1, 1, hidden]")) };
    let kernel = shape("patch.weight")?;
    let patch = match *kernel {
        [_, 3, down, across] if down == across && down > 0 => down,
        _ => return Err(misfit("patch.weight", kernel, "[hidden, 3, side, side]")),
    };
    let layers = numbered(checkpoint, "blocks.", ".norm1.weight").map_err(wrong)?;
    let mlp = shape("blocks.0.fc1.weight")?;
    let &[intermediate, _] = mlp else { return Err(misfit("blocks.0.fc1.weight", mlp, "[width, hidden]")) };
    let last = shape("classifier.weight")?;
    let classes = match last.first() {
        Some(classes) if last.len() == 4 && *classes > 0 => *classes,
        _ => return Err(misfit("classifier.weight", last, "[classes, hidden, 1, 1]")),
    };
    let pool_scales = match numbered(checkpoint, "pool.", ".conv.weight").map_err(wrong)? {
        4 => vec![1, 2, 3, 6],
        other => {
            return Err(wrong(format!("the pooling pyramid has {other} levels; expected 4 (1, 2, 3, 6)")));
        }
    };

    let own = "blocks.0.relative_position_bias_table";
    let common = "relative_position_bias_table";
    let (relative, shared) = (checkpoint.shape(own).is_some(), checkpoint.shape(common).is_some());
    let embeddings = checkpoint.shape("position_embeddings");
    let mut heads = None;
    let mut grid = None;
    for name in [own, common] {
        let Some(table) = checkpoint.shape(name) else { continue };
        let expected = "[(2n-1)^2 + 3, heads] for n x n patches";
        let &[rows, columns] = table else { return Err(misfit(name, table, expected)) };
        let side = rows.checked_sub(3).and_then(root).filter(|side| side % 2 == 1);
        let Some(side) = side else { return Err(misfit(name, table, expected)) };
        heads = heads.or(Some(columns));
        grid = grid.or(Some(side.div_ceil(2)));
    }
    if let Some(found) = embeddings {
        let expected = "[1, n*n + 1, hidden] for n x n patches";
        let &[1, tokens, _] = found else { return Err(misfit("position_embeddings", found, expected)) };
        let side = tokens.checked_sub(1).and_then(root);
        grid = grid.or(Some(side.ok_or_else(|| misfit("position_embeddings", found, expected))?));
    }
    let image_size = grid.unwrap_or((SIDE / patch).max(1)).checked_mul(patch);
    let Some(image_size) = image_size else {
        return Err(misfit("patch.weight", kernel, "a patch of usual size"));
    };
    if let Some(heads) = heads.filter(|heads| *heads == 0 || !hidden.is_multiple_of(*heads)) {
        return Err(wrong(format!(
            "the tables say {heads} heads; expected a divisor of the {hidden} channels"
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
        absolute: embeddings.is_some(),
        relative,
        shared,
    })
}

/// How many tensors there are from number 0 on; an error names a gap.
fn numbered(checkpoint: &Checkpoint, before: &str, after: &str) -> Result<usize, String> {
    let is = |name: &str| name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some();
    let count = checkpoint.names().filter(|name| is(name)).count();
    for number in 0..count {
        let name = format!("{before}{number}{after}");
        if checkpoint.shape(&name).is_none() {
            return Err(format!("tensor {name} is missing, though later ones are there"));
        }
    }
    if count == 0 { Err(format!("tensor {before}0{after} is missing")) } else { Ok(count) }
}

/// The whole square root, if there is one.
fn root(square: usize) -> Option<usize> {
    let root = square.isqrt();
    (root > 0 && root * root == square).then_some(root)
}
