//! The ways to fit a picture to the network's input.

/// How pictures are fitted to the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The whole picture once: stretched to the input size, as transformers does it, or for models that do not segment pictures as
    /// the weight file says ([`Fit`](crate::file::Fit)).
    Whole,
    /// The picture is resized, keeping its aspect ratio, until its short side is that of the weight file, normally the window's,
    /// but its long side at most four times as long. A window slides over it, and the logits of overlapping windows are
    /// averaged. This is how unilm and mmsegmentation test models.
    Slide,
    /// A window slides over the picture at its own resolution.
    Native,
}
