//! Random small models with mixed precisions and odd shapes: verification accepts them, and every instruction set and number of
//! threads gives the same bits.

#[path = "common/random_model.rs"]
mod random_model;

use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::file::format::Task;
use beitle::file::format::{ALIGN, Header, TensorEntry, TensorKind};
use beitle::image::ImageView;
use beitle::output::{ClassMapMut, Points, Ranked};
use beitle::parallel::{Parallel, Serial};
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Error, Isa, Model};
use random_model::{Random, picture_of, random_model, random_model_of_any_task, random_pixels};
use std::mem::offset_of;

/// Memory at an aligned address.
struct Aligned(Vec<u8>);

impl Aligned {
    fn new(bytes: usize) -> Self {
        Aligned(vec![0xA5; bytes + ALIGN])
    }
    fn of(bytes: &[u8]) -> Self {
        let mut memory = Aligned::new(bytes.len());
        memory.bytes(bytes.len()).copy_from_slice(bytes);
        memory
    }
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        let start = self.0.as_ptr().align_offset(ALIGN);
        &mut self.0[start..start + len]
    }
}

/// Threads that are started for every step.
struct Threads(usize);

impl Parallel for Threads {
    fn workers(&self) -> usize {
        self.0
    }
    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|s| {
            for thread in 0..calls {
                s.spawn(move || work(thread));
            }
        });
    }
}

/// Class map, and bits of logits, confidences and probabilities; for a model without class map, of logits, features and tokens.
fn run(
    model: &Model,
    isa: Isa,
    threads: &dyn Parallel,
    pixels: &[u8],
    size: (usize, usize),
) -> (Vec<u16>, Vec<u32>) {
    let facts = model.facts();
    let (width, height) = facts.level(0);
    let picture = picture_of(facts, pixels, size);
    let plan = Plan::new(model, threads.workers(), size).unwrap();
    let mut arena = Aligned::new(plan.bytes());
    let mut engine = Engine::new(model, &plan, isa, arena.bytes(plan.bytes())).unwrap();
    if facts.task != Task::Segmentation {
        let mut logits = vec![f32::NAN; facts.classes];
        let mut features = vec![f32::NAN; facts.channels];
        let mut tokens = vec![f32::NAN; facts.tokens() * facts.channels];
        let mut output = Output { tokens: Some(&mut tokens), ..Output::features(&mut features) };
        output.logits = (facts.task == Task::Classification).then_some(&mut logits);
        engine.run(threads, &picture, &mut output, &mut ()).unwrap();
        let values = [logits, features, tokens].concat();
        assert!(values.iter().all(|x| !x.is_nan()));
        return (vec![0], values.iter().map(|x| x.to_bits()).collect());
    }
    let mut map = vec![u16::MAX; size.0 * size.1];
    let mut logits = vec![0f32; facts.classes * width * height];
    let mut confidence = vec![0; map.len()];
    let mut ranked = vec![Ranked::default(); facts.classes.min(3)];
    let mut output = Output { logits: Some(&mut logits), ..Output::map(size, ClassMapMut::U16(&mut map)) };
    output.confidence = Some(&mut confidence);
    output.points = Some(Points::new(&[[0, 0]], &mut ranked).unwrap());
    engine.run(threads, &picture, &mut output, &mut ()).unwrap();
    let mut bits: Vec<u32> = logits.iter().map(|x| x.to_bits()).collect();
    bits.extend(confidence.into_iter().map(u32::from));
    bits.extend(ranked.into_iter().flat_map(|ranked| [ranked.class, ranked.probability.to_bits()]));
    (map, bits)
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for seed in 0..100 {
        let mut r = Random::new(seed);
        let file = if seed < 50 { random_model(&mut r, 2) } else { random_model_of_any_task(&mut r, 2) };
        let mut file = Aligned::of(&file);
        let len = file.0.len() - ALIGN;
        let model = Model::new(file.bytes(len)).unwrap();
        model.verify().unwrap_or_else(|e| panic!("model {seed}: {e}"));
        let picture = (r.range(1, 40), r.range(1, 40));
        let rgb = random_pixels(&mut r, model.facts(), picture);
        let portable = Isa::by_name("portable").unwrap();
        let want = run(&model, portable, &Serial, &rgb, picture);
        let classes = model.facts().classes.max(1);
        assert!(want.0.iter().all(|&class| usize::from(class) < classes), "model {seed}");
        for isa in Isa::available() {
            for threads in [&Serial as &dyn Parallel, &Threads(2), &Threads(3)] {
                let got = run(&model, isa, threads, &rgb, picture);
                assert!(got == want, "model {seed} on {}, {} threads", isa.name(), threads.workers());
            }
        }
    }
}

/// Class map and scores, then confidences, in some views. `None` if the model cannot be run in them.
fn run_views(
    model: &Model,
    isa: Isa,
    threads: &dyn Parallel,
    picture: &ImageView,
    views: &Views,
) -> Option<(Vec<u16>, Vec<u16>)> {
    let size = (picture.width(), picture.height());
    let plan = match Plan::with_views(model, threads.workers(), size, views) {
        Err(Error::Header { field: "stride", .. }) => return None,
        plan => plan.unwrap(),
    };
    let mut arena = Aligned::new(plan.bytes());
    let mut engine = Engine::new(model, &plan, isa, arena.bytes(plan.bytes())).unwrap();
    let mut map = vec![u16::MAX; size.0 * size.1];
    let mut scores = vec![u16::MAX; map.len() * model.facts().classes];
    let mut output = Output::map(size, ClassMapMut::U16(&mut map));
    output.scores = views.are_several().then_some(&mut scores);
    let mut confidence = vec![0; size.0 * size.1];
    output.confidence = Some(&mut confidence);
    engine.run(threads, picture, &mut output, &mut ()).unwrap();
    scores.extend(confidence.into_iter().map(u16::from));
    Some((map, scores))
}

#[test]
fn every_instruction_set_gives_the_same_map_in_all_views() {
    let mut tried = 0;
    for seed in 0..40 {
        let mut r = Random::new(seed);
        let mut file = Aligned::of(&random_model(&mut r, 2));
        let len = file.0.len() - ALIGN;
        let model = Model::new(file.bytes(len)).unwrap();
        let f = model.facts();
        let size = (r.range(1, 3 * f.width), r.range(1, 3 * f.height));
        let rgb = random_pixels(&mut r, f, size);
        let picture = picture_of(f, &rgb, size);
        let mode = [Mode::Whole, Mode::Slide, Mode::Native][r.range(0, 2)];
        let scales: &[f64] = if mode == Mode::Slide && r.range(0, 1) == 0 { &[0.5, 1.0, 1.3] } else { &[] };
        let views = Views::new(mode).with_flip(r.range(0, 1) == 0).with_scales(scales).unwrap();
        let portable = Isa::by_name("portable").unwrap();
        let Some(want) = run_views(&model, portable, &Serial, &picture, &views) else { continue };
        tried += 1;
        assert!(want.0.iter().all(|&class| usize::from(class) < f.classes), "model {seed}");
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let got = run_views(&model, isa, &Threads(threads), &picture, &views).unwrap();
            assert!(got == want, "model {seed} on {}, {threads} threads, {views:?}", isa.name());
        }
    }
    assert!(tried > 35, "{tried}");
}

/// The logits of the windows, each run alone, averaged pixel by pixel in f64.
fn averaged_by_hand(model: &Model, picture: &ImageView) -> Vec<f64> {
    let f = model.facts();
    let (columns, rows) = f.level(0);
    let (width, height) = (picture.width(), picture.height());
    let starts = |len: usize, window: usize| -> Vec<usize> {
        let stride = (2 * window / 3).max(window / 2 + 1);
        let count = (len - window).div_ceil(stride) + 1;
        (0..count).map(|i| (i * stride).min(len - window)).collect()
    };
    let mut sums = vec![0f64; width * height * f.classes];
    let mut counts = vec![0f64; width * height];
    for top in starts(height, f.height) {
        for left in starts(width, f.width) {
            let rgb: Vec<u8> = (top..top + f.height)
                .flat_map(|y| (left..left + f.width).flat_map(move |x| picture.rgb(x, y).unwrap()))
                .collect();
            let (_, bits) = run(model, Isa::detect(), &Serial, &rgb, (f.width, f.height));
            let logit = |class: usize, x: usize, y: usize| {
                f64::from(f32::from_bits(bits[(class * rows + y) * columns + x]))
            };
            let between = |at: usize, cells: usize, pixels: usize| {
                let x = ((at as f64 + 0.5) * cells as f64 / pixels as f64 - 0.5).max(0.0);
                let low = (x as usize).min(cells - 1);
                (low, (low + 1).min(cells - 1), x - low as f64)
            };
            for y in 0..f.height {
                for x in 0..f.width {
                    let ((x0, x1, u), (y0, y1, v)) =
                        (between(x, columns, f.width), between(y, rows, f.height));
                    let pixel = (top + y) * width + left + x;
                    counts[pixel] += 1.0;
                    for class in 0..f.classes {
                        let row = |y| logit(class, x0, y) * (1.0 - u) + logit(class, x1, y) * u;
                        sums[pixel * f.classes + class] += row(y0) * (1.0 - v) + row(y1) * v;
                    }
                }
            }
        }
    }
    sums.chunks_mut(f.classes).zip(counts).for_each(|(sums, n)| sums.iter_mut().for_each(|s| *s /= n));
    sums
}

#[test]
fn sliding_windows_give_the_mean_of_the_windows() {
    let (mut tried, mut windows) = (0, 0);
    for seed in 0..40 {
        let mut r = Random::new(1000 + seed);
        let mut file = Aligned::of(&random_model(&mut r, 2));
        let len = file.0.len() - ALIGN;
        let model = Model::new(file.bytes(len)).unwrap();
        let f = model.facts();
        let size = (f.width + r.range(0, 2 * f.width), f.height + r.range(0, f.height));
        let rgb = random_pixels(&mut r, f, size);
        let picture = picture_of(f, &rgb, size);
        let views = Views::new(Mode::Native).with_overlap_bytes(r.range(0, 1) * usize::MAX);
        let Some((map, _)) = run_views(&model, Isa::detect(), &Threads(2), &picture, &views) else {
            continue;
        };
        let mean = averaged_by_hand(&model, &picture);
        tried += 1;
        windows += usize::from(size != (f.width, f.height));
        for (pixel, (class, mean)) in map.iter().zip(mean.chunks(f.classes)).enumerate() {
            let best = mean.iter().fold(f64::MIN, |a, &b| a.max(b));
            let worst = mean.iter().fold(f64::MAX, |a, &b| a.min(b));
            let chosen = mean[usize::from(*class)];
            assert!(
                best - chosen <= 1e-4 * (best - worst),
                "model {seed}, pixel {pixel}: {chosen} {best} {worst}"
            );
        }
    }
    assert!(tried > 35 && windows > 35, "{tried} {windows}");
}

/// Changes bytes of the first tensor of a kind that has padding, corrects all checksums, and returns the error of `verify`.
/// `None` if there is no such tensor, or `verify` finds nothing.
fn verify_changed(file: &[u8], kind: TensorKind, change: impl Fn(&TensorEntry, &mut [u8])) -> Option<Error> {
    let mut file = file.to_vec();
    let count =
        u32::from_le_bytes(file[offset_of!(Header, tensor_count)..][..4].try_into().unwrap()) as usize;
    let entry_at = |i: usize| size_of::<Header>() + i * size_of::<TensorEntry>();
    let entry =
        |file: &[u8], i: usize| *bytemuck::from_bytes::<TensorEntry>(&file[entry_at(i)..entry_at(i + 1)]);
    let mut memory = Aligned::of(&file);
    let len = file.len();
    let found = (0..count).find(|&i| {
        let e = entry(memory.bytes(len), i);
        // Outputs and inputs that are not whole panels and groups have padding.
        e.kind == kind as u8 && e.n % 16 != 0 && e.k % 4 != 0
    })?;
    let e = entry(memory.bytes(len), found);
    let range = e.offset as usize..(e.offset + e.bytes) as usize;
    change(&e, &mut file[range.clone()]);
    let crc = crc32(&file[range]);
    file[entry_at(found) + offset_of!(TensorEntry, crc)..][..4].copy_from_slice(&crc.to_le_bytes());
    // The checksum of header and table.
    let at = offset_of!(Header, head_crc);
    file[at..at + 4].fill(0);
    let head = crc32(&file[..entry_at(count)]);
    file[at..at + 4].copy_from_slice(&head.to_le_bytes());
    let mut memory = Aligned::of(&file);
    // A multiplier of zero over a changed weight hides the change.
    Model::new(memory.bytes(len)).unwrap().verify().err()
}

#[test]
fn verification_finds_wrong_sums_and_padding() {
    let mut found = [0; 5];
    for seed in 0..200 {
        let file = random_model(&mut Random::new(seed), 2);
        let flip = |at: usize| move |_: &TensorEntry, bytes: &mut [u8]| bytes[at] ^= 0x11;
        // The last weight: an output and an input beyond the last.
        let last_weight = |e: &TensorEntry, bytes: &mut [u8]| {
            let [weights, ..] = e.linear_parts().unwrap();
            bytes[weights - 1] ^= 0x11;
        };
        let last_scale = |e: &TensorEntry, bytes: &mut [u8]| {
            let [weights, scales, _] = e.linear_parts().unwrap();
            if scales > 0 {
                // The scale of an output beyond n.
                let all = usize::from(e.matrices) * (e.n as usize).next_multiple_of(16) * 4;
                bytes[weights + all - 1] ^= 0x3F;
            } else {
                bytes[weights - 1] ^= 0x3F;
            }
        };
        type Change<'a> = &'a dyn Fn(&TensorEntry, &mut [u8]);
        let cases: [(TensorKind, Change, &str); 5] = [
            (TensorKind::Int8, &flip(0), "sum"),
            (TensorKind::Int8, &last_weight, "padding"),
            (TensorKind::Int8, &last_scale, "padding"),
            (TensorKind::Int4, &last_weight, "padding"),
            (TensorKind::F32, &last_scale, "padding"),
        ];
        for (i, (kind, change, word)) in cases.into_iter().enumerate() {
            let Some(error) = verify_changed(&file, kind, change) else { continue };
            let text = error.to_string();
            // A change can be found by another check first, such as that of a weight of −128.
            if text.contains(word) {
                found[i] += 1;
            } else {
                assert!(matches!(error, Error::Tensor { .. }), "{text}");
            }
        }
    }
    assert!(found.iter().all(|&n| n > 10), "{found:?}");
}
