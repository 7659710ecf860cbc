//! The engine: a model, a plan and an arena, ready to turn pictures into maps.

use crate::activations::{RowsMut, typed};
use crate::error::Error;
use crate::format::Role;
use crate::image::ImageView;
use crate::kernels::Isa;
use crate::model::{Context, attention, bands, embed, mlp, top};
use crate::observe::{Observer, Stage, TensorName};
use crate::parallel::Parallel;
use crate::plan::{Buf, Plan};
use crate::preprocess;
use crate::segment::MapMut;
use crate::weights::Model;

/// Where results go.
#[derive(Debug)]
pub struct Output<'a> {
    /// Width and height of the map: normally the picture's own.
    pub size: (usize, usize),
    /// A class for each pixel of `size`, row by row.
    pub map: MapMut<'a>,
    /// The logits, `[classes][4 · grid height][4 · grid width]`, where wanted.
    pub logits: Option<&'a mut [f32]>,
}

impl<'a> Output<'a> {
    /// A map alone.
    pub fn map(size: (usize, usize), map: MapMut<'a>) -> Self {
        Output { size, map, logits: None }
    }
}

/// Runs a model in an arena. Nothing is allocated; running again reuses everything.
pub struct Engine<'a> {
    model: &'a Model<'a>,
    plan: &'a Plan,
    isa: Isa,
    arena: &'a mut [u8],
}

impl<'a> Engine<'a> {
    /// Takes an arena of at least [`Plan::bytes`] that starts at a multiple of 64. Its contents do not matter.
    ///
    /// # Errors
    /// [`Error::Buffer`] where the arena is too small or badly aligned.
    pub fn new(model: &'a Model<'a>, plan: &'a Plan, isa: Isa, arena: &'a mut [u8]) -> Result<Self, Error> {
        let odd = arena.as_ptr().addr() % crate::format::ALIGN;
        if odd != 0 {
            return Err(Error::Buffer {
                what: "arena alignment in bytes",
                needed: 64,
                found: 1 << odd.trailing_zeros(),
            });
        }
        let (needed, found) = (plan.bytes(), arena.len());
        match arena.get_mut(..needed) {
            Some(arena) => Ok(Engine { model, plan, isa, arena }),
            None => Err(Error::Buffer { what: "arena bytes", needed, found }),
        }
    }

    /// The plan it runs by.
    pub fn plan(&self) -> &Plan {
        self.plan
    }

    /// One picture to one map.
    ///
    /// # Errors
    /// Buffers that are too small, a picture larger than planned, more workers than planned, or
    /// [`Error::Cancelled`] when `observer` asked to stop (the output is then incomplete).
    pub fn run(
        &mut self,
        par: &dyn Parallel,
        image: &ImageView,
        output: &mut Output,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        self.check(par, output)?;
        let mut result = Ok(());
        par.enter(&mut || result = self.stages(par, image, output, observer));
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

    fn stages(
        &mut self,
        par: &dyn Parallel,
        image: &ImageView,
        output: &mut Output,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let (arena, unpacked) = self.arena.split_at_mut(self.plan.unpacked().start);
        let mut cx = Context::new(self.model, self.isa, par, self.plan, observer, unpacked);
        let [pixels, scratch] = cx.buffers(arena, [Buf::Pixels, Buf::ResizeScratch])?;
        preprocess::run(&cx.facts, image, pixels, scratch)?;
        cx.done(Stage::Resize)?;
        embed::run(&mut cx, arena)?;
        store_taps(&mut cx, arena, 0)?;
        for block in 0..cx.facts.blocks {
            attention::run(&mut cx, arena, block)?;
            mlp::run(&mut cx, arena, block)?;
            show_stream(&mut cx, arena, block + 1)?;
            store_taps(&mut cx, arena, block + 1)?;
        }
        top::run(&mut cx, arena)?;
        bands::run(&mut cx, arena, output)
    }
}

/// Keeps the residual stream for the taps that are read after `blocks` blocks (the last stays where it is).
fn store_taps(cx: &mut Context, arena: &mut [u8], blocks: usize) -> Result<(), Error> {
    let f = cx.facts;
    let taps = [(Buf::Tap0, Role::Up0a), (Buf::Tap1, Role::Up1), (Buf::Tap2, Role::Lateral2)];
    for ((buf, reader), _) in taps.into_iter().zip(f.taps).filter(|(_, after)| *after == blocks) {
        let [stream, tap] = cx.buffers(arena, [Buf::Stream, buf])?;
        let mut rows = RowsMut::new(tap, f.patches(), f.channels, cx.linear(reader, 0)?.is_int8());
        cx.store(&mut rows, 0, typed(stream, f.patches() * cx.pitch()));
        cx.done(Stage::Tap)?;
    }
    Ok(())
}

fn show_stream(cx: &mut Context, arena: &mut [u8], blocks: usize) -> Result<(), Error> {
    let [stream] = cx.buffers(arena, [Buf::Stream])?;
    let x = typed::<f32>(stream, cx.facts.tokens() * cx.pitch());
    cx.show(TensorName::Stream(blocks), x);
    Ok(())
}
