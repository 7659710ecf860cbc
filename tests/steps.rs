//! A frame is a small number of parallel steps: on each, threads meet, and one that is late holds up the others.

use beitle::engine::{Engine, Output};
use beitle::memory::{Arena, FileBytes};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two threads that count the steps they are asked to run.
struct Counter {
    pool: ThreadPool,
    steps: AtomicUsize,
}

impl Parallel for Counter {
    fn workers(&self) -> usize {
        self.pool.workers()
    }
    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.pool.run(calls, work);
    }
}

fn steps(file: &std::path::Path) -> usize {
    let file = FileBytes::read(file).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let facts = model.facts();
    let (width, height) = (facts.width, facts.height);
    let plan = Plan::new(&model, 2, (width, height)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let rgb = vec![128u8; width * height * 3];
    let picture =
        beitle::image::ImageView::packed(&rgb, width, height, beitle::image::PixelFormat::Rgb8).unwrap();
    let mut map = vec![0u16; width * height];
    let counter = Counter { pool: ThreadPool::new(2).unwrap(), steps: AtomicUsize::new(0) };
    let mut output = Output::map((width, height), ClassMapMut::U16(&mut map));
    engine.run(&counter, &picture, &mut output, &mut ()).unwrap();
    counter.steps.into_inner()
}

#[test]
fn a_frame_has_few_steps() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.beitle");
    println!("{}", steps(&path));
    if let Ok(other) = std::env::var("BEITLE_MODEL") {
        println!("{other}: {}", steps(other.as_ref()));
    }
}
