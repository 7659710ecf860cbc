//! Runs a model until the attention of so many blocks is done: `blocks MODEL COUNT`. A run to the second less one to the first is
//! one block: the MLP of one, the attention of the next (`instructions.py`).

use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, MappedFile};
use beitle::observe::{Observer, Stage};
use beitle::output::ClassMapMut;
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::{Error, Isa, Model};

/// So many blocks' attention is still to be done.
struct Blocks(usize);

impl Observer for Blocks {
    fn done(&mut self, stage: Stage, _: u64) -> bool {
        self.0 -= usize::from(stage == Stage::Proj);
        self.0 > 0
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, count] = &arguments[..] else { return Err("blocks MODEL COUNT".into()) };
    let file = MappedFile::open(path)?;
    let model = Model::new(file.bytes())?;
    let facts = model.facts();
    let (width, height) = (facts.width, facts.height);
    let plan = Plan::new(&model, 1, (width, height))?;
    let mut arena = Arena::new(plan.bytes());
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes())?;
    // Not one colour: tokens shall differ.
    let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * i / 7 % 251) as u8).collect();
    let mut map = vec![0u16; width * height];
    let mut output = Output::map((width, height), ClassMapMut::U16(&mut map));
    let picture = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8)?;
    match engine.run(&Serial, &picture, &mut output, &mut Blocks(count.parse()?)) {
        Err(Error::Cancelled) => Ok(()),
        other => Err(format!("the model has no {count} blocks: {other:?}").into()),
    }
}
