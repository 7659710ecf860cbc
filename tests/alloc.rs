//! Memory of a run: it allocates nothing, stays within the planned arena, and does not depend on the arena's contents.
//!
//! This file has no test harness, because the harness allocates on threads of its own at any time.

mod common;

use beitle::engine::{Engine, Output};
use beitle::file::format::Precision;
use beitle::memory::{Arena, FileBytes};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, Serial, ThreadPool};
use beitle::plan::Plan;
use beitle::{Error, Isa, Model};
use common::{Case, Picture};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system allocator with a counter of allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every method forwards to the system allocator, which meets the contract of `GlobalAlloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller of `alloc` provides a layout of non-zero size, as `System.alloc` requires.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: `p` came from `alloc` above, and thus from `System`, with the same layout.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn frame(engine: &mut Engine, pool: &dyn Parallel, picture: &Picture, map: &mut [u8]) -> Result<(), Error> {
    let mut output = Output::map(picture.size(), ClassMapMut::U8(map));
    engine.run(pool, &picture.view(), &mut output, &mut ())
}

fn a_run_allocates_nothing() {
    for precision in [Precision::F32, Precision::Int8, Precision::Int4] {
        let case = Case::open("relative");
        let file = FileBytes::read(case.convert(precision)).unwrap();
        let model = Model::new(file.bytes()).unwrap();
        let picture = case.picture();
        let mut map = vec![0; picture.rgb.len() / 3];
        let pool = ThreadPool::new(2).unwrap();
        // Threads allocate when they start: both must be running before allocations are counted.
        let both = std::sync::Barrier::new(2);
        pool.run(2, &|_| {
            both.wait();
        });
        for (name, pool) in [("the calling thread", &Serial as &dyn Parallel), ("two threads", &pool)] {
            let plan = Plan::new(&model, pool.workers(), picture.size()).unwrap();
            let mut arena = Arena::new(plan.bytes()).unwrap();
            let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
            // The pool allocates per-thread structures at their first task, and may allocate on entry. A program that must
            // not allocate enters it once, around all frames, as here.
            let mut counted = usize::MAX;
            pool.enter(&mut || {
                for _ in 0..5 {
                    frame(&mut engine, pool, &picture, &mut map).unwrap();
                }
                let before = ALLOCATIONS.load(Ordering::SeqCst);
                for _ in 0..20 {
                    frame(&mut engine, pool, &picture, &mut map).unwrap();
                }
                counted = ALLOCATIONS.load(Ordering::SeqCst) - before;
            });
            assert_eq!(counted, 0, "{name}, {}", precision.name());
        }
    }
}

fn a_run_stays_within_the_planned_arena() {
    const CANARY: usize = 4096;
    for name in ["relative", "odd7", "head24", "pools"] {
        for precision in [Precision::F32, Precision::Int8, Precision::Int4] {
            let case = Case::open(name);
            let file = FileBytes::read(case.convert(precision)).unwrap();
            let model = Model::new(file.bytes()).unwrap();
            let picture = case.picture();
            let pool = ThreadPool::new(2).unwrap();
            let plan = Plan::new(&model, 2, picture.size()).unwrap();
            let mut maps = Vec::new();
            for garbage in [0x00, 0xFF, 0x7F] {
                let mut memory = Arena::new(plan.bytes() + 2 * CANARY).unwrap();
                memory.bytes_mut().fill(garbage);
                let (front, rest) = memory.bytes_mut().split_at_mut(CANARY);
                let (arena, back) = rest.split_at_mut(plan.bytes());
                front.fill(0xA5);
                back.fill(0xA5);
                let mut map = vec![0; picture.rgb.len() / 3];
                let mut engine = Engine::new(&model, &plan, Isa::detect(), arena).unwrap();
                for _ in 0..2 {
                    frame(&mut engine, &pool, &picture, &mut map).unwrap();
                    maps.push(map.clone());
                }
                assert!(front.iter().chain(&*back).all(|&b| b == 0xA5), "{name}: a write outside the arena");
            }
            assert!(
                maps.iter().all(|m| *m == maps[0]),
                "{name}: the class map depends on the contents of the arena"
            );
            let mut small = Arena::new(plan.bytes()).unwrap();
            let short = &mut small.bytes_mut()[..plan.bytes() - 1];
            let error = Engine::new(&model, &plan, Isa::detect(), short).err();
            let expected =
                Error::Buffer { what: "arena bytes", needed: plan.bytes(), found: plan.bytes() - 1 };
            assert_eq!(error, Some(expected), "{name}");
        }
    }
}

fn buffers_that_are_too_small_are_rejected() {
    let case = Case::open("relative");
    let file = FileBytes::read(case.convert(Precision::Int8)).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let picture = case.picture();
    let plan = Plan::new(&model, 1, picture.size()).unwrap();
    let mut arena = Arena::new(plan.bytes() + 64).unwrap();
    let misaligned = Engine::new(&model, &plan, Isa::detect(), &mut arena.bytes_mut()[1..]).err();
    assert!(
        matches!(misaligned, Some(Error::Buffer { what: "arena alignment in bytes", .. })),
        "{misaligned:?}"
    );
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let mut map = vec![0; picture.rgb.len() / 3];
    let short = frame(&mut engine, &Serial, &picture, &mut map[1..]);
    assert!(matches!(short, Err(Error::Buffer { .. })), "{short:?}");
    let two = ThreadPool::new(2).unwrap();
    let too_many_workers = frame(&mut engine, &two, &picture, &mut map);
    assert!(
        matches!(too_many_workers, Err(Error::Buffer { what: "planned workers", .. })),
        "{too_many_workers:?}"
    );
    let large = Picture { rgb: vec![0; 3 * 4000 * 3000], width: 4000, height: 3000 };
    let mut map = vec![0; 4000 * 3000];
    let too_large = frame(&mut engine, &Serial, &large, &mut map);
    assert!(matches!(too_large, Err(Error::Buffer { .. })), "{too_large:?}");
}

fn main() {
    let tests: [(&str, fn()); 3] = [
        ("a_run_allocates_nothing", a_run_allocates_nothing),
        ("a_run_stays_within_the_planned_arena", a_run_stays_within_the_planned_arena),
        ("buffers_that_are_too_small_are_rejected", buffers_that_are_too_small_are_rejected),
    ];
    println!("\nrunning {} tests", tests.len());
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    println!("\ntest result: ok. {} passed; 0 failed; 0 ignored\n", tests.len());
}
