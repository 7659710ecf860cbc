//! The engine: a model, a plan and an arena go in; each [`run`](Engine::run) turns a picture into a class map, or into its class
//! and features. All memory is the caller's.

use crate::error::Error;
use crate::file::Model;
use crate::file::format::ALIGN;
use crate::image::ImageView;
use crate::model::Context;
use crate::observe::Observer;
pub use crate::output::Output;
use crate::parallel::{Parallel, Workers};
use crate::plan::Plan;
use crate::simd::isa::Isa;

/// Runs a model in an arena. Runs allocate nothing, and each reuses the whole arena.
pub struct Engine<'a> {
    model: &'a Model<'a>,
    plan: &'a Plan,
    isa: Isa,
    arena: &'a mut [u8],
}

impl<'a> Engine<'a> {
    /// An engine for `model`, for which `plan` must have been made. The arena needs at least [`Plan::bytes`] bytes and must
    /// start at a multiple of 64; its contents do not matter. `isa` selects the kernels: [`Isa::detect`] gives the best ones.
    ///
    /// # Errors
    /// [`Error::OtherModel`] if the plan was made for another model; [`Error::Buffer`] if the arena is too small or misaligned.
    pub fn new(model: &'a Model<'a>, plan: &'a Plan, isa: Isa, arena: &'a mut [u8]) -> Result<Self, Error> {
        if !plan.is_for(model) {
            return Err(Error::OtherModel);
        }
        let misalignment = arena.as_ptr().addr() % ALIGN;
        if misalignment != 0 {
            return Err(Error::Buffer {
                what: "arena alignment in bytes",
                needed: ALIGN,
                found: 1 << misalignment.trailing_zeros(),
            });
        }
        let (needed, found) = (plan.bytes(), arena.len());
        match arena.get_mut(..needed) {
            Some(arena) => Ok(Engine { model, plan, isa, arena }),
            None => Err(Error::Buffer { what: "arena bytes", needed, found }),
        }
    }

    /// The plan of the arena.
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    /// Runs a picture in the views of the plan, and computes what `output` asks for. The results do not depend on `par`. Pass `&mut
    /// ()` as the observer to observe nothing.
    ///
    /// # Errors
    /// [`Error::Buffer`] if a buffer of `output` is too small, if the picture needs more memory than planned, or if `par` has
    /// more workers than planned. [`Error::Output`] if the model does not have the results that `output` asks for, and
    /// [`Error::Views`] if the plan's views do not. [`Error::Image`] if the picture does not have the model's channels, the size of
    /// the class map is invalid, or the class numbers do not fit its type.
    /// [`Error::Cancelled`] if `observer` asked to stop; the output is then incomplete.
    pub fn run(
        &mut self,
        par: &dyn Parallel,
        image: &ImageView,
        output: &mut Output,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let workers = Workers::new(par);
        if self.plan.workers() < workers.count() {
            let (needed, found) = (workers.count(), self.plan.workers());
            return Err(Error::Buffer { what: "planned workers", needed, found });
        }
        output.check(self.model.facts(), self.plan.views())?;
        let mut result = None;
        let mut body = || {
            let layout = self.plan.layout();
            let (mut cx, arena) = Context::new(self.model, self.isa, workers, layout, observer, self.arena);
            let run = || (self.plan.run())(&mut cx, arena, image, self.plan.views(), output);
            result.get_or_insert_with(run);
        };
        par.enter(&mut body);
        // In case `enter` did not call it.
        body();
        result.unwrap_or(Ok(()))
    }
}
