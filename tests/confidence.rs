//! Confidences, labels, unknown pixels and the most likely classes at points: against a plain softmax of the logits, and the same on
//! every instruction set.

mod common;

use beitle::engine::{Engine, Output};
use beitle::image::ImageView;
use beitle::memory::{Arena, FileBytes};
use beitle::output::{ClassMap, ClassMapMut, Points, Ranked};
use beitle::parallel::ThreadPool;
use beitle::plan::Plan;
use beitle::views::{Mode, Views};
use beitle::{Error, Isa, Model};
use common::Picture;

/// What a test wants of a run.
#[derive(Clone, Default)]
struct Wanted {
    size: (usize, usize),
    labels: Vec<u16>,
    min_confidence: u8,
    points: Vec<[usize; 2]>,
    /// Classes at each point.
    top: usize,
    no_map: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Answers {
    map: Vec<u8>,
    confidence: Vec<u8>,
    ranked: Vec<Ranked>,
    logits: Vec<f32>,
    scores: Vec<u16>,
}

struct Fixture {
    file: FileBytes,
    picture: Picture,
}

impl Fixture {
    fn new() -> Self {
        let models = common::root().join("models");
        Fixture {
            file: FileBytes::read(models.join("demo.beitle")).unwrap(),
            picture: Picture::open(&models.join("sample.png")),
        }
    }

    fn model(&self) -> Model<'_> {
        Model::new(self.file.bytes()).unwrap()
    }

    /// The middle of the sample picture, 160x120 pixels.
    fn view(&self) -> ImageView<'_> {
        self.picture.view().crop(60, 40, 160, 120).unwrap()
    }

    fn run(&self, views: &Views, wanted: &Wanted, (isa, threads): (Isa, usize)) -> Result<Answers, Error> {
        let (model, view) = (self.model(), self.view());
        let f = model.facts();
        let plan = Plan::with_views(&model, threads, (view.width(), view.height()), views)?;
        let mut arena = Arena::new(plan.bytes()).unwrap();
        arena.bytes_mut().fill(0xFF);
        let mut engine = Engine::new(&model, &plan, isa, arena.bytes_mut())?;
        let (pixels, (w, h)) = (wanted.size.0 * wanted.size.1, f.level(0));
        let mut answers = Answers {
            map: vec![77; pixels],
            confidence: vec![0; pixels],
            ranked: vec![Ranked::default(); wanted.points.len() * wanted.top],
            logits: if views.is_single_whole() { vec![f32::NAN; f.classes * w * h] } else { Vec::new() },
            scores: vec![0; if views.are_several() { pixels * f.classes } else { 0 }],
        };
        let mut output = Output::map(wanted.size, ClassMapMut::U8(&mut answers.map));
        if wanted.no_map {
            output.map = None;
        }
        output.labels = &wanted.labels;
        output.confidence = Some(&mut answers.confidence);
        output.min_confidence = wanted.min_confidence;
        output.logits = views.is_single_whole().then_some(&mut answers.logits);
        output.scores = views.are_several().then_some(&mut answers.scores);
        if !wanted.points.is_empty() {
            output.points = Some(Points::new(&wanted.points, &mut answers.ranked)?);
        }
        engine.run(&ThreadPool::new(threads).unwrap(), &view, &mut output, &mut ())?;
        assert!(output.scores.is_some() == views.are_several());
        Ok(answers)
    }

    /// The map alone.
    fn map(&self, views: &Views, size: (usize, usize)) -> Vec<u8> {
        let (model, view) = (self.model(), self.view());
        let plan = Plan::with_views(&model, 1, (view.width(), view.height()), views).unwrap();
        let mut arena = Arena::new(plan.bytes()).unwrap();
        let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
        let mut map = vec![77; size.0 * size.1];
        let mut scores = vec![0; if views.are_several() { map.len() * model.facts().classes } else { 0 }];
        let mut output = Output::map(size, ClassMapMut::U8(&mut map));
        output.scores = views.are_several().then_some(&mut scores);
        engine.run(&ThreadPool::new(1).unwrap(), &view, &mut output, &mut ()).unwrap();
        map
    }
}

const BEST: fn() -> (Isa, usize) = || (Isa::detect(), 2);

/// The views that give pixels in different ways.
fn all_views() -> [Views; 4] {
    let whole = Views::new(Mode::Whole);
    [whole, Views::new(Mode::Native), whole.with_flip(true), Views::new(Mode::Native).with_flip(true)]
}

/// The probabilities of all classes at a pixel: the softmax of the logits, interpolated as PyTorch does without aligned corners.
fn probabilities(
    logits: &[f32],
    shape: [usize; 3],
    size: (usize, usize),
    (x, y): (usize, usize),
) -> Vec<f64> {
    let [classes, height, width] = shape;
    let source = |at: usize, small: usize, large: usize| {
        let p = ((at as f64 + 0.5) * small as f64 / large as f64 - 0.5).max(0.0);
        let low = (p as usize).min(small - 1);
        (low, (low + 1).min(small - 1), p - low as f64)
    };
    let ((x0, x1, wx), (y0, y1, wy)) = (source(x, width, size.0), source(y, height, size.1));
    let logit = |class: usize| {
        let at = |x: usize, y: usize| f64::from(logits[(class * height + y) * width + x]);
        let [top, bottom] = [y0, y1].map(|y| at(x0, y) * (1.0 - wx) + at(x1, y) * wx);
        top * (1.0 - wy) + bottom * wy
    };
    let logits: Vec<f64> = (0..classes).map(logit).collect();
    let max = logits.iter().fold(f64::MIN, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    logits.iter().map(|x| (x - max).exp() / sum).collect()
}

#[test]
fn confidences_are_probabilities() {
    let fixture = Fixture::new();
    let model = fixture.model();
    let (width, height) = model.facts().level(0);
    for size in [(160, 120), (width, height), (31, 57)] {
        let points =
            vec![[0, 0], [size.0 / 2, size.1 / 3], [size.0 - 1, size.1 - 1], [size.0 / 2, size.1 / 3]];
        let wanted = Wanted { size, points: points.clone(), top: 3, ..Wanted::default() };
        let views = Views::new(Mode::Whole);
        let found = fixture.run(&views, &wanted, BEST()).unwrap();
        assert_eq!(found.map, fixture.map(&views, size), "the map does not depend on the other results");
        let shape = [model.facts().classes, height, width];
        let at = |x, y| probabilities(&found.logits, shape, size, (x, y));
        for y in (0..size.1).step_by(3) {
            for x in 0..size.0 {
                let most = at(x, y).into_iter().fold(0.0, f64::max);
                let confidence = f64::from(found.confidence[y * size.0 + x]);
                assert!(
                    (confidence - 255.0 * most).abs() <= 0.51,
                    "{size:?}, {x}, {y}: {confidence}, {most}"
                );
            }
        }
        for (&[x, y], ranked) in points.iter().zip(found.ranked.chunks(3)) {
            let want = at(x, y);
            let mut order: Vec<usize> = (0..want.len()).collect();
            order.sort_by(|a, b| want[*b].total_cmp(&want[*a]));
            for (found, class) in ranked.iter().zip(order) {
                assert!((f64::from(found.probability) - want[class]).abs() < 1e-5, "{found:?}, {class}");
                assert_eq!(found.class as usize, class);
            }
            assert_eq!(ranked[0].class, u32::from(found.map[y * size.0 + x]));
        }
    }
}

#[test]
fn several_views_give_mean_probabilities() {
    let fixture = Fixture::new();
    let classes = fixture.model().facts().classes;
    for views in &all_views()[2..] {
        let wanted = Wanted { size: (160, 120), points: vec![[7, 9]], top: classes, ..Wanted::default() };
        let found = fixture.run(views, &wanted, BEST()).unwrap();
        assert_eq!(found.map, fixture.map(views, wanted.size));
        for (at, scores) in found.scores.chunks(classes).enumerate() {
            let most = f64::from(*scores.iter().max().unwrap()) / 257.0;
            assert!((f64::from(found.confidence[at]) - most).abs() <= 0.5);
        }
        let sum: f32 = found.ranked.iter().map(|ranked| ranked.probability).sum();
        assert!((sum - 1.0).abs() < 1e-3 && found.ranked.is_sorted_by(|a, b| a.probability >= b.probability));
    }
}

#[test]
fn classes_at_points_agree_with_map_and_confidence() {
    let fixture = Fixture::new();
    let classes = fixture.model().facts().classes;
    let size = (160, 120);
    for views in all_views() {
        let points: Vec<_> = (0..size.0).map(|x| [x, (x * 7) % size.1]).collect();
        let wanted = Wanted { size, points: points.clone(), top: classes, ..Wanted::default() };
        let found = fixture.run(&views, &wanted, BEST()).unwrap();
        assert_eq!(found.map, fixture.map(&views, size));
        for (&[x, y], ranked) in points.iter().zip(found.ranked.chunks(classes)) {
            let at = y * size.0 + x;
            assert_eq!(ranked[0].class, u32::from(found.map[at]));
            let confidence = f64::from(found.confidence[at]) / 255.0;
            assert!((confidence - f64::from(ranked[0].probability)).abs() <= 0.5001 / 255.0);
            let sum: f32 = ranked.iter().map(|ranked| ranked.probability).sum();
            assert!((sum - 1.0).abs() < 1e-3, "{sum}");
            let mut all: Vec<_> = ranked.iter().map(|ranked| ranked.class).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..classes as u32), "each class once");
        }
    }
}

#[test]
fn labels_replace_classes_and_doubtful_pixels_are_unknown() {
    let fixture = Fixture::new();
    let classes = fixture.model().facts().classes as u16;
    let labels: Vec<u16> = (0..classes).map(|class| (class * 7 + 3) % 251).collect();
    for views in all_views() {
        let size = (160, 120);
        let plain = fixture.run(&views, &Wanted { size, ..Wanted::default() }, BEST()).unwrap();
        let mut sorted = plain.confidence.clone();
        sorted.sort_unstable();
        let min_confidence = sorted[sorted.len() / 2].max(1);
        let wanted = Wanted { size, labels: labels.clone(), min_confidence, ..Wanted::default() };
        let found = fixture.run(&views, &wanted, BEST()).unwrap();
        assert_eq!(found.confidence, plain.confidence);
        for (at, &class) in plain.map.iter().enumerate() {
            let is_known = plain.confidence[at] >= min_confidence;
            let want = if is_known { labels[usize::from(class)] } else { ClassMap::UNKNOWN };
            assert_eq!(found.map[at], want as u8, "{at}");
        }
        assert!(found.map.contains(&255) || min_confidence == 1);
    }
}

#[test]
fn every_instruction_set_gives_the_same_answers() {
    let fixture = Fixture::new();
    // `tests/random_models.rs` compares them for other models and views.
    let views = Views::new(Mode::Whole);
    let wanted = Wanted { size: (53, 41), points: vec![[52, 40], [3, 4]], top: 2, ..Wanted::default() };
    let want = fixture.run(&views, &wanted, (Isa::detect(), 1)).unwrap();
    for isa in Isa::available() {
        let found = fixture.run(&views, &wanted, (isa, 3)).unwrap();
        assert!(found == want, "{}", isa.name());
    }
    let no_map = fixture.run(&views, &Wanted { no_map: true, ..wanted.clone() }, BEST()).unwrap();
    assert_eq!((no_map.confidence, no_map.ranked), (want.confidence, want.ranked));
    assert!(no_map.map.iter().all(|&class| class == 77));
}

#[test]
fn bad_requests_are_refused() {
    let fixture = Fixture::new();
    let classes = fixture.model().facts().classes;
    let size = (16, 12);
    let run = |wanted: Wanted| fixture.run(&Views::new(Mode::Whole), &wanted, BEST()).err();
    let refused = |wanted: Wanted| run(wanted).expect("the request is refused").to_string();
    let wanted = Wanted { size, ..Wanted::default() };
    assert_eq!(run(wanted.clone()), None);
    let short = Wanted { labels: vec![0; classes - 1], ..wanted.clone() };
    assert!(refused(short).contains("labels"));
    let large = Wanted { labels: vec![256; classes], ..wanted.clone() };
    assert!(refused(large).contains("two bytes"));
    let unknown = Wanted { labels: vec![ClassMap::UNKNOWN; classes], ..wanted.clone() };
    assert_eq!(run(unknown), None);
    let collision = Wanted {
        labels: (0..classes as u16).map(|c| if c == 0 { 255 } else { u16::MAX }).collect(),
        ..wanted.clone()
    };
    assert!(refused(collision).contains("255"));
    let outside = Wanted { points: vec![[16, 0]], top: 1, ..wanted.clone() };
    assert!(refused(outside).contains("outside"));
    let many = Wanted { points: vec![[0, 0]], top: classes + 1, ..wanted.clone() };
    assert!(refused(many).contains("more classes"));
    let clash = Wanted { labels: vec![255; classes], min_confidence: 1, ..wanted.clone() };
    assert!(refused(clash).contains("255"));
    let (model, view) = (fixture.model(), fixture.view());
    let plan = Plan::new(&model, 1, (160, 120)).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
    let mut confidence = vec![0; 16 * 12 - 1];
    let mut output = Output { size, confidence: Some(&mut confidence), ..Output::default() };
    let error = engine.run(&ThreadPool::new(1).unwrap(), &view, &mut output, &mut ()).unwrap_err();
    assert!(error.to_string().contains("confidences"), "{error}");
}
