//! Times what is computed from class maps, and what confidences add to a frame:
//!
//!     cargo bench -p beitle-benches --bench class_maps
//!
//! The map is that of the demonstration model, 640x480 pixels with some 100 regions; "noise" has a class of its own for almost every
//! pixel, the most regions that a map can have.

use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::output::{
    Area, ClassMap, ClassMapMut, Connectivity, Region, areas, contour, regions, rle, scratch_len,
};
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::{Isa, Model};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

const SIZE: (usize, usize) = (640, 480);
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/demo.beitle");

/// A picture of coloured stripes and checks.
fn picture() -> Vec<u8> {
    let pixel = |i: usize| {
        let (x, y) = (i % SIZE.0, i / SIZE.0);
        [(x * y / 300) as u8, (255 * y / SIZE.1) as u8, if (x / 60 + y / 80) % 2 == 0 { 30 } else { 200 }]
    };
    (0..SIZE.0 * SIZE.1).flat_map(pixel).collect()
}

fn frames(c: &mut Criterion) {
    let file = FileBytes::read(MODEL).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let plan = Plan::new(&model, 1, SIZE).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let rgb = picture();
    let view = ImageView::packed(&rgb, SIZE.0, SIZE.1, PixelFormat::Rgb8).unwrap();
    let (mut map, mut confidence) = (vec![0; SIZE.0 * SIZE.1], vec![0; SIZE.0 * SIZE.1]);
    let mut group = c.benchmark_group("frame of the demonstration model, one thread");
    for (name, size, wants_confidence) in [
        ("map", SIZE, false),
        ("map and confidence", SIZE, true),
        ("map at the logits' size", model.facts().level(0), false),
        ("map and confidence at the logits' size", model.facts().level(0), true),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut output = Output::map(size, ClassMapMut::U8(&mut map));
                output.confidence = wants_confidence.then_some(&mut confidence);
                engine.run(&Serial, &view, &mut output, &mut ()).unwrap();
            });
        });
    }
    group.finish();
}

/// The map of the demonstration model, and one with as many regions as possible.
fn maps() -> [(&'static str, Vec<u8>); 2] {
    let file = FileBytes::read(MODEL).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let plan = Plan::new(&model, 1, SIZE).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let rgb = picture();
    let view = ImageView::packed(&rgb, SIZE.0, SIZE.1, PixelFormat::Rgb8).unwrap();
    let mut map = vec![0; SIZE.0 * SIZE.1];
    let mut output = Output::map(SIZE, ClassMapMut::U8(&mut map));
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    engine.run(&Serial, &view, &mut output, &mut ()).unwrap();
    let noise = (0..SIZE.0 * SIZE.1).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    [("640x480", map), ("noise, 640x480", noise)]
}

fn class_maps(c: &mut Criterion) {
    for (name, map) in &maps() {
        let map = ClassMap::U8(map);
        let mut found = [Area::default(); 256];
        let mut scratch = vec![0; scratch_len(SIZE.0)];
        let mut out = [Region::default(); 256];
        let mut counts = vec![0; SIZE.0 * SIZE.1 + 1];
        let mut corners = vec![[0; 2]; 4 * SIZE.0 * SIZE.1];
        let mut group = c.benchmark_group(*name);
        group.bench_function("areas", |b| b.iter(|| areas(map, SIZE, black_box(&mut found)).unwrap()));
        for connectivity in [Connectivity::Four, Connectivity::Eight] {
            group.bench_function(format!("regions, {connectivity:?}"), |b| {
                b.iter(|| {
                    regions(map, SIZE, connectivity, (16, None), &mut scratch, black_box(&mut out)).unwrap()
                });
            });
        }
        let count = regions(map, SIZE, Connectivity::Four, (1, None), &mut scratch, &mut out).unwrap();
        println!("{name}: {count} regions");
        if let Some(largest) = out.iter().max_by_key(|region| region.area.pixels) {
            group.bench_function("contour of the largest", |b| {
                b.iter(|| {
                    contour(map, SIZE, Connectivity::Four, largest.first, black_box(&mut corners)).unwrap()
                });
            });
            let class = largest.class as u16;
            group
                .bench_function("rle", |b| b.iter(|| rle(map, SIZE, class, black_box(&mut counts)).unwrap()));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = frames, class_maps
}
criterion_main!(benches);
