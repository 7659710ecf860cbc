//! Valid models: the input makes the choices of the generator of `tests/random_models.rs`. Verification accepts the model, and
//! every instruction set gives the same bits, on one thread and on two.

#[path = "../../tests/common/random_model.rs"]
mod generator;

use crate::input::Input;
use crate::memory::Aligned;
use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::image::{ImageView, PixelFormat};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, Serial, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
pub(crate) use generator::{Random, random_model};
use std::sync::OnceLock;

/// Class map and bits of the logits.
fn results(
    model: &Model,
    isa: Isa,
    par: &dyn Parallel,
    rgb: &[u8],
    size: (usize, usize),
) -> (Vec<u16>, Vec<u32>) {
    let (width, height) = model.facts().level(0);
    let plan = Plan::new(model, par.workers(), size).expect("a plan");
    let mut arena = Aligned::new(plan.bytes());
    let mut engine = Engine::new(model, &plan, isa, &mut arena).expect("an engine");
    let picture = ImageView::packed(rgb, size.0, size.1, PixelFormat::Rgb8).expect("a picture");
    let mut map = vec![u16::MAX; size.0 * size.1];
    let mut logits = vec![0f32; model.facts().classes * width * height];
    let mut output = Output { logits: Some(&mut logits), ..Output::map(size, ClassMapMut::U16(&mut map)) };
    engine.run(par, &picture, &mut output, &mut ()).expect("a class map");
    (map, logits.iter().map(|x| x.to_bits()).collect())
}

pub fn run(data: &[u8]) {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    let mut input = Input(data);
    let size = (1 + input.below(24), 1 + input.below(24));
    let rgb: Vec<u8> = (0..3 * size.0 * size.1).map(|i| (i * 37) as u8).collect();
    // By the checksum, so that a fuzzer cannot turn to large models and to threads, which take most of the time.
    let kind = crc32(data);
    let scale = [2, 1, 1, 0].get(kind as usize % 32).copied().unwrap_or(0);
    let file = random_model(&mut Random::of_choices(input.0), scale);
    let file = Aligned::copy_of(&file);
    let model = Model::new(&file).expect("a model");
    model.verify().expect("valid contents");
    let expected = results(&model, Isa::by_name("portable").expect("a portable set"), &Serial, &rgb, size);
    assert!(
        expected.0.iter().all(|&class| usize::from(class) < model.facts().classes),
        "a class out of range"
    );
    let pool = POOL.get_or_init(|| ThreadPool::new(2).expect("threads"));
    let par: &dyn Parallel = if kind.is_multiple_of(8) { pool } else { &Serial };
    for isa in Isa::available().filter(|isa| isa.name() != "portable") {
        assert!(results(&model, isa, par, &rgb, size) == expected, "{} differs", isa.name());
    }
}
