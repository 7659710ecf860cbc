//! The results that the caller wants of a run, and the buffers that receive them.

use super::class_map::ClassMapMut;
use crate::error::Error;
use crate::file::Facts;
use crate::file::format::Task;
use crate::image::check_size;
use crate::views::Views;

/// The buffers that a run writes. All are optional, but each task has its own:
///
/// | task | map | logits | scores | features | tokens |
/// | --- | --- | --- | --- | --- | --- |
/// | segmentation | yes | if the picture is stretched and seen once | with several views | - | - |
/// | classification | - | yes | - | yes | yes |
/// | features | - | - | - | yes | yes |
#[derive(Debug, Default)]
pub struct Output<'a> {
    /// Width and height of the class map in pixels, normally those of the picture. The logits are interpolated to this size.
    pub size: (usize, usize),
    /// The class of each pixel, row by row; at least width · height pixels long. It may be `None` if logits are wanted instead.
    pub map: Option<ClassMapMut<'a>>,
    /// The logits: of a segmentation model f32 `[classes][4 · grid height][4 · grid width]`, of a classification model
    /// `[classes]`.
    pub logits: Option<&'a mut [f32]>,
    /// With several views ([`Views::are_several`]): the memory for their scores, `[height][width][classes]`; else `None`. After the
    /// run a score is the mean of the class's probabilities in all views, in units of about 1/65535.
    pub scores: Option<&'a mut [u16]>,
    /// The features of the picture, f32 `[channels]`: transformers' `pooler_output`.
    pub features: Option<&'a mut [f32]>,
    /// The tokens after the last block, f32 `[tokens][channels]`: the class token, then the patches row by row. They are transformers'
    /// `last_hidden_state`; of a model that was trained on masked images, that after the LayerNorm before the head for it.
    pub tokens: Option<&'a mut [f32]>,
}

impl<'a> Output<'a> {
    /// Only a class map, of `size` (width, height) pixels.
    pub fn map(size: (usize, usize), map: ClassMapMut<'a>) -> Self {
        Output { size, map: Some(map), ..Output::default() }
    }

    /// Only logits.
    pub fn logits(logits: &'a mut [f32]) -> Self {
        Output { logits: Some(logits), ..Output::default() }
    }

    /// Only the features of the picture.
    pub fn features(features: &'a mut [f32]) -> Self {
        Output { features: Some(features), ..Output::default() }
    }

    /// Checks that a model can give these results in these views, and that the buffers are large enough.
    ///
    /// # Errors
    /// [`Error::Output`] if the model has no such results, or none are wanted; [`Error::Views`] for logits of views that have none;
    /// [`Error::Buffer`], [`Error::Image`] and [`Error::TooLarge`] for the size of a buffer or of the class map.
    pub(crate) fn check(&self, f: &Facts, views: &Views) -> Result<(), Error> {
        match f.task {
            Task::Segmentation => self.check_segmentation(f, views),
            _ => self.check_pooled(f),
        }
    }

    fn check_segmentation(&self, f: &Facts, views: &Views) -> Result<(), Error> {
        if self.features.is_some() || self.tokens.is_some() {
            return Err(Error::Output { what: "a segmentation model has no features of the picture" });
        }
        if let Some(logits) = &self.logits {
            if !views.is_single_whole() {
                return Err(Error::Views {
                    what: "logits are available only in mode whole without mirrored views",
                });
            }
            let (w, h) = f.level(0);
            require("logits", f.classes * w * h, logits.len())?;
        }
        let Some(map) = &self.map else {
            let what = "a run needs a class map, or logits";
            return if self.logits.is_some() { Ok(()) } else { Err(Error::Output { what }) };
        };
        check_size(self.size.0, self.size.1)?;
        let pixels = self.size.0.checked_mul(self.size.1).ok_or(Error::TooLarge)?;
        map.check(pixels, f.classes)?;
        let scores = views.scores_len(self.size, f.classes).ok_or(Error::TooLarge)?;
        let found = self.scores.as_ref().map_or(0, |s| s.len());
        require("scores of several views (pixels times classes)", scores, found)
    }

    fn check_pooled(&self, f: &Facts) -> Result<(), Error> {
        if self.map.is_some() || self.scores.is_some() {
            return Err(Error::Output { what: "the model does not segment pictures: it has no class map" });
        }
        let (logits, features, tokens) = (&self.logits, &self.features, &self.tokens);
        if logits.is_none() && features.is_none() && tokens.is_none() {
            return Err(Error::Output { what: "a run needs a buffer for logits, features or tokens" });
        }
        if let Some(logits) = logits {
            if f.task == Task::Features {
                return Err(Error::Output { what: "the model has no classifier, hence no logits" });
            }
            require("logits", f.classes, logits.len())?;
        }
        require("features", f.channels, features.as_ref().map_or(f.channels, |b| b.len()))?;
        let needed = f.tokens() * f.channels;
        require("tokens (numbers)", needed, tokens.as_ref().map_or(needed, |b| b.len()))
    }
}

fn require(what: &'static str, needed: usize, found: usize) -> Result<(), Error> {
    if found < needed { Err(Error::Buffer { what, needed, found }) } else { Ok(()) }
}
