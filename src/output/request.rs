//! The results that the caller wants of a run, and the buffers that receive them.

use super::class_map::{ClassMap, ClassMapMut};
use super::points::Points;
use crate::error::Error;
use crate::file::Facts;
use crate::file::format::Task;
use crate::image::check_size;
use crate::views::Views;

/// The buffers that a run writes. All are optional, but each task has its own:
///
/// | task | map, confidence, points | logits | scores | features | tokens |
/// | --- | --- | --- | --- | --- | --- |
/// | segmentation | yes | if the picture is stretched and seen once | with several views | - | - |
/// | classification | - | yes | - | yes | yes |
/// | features | - | - | - | yes | yes |
///
/// What is not wanted takes no time. Points are meant to be few: in several windows or views each costs a comparison per pixel.
#[derive(Debug, Default)]
pub struct Output<'a> {
    /// Width and height of the class map in pixels, normally those of the picture. The logits are interpolated to this size; that of
    /// the logits ([`Facts::level`] 0, a quarter of the input's sides) has fewer pixels, and is computed faster.
    pub size: (usize, usize),
    /// The class of each pixel, row by row; at least width · height pixels long.
    pub map: Option<ClassMapMut<'a>>,
    /// The values that the class map holds instead of the classes: `labels[i]` for class i. Empty: the classes themselves. The class is
    /// chosen first, and confidences are those of classes, not of the classes with the same label together. A label may be
    /// [`ClassMap::UNKNOWN`].
    pub labels: &'a [u16],
    /// The confidence of each pixel: the probability (softmax) of its class in units of 1/255, rounded. With several views, the mean of
    /// the probabilities. As long as the map.
    pub confidence: Option<&'a mut [u8]>,
    /// Pixels with a lower confidence get [`ClassMap::UNKNOWN`] in the class map: 255 in a map of bytes. 0: none do.
    pub min_confidence: u8,
    /// The most likely classes at chosen points.
    pub points: Option<Points<'a>>,
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
        if !self.wants_pixels() {
            let what = "a run needs a class map, confidences, points or logits";
            return if self.logits.is_some() { Ok(()) } else { Err(Error::Output { what }) };
        }
        check_size(self.size.0, self.size.1)?;
        let pixels = self.size.0.checked_mul(self.size.1).ok_or(Error::TooLarge)?;
        if !self.labels.is_empty() {
            require("labels (one for each class)", f.classes, self.labels.len())?;
        }
        if let Some(map) = &self.map {
            map.check(pixels, self.values(f.classes))?;
            let may_be_unknown = self.min_confidence > 0 || self.labels.contains(&ClassMap::UNKNOWN);
            if matches!(map, ClassMapMut::U8(_)) && may_be_unknown && self.values(f.classes) > 255 {
                return Err(Error::Image {
                    what: "255 stands for unknown pixels: the class map needs two bytes per pixel",
                });
            }
        }
        require("confidences (pixels)", pixels, self.confidence.as_ref().map_or(pixels, |c| c.len()))?;
        if let Some(points) = &self.points {
            points.check(self.size, f.classes)?;
        }
        let scores = views.scores_len(self.size, f.classes).ok_or(Error::TooLarge)?;
        let found = self.scores.as_ref().map_or(0, |s| s.len());
        require("scores of several views (pixels times classes)", scores, found)
    }

    /// Whether anything is wanted of the pixels.
    pub(crate) fn wants_pixels(&self) -> bool {
        self.map.is_some() || self.confidence.is_some() || self.points.is_some()
    }

    /// One more than the largest value of a known pixel of the class map.
    fn values(&self, classes: usize) -> usize {
        let labels = self.labels.iter().take(classes).filter(|label| **label != ClassMap::UNKNOWN);
        if self.labels.is_empty() { classes } else { labels.max().map_or(0, |most| usize::from(*most) + 1) }
    }

    fn check_pooled(&self, f: &Facts) -> Result<(), Error> {
        if self.wants_pixels() || self.scores.is_some() {
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
