//! Every member of the family against transformers: classification, features, masked images, Data2Vec-Vision, UperNet, pictures of
//! one or four channels, inputs that are not square. `tests/goldens/README.md` describes the golden data.

mod common;

use beitle::Model;
use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::file::format::{Precision, Task};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, Serial, ThreadPool};
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Error, Isa};
use beitle_quantize::Conv;
use common::{Case, agreement, argmax, converted, error, numbers};
use std::path::Path;

const MEMBERS: &[&str] = &[
    "classifier",
    "classtoken",
    "data2vec",
    "data2vec_map",
    "features",
    "masked",
    "masked_token",
    "grey",
    "infrared",
    "oblong",
    "upernet",
    "wide",
];

/// Tolerated error of f32, relative to the standard deviation.
const F32_TOLERANCE: f64 = 1e-4;

fn open(name: &str) -> Case {
    Case::open(&format!("members/{name}"))
}

/// The picture of a case with the channels of a model, and its size.
fn picture(case: &Case, channels: usize) -> (Vec<u8>, (usize, usize)) {
    let picture = ::image::open(case.folder.join("input.png")).unwrap();
    let size = (picture.width() as usize, picture.height() as usize);
    let bytes = match channels {
        1 => picture.to_luma8().into_raw(),
        4 => picture.to_rgba8().into_raw(),
        _ => picture.to_rgb8().into_raw(),
    };
    (bytes, size)
}

/// Logits, features and tokens; those that the model does not have are empty.
fn run(file: &Path, case: &Case, isa: Isa, threads: &dyn Parallel) -> [Vec<f32>; 3] {
    let file = FileBytes::read(file).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    model.verify().unwrap();
    let f = model.facts();
    let (bytes, size) = picture(case, f.picture_channels);
    let view =
        ImageView::packed(&bytes, size.0, size.1, PixelFormat::of_channels(f.picture_channels)).unwrap();
    // Larger pictures than this one.
    let plan = Plan::new(&model, threads.workers(), (size.0 + 7, size.1 + 100)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    // The contents of the arena must not matter.
    arena.bytes_mut().fill(0xFF);
    let mut engine = Engine::new(&model, &plan, isa, arena.bytes_mut()).unwrap();
    let (w, h) = f.level(0);
    let [mut logits, mut features, mut tokens] = match f.task {
        Task::Segmentation => [f.classes * w * h, 0, 0],
        _ => [f.classes, f.channels, f.tokens() * f.channels],
    }
    .map(|len| vec![f32::NAN; len]);
    fn wanted(buffer: &mut [f32]) -> Option<&mut [f32]> {
        (!buffer.is_empty()).then_some(buffer)
    }
    let mut output = Output {
        logits: wanted(&mut logits),
        features: wanted(&mut features),
        tokens: wanted(&mut tokens),
        ..Output::default()
    };
    engine.run(threads, &view, &mut output, &mut ()).unwrap();
    [logits, features, tokens]
}

#[test]
fn f32_equals_transformers() {
    for name in MEMBERS {
        let case = open(name);
        let file = case.convert(Precision::F32);
        let results = run(&file, &case, Isa::detect(), &ThreadPool::new(2).unwrap());
        let goldens = case.goldens();
        let mut compared = 0;
        for (tensor, got) in ["logits", "features", "tokens"].into_iter().zip(&results) {
            let Some((want, _)) = numbers(&goldens, tensor) else {
                assert!(got.is_empty(), "{name}: {tensor} without a golden");
                continue;
            };
            let e = error(got, &want);
            assert!(e < F32_TOLERANCE, "{name}: {tensor} has an error of {e:.1e} standard deviations");
            println!("{name}: {tensor} has an error of {e:.1e} standard deviations");
            compared += 1;
        }
        assert!(compared > 0, "{name}");
    }
}

#[test]
fn other_precisions_stay_close() {
    for name in MEMBERS {
        let case = open(name);
        let goldens = case.goldens();
        for (precision, floor, largest) in
            [(Precision::F16, 0.97, 0.02), (Precision::Int8, 0.75, 0.3), (Precision::Int4, 0.4, 2.5)]
        {
            let file = case.convert(precision);
            let [logits, features, _] = run(&file, &case, Isa::detect(), &Serial);
            if let Some((want, shape)) = numbers(&goldens, "logits") {
                let share = agreement(&argmax(&logits, shape[0]), &argmax(&want, shape[0]));
                println!("{name} {}: agreement {share:.4}", precision.name());
                // A picture has one class.
                let floor = if shape.len() == 1 {
                    if precision == Precision::Int4 { 0.0 } else { 1.0 }
                } else {
                    floor
                };
                assert!(share >= floor, "{name} {}: the agreement is {share:.4}", precision.name());
            }
            if let Some((want, _)) = numbers(&goldens, "features") {
                let e = error(&features, &want);
                println!("{name} {}: features have an error of {e:.2} standard deviations", precision.name());
                assert!(e < largest, "{name} {}: an error of {e:.2} standard deviations", precision.name());
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_instruction_set_and_threads() {
    for name in ["classifier", "classtoken", "features"] {
        let case = open(name);
        let file = case.convert(Precision::Int8);
        let bits = |isa, threads: &dyn Parallel| {
            run(&file, &case, isa, threads).map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let want = bits(Isa::by_name("portable").unwrap(), &Serial);
        for isa in Isa::available() {
            assert!(bits(isa, &ThreadPool::new(3).unwrap()) == want, "{name} on {}", isa.name());
        }
    }
}

/// Logits, features and tokens have the recorded bits on every CPU, as in the test `same_bytes`.
#[test]
fn results_have_the_recorded_bits() {
    let mut found = String::new();
    for name in MEMBERS {
        let case = open(name);
        for (kind, precision) in [("f32", Precision::F32), ("int8", Precision::Int8)] {
            let file = converted(&case, kind, precision, Conv::Direct);
            let sums = run(&file, &case, Isa::detect(), &ThreadPool::new(2).unwrap())
                .map(|values| format!("{:08x}", crc32(bytemuck::cast_slice(&values))));
            found += &format!("{name} {kind} {}\n", sums.join(" "));
        }
    }
    let path = common::root().join("tests/data/members/bits.txt");
    if std::env::var_os("BEITLE_RECORD").is_some() {
        std::fs::write(path, &found).unwrap();
    } else {
        assert_eq!(found, std::fs::read_to_string(path).unwrap(), "BEITLE_RECORD=1 records the new bits");
    }
}

/// The error of a run of `name` with an output, and a picture of RGB.
fn refused(name: &str, output: &mut Output) -> Option<Error> {
    let case = open(name);
    let file = FileBytes::read(case.convert(Precision::F16)).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let plan = Plan::new(&model, 1, (8, 8)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let rgb = [0; 8 * 8 * 3];
    let view = ImageView::packed(&rgb, 8, 8, PixelFormat::Rgb8).unwrap();
    engine.run(&Serial, &view, output, &mut ()).err()
}

#[test]
fn results_that_a_model_does_not_have_are_refused() {
    let (mut map, mut long, mut short) = ([0u8; 64], [0f32; 10_000], [0f32; 3]);
    let wrong = |e: Option<Error>| matches!(e, Some(Error::Output { .. }));
    assert!(wrong(refused("classifier", &mut Output::map((8, 8), ClassMapMut::U8(&mut map)))));
    assert!(wrong(refused("classifier", &mut Output::default())));
    assert!(wrong(refused("features", &mut Output::logits(&mut long))));
    assert!(wrong(refused("upernet", &mut Output::features(&mut long))));
    assert!(wrong(refused("upernet", &mut Output::default())));
    for (name, output) in [
        ("classifier", &mut Output::logits(&mut short)),
        ("features", &mut Output::features(&mut [0f32; 31])),
        ("features", &mut Output { tokens: Some(&mut [0f32; 25 * 32 - 1]), ..Output::default() }),
        ("upernet", &mut Output::logits(&mut [0f32; 7 * 16 * 16 - 1])),
    ] {
        let e = refused(name, output);
        assert!(matches!(e, Some(Error::Buffer { .. })), "{name}: {e:?}");
    }
    assert_eq!(refused("classifier", &mut Output::logits(&mut long)), None);
    assert_eq!(refused("upernet", &mut Output::logits(&mut long)), None);
    let channels = refused("grey", &mut Output::logits(&mut long));
    assert!(matches!(channels, Some(Error::Image { what }) if what.contains("one channel")), "{channels:?}");

    let file = FileBytes::read(open("classifier").convert(Precision::F16)).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    for views in [Views::new(Mode::Slide), Views::new(Mode::Whole).with_flip(true)] {
        assert!(matches!(Plan::with_views(&model, 1, (9, 9), &views), Err(Error::Views { .. })));
    }
    assert!(Views::of(model.facts()).is_single_whole());
}
