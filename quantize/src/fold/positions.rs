//! Patch embedding, class token, position embeddings and relative position tables.

use super::folded::{Folded, narrow};
use super::resample::{bicubic, bilinear};
use super::source::Fold;
use crate::error::Error;
use beitle::file::format::Recipe;

impl Fold<'_> {
    /// The patch embedding with the input's normalisation:
    /// W·((p·r − mean)/std) + b = (W·r/std)·(p − 128) + (b + Σ W·(128·r − mean)/std).
    /// Inputs are in the order (ky, kx, channel); the checkpoint has (channel, ky, kx). Channels are R, G and B, or others.
    pub(super) fn embed(&self) -> Result<Folded, Error> {
        let (c, side) = (self.spec.channels, self.spec.patch);
        let channels = self.spec.picture_channels;
        let w = self.read("patch.weight", &[c, channels, side, side])?;
        let mut bias = self.vector("patch.bias", c)?;
        let p = &self.spec.preprocessing;
        let mut weights = Vec::with_capacity(w.len());
        for (w, b) in w.chunks(channels * side * side).zip(&mut bias) {
            for pixel in 0..side * side {
                for channel in 0..channels {
                    let w = f64::from(w[channel * side * side + pixel]);
                    weights.push((w * p.rescale / p.std[channel]) as f32);
                    *b += w * (128.0 * p.rescale - p.mean[channel]) / p.std[channel];
                }
            }
        }
        Ok(Folded { weights, bias: narrow(bias), source_bytes: self.bytes(&["patch.weight", "patch.bias"]) })
    }

    /// The class token plus its position embedding, which is the first.
    pub(super) fn class_token(&self) -> Result<(Vec<f32>, u64), Error> {
        let c = self.spec.channels;
        let mut token = self.read("cls_token", &[1, 1, c])?;
        if self.spec.absolute {
            let positions = self.trained_positions()?;
            token.iter_mut().zip(&positions).for_each(|(t, p)| *t += p);
        }
        Ok((token, self.bytes(&["cls_token"])))
    }

    /// The patches' position embeddings `[patches][channels]`, resampled (bicubic, as transformers does) if the grid is not
    /// the trained one.
    pub(super) fn positions(&self) -> Result<(Vec<f32>, u64), Error> {
        let all = self.trained_positions()?;
        let (c, grid) = (self.spec.channels, self.spec.grid());
        let patches = &all[c..];
        let n = self.spec.position_grid();
        let patches = if grid == n { patches.to_vec() } else { bicubic(patches, c, n, grid) };
        Ok((patches, self.bytes(&["position_embeddings"])))
    }

    /// The checkpoint's position embeddings: the class token's, then those of the trained grid's patches.
    fn trained_positions(&self) -> Result<Vec<f32>, Error> {
        let (across, down) = self.spec.trained_grid;
        self.read("position_embeddings", &[1, across * down + 1, self.spec.channels])
    }

    /// A block's relative position table: for each head the biases by key minus query, then the three entries for the class
    /// token. Trained tables are by query minus key, so they are reversed. They are resampled (bilinear, as transformers
    /// does) if the grid is not the trained one. If a model has a table per block and a shared one, the result is their sum.
    pub(super) fn relative_bias(&self, layer: usize) -> Result<(Vec<f32>, u64), Error> {
        let ((across, down), heads, (gw, gh)) = (self.spec.trained_grid, self.spec.heads, self.spec.grid());
        let trained = (2 * across - 1, 2 * down - 1);
        let rows = trained.0 * trained.1;
        let own = format!("blocks.{layer}.relative_position_bias_table");
        let shared = "relative_position_bias_table";
        let names: &[&str] = match (self.spec.relative, self.spec.shared) {
            (true, true) => &[&own, shared],
            (true, false) => &[&own],
            _ => &[shared],
        };
        let mut table = vec![0f32; (rows + 3) * heads];
        for name in names {
            let one = self.read(name, &[rows + 3, heads])?;
            table.iter_mut().zip(one).for_each(|(t, x)| *t += x);
        }
        let (window, special) = table.split_at(rows * heads);
        // transformers swaps the table's width and height; models trained with it depend on that.
        let trained = if self.spec.recipe == Recipe::Hf { (trained.1, trained.0) } else { trained };
        let window = match (2 * gw - 1, 2 * gh - 1) {
            grid if grid == trained => window.to_vec(),
            grid => bilinear(window, heads, trained, grid),
        };
        let head = |h: usize| {
            let reversed = window[h..].iter().step_by(heads).rev();
            reversed.chain(special[h..].iter().step_by(heads)).copied().collect::<Vec<_>>()
        };
        Ok(((0..heads).flat_map(head).collect(), self.bytes(names)))
    }
}
