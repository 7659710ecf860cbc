//! A frame is a small number of parallel steps. At the end of each the threads wait for one another, so one that is late, or has to
//! be woken, holds up the others.

use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::observe::{Observer, Stage};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use std::path::Path;
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

/// Counts the stages of a run, which runs layer by layer if `layers`.
struct Stages {
    layers: bool,
    seen: Vec<Stage>,
    macs: u64,
}

impl Observer for Stages {
    fn done(&mut self, stage: Stage, macs: u64) -> bool {
        if !self.seen.contains(&stage) {
            self.seen.push(stage);
        }
        self.macs += macs;
        true
    }
    fn wants_layers(&self) -> bool {
        self.layers
    }
}

/// The class map of the demonstration model, the steps that it took, and what the observer saw.
fn run(layers: bool) -> (Vec<u16>, usize, Stages) {
    let file = FileBytes::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.beitle")).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let (width, height) = (model.facts().width, model.facts().height);
    let plan = Plan::new(&model, 2, (width, height)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * i / 7 % 251) as u8).collect();
    let picture = ImageView::packed(&rgb, width, height, PixelFormat::Rgb8).unwrap();
    let mut map = vec![0u16; width * height];
    let counter = Counter { pool: ThreadPool::new(2).unwrap(), steps: AtomicUsize::new(0) };
    let mut stages = Stages { layers, seen: Vec::new(), macs: 0 };
    let mut output = Output::map((width, height), ClassMapMut::U16(&mut map));
    engine.run(&counter, &picture, &mut output, &mut stages).unwrap();
    (map, counter.steps.into_inner(), stages)
}

#[test]
fn a_frame_has_few_steps() {
    let (_, steps, stages) = run(false);
    assert!(steps <= 170, "{steps} steps");
    assert!(stages.seen.contains(&Stage::Tokens) && stages.seen.contains(&Stage::Bands));
}

#[test]
fn a_run_of_separate_layers_gives_the_same_map_with_the_same_work() {
    let ((map, steps, stages), (same_map, more_steps, layers)) = (run(false), run(true));
    assert!(map == same_map);
    assert!(more_steps > steps);
    assert_eq!(stages.macs, layers.macs);
    assert!(!layers.seen.contains(&Stage::Tokens) && !layers.seen.contains(&Stage::Bands));
    assert!(layers.seen.contains(&Stage::Fc1) && layers.seen.contains(&Stage::Bottleneck));
}
