//! All results that a model has, whatever its task.

use beitle::engine::{Engine, Output};
use beitle::file::format::Task;
use beitle::image::ImageView;
use beitle::observe::Observer;
use beitle::output::{ClassMapMut, Points, Ranked};
use beitle::parallel::Parallel;
use beitle::{Error, Model};

/// The class map, empty if the model has none, and the other results that it has, as numbers.
pub type Results = (Vec<u16>, Vec<f32>);

/// Runs a picture for all results; the class map has `map_size` pixels.
pub fn all(
    model: &Model,
    engine: &mut Engine,
    par: &dyn Parallel,
    picture: &ImageView,
    map_size: (usize, usize),
    observer: &mut dyn Observer,
) -> Result<Results, Error> {
    let (facts, views) = (model.facts(), *engine.plan().views());
    let (width, height) = facts.level(0);
    let segments = facts.task == Task::Segmentation;
    let mut map = vec![u16::MAX; if segments { map_size.0 * map_size.1 } else { 0 }];
    let logits_len = match facts.task {
        Task::Segmentation if views.is_single_whole() => facts.classes * width * height,
        Task::Classification => facts.classes,
        _ => 0,
    };
    let pooled = |len: usize| vec![0f32; if segments { 0 } else { len }];
    let mut logits = vec![0f32; logits_len];
    let (mut features, mut tokens) = (pooled(facts.channels), pooled(facts.tokens() * facts.channels));
    let mut scores = vec![0u16; if views.are_several() { facts.classes * map.len() } else { 0 }];
    let mut confidence = vec![0; map.len()];
    let mut ranked = [Ranked::default(); 2];
    let wanted = |is_wanted: bool, buffer| Some(buffer).filter(|_| is_wanted);
    let mut output = Output {
        size: map_size,
        map: segments.then_some(ClassMapMut::U16(&mut map)),
        logits: wanted(logits_len > 0, &mut logits[..]),
        scores: views.are_several().then_some(&mut scores),
        features: wanted(!segments, &mut features[..]),
        tokens: wanted(!segments, &mut tokens[..]),
        confidence: segments.then_some(&mut confidence),
        points: if !segments || facts.classes < 2 {
            None
        } else {
            Some(Points::new(&[[0, 0]], &mut ranked)?)
        },
        ..Output::default()
    };
    engine.run(par, picture, &mut output, observer)?;
    assert!(!segments || map.iter().all(|&class| usize::from(class) < facts.classes), "a class out of range");
    let scores = scores.into_iter().map(f32::from).collect();
    let confidence = confidence.into_iter().map(f32::from).collect();
    let ranked = ranked.iter().flat_map(|ranked| [ranked.class as f32, ranked.probability]).collect();
    Ok((map, [logits, scores, features, tokens, confidence, ranked].concat()))
}
