//! Frame after frame: one engine and one arena on the demonstration model, pictures that change, memory that does not grow.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // under emulation the emulator's own memory would be measured

mod common;

use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::memory::{Arena, MappedFile};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use common::Picture;
use std::path::Path;

/// Frames until everything has been touched: weights, arena, the threads' stacks.
const FIRST: usize = 5;
const FRAMES: usize = if cfg!(debug_assertions) { 8 } else { 60 };
/// What may come on top, in KiB: a few pages touched late. One map kept would be 300.
const SLACK: usize = 256;

/// The process's resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn many_frames_take_no_more_memory_than_a_few() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = ["sample.png", "sample2.png"].map(|name| Picture::open(&root.join("models").join(name)));
    let file = MappedFile::open(root.join("models/demo.beitle")).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let pool = ThreadPool::new(2).unwrap();
    let plan = Plan::new(&model, pool.workers(), pictures[0].size()).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes()).unwrap();
    let mut maps = [0, 1].map(|i| vec![0u8; pictures[i].rgb.len() / 3]);
    let mut early = (0, [0; 2]);
    let sums = |maps: &[Vec<u8>; 2]| maps.each_ref().map(|map| crc32(map));
    for i in 0..FRAMES {
        let (picture, map) = (&pictures[i % 2], &mut maps[i % 2]);
        let mut output = Output::map(picture.size(), ClassMapMut::U8(map));
        engine.run(&pool, &picture.view(), &mut output, &mut ()).unwrap();
        if i + 1 == FIRST {
            early = (resident(), sums(&maps));
        }
    }
    let (before, now) = (early.0, resident());
    println!("resident after {FIRST} frames {before} KiB, after {FRAMES} {now} KiB");
    assert!(now <= before + SLACK, "{now} KiB after {FRAMES} frames, {before} KiB after {FIRST}");
    assert_eq!(sums(&maps), early.1, "the last frames' maps must be the first ones'");
}
