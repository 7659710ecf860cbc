//! The loops that stages of the head hand to the schedule.

use crate::model::context::StageLoop;
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

    /// The loop, as part of `stage`.
    pub fn of(&mut self, stage: Stage) -> StageLoop<'_> {
        (stage, self.macs, self.tasks.as_loop())
    }
}

/// The loop of a stage that may have nothing to do.
pub(super) fn part<F: Fn(usize, usize) + Sync>(
    stage: Stage,
    work: &mut Option<Work<F>>,
) -> Option<StageLoop<'_>> {
    work.as_mut().map(|work| work.of(stage))
}
