//! Runs a model on one frame, or until the attention of its first COUNT blocks is done: `blocks MODEL [COUNT]`.
//!
//! For counting instructions under emulation (`instructions.py`): a run with COUNT 2 less a run with COUNT 1 is everything from the
//! first block's output projection to the second block's attention, the arithmetic of one block.

use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::observe::{Observer, Stage};
use beitle::output::ClassMapMut;
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::{Error, Isa, Model};

/// Stops the run when the attention of this many more blocks is done.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn done(&mut self, stage: Stage, _: u64) -> bool {
        self.0 -= usize::from(stage == Stage::Attend);
        self.0 > 0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (path, count) = match &arguments[..] {
        [_, path] => (path, usize::MAX),
        [_, path, count] => (path, count.parse()?),
        _ => return Err("usage: blocks MODEL [COUNT]".into()),
    };
    let file = FileBytes::read(path)?;
    let model = Model::new(file.bytes())?;
    let facts = model.facts();
    let (width, height) = (facts.width, facts.height);
    let plan = Plan::new(&model, 1, (width, height))?;
    let mut arena = Arena::new(plan.bytes())?;
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut())?;
    // Any picture will do, as long as its tokens differ.
    let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * i / 7 % 251) as u8).collect();
    let mut map = vec![0u16; width * height];
    let mut output = Output::map((width, height), ClassMapMut::U16(&mut map));
    let picture = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8)?;
    match engine.run(&Serial, &picture, &mut output, &mut StopAfter(count)) {
        Ok(()) if count == usize::MAX => Ok(()),
        Err(Error::Cancelled) => Ok(()),
        other => Err(format!("the run did not stop after the attention of block {count}: {other:?}").into()),
    }
}
