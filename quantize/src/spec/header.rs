//! The facts as the weight file's header.

use super::facts::Spec;
use beitle::file::Fit;
use beitle::file::format::{ABSOLUTE, Header, RELATIVE, Recipe, Role, SHARED, Task};
use bytemuck::Zeroable;

/// The number as the header's type. One that does not fit becomes the largest, which no field allows.
fn capped(n: usize) -> u32 {
    n.try_into().unwrap_or(u32::MAX)
}

impl Spec {
    /// The header, except for the fields that only the writer knows: magic, version, lengths, counts and checksum.
    pub fn header(&self, source_sha256: [u8; 32]) -> Header {
        // Values of channels that the pictures do not have are those of the first.
        let channel = |values: &[f64], i: usize| *values.get(i).or(values.first()).unwrap_or(&0.0) as f32;
        let [mean, std] = [&self.preprocessing.mean, &self.preprocessing.std]
            .map(|values| [0, 1, 2, 3].map(|i| channel(values, i)));
        let or_zero = |n: usize, default: usize| if n == default { 0 } else { capped(n) };
        let mut pool_scales = [0; 8];
        pool_scales.iter_mut().zip(&self.pools).for_each(|(h, s)| *h = capped(*s));
        let window = self.size.0.min(self.size.1);
        let slide = self.recipe == Recipe::Paper && self.task == Task::Segmentation;
        let (stretch, short_side) = match self.fit {
            Fit::ShortSide(short_side) => ((0, 0), short_side),
            Fit::Stretch(width, height) => {
                ((or_zero(width, self.size.0), or_zero(height, self.size.1)), if slide { window } else { 0 })
            }
            _ => ((0, 0), 0),
        };
        let tile = |role, layer| self.winograd_tile(role, layer).unwrap_or(0) as u8;
        Header {
            width: capped(self.size.0),
            height: capped(self.size.1),
            patch: capped(self.patch),
            channels: capped(self.channels),
            heads: capped(self.heads),
            hidden: capped(self.hidden),
            blocks: capped(self.feature_blocks[3]),
            source_blocks: capped(self.layers),
            feature_blocks: self.feature_blocks.map(capped),
            classes: capped(self.classes),
            pool_count: capped(self.pools.len()),
            pool_scales,
            eps: self.eps as f32,
            recipe: self.recipe as u32,
            mean: [mean[0], mean[1], mean[2]],
            std: [std[0], std[1], std[2]],
            rescale: self.preprocessing.rescale as f32,
            resample: self.preprocessing.resample,
            resize: if matches!(self.fit, Fit::ShortSide(_)) { 2 } else { u32::from(slide) },
            short_side: capped(short_side),
            // The rule of all configurations of unilm: 426 at 640 pixels, 341 at 512.
            stride: if slide { (2 * window / 3).max(window / 2 + 1) as u32 } else { 0 },
            position: self.position_bits(),
            reduce_labels: u32::from(self.preprocessing.reduce_labels),
            precision: self.precision as u32,
            source_sha256,
            winograd: [
                tile(Role::FpnConv, 0),
                tile(Role::FpnConv, 1),
                tile(Role::FpnConv, 2),
                tile(Role::FpnBottleneck, 0),
            ],
            task: self.task as u8,
            pooling: self.pooling as u8,
            token_norm: self.token_norm.into(),
            activation: self.activation as u8,
            picture_channels: or_zero(self.picture_channels, 3),
            head_channels: or_zero(self.head_channels, self.channels),
            stretch_width: stretch.0,
            stretch_height: stretch.1,
            mean4: if self.picture_channels == 4 { mean[3] } else { 0.0 },
            std4: if self.picture_channels == 4 { std[3] } else { 0.0 },
            ..Header::zeroed()
        }
    }

    /// Which position tables the file has. Where a model has tables per block and a shared one, the file holds their sums,
    /// per block.
    fn position_bits(&self) -> u32 {
        let absolute = if self.absolute { ABSOLUTE } else { 0 };
        let relative = match (self.relative, self.shared) {
            (true, _) => RELATIVE,
            (false, true) => SHARED,
            (false, false) => 0,
        };
        absolute | relative
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_not_wrapped() {
        assert_eq!([0, 65_535, u32::MAX as usize].map(capped), [0, 65_535, u32::MAX]);
        #[cfg(target_pointer_width = "64")]
        assert_eq!(capped((1 << 32) + 5), u32::MAX);
    }
}
