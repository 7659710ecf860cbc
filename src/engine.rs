//! The engine: a model, a plan and an arena go in; each [`run`](Engine::run) turns a picture into a class map. All memory is
//! the caller's.

use crate::error::Error;
use crate::file::Model;
use crate::file::format::ALIGN;
use crate::image::{ImageView, check_size};
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

    /// Segments a picture in the views of the plan: computes the class map, and the logits if `output` asks for them. The
    /// results do not depend on `par`. Pass `&mut ()` as the observer to observe nothing.
    ///
    /// # Errors
    /// [`Error::Buffer`] if a buffer of `output` is too small, if the picture needs more memory than planned, or if `par` has
    /// more workers than planned. [`Error::Views`] if `output` asks for logits and the plan's views have none. [`Error::Image`]
    /// if the size of the class map is invalid, or the class numbers do not fit its type.
    /// [`Error::Cancelled`] if `observer` asked to stop; the output is then incomplete.
    pub fn run(
        &mut self,
        par: &dyn Parallel,
        image: &ImageView,
        output: &mut Output,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let workers = Workers::new(par);
        self.check(workers, output)?;
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

    /// Checks the workers and the buffers of `output` against the plan and the model.
    fn check(&self, workers: Workers, output: &Output) -> Result<(), Error> {
        let f = self.model.facts();
        let require = |what, needed, found| {
            if found < needed { Err(Error::Buffer { what, needed, found }) } else { Ok(()) }
        };
        require("planned workers", workers.count(), self.plan.workers())?;
        check_size(output.size.0, output.size.1)?;
        let pixels = output.size.0.checked_mul(output.size.1).ok_or(Error::TooLarge)?;
        output.map.check(pixels, f.classes)?;
        let views = self.plan.views();
        if let Some(logits) = &output.logits {
            if !views.is_single_whole() {
                return Err(Error::Views {
                    what: "logits are available only in mode whole without mirrored views",
                });
            }
            let (w, h) = f.level(0);
            require("logits", f.classes * w * h, logits.len())?;
        }
        let scores = views.scores_len(output.size, f.classes).ok_or(Error::TooLarge)?;
        require(
            "scores of several views (pixels times classes)",
            scores,
            output.scores.as_ref().map_or(0, |s| s.len()),
        )
    }
}
