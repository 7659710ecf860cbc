//! Views of a picture: in which sizes it is presented to the network, whether mirrored too, and which windows cover each size.
//!
//! In: the facts of a model, the size of a picture, and [`Views`], the caller's choice. Out: a list of views, each with a
//! grid of windows of the network's input size. A view that is stretched to the input size has one window; otherwise a
//! window slides over the resized picture in both directions.
//!
//! | file | content |
//! | --- | --- |
//! | `mode` | the three ways to fit a picture to the input |
//! | `size` | the size to which a picture is resized |
//! | `axis` | the windows along one axis, and which of their logits a pixel reads |
//! | `grid` | the windows of a view, in the order in which they run |
//!
//! Source: the test protocol of BEiT's authors (unilm, `beit/semantic_segmentation`) and of mmsegmentation
//! (`EncoderDecoder.slide_inference`, `aug_test`).

mod axis;
mod grid;
mod mode;
mod size;

use crate::error::Error;
use crate::file::Facts;
use crate::image::check_size;
pub(crate) use axis::{Axis, Source};
pub(crate) use grid::{Grid, Strip, TILE};
pub use mode::Mode;

/// The most ratios of [`Views::with_scales`].
pub const MAX_SCALES: usize = 16;

/// About how many bytes of logits are kept for overlapping windows. With it, the arena of BEiT base for a picture of 100 megapixels
/// at its own resolution is about 65 MiB with two threads.
const OVERLAP_BYTES: usize = 34 << 20;

/// The views of a picture whose results are combined: a mode, optionally with mirrored views and several scales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Views {
    mode: Mode,
    flip: bool,
    scales: [f64; MAX_SCALES],
    scale_count: usize,
    overlap_bytes: usize,
}

/// A view of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    /// Width and height in pixels of the resized picture.
    pub size: (usize, usize),
    /// Whether the resized picture is mirrored left to right.
    pub mirror: bool,
    /// Weight in the mean: the number of scales that give this size.
    pub weight: u32,
}

impl Views {
    /// The six scales of the published multi-scale results, which use mirrored views too.
    pub const PUBLISHED_SCALES: [f64; 6] = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75];

    /// A single view in this mode.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Views { mode, flip: false, scales: [0.0; MAX_SCALES], scale_count: 0, overlap_bytes: OVERLAP_BYTES }
    }

    /// The views that the weight file is meant for: sliding windows if the model was tested with them, else the whole picture.
    #[must_use]
    pub const fn of(facts: &Facts) -> Self {
        Views::new(if facts.sliding.is_some() { Mode::Slide } else { Mode::Whole })
    }

    /// The same views with a mirrored one for each of them, or without.
    #[must_use]
    pub const fn with_flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }

    /// Views at several scales instead of one: for each ratio r, the short side is r times as long as without scales, but at least
    /// as long, and the long side follows. No ratios: one view.
    ///
    /// # Errors
    /// [`Error::Views`] if the mode is not [`Mode::Slide`], if there are more than [`MAX_SCALES`] ratios, or if one is not above 0
    /// and at most 16.
    pub fn with_scales(mut self, ratios: &[f64]) -> Result<Self, Error> {
        if !ratios.is_empty() && self.mode != Mode::Slide {
            return Err(Error::Views { what: "scales need the mode `slide`" });
        }
        if ratios.iter().any(|r| !(*r > 0.0 && *r <= 16.0)) {
            return Err(Error::Views { what: "a scale must be above 0 and at most 16" });
        }
        let kept = self
            .scales
            .get_mut(..ratios.len())
            .ok_or(Error::Views { what: "there may be at most 16 scales" })?;
        kept.copy_from_slice(ratios);
        self.scale_count = ratios.len();
        Ok(self)
    }

    /// The same views with about `bytes` bytes of the arena for the logits of overlapping windows, 34 MiB by default. Where a
    /// picture would need more, some windows run twice. The minimum is about two windows' logits, whatever `bytes` is. The
    /// result does not depend on it.
    #[must_use]
    pub const fn with_overlap_bytes(mut self, bytes: usize) -> Self {
        self.overlap_bytes = bytes;
        self
    }

    /// The limit of [`with_overlap_bytes`](Views::with_overlap_bytes).
    pub(crate) const fn overlap_bytes(&self) -> usize {
        self.overlap_bytes
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether mirrored views are run, too.
    #[must_use]
    pub const fn flip(&self) -> bool {
        self.flip
    }

    /// The ratios of [`with_scales`](Views::with_scales).
    #[must_use]
    pub fn scales(&self) -> &[f64] {
        &self.scales[..self.scale_count]
    }

    /// Whether the picture is seen once and as a whole, which is the only case that gives logits.
    #[must_use]
    pub fn is_single_whole(&self) -> bool {
        self.mode == Mode::Whole && !self.flip
    }

    /// Whether the probabilities of several views are averaged, for which a run needs [`Output::scores`].
    ///
    /// [`Output::scores`]: crate::output::Output::scores
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.flip || self.scale_count > 1
    }

    /// The length of [`Output::scores`] for a class map of `size` (width, height) pixels: pixels times classes, or 0 if no scores
    /// are needed. `None` if it exceeds `usize`.
    ///
    /// [`Output::scores`]: crate::output::Output::scores
    #[must_use]
    pub fn scores_len(&self, size: (usize, usize), classes: usize) -> Option<usize> {
        if self.are_several() { size.0.checked_mul(size.1)?.checked_mul(classes) } else { Some(0) }
    }

    /// The views of a picture of `picture` (width, height) pixels. Scales that give the same size are one view that counts as
    /// often as there are scales.
    pub(crate) fn of_picture(
        &self,
        f: &Facts,
        picture: (usize, usize),
    ) -> impl Iterator<Item = View> + use<> {
        let (views, f) = (*self, *f);
        let size = move |i: usize| size::resized(&f, picture, views.mode, views.scales().get(i).copied());
        let count = views.scale_count.max(1);
        (0..count).filter(move |&i| (0..i).all(|j| size(j) != size(i))).flat_map(move |i| {
            let weight = (0..count).filter(|&j| size(j) == size(i)).count() as u32;
            let view = View { size: size(i), mirror: false, weight };
            [Some(view), views.flip.then_some(View { mirror: true, ..view })].into_iter().flatten()
        })
    }

    /// The sum of the weights of all views.
    pub(crate) fn total_weight(&self) -> u32 {
        self.scale_count.max(1) as u32 * (1 + u32::from(self.flip))
    }

    /// The windows of a view.
    pub(crate) fn grid(&self, f: &Facts, view: &View) -> Grid {
        let axis = |len, window, cells| {
            let stride = size::stride(f, window);
            Axis { len, window, stride, cells, stretched: self.mode == Mode::Whole }
        };
        let (columns, rows) = f.level(0);
        Grid::new([axis(view.size.0, f.width, columns), axis(view.size.1, f.height, rows)])
    }

    /// Checks that the model can be run so, and that every resized picture has a valid size.
    ///
    /// # Errors
    /// [`Error::Header`] if the file's stride leaves gaps between windows or is too small, or its short side is more than four
    /// windows; [`Error::Views`] if a resized picture would be too large.
    pub(crate) fn check(&self, f: &Facts, picture: (usize, usize)) -> Result<(), Error> {
        let fits = |window: usize| size::is_possible(size::stride(f, window), window);
        if self.mode != Mode::Whole && !(fits(f.width) && fits(f.height)) {
            let (found, expected) = (
                f.sliding.map_or(0, |(_, stride)| stride as u64),
                "more than half the window and at most the window",
            );
            return Err(Error::Header { field: "stride", found, expected });
        }
        // The time of a run grows with its square.
        let short_side = size::short_side(f);
        if self.mode == Mode::Slide && short_side > 4 * f.width.min(f.height) {
            let expected = "at most four times the window's short side";
            return Err(Error::Header { field: "short_side", found: short_side as u64, expected });
        }
        let too_large =
            Error::Views { what: "the resized picture would be more than 16777216 pixels wide or high" };
        let mut views = self.of_picture(f, picture);
        views.try_for_each(|view| check_size(view.size.0, view.size.1).map_err(|_| too_large))
    }
}
