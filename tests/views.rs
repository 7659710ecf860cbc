//! Sliding windows, mirrored views and scales: against the test protocol of BEiT's authors, and the same on every instruction set.
//! `tests/goldens/make_views.py` makes the golden maps.

mod common;

use beitle::Isa;
use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::file::format::Precision;
use beitle::memory::{Arena, FileBytes};
use beitle::observe::{Observer, Stage};
use beitle::output::ClassMapMut;
use beitle::parallel::{Serial, ThreadPool};
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Error, Model};
use beitle_quantize::Conv;
use common::{Case, Picture};
use safetensors::SafeTensors;
use std::path::Path;

/// The views of a golden map.
fn views_of(name: &str) -> Views {
    let mode = match name {
        _ if name.starts_with("native") => Mode::Native,
        _ if name.starts_with("whole") => Mode::Whole,
        _ => Mode::Slide,
    };
    let scales: &[f64] = match name {
        _ if name.starts_with("published") => &Views::PUBLISHED_SCALES,
        _ if name.starts_with("two scales") => &[1.0, 1.4],
        _ => &[],
    };
    Views::new(mode).with_flip(name.ends_with("flip")).with_scales(scales).unwrap()
}

/// Runs a picture.
fn run_with(
    file: &FileBytes,
    picture: &Picture,
    views: &Views,
    (isa, threads): (Isa, usize),
    observer: &mut dyn Observer,
) -> Result<Vec<u16>, Error> {
    let size = picture.size();
    let model = Model::new(file.bytes())?;
    let plan = Plan::with_views(&model, threads, size, views)?;
    let mut arena = Arena::new(plan.bytes()).unwrap();
    // The contents of the arena must not matter.
    arena.bytes_mut().fill(0xFF);
    let mut engine = Engine::new(&model, &plan, isa, arena.bytes_mut())?;
    let mut map = vec![u16::MAX; size.0 * size.1];
    let mut scores = vec![0xFFFF; if views.are_several() { map.len() * model.facts().classes } else { 0 }];
    let mut output = Output::map(size, ClassMapMut::U16(&mut map));
    output.scores = views.are_several().then_some(&mut scores);
    engine.run(&ThreadPool::new(threads).unwrap(), &picture.view(), &mut output, observer)?;
    Ok(map)
}

fn run(file: &FileBytes, picture: &Picture, views: &Views, how: (Isa, usize)) -> Result<Vec<u16>, Error> {
    run_with(file, picture, views, how, &mut ())
}

fn run_observed(
    file: &FileBytes,
    picture: &Picture,
    views: &Views,
    observer: &mut dyn Observer,
) -> Result<Vec<u16>, Error> {
    run_with(file, picture, views, (Isa::detect(), 2), observer)
}

/// The golden pictures, in order, with their maps and the pixels whose two best scores are close.
fn goldens() -> Vec<(String, Picture, Vec<u8>, Vec<u8>)> {
    let bytes = std::fs::read(common::root().join("tests/data/views/views.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<_> = tensors.names().into_iter().filter_map(|n| n.strip_suffix(".picture")).collect();
    names.sort_unstable();
    let golden = |name: &str| {
        let tensor = |what| tensors.tensor(&format!("{name}.{what}")).unwrap();
        let picture = tensor("picture");
        let &[height, width, 3] = picture.shape() else { panic!("{name}: {:?}", picture.shape()) };
        let picture = Picture { rgb: picture.data().to_vec(), width, height };
        (name.to_owned(), picture, tensor("map").data().to_vec(), tensor("close").data().to_vec())
    };
    names.into_iter().map(golden).collect()
}

/// Other architectures run under emulation, which is slow: only some of the pictures.
fn is_tested(name: &str) -> bool {
    cfg!(target_arch = "x86_64") || ["many windows", "published scales, flip", "native"].contains(&name)
}

fn unilm(precision: Precision) -> FileBytes {
    FileBytes::read(Case::open("unilm").convert(precision)).unwrap()
}

#[test]
fn f32_gives_the_maps_of_the_published_protocol() {
    let file = unilm(Precision::F32);
    let goldens = goldens();
    assert!(goldens.len() >= 16);
    for (name, picture, want, close) in goldens.into_iter().filter(|g| is_tested(&g.0)) {
        let map = run(&file, &picture, &views_of(&name), (Isa::detect(), 2)).unwrap();
        let wrong =
            map.iter().zip(&want).zip(&close).filter(|((a, b), close)| **a != u16::from(**b) && **close == 0);
        let differ = map.iter().zip(&want).filter(|(a, b)| **a != u16::from(**b)).count();
        println!("{name}: {differ} of {} pixels differ", map.len());
        assert_eq!(wrong.count(), 0, "{name}");
    }
}

/// Checksums of the class maps of all golden pictures, as `<name> <checksum>`.
const RECORDED: &str = include_str!("data/views/maps.txt");

#[test]
fn every_instruction_set_and_thread_count_gives_the_recorded_maps() {
    let native = cfg!(target_arch = "x86_64");
    let threads: &[usize] = if native { &[1, 3] } else { &[2] };
    let file = common::converted(&Case::open("unilm"), "int8 winograd 4x4", Precision::Int8, Conv::Winograd4);
    let file = FileBytes::read(file).unwrap();
    let mut found = String::new();
    for (name, picture, ..) in goldens().iter().filter(|g| is_tested(&g.0)) {
        let views = views_of(name);
        let mut sums = Vec::new();
        for isa in Isa::available() {
            for &threads in threads {
                let map = run(&file, picture, &views, (isa, threads)).unwrap();
                sums.push((crc32(bytemuck::cast_slice(&map)), isa.name(), threads));
            }
        }
        for (sum, isa, threads) in &sums {
            assert_eq!(*sum, sums[0].0, "{name}: {isa} with {threads} threads differs from portable");
        }
        let line = format!("{name} {:08x}\n", sums[0].0);
        assert!(native || RECORDED.contains(&line), "{line}");
        found += &line;
    }
    if std::env::var_os("BEITLE_RECORD").is_some() {
        std::fs::write(common::root().join("tests/data/views/maps.txt"), &found).unwrap();
    } else if native {
        assert_eq!(
            found, RECORDED,
            "the results have changed (if this is intended, BEITLE_RECORD=1 records the new ones)"
        );
    }
}

/// Counts windows.
#[derive(Default)]
struct Windows {
    done: usize,
    total: usize,
}

impl Observer for Windows {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
    fn window(&mut self, done: usize, total: usize) {
        assert_eq!(done, self.done + 1, "windows are counted one by one");
        (self.done, self.total) = (done, total);
    }
}

/// A picture of random colours.
fn noise(width: usize, height: usize) -> Picture {
    let mut state = 1u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    Picture { width, height, rgb: (0..3 * width * height).map(byte).collect() }
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "slow under emulation, and the maps are those of x86-64")]
fn the_memory_for_overlaps_changes_the_number_of_windows_and_not_the_map() {
    let file = unilm(Precision::Int8);
    let picture = noise(500, 420);
    for flip in [false, true] {
        let views = Views::new(Mode::Native).with_flip(flip);
        let mut counts = Vec::new();
        let mut run_with = |bytes| {
            let mut windows = Windows::default();
            let map = run_observed(&file, &picture, &views.with_overlap_bytes(bytes), &mut windows).unwrap();
            assert_eq!(windows.done, windows.total);
            counts.push(windows.done);
            map
        };
        let want = run_with(usize::MAX);
        for bytes in [200_000, 100_000, 0] {
            assert!(run_with(bytes) == want, "{bytes} bytes");
        }
        assert!(counts.is_sorted() && counts[0] < counts[1] && counts[1] < counts[3], "{counts:?}");
    }
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "converts, which is slow under emulation")]
fn files_of_unilm_are_run_as_they_were_tested() {
    let case = Case::open("unilm");
    // Under the name of a published checkpoint; heads and features are those of the architecture.
    let named =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("beitv2_base_patch16_224_pt1k_ft21k_ftade20k.pth");
    std::fs::copy(case.checkpoint(), &named).unwrap();
    for (size, stride) in [(96, 64), (384, 256), (512, 341), (640, 426)] {
        let file = case.convert_with(Precision::F16, |options| {
            options.checkpoint = named.clone();
            options.feature_blocks = None;
            options.heads = None;
            options.size = Some((size, size));
        });
        let file = FileBytes::read(file).unwrap();
        let model = Model::new(file.bytes()).unwrap();
        assert_eq!(model.facts().sliding, Some((size, stride)));
        assert_eq!(model.facts().feature_blocks, [4, 6, 8, 12]);
        assert_eq!(Views::of(model.facts()), Views::new(Mode::Slide));
        assert!(model.source().contains("beitv2_base"));
    }
}

#[test]
fn a_plan_is_for_one_size_and_refuses_what_needs_more() {
    let file = unilm(Precision::Int8);
    let model = Model::new(file.bytes()).unwrap();
    let views = Views::new(Mode::Slide);
    let plan = Plan::with_views(&model, 1, (96, 96), &views).unwrap();
    assert_eq!((plan.picture(), plan.views()), ((96, 96), &views));
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let mut run = |width, height, logits| {
        let picture = noise(width, height);
        let mut map = vec![0; width * height];
        let mut output = Output::map((width, height), ClassMapMut::U8(&mut map));
        let mut memory = vec![0.0; 1 << 16];
        output.logits = if logits { Some(&mut memory) } else { None };
        engine.run(&Serial, &picture.view(), &mut output, &mut ())
    };
    assert_eq!(run(96, 96, false), Ok(()));
    assert_eq!(run(50, 50, false), Ok(()), "one window too");
    assert!(matches!(run(97, 96, false), Err(Error::Buffer { .. })), "two windows, which overlap");
    assert!(matches!(run(96, 96, true), Err(Error::Views { .. })), "no logits");
    assert_eq!(run(96, 96, false), Ok(()));
    // Resized to a window's height, it would be too long.
    let scaled = views.with_scales(&[1.0]).unwrap();
    let error = Plan::with_views(&model, 1, (1 << 24, 1), &scaled).unwrap_err();
    assert!(matches!(error, Error::Views { .. }));
    for ratios in [&[0.0][..], &[f64::NAN], &[17.0], &[1.0; 17]] {
        assert!(views.with_scales(ratios).is_err(), "{ratios:?}");
    }
    assert!(Views::new(Mode::Native).with_scales(&[1.0]).is_err());
}

/// The README's figure for base follows from this: a single view of any picture.
#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "converts, which is slow under emulation")]
fn a_single_view_of_any_picture_keeps_less_than_one_and_a_half_windows() {
    let file = Case::open("unilm").convert_with(Precision::F16, |options| options.size = Some((640, 640)));
    let file = FileBytes::read(file).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let bytes = |size, mode| Plan::with_views(&model, 1, size, &Views::new(mode)).unwrap().bytes();
    let whole = bytes((640, 640), Mode::Whole);
    // 160x160 logits of 13 classes: two bytes each, and eight bytes more for each pixel.
    let window = 160 * 160 * (2 * 13 + 8);
    for long in (640..2561).step_by(7).chain([641, 1067, 1494, 10_000, 1 << 20]) {
        for size in [(long, 640), (640, long)] {
            let bytes = bytes(size, Mode::Slide);
            assert!(bytes <= whole + window * 3 / 2, "{size:?}: {bytes}, {whole}");
        }
    }
}
