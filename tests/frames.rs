//! Many frames with one engine and one arena: resident memory does not grow, and results do not change.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // an emulator would add its own memory to the measurement

mod common;

use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::memory::{Arena, FileBytes};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use common::Picture;

/// Frames after which all pages of weights, arena and thread stacks have been touched.
const FIRST: usize = 5;
const FRAMES: usize = if cfg!(debug_assertions) { 8 } else { 60 };
/// Growth that is tolerated, in KiB: a few pages that are touched late. Keeping one class map would add 300.
const SLACK: usize = 256;

/// Resident memory of the process in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_number_of_frames() {
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
