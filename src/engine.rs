//! The engine: a model, a plan and an arena, ready to turn pictures into class maps.

use crate::error::Error;
use crate::file::Model;
use crate::file::format::ALIGN;
use crate::image::ImageView;
use crate::model::{self, Context};
use crate::observe::Observer;
pub use crate::output::Output;
use crate::parallel::Parallel;
use crate::plan::Plan;
use crate::simd::isa::Isa;

/// Runs a model in an arena. Nothing is allocated; every run uses the same memory again.
pub struct Engine<'a> {
    model: &'a Model<'a>,
    plan: &'a Plan,
    isa: Isa,
    arena: &'a mut [u8],
}

impl<'a> Engine<'a> {
    /// Takes an arena of at least [`Plan::bytes`] bytes that starts at a multiple of 64. Its contents do not matter. `plan`
    /// must have been made for `model`.
    ///
    /// # Errors
    /// [`Error::Buffer`] if the arena is too small or misaligned.
    pub fn new(model: &'a Model<'a>, plan: &'a Plan, isa: Isa, arena: &'a mut [u8]) -> Result<Self, Error> {
        let odd = arena.as_ptr().addr() % ALIGN;
        if odd != 0 {
            return Err(Error::Buffer {
                what: "arena alignment in bytes",
                needed: ALIGN,
                found: 1 << odd.trailing_zeros(),
            });
        }
        let (needed, found) = (plan.bytes(), arena.len());
        match arena.get_mut(..needed) {
            Some(arena) => Ok(Engine { model, plan, isa, arena }),
            None => Err(Error::Buffer { what: "arena bytes", needed, found }),
        }
    }

    /// The plan that it runs by.
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    /// One picture to one class map.
    ///
    /// # Errors
    /// [`Error::Buffer`] if a buffer of `output` is too small, the picture is larger than planned or `par` has more workers
    /// than planned; [`Error::Image`] if the classes do not fit the type of the map; [`Error::Cancelled`] if `observer` asked
    /// to stop (the output is then incomplete).
    pub fn run(
        &mut self,
        par: &dyn Parallel,
        image: &ImageView,
        output: &mut Output,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        self.check(par, output)?;
        let mut result = Ok(());
        par.enter(&mut || {
            let layout = self.plan.layout();
            let (mut cx, arena) = Context::new(self.model, self.isa, par, layout, observer, self.arena);
            result = model::run(&mut cx, arena, image, output);
        });
        result
    }

    fn check(&self, par: &dyn Parallel, output: &Output) -> Result<(), Error> {
        let f = self.model.facts();
        let too_small = |what, needed, found| {
            if found < needed { Err(Error::Buffer { what, needed, found }) } else { Ok(()) }
        };
        too_small("planned workers", par.workers(), self.plan.workers())?;
        let pixels = output.size.0.checked_mul(output.size.1).ok_or(Error::TooLarge)?;
        output.map.check(pixels, f.classes)?;
        let (w, h) = f.level(0);
        output.logits.as_ref().map_or(Ok(()), |l| too_small("logits", f.classes * w * h, l.len()))
    }
}
