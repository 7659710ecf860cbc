//! The end of a model without neck and head: the LayerNorm after the last block, and the classifier of the picture.

use super::folded::Folded;
use super::source::Fold;
use crate::error::Error;

impl Fold<'_> {
    /// Gain and bias of a final LayerNorm, `[2][channels]`. A model for masked images lacks that of the mean of the patches, which is
    /// then 1 and 0.
    pub(super) fn final_norm(&self, name: &str) -> Result<(Vec<f32>, u64), Error> {
        let c = self.spec.channels;
        let [gain, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        if name == "pool_norm" && self.checkpoint.shape(&gain).is_none() {
            return Ok(([vec![1.0; c], vec![0.0; c]].concat(), 0));
        }
        let values = [self.read(&gain, &[c])?, self.read(&bias, &[c])?].concat();
        Ok((values, self.bytes(&[&gain, &bias])))
    }

    /// The layer from the features of a picture to its logits.
    pub(super) fn picture_classifier(&self) -> Result<Folded, Error> {
        let (c, classes) = (self.spec.channels, self.spec.classes);
        let weights = self.read("classifier.weight", &[classes, c])?;
        let bias = self.read("classifier.bias", &[classes])?;
        Ok(Folded { weights, bias, source_bytes: self.bytes(&["classifier.weight", "classifier.bias"]) })
    }
}
