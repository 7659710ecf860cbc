//! Where the logits of a frame go: to the class map at once, or to the windows of a larger picture.
//! [`LOGITS`](super::LOGITS) is the size of their ring.

use crate::error::Error;
use crate::model::context::Context;
use crate::parallel::Loop;

/// Runs a loop, perhaps together with others.
pub(in crate::model) type RunLoop<'r> = dyn FnMut(&mut Context, Loop) -> Result<(), Error> + 'r;

/// Receives the logits of a frame.
pub(in crate::model) trait LogitsSink {
    /// [`BAND`](super::BAND) more rows of logits exist: all rows below `ready` have been computed, of which the ring holds the last
    /// `LOGITS`. Calls `run` once, with a loop that has to run before the next rows are announced, and passes on its error.
    fn rows(
        &mut self,
        cx: &mut Context,
        ready: usize,
        buffers: &mut SinkBuffers,
        run: &mut RunLoop,
    ) -> Result<(), Error>;
}

/// The buffers of a [`LogitsSink`].
pub(in crate::model) struct SinkBuffers<'a> {
    /// The ring of map rows of logits, `[LOGITS][width][padded classes]`; row y is in slot y % `LOGITS`.
    pub logits: &'a mut [f32],
    /// Scratch of all workers.
    pub scratch: &'a mut [f32],
    /// Logits kept for neighbouring windows, and their index: see `mosaic::kept`. Unused by `ClassMapRows`.
    pub kept_tiles: &'a mut [u16],
    pub kept_index: &'a mut [u32],
}
