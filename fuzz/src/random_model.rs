//! Valid models: the input makes the choices of the generator of `tests/random_models.rs`. Verification accepts the model, and
//! every instruction set gives the same bits, on one thread and on two.

#[path = "../../tests/common/random_model.rs"]
mod generator;

use crate::input::Input;
use crate::memory::Aligned;
use crate::outputs;
use beitle::engine::Engine;
use beitle::file::crc::crc32;
use beitle::file::format::Task;
use beitle::image::ImageView;
use beitle::parallel::{Parallel, Serial, ThreadPool};
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Isa, Model};
pub(crate) use generator::{Random, picture_of, random_model, random_model_of_any_task};
use std::sync::OnceLock;

/// Class map, and bits of all other results.
fn results(
    model: &Model,
    views: &Views,
    isa: Isa,
    par: &dyn Parallel,
    picture: &ImageView,
) -> (Vec<u16>, Vec<u32>) {
    let size = (picture.width(), picture.height());
    let plan = Plan::with_views(model, par.workers(), size, views).expect("a plan");
    let mut arena = Aligned::new(plan.bytes());
    let mut engine = Engine::new(model, &plan, isa, &mut arena).expect("an engine");
    let (map, values) = outputs::all(model, &mut engine, par, picture, size, &mut ()).expect("results");
    (map, values.into_iter().map(f32::to_bits).collect())
}

/// The views of a run: mostly of the whole picture, and no more than a few windows.
fn views(kind: u32, model: &Model, size: (usize, usize)) -> Views {
    let facts = model.facts();
    let windows = (size.0 / facts.width + 1) * (size.1 / facts.height + 1);
    let longest = size.0.max(size.1) / size.0.min(size.1);
    match kind % 8 {
        _ if facts.task != Task::Segmentation => Views::new(Mode::Whole),
        0 if longest < 4 => Views::new(Mode::Slide),
        1 if longest < 2 => Views::new(Mode::Slide).with_scales(&[1.0, 1.3]).expect("valid scales"),
        2 if windows < 10 => Views::new(Mode::Native),
        3 if windows < 5 => Views::new(Mode::Native).with_flip(true).with_overlap_bytes(0),
        _ => Views::new(Mode::Whole),
    }
}

pub fn run(data: &[u8]) {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    let mut input = Input(data);
    let size = (1 + input.below(24), 1 + input.below(24));
    // By the checksum, so that a fuzzer cannot turn to large models and to threads, which take most of the time.
    let kind = crc32(data);
    let scale = [2, 1, 1, 0].get(kind as usize % 32).copied().unwrap_or(0);
    let make = if kind >> 16 & 3 == 0 { random_model_of_any_task } else { random_model };
    let file = make(&mut Random::of_choices(input.0), scale);
    let file = Aligned::copy_of(&file);
    let model = Model::new(&file).expect("a model");
    model.verify().expect("valid contents");
    let facts = model.facts();
    let pixels: Vec<u8> = (0..facts.picture_channels * size.0 * size.1).map(|i| (i * 37) as u8).collect();
    let picture = picture_of(facts, &pixels, size);
    let views = views(kind >> 8, &model, size);
    let portable = Isa::by_name("portable").expect("a portable set");
    let expected = results(&model, &views, portable, &Serial, &picture);
    let pool = POOL.get_or_init(|| ThreadPool::new(2).expect("threads"));
    let par: &dyn Parallel = if kind.is_multiple_of(8) { pool } else { &Serial };
    for isa in Isa::available().filter(|isa| isa.name() != "portable") {
        assert!(results(&model, &views, isa, par, &picture) == expected, "{} differs", isa.name());
    }
}
