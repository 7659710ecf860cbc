//! Which rewrite makes which tensor of the weight file.

use super::convolutions::ConvView;
use super::folded::Folded;
use super::source::Fold;
use crate::error::Error;
use beitle::file::format::{Role, Task};

impl Fold<'_> {
    /// A linear tensor of the weight file. `layer` counts blocks, branches or levels, depending on the role.
    ///
    /// # Errors
    /// A tensor of the checkpoint is missing or malformed.
    pub fn linear(&self, role: Role, layer: usize) -> Result<Folded, Error> {
        let (c, head) = (self.spec.channels, self.spec.head_channels);
        let psp = |part| {
            let inputs = [vec![c], vec![head; self.spec.pools.len()]].concat();
            ConvView { name: "psp_bottleneck", side: 3, inputs, part }
        };
        let fpn = |part| ConvView { name: "fpn_bottleneck", side: 3, inputs: vec![head; 4], part };
        match role {
            Role::Embed => self.embed(),
            Role::Qkv => self.qkv(layer),
            Role::Proj => self.proj(layer),
            Role::Fc1 => self.fc1(layer),
            Role::Fc2 => self.fc2(layer),
            Role::Deconv0 => self.deconv_with_norm("fpn1.deconv1", "fpn1.bn"),
            Role::DeconvLateral0 => self.deconv_with_lateral("fpn1.deconv2", "lateral.0"),
            Role::DeconvLateral1 => self.deconv_with_lateral("fpn2.deconv", "lateral.1"),
            Role::Lateral2 => self.conv(&ConvView::whole("lateral.2", 1, c), true),
            Role::PspBranch => self.conv(&ConvView::whole(&format!("psp.{layer}"), 1, c), true),
            Role::PspBottleneck => self.conv(&psp(0), true),
            Role::PspBottleneckBranch => {
                let bottleneck = self.conv(&psp(1 + layer), false)?;
                let branch = format!("psp.{layer}");
                Ok(bottleneck.divide_columns(&self.output_factors(&ConvView::whole(&branch, 1, c))?))
            }
            Role::FpnConv => self.conv(&ConvView::whole(&format!("fpn.{layer}"), 3, head), true),
            Role::FpnBottleneck => {
                let bottleneck = self.conv(&fpn(layer), layer == 0)?;
                // Level 3 has no FPN convolution: the bottleneck reads the PSP module's output.
                if layer == 3 {
                    return Ok(bottleneck);
                }
                let level = format!("fpn.{layer}");
                Ok(bottleneck.divide_columns(&self.output_factors(&ConvView::whole(&level, 3, head))?))
            }
            _ if self.spec.task == Task::Classification => self.picture_classifier(),
            _ => Ok(self.classifier()?.divide_columns(&self.output_factors(&fpn(0))?)),
        }
    }

    /// A plain tensor of the weight file and the size of its sources in the checkpoint, in bytes.
    ///
    /// # Errors
    /// A tensor of the checkpoint is missing or malformed, or a value that is computed from several is not finite.
    pub fn plain(&self, role: Role, layer: usize) -> Result<(Vec<f32>, u64), Error> {
        let (source, made) = match role {
            Role::ClassToken => ("cls_token and position_embeddings", self.class_token()),
            Role::Positions => ("position_embeddings", self.positions()),
            Role::TokenNorm => ("norm", self.final_norm("norm")),
            Role::PoolNorm => ("pool_norm", self.final_norm("pool_norm")),
            _ => ("relative_position_bias_table", self.relative_bias(layer)),
        };
        let (values, source_bytes) = made?;
        if let Some((i, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            let message = format!(
                "tensor `{}` {layer} of the weight file, made from {source}: value {i} is {value}; expected finite numbers",
                role.name()
            );
            return Err(Error::new(self.checkpoint.main_file(), message));
        }
        Ok((values, source_bytes))
    }
}
