//! `beitle eval`: how well models do on a data set, and how closely they follow another file of the same checkpoint.

mod data;
mod flips;
mod page;
mod probe;
mod report;
mod scores;

use crate::console::Failure;
use crate::picture;
use crate::segment::{demonstration, progress};
use crate::session::{self, ClassMap, Processor, Session};
use beitle::Model;
use beitle::memory::MappedFile;
use data::{Item, Labels};
use probe::{Compare, Keep, Noise};
use report::{Likeness, Report};
use scores::Scores;
use std::path::{Path, PathBuf};

/// Arguments of `beitle eval`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures: a folder of them, one with `images` and `labels` in it, or the root of an ADE20K-like data set
    /// (images/validation, annotations/validation)
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Label files (PNG, pixel values are classes) named as the pictures [default: found in DATA, if there]
    #[arg(long, value_name = "DIR")]
    labels: Option<PathBuf>,
    /// Weight files [default: the demonstration model, models/demo.beitle]
    #[arg(short, long = "model", value_name = "FILE")]
    models: Vec<PathBuf>,
    /// Compare every model with this one, as a rule the f32 file of the same checkpoint
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Label files count from 1, 0 means "ignore", as ADE20K's do [default: as the weight file says]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    reduce_labels: Option<bool>,
    /// Pixels with this label count for nothing
    #[arg(long, value_name = "N", default_value_t = 255)]
    ignore: u16,
    /// Only the first N pictures
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Write everything to a JSON file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page that shows the pictures with the worst agreement, in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    processor: Processor,
}

/// A mapped weight file and its name.
struct Source<'a> {
    path: &'a Path,
    file: MappedFile,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        Ok(Source { path, file: session::open(path)? })
    }

    fn model(&self) -> Result<Model<'_>, Failure> {
        session::model(self.path, &self.file)
    }
}

/// Runs the command.
///
/// # Errors
/// Nothing to evaluate, files that cannot be read or do not belong together.
pub fn run(args: &Args) -> Result<(), Failure> {
    let isa = args.processor.isa()?;
    let mut paths: Vec<&Path> = args.models.iter().map(PathBuf::as_path).collect();
    if paths.is_empty() {
        paths.push(demonstration()?);
    }
    let items = data::find(&args.data, args.labels.as_deref(), args.limit)?;
    if items.iter().all(|i| i.labels.is_none()) && args.against.is_none() {
        return Err(Failure::usage(format_args!(
            "{}: neither labels (--labels DIR) nor a file to compare with (--against FILE)",
            args.data.display()
        )));
    }
    let sources = paths.iter().map(|path| Source::open(path)).collect::<Result<Vec<_>, _>>()?;
    let models = sources.iter().map(Source::model).collect::<Result<Vec<_>, _>>()?;
    let reference = args.against.as_deref().map(Source::open).transpose()?;
    let reference_model = reference.as_ref().map(Source::model).transpose()?;
    for (path, model) in paths.iter().zip(&models) {
        if let (Some(r), Some(path_r)) = (&reference_model, &args.against) {
            same_network(path, model, path_r, r)?;
        }
    }
    let new_session = |m| Ok::<_, Failure>(Session::new(m, isa, args.processor.threads()?));
    let mut sessions = models.iter().map(new_session).collect::<Result<Vec<_>, _>>()?;
    let mut reference = reference_model.as_ref().map(new_session).transpose()?;
    let mut reports: Vec<_> =
        paths.iter().zip(&models).map(|(path, model)| Report::new(path, model, isa)).collect();

    let bar = progress(items.len());
    for item in &items {
        bar.set_message(item.image.display().to_string());
        one(args, item, (&models, &mut sessions), reference.as_mut(), &mut reports)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    for report in &mut reports {
        report.print()?;
    }
    let write = |path: &Path, bytes: &[u8]| {
        std::fs::write(path, bytes).map_err(|e| Failure::work(format_args!("{}: {e}", path.display())))
    };
    if let Some(path) = &args.json {
        let all: Vec<_> = reports.iter().map(Report::json).collect();
        write(path, serde_json::json!({ "models": all }).to_string().as_bytes())?;
    }
    if let Some(path) = &args.html {
        write(path, page::html(&reports, args.against.as_deref()).as_bytes())?;
    }
    Ok(())
}

/// Classes and input of two files must be the same for their maps to be compared.
fn same_network(a: &Path, model: &Model<'_>, b: &Path, other: &Model<'_>) -> Result<(), Failure> {
    let facts = |m: &Model<'_>| (m.facts().classes, m.facts().width, m.facts().height);
    if facts(model) == facts(other) {
        return Ok(());
    }
    let say = |m| {
        let (classes, w, h) = facts(m);
        format!("{classes} classes at {w}x{h}")
    };
    Err(Failure::usage(format_args!(
        "{} has {}, {} has {}: they cannot be compared",
        a.display(),
        say(model),
        b.display(),
        say(other)
    )))
}

/// One picture through all models.
fn one(
    args: &Args,
    item: &Item,
    (models, sessions): (&[Model<'_>], &mut [Session<'_>]),
    reference: Option<&mut Session<'_>>,
    reports: &mut [Report<'_>],
) -> Result<(), Failure> {
    let failed =
        |path: &Path, e: &dyn std::fmt::Display| Failure::work(format_args!("{}: {e}", path.display()));
    let picture = picture::load(&item.image).map_err(|e| failed(&item.image, &e))?;
    let size = (picture.width, picture.height);
    let labels = match &item.labels {
        Some(path) => {
            let labels = Labels::load(path).map_err(|e| failed(path, &e))?;
            if labels.size != size {
                let found = format!(
                    "{}x{} labels for a picture of {}x{}",
                    labels.size.0, labels.size.1, size.0, size.1
                );
                return Err(failed(path, &found));
            }
            Some((path, labels))
        }
        None => None,
    };
    let mut exact = None;
    if let Some(session) = reference {
        let mut keep = Keep::default();
        let mut logits = vec![0f32; session.logits_shape().iter().product()];
        let map = session
            .run(&picture.rgb, size, Some(&mut logits), &mut keep)
            .map_err(|e| failed(&item.image, &e))?;
        exact = Some((map, logits, keep));
    }
    for ((model, session), report) in models.iter().zip(sessions).zip(reports) {
        let classes = model.facts().classes;
        let mut logits = vec![0f32; session.logits_shape().iter().product()];
        let map;
        if let Some((other, other_logits, keep)) = &exact {
            let mut compare = Compare::new(keep);
            map = session
                .run(&picture.rgb, size, Some(&mut logits), &mut compare)
                .map_err(|e| failed(&item.image, &e))?;
            let mut likeness = Scores::new(classes);
            likeness.add(pixels(&map).zip(pixels(other).map(Some)));
            let agreement = likeness.pixel_accuracy();
            report.flips.add(&item.image, size, session.logits_shape(), other_logits, &logits);
            report.likeness.push(Likeness {
                image: item.image.clone(),
                scores: likeness,
                noise: compare.noise(),
                logits: Noise::of(other_logits, &logits),
            });
            report.worst(&picture, other, &map, model, agreement, &item.image, args.html.is_some());
        } else {
            map = session.run(&picture.rgb, size, None, &mut ()).map_err(|e| failed(&item.image, &e))?;
        }
        if let Some((path, labels)) = &labels {
            let reduce = args.reduce_labels.unwrap_or(model.facts().reduce_labels);
            let truth = labels.classes(classes, reduce, args.ignore).map_err(|e| failed(path, &e))?;
            report.truth.get_or_insert_with(|| Scores::new(classes)).add(pixels(&map).zip(truth));
        }
        report.pictures += 1;
    }
    Ok(())
}

/// The classes of a map.
fn pixels(map: &ClassMap) -> impl Iterator<Item = u16> {
    let (view, n) = match map {
        ClassMap::U8(m) => (map.view(), m.len()),
        ClassMap::U16(m) => (map.view(), m.len()),
    };
    (0..n).map(move |i| beitle::output::ClassMap::get(&view, i).unwrap_or(u16::MAX))
}
