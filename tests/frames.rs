//! Many frames, and many engines: resident memory does not grow, and results do not change.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // an emulator would add its own memory to the measurement

mod common;
#[path = "common/random_model.rs"]
mod random_model;

use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, Serial, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use common::Picture;
use random_model::{Random, random_model};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Frames after which all pages of weights, arena and thread stacks have been touched.
const FIRST: usize = 5;
const FRAMES: usize = if cfg!(debug_assertions) { 8 } else { 60 };
/// Growth that is tolerated, in KiB: a few pages that are touched late. Keeping one class map would add 300.
const SLACK: usize = 256;

/// Held by every test: they measure the memory of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resident memory of the process in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_number_of_frames() {
    let _alone = alone();
    let root = common::root();
    let pictures = ["sample.png", "sample2.png"].map(|name| Picture::open(&root.join("models").join(name)));
    let file = FileBytes::read(root.join("models/demo.beitle")).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let pool = ThreadPool::new(2).unwrap();
    let plan = Plan::new(&model, pool.workers(), pictures[0].size()).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let mut maps = [0, 1].map(|i| vec![0u8; pictures[i].rgb.len() / 3]);
    let mut early = (0, [0; 2]);
    let checksums = |maps: &[Vec<u8>; 2]| maps.each_ref().map(|map| crc32(map));
    for i in 0..FRAMES {
        let (picture, map) = (&pictures[i % 2], &mut maps[i % 2]);
        let mut output = Output::map(picture.size(), ClassMapMut::U8(map));
        engine.run(&pool, &picture.view(), &mut output, &mut ()).unwrap();
        if i + 1 == FIRST {
            early = (resident(), checksums(&maps));
        }
    }
    let (before, now) = (early.0, resident());
    println!("resident memory: {before} KiB after {FIRST} frames, {now} KiB after {FRAMES} frames");
    assert!(now <= before + SLACK, "{now} KiB after {FRAMES} frames, {before} KiB after {FIRST}");
    assert_eq!(checksums(&maps), early.1, "the last class maps differ from the first");
}

/// A tiny model in aligned memory, and a picture for it.
fn tiny_model() -> (Arena, Vec<u8>) {
    let file = random_model(&mut Random::new(5), 1);
    let mut memory = Arena::new(file.len()).unwrap();
    memory.bytes_mut()[..file.len()].copy_from_slice(&file);
    (memory, file)
}

fn run(engine: &mut Engine, rgb: &[u8]) -> [u16; 30] {
    let picture = ImageView::packed(rgb, 6, 5, PixelFormat::Rgb8).unwrap();
    let mut map = [u16::MAX; 30];
    engine.run(&Serial, &picture, &mut Output::map((6, 5), ClassMapMut::U16(&mut map)), &mut ()).unwrap();
    map
}

#[test]
fn ten_thousand_frames_and_as_many_engines() {
    let _alone = alone();
    let (memory, file) = tiny_model();
    let rgb: Vec<u8> = (0..90).map(|i| (i * 7 % 256) as u8).collect();
    let mut early = (0, [0; 30]);
    for i in 0..10_000 {
        // A new model, plan and engine for every frame, too.
        let model = Model::new(&memory.bytes()[..file.len()]).unwrap();
        let plan = Plan::new(&model, 1, (6, 5)).unwrap();
        let mut arena = Arena::new(plan.bytes()).unwrap();
        let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
        let map = run(&mut engine, &rgb);
        match i {
            0 => early.1 = map,
            100 => early.0 = resident(),
            _ => assert_eq!(map, early.1, "frame {i}"),
        }
    }
    let now = resident();
    assert!(now <= early.0 + SLACK, "{now} KiB after 10,000 frames, {} KiB after 100", early.0);
}

#[test]
fn engines_share_a_file_and_move_between_threads() {
    let _alone = alone();
    let (memory, file) = tiny_model();
    let rgb: Vec<u8> = (0..90).map(|i| (i * 11 % 256) as u8).collect();
    let model = Model::new(&memory.bytes()[..file.len()]).unwrap();
    let plan = Plan::new(&model, 1, (6, 5)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let want = run(&mut engine, &rgb);
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                let mut arena = Arena::new(plan.bytes()).unwrap();
                let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
                for _ in 0..50 {
                    assert_eq!(run(&mut engine, &rgb), want);
                }
            });
        }
    });
    for _ in 0..8 {
        engine = std::thread::scope(|s| {
            let moved = s.spawn(|| {
                assert_eq!(run(&mut engine, &rgb), want);
                engine
            });
            moved.join().unwrap()
        });
    }
}

#[test]
fn a_plan_of_another_model_is_refused() {
    let _alone = alone();
    let (memory, file) = tiny_model();
    let model = Model::new(&memory.bytes()[..file.len()]).unwrap();
    let other_file = random_model(&mut Random::new(6), 1);
    let mut other = Arena::new(other_file.len()).unwrap();
    other.bytes_mut()[..other_file.len()].copy_from_slice(&other_file);
    let other = Model::new(&other.bytes()[..other_file.len()]).unwrap();
    let plan = Plan::new(&other, 1, (6, 5)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let error = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).err();
    assert_eq!(error, Some(beitle::Error::OtherModel));
}

#[test]
fn class_maps_without_pixels_are_refused() {
    let _alone = alone();
    let (memory, file) = tiny_model();
    let model = Model::new(&memory.bytes()[..file.len()]).unwrap();
    let plan = Plan::new(&model, 1, (6, 5)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let rgb = [0; 90];
    let picture = ImageView::packed(&rgb, 6, 5, PixelFormat::Rgb8).unwrap();
    for size in [(0, 5), (5, 0), (0, 0), (usize::MAX, 1), (1 << 24, 1 << 24)] {
        let mut output = Output::map(size, ClassMapMut::U16(&mut []));
        assert!(engine.run(&Serial, &picture, &mut output, &mut ()).is_err(), "{size:?}");
    }
}
