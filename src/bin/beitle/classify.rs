//! `beitle classify`: the classes of pictures.

use crate::batch::{check_failed, for_each_picture};
use crate::console::{Failure, Stdout};
use crate::inputs::{self, PictureFiles, Places};
use crate::model_file::{FileArgs, ModelFile, check_task};
use crate::npy;
use crate::picture::PictureArgs;
use crate::session::{Pooled, ProcessorArgs, Session, Wanted};
use crate::verified::VerifyArgs;
use beitle::Model;
use beitle::file::format::Task;
use beitle::views::{Mode, Views};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `beitle classify`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG, BMP, WebP, PNM), folders of pictures, or - for a picture from standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Weight file of a classification model, made by beitle-quantize
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Print the N most probable classes
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Print one JSON object per picture instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the logits as a NumPy file, f32 [classes]: a file for one picture, a folder for several
    #[arg(long, value_name = "FILE.npy")]
    logits: Option<PathBuf>,
    #[command(flatten)]
    verify: VerifyArgs,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    processor: ProcessorArgs,
}

/// Result of one picture.
struct Classified {
    size: (usize, usize),
    seconds: f64,
    /// Class, probability and logit, the most probable first.
    classes: Vec<(usize, f64, f32)>,
}

/// Runs the command.
///
/// # Errors
/// Invalid arguments, a weight file that is unreadable or of another task, or pictures that failed; the other pictures are still
/// processed.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    let file = ModelFile::open(&args.model, &args.file)?;
    let model = file.model_to_run()?;
    check_task(&args.model, &model, &[Task::Classification])?;
    args.verify.check(&file, &model, false)?;
    let pictures = inputs::picture_files(
        &args.images,
        false,
        &Places { logits: args.logits.as_deref(), ..Places::default() },
    )?;
    inputs::check_results(&pictures, inputs::Wanted::default(), [args.model.as_path()])?;
    let mut session = Session::new(&model, Views::new(Mode::Whole), &args.processor)?;
    let mut out = Stdout::default();
    let run = |files: &PictureFiles, _: &ProgressBar| classify(&mut session, files, args);
    let print = |files: &PictureFiles, result: Option<Classified>| match result {
        Some(result) if args.json => out.line(format_args!("{}", json(&model, files, &result))),
        Some(result) => print_table(&mut out, &model, files, &result),
        None => Ok(()),
    };
    let failed = for_each_picture(&pictures, |files| &files.image, run, print)?;
    check_failed(failed, pictures.len(), "failed")
}

/// Classifies one picture and writes its logits.
fn classify(session: &mut Session<'_>, files: &PictureFiles, args: &Args) -> Result<Classified, Failure> {
    let picture = args.pictures.load(&files.image)?;
    let start = Instant::now();
    let wanted = Wanted { logits: true, ..Wanted::default() };
    let Pooled { logits, .. } =
        session.run_pooled(&picture, wanted, &mut ()).map_err(|e| Failure::file(&files.image, e))?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &files.logits {
        let bytes = npy::encode(&[logits.len()], &logits);
        beitle_files::write(path, &bytes)
            .map_err(|e| Failure::file(path, format_args!("cannot be written: {e}")))?;
    }
    let mut classes = probabilities(&logits);
    classes.truncate(args.top.into());
    Ok(Classified { size: (picture.width, picture.height), seconds, classes })
}

/// Class, probability and logit of every class, the most probable first.
fn probabilities(logits: &[f32]) -> Vec<(usize, f64, f32)> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |x: f32| f64::from(x - largest).exp();
    let total: f64 = logits.iter().map(|&x| weight(x)).sum();
    let mut classes: Vec<_> =
        logits.iter().enumerate().map(|(class, &x)| (class, weight(x) / total, x)).collect();
    classes.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    classes
}

fn print_table(
    out: &mut Stdout,
    model: &Model<'_>,
    files: &PictureFiles,
    result: &Classified,
) -> Result<(), Failure> {
    let ((width, height), seconds) = (result.size, result.seconds);
    out.line(format_args!("{}: {width}x{height}, {seconds:.3} s", files.image.display()))?;
    for &(class, probability, _) in &result.classes {
        let name = model.class_name(class).unwrap_or("?");
        out.line(format_args!("  {:6.2} %  {class:5}  {name}", 100.0 * probability))?;
    }
    Ok(())
}

fn json(model: &Model<'_>, files: &PictureFiles, result: &Classified) -> serde_json::Value {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let class = |&(class, probability, logit): &(usize, f64, f32)| {
        serde_json::json!({
            "id": class, "name": model.class_name(class), "probability": probability, "logit": logit,
        })
    };
    serde_json::json!({
        "image": text(&files.image),
        "width": result.size.0,
        "height": result.size.1,
        "seconds": result.seconds,
        "logits": files.logits.as_deref().map(text),
        "classes": result.classes.iter().map(class).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn probabilities_are_sorted_and_add_up_to_one() {
        let all = super::probabilities(&[1.0, 300.0, 299.0, 300.0]);
        assert_eq!(all.iter().map(|c| c.0).collect::<Vec<_>>(), [1, 3, 2, 0]);
        assert!((all.iter().map(|c| c.1).sum::<f64>() - 1.0).abs() < 1e-12 && all[3].1 < 1e-100);
    }
}
