//! The loops that stages of the head hand to the schedule.

use crate::error::Error;
use crate::model::context::{Context, StageLoop};
use crate::observe::Stage;
use crate::parallel::Tasks;

/// Tasks, and their multiply-accumulates.
pub(super) struct Work<F> {
    macs: u64,
    tasks: Tasks<F>,
}

impl<F: Fn(usize, usize) + Sync> Work<F> {
    pub fn new(macs: u64, tasks: Tasks<F>) -> Self {
        Work { macs, tasks }
    }

    /// Runs the tasks as a step of their own, which belongs to `stage`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks to stop.
    pub fn run(mut self, cx: &mut Context, stage: Stage) -> Result<(), Error> {
        cx.run_loop(self.of(stage))
    }

    /// The loop, as part of `stage`.
    fn of(&mut self, stage: Stage) -> StageLoop<'_> {
        (stage, self.macs, self.tasks.as_loop())
    }
}

/// The loop of a stage that may have nothing to do.
pub(super) fn stage_loop<F: Fn(usize, usize) + Sync>(
    stage: Stage,
    work: &mut Option<Work<F>>,
) -> Option<StageLoop<'_>> {
    work.as_mut().map(|work| work.of(stage))
}
