//! The exact rewrites: from a checkpoint's tensors to the matrices the engine runs. Each is algebra, done in f64.

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::resample::{bicubic, bilinear};
use crate::spec::Spec;
use beitle::format::{Role, padded};
use rayon::prelude::*;

/// Matrices `[taps][n][k]` and biases `[bias_rows][n]`, as the format's role describes them.
pub struct Folded {
    /// Row-major.
    pub weights: Vec<f32>,
    /// Empty where the role has none.
    pub bias: Vec<f32>,
    /// What the tensors behind it take in the checkpoint.
    pub source_bytes: u64,
}

/// A block's values after LayerNorm, and what levels their outliers.
struct Values {
    weights: Vec<f64>,
    bias: Vec<f64>,
    level: Vec<f64>,
}

/// BatchNorm's epsilon: the default everywhere.
const BN_EPS: f64 = 1e-5;

/// Reads and folds.
pub struct Fold<'a> {
    /// Where tensors come from.
    pub checkpoint: &'a Checkpoint,
    /// What the model is.
    pub spec: &'a Spec,
}

impl Fold<'_> {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        self.checkpoint.read(name, shape)
    }

    fn vector(&self, name: &str, n: usize) -> Result<Vec<f64>, Error> {
        Ok(self.read(name, &[n])?.into_iter().map(f64::from).collect())
    }

    /// A vector that may be absent: layer scale switched off is a scale of one.
    fn scale(&self, name: &str, n: usize) -> Result<Vec<f64>, Error> {
        if self.checkpoint.shape(name).is_some() { self.vector(name, n) } else { Ok(vec![1.0; n]) }
    }

    fn bytes(&self, names: &[&str]) -> u64 {
        names.iter().map(|n| self.checkpoint.source_bytes(n)).sum()
    }

    /// A linear tensor of the file.
    pub fn linear(&self, role: Role, layer: usize) -> Result<Folded, Error> {
        let block = format!("blocks.{layer}");
        match role {
            Role::Embed => self.embed(),
            Role::Qkv => self.qkv(&block),
            Role::Proj => {
                let proj =
                    self.residual(&format!("{block}.proj"), &format!("{block}.lambda1"), self.spec.channels)?;
                Ok(proj.undo(&self.values(&block)?.level))
            }
            Role::Fc1 => self.fc1(&block),
            Role::Fc2 => {
                self.residual(&format!("{block}.fc2"), &format!("{block}.lambda2"), self.spec.hidden)
            }
            Role::Up0a => self.up0a(),
            Role::Up0b => self.merged("fpn1.deconv2", "lateral.0"),
            Role::Up1 => self.merged("fpn2.deconv", "lateral.1"),
            Role::Lateral2 => self.conv("lateral.2", 1, 1, 0, true),
            Role::Pool => self.conv(&format!("pool.{layer}"), 1, 1, 0, true),
            Role::Top => self.conv("bottleneck", 9, 1 + self.spec.pools.len(), 0, true),
            Role::TopPool => {
                let view = self.conv("bottleneck", 9, 1 + self.spec.pools.len(), 1 + layer, false)?;
                Ok(view.undo(&self.levels(&format!("pool.{layer}"), 1, 1)?))
            }
            Role::Fpn => self.conv(&format!("fpn.{layer}"), 9, 1, 0, true),
            Role::Fuse => {
                let view = self.conv("fuse", 9, 4, layer, layer == 0)?;
                // Level 3 has no convolution of its own.
                if layer == 3 {
                    Ok(view)
                } else {
                    Ok(view.undo(&self.levels(&format!("fpn.{layer}"), 9, 1)?))
                }
            }
            _ => Ok(self.classify()?.undo(&self.levels("fuse", 9, 4)?)),
        }
    }

    /// A plain tensor of the file and what it took in the checkpoint.
    pub fn plain(&self, role: Role, layer: usize) -> Result<(Vec<f32>, u64), Error> {
        match role {
            Role::ClassToken => self.class_token(),
            Role::Positions => self.positions(),
            _ => self.bias_table(layer),
        }
    }

    /// W·((p·r − mean)/std) + b = (W·r/std)·(p − 128) + (b + Σ W·(128·r − mean)/std), inputs in the order (ky, kx, rgb).
    fn embed(&self) -> Result<Folded, Error> {
        let (c, side) = (self.spec.channels, self.spec.patch);
        let w = self.read("patch.weight", &[c, 3, side, side])?;
        let mut bias = self.vector("patch.bias", c)?;
        let p = &self.spec.preprocessing;
        let mut weights = Vec::with_capacity(w.len());
        for (w, b) in w.chunks(3 * side * side).zip(&mut bias) {
            for pixel in 0..side * side {
                for rgb in 0..3 {
                    let w = f64::from(w[rgb * side * side + pixel]);
                    weights.push((w * p.rescale / p.std[rgb]) as f32);
                    *b += w * (128.0 * p.rescale - p.mean[rgb]) / p.std[rgb];
                }
            }
        }
        Ok(Folded { weights, bias: narrow(bias), source_bytes: self.bytes(&["patch.weight", "patch.bias"]) })
    }

    /// The class token with its position, which is the first.
    fn class_token(&self) -> Result<(Vec<f32>, u64), Error> {
        let c = self.spec.channels;
        let mut token = self.read("cls_token", &[1, 1, c])?;
        if self.spec.absolute {
            let positions = self.positions_as_stored()?;
            token.iter_mut().zip(&positions).for_each(|(t, p)| *t += p);
        }
        Ok((token, self.bytes(&["cls_token"])))
    }

    fn positions_as_stored(&self) -> Result<Vec<f32>, Error> {
        let n = self.spec.trained_grid;
        self.read("position_embeddings", &[1, n * n + 1, self.spec.channels])
    }

    /// The patches' positions, resampled (bicubic, as transformers does) where the grid is not the trained one.
    fn positions(&self) -> Result<(Vec<f32>, u64), Error> {
        let all = self.positions_as_stored()?;
        let (n, c, grid) = (self.spec.trained_grid, self.spec.channels, self.spec.grid());
        let patches = &all[c..];
        let patches = if grid == (n, n) { patches.to_vec() } else { bicubic(patches, c, (n, n), grid) };
        Ok((patches, self.bytes(&["position_embeddings"])))
    }

    /// Per head the table for key minus query, then its last three entries: the trained table is for query minus key,
    /// so it is read backwards. Resampled (bilinear, as transformers does) where the window is not the trained one.
    /// Where a model has a table for each block and a shared one, both are added: their sum is the block's.
    fn bias_table(&self, layer: usize) -> Result<(Vec<f32>, u64), Error> {
        let (n, heads, (gw, gh)) = (self.spec.trained_grid, self.spec.heads, self.spec.grid());
        let side = 2 * n - 1;
        let rows = side * side;
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
        let window = match (gw, gh) == (n, n) {
            true => window.to_vec(),
            false => bilinear(window, heads, (side, side), (2 * gw - 1, 2 * gh - 1)),
        };
        let head = |h: usize| {
            let backwards = window[h..].iter().step_by(heads).rev();
            backwards.chain(special[h..].iter().step_by(heads)).copied().collect::<Vec<_>>()
        };
        Ok(((0..heads).flat_map(head).collect(), self.bytes(names)))
    }

    /// W·(γ∘x̂ + β) + b = (W·diag γ)·x̂ + (b + W·β).
    fn after_norm(&self, w: &[f32], b: &mut [f64], norm: &str) -> Result<Vec<f64>, Error> {
        let c = self.spec.channels;
        let gain = self.vector(&format!("{norm}.weight"), c)?;
        let shift = self.vector(&format!("{norm}.bias"), c)?;
        for (w, b) in w.chunks(c).zip(b) {
            *b += w.iter().zip(&shift).map(|(w, s)| f64::from(*w) * s).sum::<f64>();
        }
        Ok(w.chunks(c).flat_map(|w| w.iter().zip(&gain).map(|(w, g)| f64::from(*w) * g)).collect())
    }

    /// Queries (with 1/√D), keys and values of each head behind each other, each padded to whole panels. What LayerNorm's
    /// bias adds to k is the same for all keys of a query, and softmax does not see it: k has no bias.
    fn qkv(&self, block: &str) -> Result<Folded, Error> {
        let (c, heads) = (self.spec.channels, self.spec.heads);
        let d = c / heads;
        let row = padded(d);
        let norm = format!("{block}.norm1");
        let mut weights = vec![0f32; heads * 3 * row * c];
        let mut bias = vec![0f32; heads * 3 * row];
        let mut source_bytes = self.bytes(&[&format!("{norm}.weight"), &format!("{norm}.bias")]);
        for (part, name) in ["q", "k", "v"].into_iter().enumerate() {
            let (weight_name, bias_name) = (format!("{block}.{name}.weight"), format!("{block}.{name}.bias"));
            let (w, b, level) = match name {
                "v" => {
                    let v = self.values(block)?;
                    (v.weights, v.bias, v.level)
                }
                _ => {
                    let mut b = if name == "k" { vec![0.0; c] } else { self.vector(&bias_name, c)? };
                    let w = self.after_norm(&self.read(&weight_name, &[c, c])?, &mut b, &norm)?;
                    let scale = if name == "q" { 1.0 / (d as f64).sqrt() } else { 1.0 };
                    (w, b, vec![scale; c])
                }
            };
            for (i, ((w, b), scale)) in w.chunks(c).zip(&b).zip(level).enumerate() {
                let at = (i / d * 3 + part) * row + i % d;
                weights[at * c..][..c].iter_mut().zip(w).for_each(|(o, w)| *o = (w * scale) as f32);
                bias[at] = if name == "k" { 0.0 } else { (b * scale) as f32 };
            }
            source_bytes += self.bytes(&[&weight_name, &bias_name]);
        }
        Ok(Folded { weights, bias, source_bytes })
    }

    /// Weights and biases of the values, and what levels their outliers: attention's averages keep a channel's factor,
    /// which the projection takes back.
    fn values(&self, block: &str) -> Result<Values, Error> {
        let c = self.spec.channels;
        let mut b = self.vector(&format!("{block}.v.bias"), c)?;
        let weights = self.read(&format!("{block}.v.weight"), &[c, c])?;
        let w = self.after_norm(&weights, &mut b, &format!("{block}.norm1"))?;
        let level = level(w.chunks(c).map(|row| row.iter().map(|w| w * w).sum::<f64>().sqrt()).collect());
        Ok(Values { weights: w, bias: b, level })
    }

    fn fc1(&self, block: &str) -> Result<Folded, Error> {
        let (c, hidden) = (self.spec.channels, self.spec.hidden);
        let norm = format!("{block}.norm2");
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{block}.fc1.{part}"));
        let mut b = self.vector(&bias, hidden)?;
        let w = self.after_norm(&self.read(&weight, &[hidden, c])?, &mut b, &norm)?;
        let source_bytes = self.bytes(&[&weight, &bias, &format!("{norm}.weight"), &format!("{norm}.bias")]);
        Ok(Folded { weights: narrow(w), bias: narrow(b), source_bytes })
    }

    /// λ ∘ (W·x + b) = (diag λ · W)·x + λ∘b.
    fn residual(&self, name: &str, scale: &str, k: usize) -> Result<Folded, Error> {
        let c = self.spec.channels;
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        let (mut w, mut b) = (self.read(&weight, &[c, k])?, self.vector(&bias, c)?);
        for ((w, b), s) in w.chunks_mut(k).zip(&mut b).zip(self.scale(scale, c)?) {
            w.iter_mut().for_each(|w| *w = (f64::from(*w) * s) as f32);
            *b *= s;
        }
        Ok(Folded { weights: w, bias: narrow(b), source_bytes: self.bytes(&[&weight, &bias, scale]) })
    }

    /// BatchNorm as a gain and a shift: γ·(x − μ)/√(σ² + ε) + β.
    fn batch_norm(&self, name: &str) -> Result<(Vec<f64>, Vec<f64>, u64), Error> {
        let c = self.spec.channels;
        let names = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
        let [mut gain, mut shift, mean, var] = [
            self.vector(&names[0], c)?,
            self.vector(&names[1], c)?,
            self.vector(&names[2], c)?,
            self.vector(&names[3], c)?,
        ];
        for i in 0..c {
            if var[i] + BN_EPS <= 0.0 {
                return Err(Error::new(
                    self.checkpoint.main_file(),
                    format!("`{}`: {} is not a variance", names[3], var[i]),
                ));
            }
            gain[i] /= (var[i] + BN_EPS).sqrt();
            shift[i] -= mean[i] * gain[i];
        }
        Ok((gain, shift, self.bytes(&names.each_ref().map(String::as_str))))
    }

    /// A deconvolution's weights `[in][out][2][2]` as four matrices `[out][in]`.
    fn deconv(&self, name: &str) -> Result<(Vec<f32>, Vec<f64>, u64), Error> {
        let c = self.spec.channels;
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        let w = self.read(&weight, &[c, c, 2, 2])?;
        let mut taps = vec![0f32; w.len()];
        for (i, from) in w.chunks(4 * c).enumerate() {
            for (o, four) in from.chunks(4).enumerate() {
                for (tap, w) in four.iter().enumerate() {
                    taps[(tap * c + o) * c + i] = *w;
                }
            }
        }
        Ok((taps, self.vector(&bias, c)?, self.bytes(&[&weight, &bias])))
    }

    /// The first deconvolution with its BatchNorm.
    fn up0a(&self) -> Result<Folded, Error> {
        let c = self.spec.channels;
        let (mut w, mut b, bytes) = self.deconv("fpn1.deconv1")?;
        let (gain, shift, bn_bytes) = self.batch_norm("fpn1.bn")?;
        for (i, w) in w.chunks_mut(c).enumerate() {
            w.iter_mut().for_each(|w| *w = (f64::from(*w) * gain[i % c]) as f32);
        }
        b.iter_mut().zip(gain.iter().zip(&shift)).for_each(|(b, (g, s))| *b = *b * g + s);
        Ok(Folded { weights: w, bias: narrow(b), source_bytes: bytes + bn_bytes })
    }

    /// A deconvolution and the 1x1 lateral behind it are one deconvolution: L·(D_t·x + b) + l = (L·D_t)·x + (L·b + l).
    fn merged(&self, deconv: &str, lateral: &str) -> Result<Folded, Error> {
        let c = self.spec.channels;
        let (taps, b, bytes) = self.deconv(deconv)?;
        let outer = self.conv(lateral, 1, 1, 0, true)?;
        let mut weights = vec![0f32; taps.len()];
        for (inner, out) in taps.chunks(c * c).zip(weights.chunks_mut(c * c)) {
            out.par_chunks_mut(c).zip(outer.weights.par_chunks(c)).for_each(|(out, l)| {
                let mut sum = vec![0f64; c];
                for (l, row) in l.iter().zip(inner.chunks(c)) {
                    let l = f64::from(*l);
                    sum.iter_mut().zip(row).for_each(|(s, w)| *s += l * f64::from(*w));
                }
                out.iter_mut().zip(sum).for_each(|(o, s)| *o = s as f32);
            });
        }
        let product = |l: &[f32]| l.iter().zip(&b).map(|(l, b)| f64::from(*l) * b).sum::<f64>();
        let bias =
            outer.weights.chunks(c).zip(&outer.bias).map(|(l, own)| (product(l) + f64::from(*own)) as f32);
        Ok(Folded { weights, bias: bias.collect(), source_bytes: bytes + outer.source_bytes })
    }

    /// A convolution with its BatchNorm, of which input group `group` of `groups` is taken: taps as matrices.
    fn conv(
        &self,
        name: &str,
        taps: usize,
        groups: usize,
        group: usize,
        bias: bool,
    ) -> Result<Folded, Error> {
        let c = self.spec.channels;
        let side = if taps == 9 { 3 } else { 1 };
        let weight = format!("{name}.conv.weight");
        let w = self.read(&weight, &[c, groups * c, side, side])?;
        let (mut gain, mut shift, bytes) = self.batch_norm(&format!("{name}.bn"))?;
        // Only what the layer that reads it takes back.
        if name == "fuse" || name.starts_with("fpn.") || name.starts_with("pool.") {
            for ((g, s), level) in gain.iter_mut().zip(&mut shift).zip(self.levels(name, taps, groups)?) {
                *g *= level;
                *s *= level;
            }
        }
        let mut weights = vec![0f32; taps * c * c];
        for (o, w) in w.chunks(groups * c * taps).enumerate() {
            for (i, w) in w[group * c * taps..][..c * taps].chunks(taps).enumerate() {
                for (tap, w) in w.iter().enumerate() {
                    weights[(tap * c + o) * c + i] = (f64::from(*w) * gain[o]) as f32;
                }
            }
        }
        // A group's share of the source: exact in total, the last group takes the rest.
        let all = self.bytes(&[&weight]) / groups as u64;
        let source_bytes = if bias { all + bytes } else { all };
        Ok(Folded { weights, bias: if bias { narrow(shift) } else { Vec::new() }, source_bytes })
    }

    /// What levels the outliers among a convolution's outputs; ReLU, which follows, keeps a positive factor.
    fn levels(&self, name: &str, taps: usize, groups: usize) -> Result<Vec<f64>, Error> {
        let c = self.spec.channels;
        let side = if taps == 9 { 3 } else { 1 };
        let w = self.read(&format!("{name}.conv.weight"), &[c, groups * c, side, side])?;
        let (gain, ..) = self.batch_norm(&format!("{name}.bn"))?;
        let norm = |row: &[f32]| row.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
        Ok(level(w.chunks(groups * c * taps).zip(gain).map(|(row, gain)| norm(row) * gain.abs()).collect()))
    }

    fn classify(&self) -> Result<Folded, Error> {
        let (c, classes) = (self.spec.channels, self.spec.classes);
        let weights = self.read("classifier.weight", &[classes, c, 1, 1])?;
        let bias = self.read("classifier.bias", &[classes])?;
        Ok(Folded { weights, bias, source_bytes: self.bytes(&["classifier.weight", "classifier.bias"]) })
    }
}

impl Folded {
    /// Columns divided by the factors of the layer that makes the inputs.
    fn undo(mut self, level: &[f64]) -> Folded {
        for row in self.weights.chunks_mut(level.len()) {
            row.iter_mut().zip(level).for_each(|(w, l)| *w = (f64::from(*w) / l) as f32);
        }
        self
    }
}

/// From how many times the median on a channel is an outlier.
const OUTLIER: f64 = 4.0;

/// For each channel the power of two that brings its size near the median, 1 where it is no outlier. Such channels would
/// set the int8 scale of a whole row of activations; factors that are powers of two change nothing else.
fn level(sizes: Vec<f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = sizes.iter().copied().filter(|s| *s > 0.0 && s.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(&median) = sorted.get(sorted.len() / 2) else { return vec![1.0; sizes.len()] };
    let factor = |size: f64| match size / median {
        ratio if ratio >= OUTLIER && ratio.is_finite() => (-ratio.log2().round()).exp2(),
        _ => 1.0,
    };
    sizes.into_iter().map(factor).collect()
}

fn narrow(v: Vec<f64>) -> Vec<f32> {
    v.into_iter().map(|x| x as f32).collect()
}
