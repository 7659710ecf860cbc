//! The plan of a run: how many bytes of arena a model needs, and what lies where.
//!
//! The sizes come from the steps of the model ([`model`](crate::model)), the places from [`arena`](crate::arena).

use crate::arena::Layout;
use crate::error::Error;
use crate::file::format::LANES;
use crate::file::{Facts, Model};
use crate::image::preprocess;
use crate::model::backbone::mlp::MLP_TOKENS;
use crate::model::{self, Planner};
use core::ops::Range;

/// A layout of the arena for a model, a number of workers and pictures up to a size.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    layout: Layout,
    workers: usize,
    picture: (usize, usize),
}

impl Plan {
    /// Lays out the arena for pictures of up to `picture` (width, height) pixels and for up to `workers` workers.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the arena could not be addressed.
    pub fn new(model: &Model, workers: usize, picture: (usize, usize)) -> Result<Plan, Error> {
        let workers = workers.max(1);
        check_sizes(model.facts(), workers, picture)?;
        let mut layout = Layout::new();
        let facts = *model.facts();
        model::buffers(&mut Planner { model, facts, workers, picture, layout: &mut layout })?;
        if layout.bytes() > isize::MAX as usize {
            return Err(Error::TooLarge);
        }
        Ok(Plan { layout, workers, picture })
    }

    /// Bytes that the arena must have.
    pub fn bytes(&self) -> usize {
        self.layout.bytes()
    }

    /// The number of workers that it was made for.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The largest picture (width, height) that it was made for, in pixels.
    pub fn picture(&self) -> (usize, usize) {
        self.picture
    }

    /// Every buffer: its name, its bytes in the arena, and the phases in which it is alive, one bit each (bit 0 resize,
    /// 1 embedding, 2 attention, 3 MLP, 4 the coarse half of the head, 5 level 2, 6 bands).
    pub fn buffers(&self) -> impl Iterator<Item = (&'static str, Range<usize>, u8)> {
        self.layout.buffers()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Checks that no size overflows `usize`, which could happen on 32-bit processors. It bounds the largest buffer that all
/// workers share (whose rows are tokens, a few rows of the finest map, the tokens of an MLP step or pooled cells), and what
/// each worker has of its own.
fn check_sizes(f: &Facts, workers: usize, picture: (usize, usize)) -> Result<(), Error> {
    let padded = |n: usize| n.next_multiple_of(LANES) as u64 + 64;
    let cells = f.pool_scales[..f.pool_count].iter().max().map_or(0, |s| s * s);
    let rows = (f.tokens() + f.level(0).0 + MLP_TOKENS + cells) as u64 + 2;
    let widths = [f.channels, f.hidden, f.classes, 3 * f.patch * f.patch, 3 * f.head_padded()];
    let shared = widths.map(padded).into_iter().fold(0, u64::max).checked_mul(160 * rows);
    let own = 768 * rows + (1 << 17) + 128 * padded(f.channels) + 4 * f.level(0).0 as u64 * padded(f.classes);
    let own = own.checked_mul(workers as u64);
    let resize = preprocess::scratch_bytes(f, picture) as u64;
    for bytes in [shared, own, Some(resize)] {
        if bytes.is_none_or(|bytes| bytes >= isize::MAX as u64) {
            return Err(Error::TooLarge);
        }
    }
    Ok(())
}
