//! `beitle eval`: scores of models on a data set, and their agreement with a reference model, usually the f32 file of the
//! same checkpoint.
//!
//! Each picture of the [`dataset`] goes through the reference and then through every model. Class maps are scored against
//! the [`labels`] and against the reference's maps ([`scores`]); tensors and logits are compared with the reference's
//! ([`noise`], [`changed_pixels`], [`worst_pictures`]). A [`report`] sums up one model; [`html`] renders all reports. Models that
//! classify pictures are evaluated by [`classification`].

mod arguments;
mod changed_pixels;
mod classification;
mod dataset;
mod folders;
mod html;
mod labels;
mod noise;
mod report;
mod scores;
mod worst_pictures;

use crate::batch::{check_failed, for_each_picture};
use crate::class_map::ClassMapBuf;
use crate::console::{Failure, warn};
use crate::model_file::{ModelFile, check_task, demonstration_model};
use crate::picture::{self, Picture};
use crate::session::Session;
use crate::views::describe;
pub use arguments::Args;
use beitle::file::format::Task;
use beitle::{Isa, Model};
use dataset::Sample;
use indicatif::ProgressBar;
use labels::Labels;
use noise::{Noise, TensorComparison, TensorRecorder};
use report::{Comparison, Report};
use scores::Scores;
use std::cell::LazyCell;
use std::path::{Path, PathBuf};
use std::time::Instant;
use worst_pictures::Maps;

/// Runs the command.
///
/// # Errors
/// There is nothing to evaluate, a file cannot be read, or the files do not match one another.
pub fn run(args: &Args) -> Result<(), Failure> {
    let isa = args.processor.isa()?;
    args.check_results()?;
    let paths: Vec<&Path> = match args.models.as_slice() {
        [] => vec![demonstration_model(false)?],
        models => models.iter().map(PathBuf::as_path).collect(),
    };
    let open = |path| ModelFile::open(path, &args.open);
    let files = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let models = files.iter().map(ModelFile::model).collect::<Result<Vec<_>, _>>()?;
    let reference_file = args.against.as_deref().map(open).transpose()?;
    let reference_model = reference_file.as_ref().map(ModelFile::model).transpose()?;
    for (file, model) in files.iter().zip(&models).chain(reference_file.iter().zip(&reference_model)) {
        args.verify.check(file, model, false)?;
    }
    let all = paths.iter().copied().zip(&models);
    for (path, model) in all.clone() {
        check_task(path, model, &[Task::Segmentation, Task::Classification])?;
        check_same_labels((path, model), (paths[0], &models[0]))?;
        if let (Some(reference), Some(reference_path)) = (&reference_model, &args.against) {
            check_comparable((path, model), (reference_path, reference))?;
        }
    }
    if models[0].facts().task == Task::Classification {
        return classification::run(args, isa, &all.collect::<Vec<_>>(), reference_model.as_ref());
    }
    let samples = dataset::find(&args.data, args.labels.as_deref(), args.most_pictures())?;
    if samples.iter().all(|s| s.labels.is_none()) && args.against.is_none() {
        let missing =
            "nothing to evaluate against: give label files (--labels DIR) or a reference (--against FILE)";
        return Err(Failure::usage(format_args!("{}: {missing}", args.data.display())));
    }
    let outputs = [&args.json, &args.html].into_iter().flatten().map(PathBuf::as_path);
    let sample_files = samples.iter().flat_map(|s| [Some(s.image.as_path()), s.labels.as_deref()]);
    let inputs = paths.iter().copied().chain(args.against.as_deref()).chain(sample_files.flatten());
    beitle_files::check(outputs, inputs).map_err(Failure::usage)?;
    let new_session = |model| Session::new(model, args.views.views(model)?, &args.processor);
    let new_candidate =
        |(path, model)| Ok::<_, Failure>(Candidate::new(path, model, isa, new_session(model)?));
    let mut candidates =
        paths.iter().copied().zip(&models).map(new_candidate).collect::<Result<Vec<_>, _>>()?;
    let mut reference = reference_model.as_ref().map(new_session).transpose()?;

    // Label files are read only for a model that needs to know, and only once.
    let has_150 = LazyCell::new(|| has_label_150(args, &samples));
    let has_150 = || *has_150;
    for candidate in &mut candidates {
        candidate.reduces = reduces_labels(args, candidate.model, &has_150);
    }
    let run = |sample: &Sample, _: &ProgressBar| evaluate(args, sample, reference.as_mut(), &mut candidates);
    let failed = for_each_picture(&samples, |sample| &sample.image, run, |_, _| Ok(()))?;
    if failed < samples.len() {
        publish(args, &candidates.into_iter().map(|c| c.report).collect::<Vec<_>>())?;
    }
    check_failed(failed, samples.len(), "were left out")
}

/// Whether label files number the classes of a model from 1: as the arguments or the weight file say. Files of transformers do
/// not say it of ADE20K, whose annotations do: there, a label of 150 tells. `has_150` is [`has_label_150`].
fn reduces_labels(args: &Args, model: &Model<'_>, has_150: &dyn Fn() -> Option<bool>) -> bool {
    let facts = model.facts();
    let is_ade20k =
        facts.classes == 150 && model.class_name(0) == Some("wall") && model.class_name(149) == Some("flag");
    if args.reduce_labels.is_some() || facts.reduce_labels || !is_ade20k {
        return args.reduce_labels.unwrap_or(facts.reduce_labels);
    }
    let Some(found) = has_150() else { return false };
    if found {
        warn(
            "the labels go up to 150, as in ADE20K, whose annotations number the classes from 1: they are read so \
             (--reduce-labels false: from 0)",
        );
    } else {
        warn(
            "the model has ADE20K's classes, whose annotations number them from 1, but the weight file does not say so: \
             labels are read from 0 (--reduce-labels: from 1)",
        );
    }
    found
}

/// Whether 150 is the largest label of a label file; `None` if there are no label files.
fn has_label_150(args: &Args, samples: &[Sample]) -> Option<bool> {
    let files = || samples.iter().filter_map(|sample| sample.labels.as_deref());
    files().next()?;
    let load = |path| Labels::load(path, &args.pictures.limits()).ok();
    Some(files().filter_map(load).any(|labels| labels.largest(args.ignored_label()) == 150))
}

/// Checks that the labels of one data set can fit two models: they compute the same, and those that classify pictures have the same
/// number of classes.
fn check_same_labels(
    (a, model_a): (&Path, &Model<'_>),
    (b, model_b): (&Path, &Model<'_>),
) -> Result<(), Failure> {
    let facts = |m: &Model<'_>| {
        let f = m.facts();
        (f.task, if f.task == Task::Classification { f.classes } else { 0 })
    };
    if facts(model_a) == facts(model_b) {
        return Ok(());
    }
    let (a, b) = (a.display(), b.display());
    Err(Failure::usage(format_args!("{a} and {b} have different tasks or classes: evaluate one at a time")))
}

/// Checks that two models have the same classes and input size, so that their maps can be compared.
fn check_comparable(
    (a, model_a): (&Path, &Model<'_>),
    (b, model_b): (&Path, &Model<'_>),
) -> Result<(), Failure> {
    let facts = |m: &Model<'_>| (m.facts().classes, m.facts().width, m.facts().height);
    if facts(model_a) == facts(model_b) && model_a.facts().task == model_b.facts().task {
        return Ok(());
    }
    let describe = |path: &Path, model| {
        let (classes, width, height) = facts(model);
        let task = model.facts().task.name();
        format!("{} ({task}) has {classes} classes at {width}x{height}", path.display())
    };
    let (a, b) = (describe(a, model_a), describe(b, model_b));
    Err(Failure::usage(format_args!("{a}, {b}: they cannot be compared")))
}

/// Prints the reports and writes the requested files.
fn publish(args: &Args, reports: &[Report<'_>]) -> Result<(), Failure> {
    for report in reports {
        report.print()?;
    }
    let write = |path: &Path, text: String| {
        beitle_files::write(path, text.as_bytes()).map_err(|e| Failure::file(path, e))
    };
    if let Some(path) = &args.json {
        let all: Vec<_> = reports.iter().map(Report::json).collect();
        write(path, serde_json::json!({ "models": all }).to_string())?;
    }
    if let Some(path) = &args.html {
        write(path, html::render(reports, args.against.as_deref()))?;
    }
    Ok(())
}

/// A model under evaluation.
struct Candidate<'m> {
    model: &'m Model<'m>,
    session: Session<'m>,
    /// Whether label files number the classes from 1.
    reduces: bool,
    report: Report<'m>,
}

/// The reference's results for a picture.
struct Reference {
    map: ClassMapBuf,
    /// Logits and tensors, if the picture is run once and as a whole.
    details: Option<(Vec<f32>, TensorRecorder)>,
}

/// Runs a picture through the reference and all candidates, and adds the results to their reports.
fn evaluate(
    args: &Args,
    sample: &Sample,
    reference: Option<&mut Session<'_>>,
    candidates: &mut [Candidate<'_>],
) -> Result<(), Failure> {
    let picture = args.pictures.load(&sample.image)?;
    let labels = match &sample.labels {
        Some(path) => Some((path, load_labels(args, path, &picture)?)),
        None => None,
    };
    let reference = reference.map(|session| Reference::new(session, sample, &picture)).transpose()?;
    for candidate in candidates {
        let truth = match &labels {
            Some((path, labels)) => Some(candidate.truth(args, path, labels)?),
            None => None,
        };
        let map = match &reference {
            Some(reference) => candidate.compare(sample, &picture, reference, args.html.is_some())?,
            None => {
                let start = Instant::now();
                let map = candidate.session.run(&picture, None, &mut ());
                candidate.report.time += start.elapsed();
                map.map_err(|e| Failure::file(&sample.image, e))?
            }
        };
        if let Some(truth) = &truth {
            candidate.score(truth, &map, reference.as_ref());
        }
        if args.html.is_some() {
            let reference = reference.as_ref().map(|r| &r.map);
            let maps = Maps { labels: truth.as_deref(), reference, map: &map };
            candidate.keep_if_worst(sample, &picture, &maps);
        }
        candidate.report.pictures += 1;
    }
    Ok(())
}

/// Loads the label file of a picture.
fn load_labels(args: &Args, path: &Path, picture: &Picture) -> Result<Labels, Failure> {
    let limits = args.pictures.limits();
    let labels = Labels::load(path, &limits).map_err(|e| picture::failure(path, &e))?;
    if labels.size != (picture.width, picture.height) {
        let (w, h) = labels.size;
        let mismatch =
            format!("{w}x{h} labels, but the picture has {}x{} pixels", picture.width, picture.height);
        return Err(Failure::file(path, mismatch));
    }
    Ok(labels)
}

impl Reference {
    fn new(session: &mut Session<'_>, sample: &Sample, picture: &Picture) -> Result<Self, Failure> {
        let failed = |e| Failure::file(&sample.image, e);
        if !session.views().is_single_whole() {
            let map = session.run(picture, None, &mut ()).map_err(failed)?;
            return Ok(Reference { map, details: None });
        }
        let mut tensors = TensorRecorder::default();
        let mut logits = session.new_logits().map_err(failed)?;
        let map = session.run(picture, Some(&mut logits), &mut tensors).map_err(failed)?;
        Ok(Reference { map, details: Some((logits, tensors)) })
    }
}

impl<'m> Candidate<'m> {
    fn new(path: &'m Path, model: &'m Model<'m>, isa: Isa, session: Session<'m>) -> Self {
        let views = describe(session.views());
        Candidate { model, session, reduces: false, report: Report::new(path, model, isa, views) }
    }

    /// Runs a picture and compares the map, and if the picture is run as a whole every tensor and the logits, with the reference's.
    fn compare(
        &mut self,
        sample: &Sample,
        picture: &Picture,
        reference: &Reference,
        wants_views: bool,
    ) -> Result<ClassMapBuf, Failure> {
        let failed = |e| Failure::file(&sample.image, e);
        let (mut stages, mut logits_noise) = (Vec::new(), None);
        let map = match &reference.details {
            Some((reference_logits, tensors)) if self.session.views().is_single_whole() => {
                let shape = self.session.logits_shape();
                let mut logits = self.session.new_logits().map_err(failed)?;
                let mut comparison = TensorComparison::new(tensors);
                let map = self.session.run(picture, Some(&mut logits), &mut comparison).map_err(failed)?;
                let size = (picture.width, picture.height);
                let crop = |at| match wants_views {
                    true => changed_pixels::crop(picture, &reference.map, &map, self.model, at),
                    false => Vec::new(),
                };
                let both = (&reference_logits[..], &logits[..]);
                self.report.changed_pixels.add(&sample.image, size, shape, both, crop);
                stages = comparison.into_stages();
                logits_noise = Some(Noise::of(reference_logits, &logits));
                map
            }
            _ => self.session.run(picture, None, &mut ()).map_err(failed)?,
        };
        let mut scores = Scores::new(self.model.facts().classes);
        scores.add(map.classes().zip(reference.map.classes().map(Some)));
        let comparison = Comparison { image: sample.image.clone(), scores, stages, logits: logits_noise };
        self.report.comparisons.push(comparison);
        Ok(map)
    }

    /// The class of each pixel by its label, `None` where it is ignored.
    fn truth(&self, args: &Args, path: &Path, labels: &Labels) -> Result<Vec<Option<u16>>, Failure> {
        let classes = labels.classes(self.model.facts().classes, self.reduces, args.ignored_label());
        classes.map(Iterator::collect).map_err(|e| Failure::file(path, e))
    }

    /// Adds a map's scores against the labels, and those of the reference's map.
    fn score(&mut self, truth: &[Option<u16>], map: &ClassMapBuf, reference: Option<&Reference>) {
        let classes = self.model.facts().classes;
        let truth = || truth.iter().copied();
        let Report { labels: scores, reference_labels, .. } = &mut self.report;
        scores.get_or_insert_with(|| Scores::new(classes)).add(map.classes().zip(truth()));
        if let Some(reference) = reference {
            let scores = reference_labels.get_or_insert_with(|| Scores::new(classes));
            scores.add(reference.map.classes().zip(truth()));
        }
    }

    /// Keeps the views of a picture if its agreement with the reference, or without one with the labels, is among the lowest.
    fn keep_if_worst(&mut self, sample: &Sample, picture: &Picture, maps: &Maps<'_>) {
        let mut scores = Scores::new(self.model.facts().classes);
        match (maps.reference, maps.labels) {
            (Some(reference), _) => scores.add(maps.map.classes().zip(reference.classes().map(Some))),
            (None, Some(labels)) => scores.add(maps.map.classes().zip(labels.iter().copied())),
            (None, None) => {}
        }
        let agreement = scores.pixel_accuracy().unwrap_or(1.0);
        self.report.worst_pictures.add(&sample.image, agreement, || maps.views(picture, self.model));
    }
}
