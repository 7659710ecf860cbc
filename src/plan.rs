//! The plan of a run: a model, a number of workers and a picture size go in; the size of the arena and the offset of every
//! buffer come out. The steps of the model state the sizes, and `arena` computes the offsets.

use crate::arena::Layout;
use crate::error::Error;
use crate::file::format::{LANES, Task};
use crate::file::{Facts, Model};
use crate::image::{check_size, preprocess};
use crate::model::backbone::token_layers::MAX_TOKENS;
use crate::model::{self, Planner, RunFn};
use crate::views::{Mode, View, Views};
use core::ops::Range;

/// The layout of the arena for a model, a number of workers, a picture size and views.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    layout: Layout,
    workers: usize,
    picture: (usize, usize),
    views: Views,
    /// Runs a picture in these views.
    run: RunFn,
    /// The checksum of the model's header and tensor table, from which the sizes of all buffers follow.
    head_crc: u32,
}

/// The pictures that a plan is for.
struct Pictures {
    size: (usize, usize),
    views: Views,
    /// Bytes of scratch for resizing them.
    resize_scratch: usize,
}

impl Plan {
    /// Plans the arena for up to `workers` workers (0 counts as 1) and for pictures of up to `picture` (width, height) pixels, each
    /// seen once as a whole: stretched to the input size, or as [`Facts::fit`] says.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the arena would be larger than the address space.
    pub fn new(model: &Model, workers: usize, picture: (usize, usize)) -> Result<Plan, Error> {
        let (f, views) = (model.facts(), Views::new(Mode::Whole));
        let resize_scratch = preprocess::whole_scratch_bytes(f, picture);
        let pictures = Pictures { size: picture, views, resize_scratch };
        let run = if f.task == Task::Segmentation { model::run_whole } else { model::run_pooled };
        Plan::make(model, workers, pictures, run, &|_| Ok(()))
    }

    /// As [`Plan::new`], for runs with these views. Unless the mode is [`Mode::Whole`], the plan is for pictures of exactly this
    /// size: how much of a window must be kept for the windows that overlap it is not monotonic in the size. A run with a
    /// picture of another size works if it needs no more.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the arena would be larger than the address space, [`Error::Image`] if the size of the picture is
    /// invalid, [`Error::Views`] or [`Error::Header`] if the model cannot be run in these views: a model that does not segment
    /// pictures sees only the whole picture, once.
    pub fn with_views(
        model: &Model,
        workers: usize,
        picture: (usize, usize),
        views: &Views,
    ) -> Result<Plan, Error> {
        if views.is_single_whole() {
            return Plan::new(model, workers, picture);
        }
        let f = model.facts();
        if f.task != Task::Segmentation {
            let what = "only segmentation models run in sliding windows or mirrored views";
            return Err(Error::Views { what });
        }
        check_size(picture.0, picture.1)?;
        views.check(f, picture)?;
        let scratch = |view: View| preprocess::scratch_bytes(f, picture, view.size);
        let resize_scratch = views.of_picture(f, picture).map(scratch).max().unwrap_or(0);
        let pictures = Pictures { size: picture, views: *views, resize_scratch };
        Plan::make(model, workers, pictures, model::run_views, &|p| model::view_buffers(p, views, picture))
    }

    /// Plans the arena for all steps of a frame, and what `more` needs.
    fn make(
        model: &Model,
        workers: usize,
        pictures: Pictures,
        run: RunFn,
        more: &dyn Fn(&mut Planner) -> Result<(), Error>,
    ) -> Result<Plan, Error> {
        let workers = workers.max(1);
        let Pictures { size: picture, views, resize_scratch } = pictures;
        check_sizes(model.facts(), workers, resize_scratch)?;
        let (facts, mut layout) = (*model.facts(), Layout::new());
        let mut planner = Planner { model, facts, workers, resize_scratch, layout: &mut layout };
        model::buffers(&mut planner)?;
        more(&mut planner)?;
        planner.place()?;
        if layout.bytes() > isize::MAX as usize {
            return Err(Error::TooLarge);
        }
        Ok(Plan { layout, workers, picture, views, run, head_crc: model.file().header().head_crc })
    }

    /// The size of the arena in bytes.
    pub fn bytes(&self) -> usize {
        self.layout.bytes()
    }

    /// The number of workers that the plan allows.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The (width, height) in pixels of the picture that the arena was planned for: the largest one, if it is stretched.
    pub fn picture(&self) -> (usize, usize) {
        self.picture
    }

    /// Whether the plan is for pictures of this (width, height): if they are stretched, up to [`picture`](Plan::picture), else of
    /// exactly that size.
    pub fn fits(&self, (width, height): (usize, usize)) -> bool {
        match self.views.mode() {
            Mode::Whole => width <= self.picture.0 && height <= self.picture.1,
            _ => (width, height) == self.picture,
        }
    }

    /// The views in which runs with this plan see a picture.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Every buffer: its name, its byte range in the arena, and the phases in which it is alive, one bit each: 0 resize,
    /// 1 embedding, 2 attention, 3 MLP, 4 the coarse half of the head, 5 the convolution of level 2, 6 the bands of the fine
    /// half. The ranges of buffers that share no phase may overlap.
    pub fn buffers(&self) -> impl Iterator<Item = (&'static str, Range<usize>, u8)> {
        self.layout.buffers()
    }

    /// Whether the plan was made for this model, as far as the checksum of header and tensor table shows.
    pub(crate) fn is_for(&self, model: &Model) -> bool {
        self.head_crc == model.file().header().head_crc
    }

    /// The function that runs a picture. A function pointer, so that the linker drops sliding windows from programs that only call
    /// [`Plan::new`].
    pub(crate) fn run(&self) -> RunFn {
        self.run
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Checks that every buffer can be addressed, so that the sizes that the steps compute do not overflow `usize` on 32-bit
/// processors. It compares upper bounds with the address space: of the largest buffer that the workers share, of the scratch
/// of all workers, and of the scratch of the resize.
///
/// # Errors
/// [`Error::TooLarge`] if one of the bounds exceeds the address space.
fn check_sizes(f: &Facts, workers: usize, resize_scratch: usize) -> Result<(), Error> {
    // The length of a row of n values, with at least the padding of any layout.
    let padded = |n: usize| n.next_multiple_of(LANES) as u64 + 64;
    let cells = f.pool_scales[..f.pool_count].iter().max().map_or(0, |s| s * s);
    let finest = f.level(0).0;
    let rows = (f.tokens() + finest + cells) as u64 + 2;
    let widths =
        [f.channels, f.head_channels, f.hidden, f.classes, f.patch_values(), 3 * f.heads * f.head_padded()];
    // No buffer takes more bytes per row and channel than a ring of four rows of nine f32 products: 144.
    let shared = widths.map(padded).into_iter().fold(0, u64::max).checked_mul(160 * rows);
    // The scratch of up-sampling, attention and Winograd tiles, a padded row, a row of logits, and blocks of pixels; and some
    // tokens, with at most two rows and the hidden layer in f32.
    let own = 768 * rows
        + (1 << 19)
        + 128 * padded(f.channels.max(f.head_channels))
        + 8 * MAX_TOKENS as u64 * (padded(f.channels) + padded(f.hidden))
        + 4 * finest.max(64) as u64 * padded(f.classes);
    let own = own.checked_mul(workers as u64);
    for bytes in [shared, own, Some(resize_scratch as u64)] {
        if bytes.is_none_or(|bytes| bytes >= isize::MAX as u64) {
            return Err(Error::TooLarge);
        }
    }
    Ok(())
}
