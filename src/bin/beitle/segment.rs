//! `beitle segment`: pictures to class maps.

use crate::console::{Failure, Output, complain};
use crate::inputs::{self, Job};
use crate::overlay::{self, Entry};
use crate::session::{self, Processor, Session};
use crate::{npy, picture, png_map};
use beitle::Model;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `beitle segment`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG, BMP, WebP, PNM) and folders of pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Weight file, made by beitle-quantize [default: the demonstration model, models/demo.beitle]
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Where to write: a file for one picture, a folder for several [default: <name>.seg.png in this folder]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// How the picture goes through the network
    #[arg(long, value_enum, default_value_t = Mode::Whole)]
    mode: Mode,
    /// Also write <name>.overlay.png: the map over the picture, with a legend
    #[arg(long)]
    overlay: bool,
    /// Print one JSON object for each picture instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the logits, f32 [classes, height, width], for NumPy: a file for one picture, a folder for several
    #[arg(long, value_name = "FILE.npy")]
    logits: Option<PathBuf>,
    #[command(flatten)]
    processor: Processor,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// All of it at once, stretched to the network's input
    Whole,
}

/// What came out of one picture.
struct Report {
    size: (usize, usize),
    seconds: f64,
    /// Class, pixels: the most frequent first, those that are there.
    classes: Vec<(usize, u64)>,
}

/// The model for a first try, where the program runs in a checkout of its repository.
const DEMONSTRATION: &str = "models/demo.beitle";

/// The demonstration model's file, saying that it is used.
pub fn demonstration() -> Result<&'static Path, Failure> {
    let path = Path::new(DEMONSTRATION);
    if !path.exists() {
        return Err(Failure::usage(format_args!(
            "no weight file: give one with -m FILE (the demonstration model {DEMONSTRATION} is not in this folder)"
        )));
    }
    complain(&format!(
        "note: no -m, so this is the demonstration model {DEMONSTRATION}: drawn street scenes, 12 classes"
    ));
    Ok(path)
}

/// Runs the command.
///
/// # Errors
/// A useless request, an unreadable weight file, or pictures that failed (the others are done).
pub fn run(args: &Args) -> Result<(), Failure> {
    let Mode::Whole = args.mode;
    let isa = args.processor.isa()?;
    let path = match &args.model {
        Some(path) => path,
        None => demonstration()?,
    };
    let file = session::open(path)?;
    let model = session::model(path, &file)?;
    let jobs = inputs::jobs(&args.images, args.output.as_deref(), args.logits.as_deref())?;
    let palette: Vec<_> = (0..model.facts().classes).map(|class| model.colour(class)).collect();
    let mut session = Session::new(&model, isa, args.processor.threads()?);
    let mut out = Output::default();
    let bar = progress(jobs.len());
    let mut failed = 0;
    for job in &jobs {
        bar.set_message(job.image.display().to_string());
        match one(&mut session, &model, &palette, job, args.overlay) {
            Ok(report) => bar.suspend(|| match args.json {
                true => out.line(format_args!("{}", json(&model, job, &report, args.overlay))),
                false => table(&mut out, &model, job, &report),
            })?,
            Err(message) if jobs.len() == 1 => return Err(Failure::work(message)),
            Err(message) => {
                failed += 1;
                bar.suspend(|| complain(&message));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    match (failed, jobs.len()) {
        (0, _) => Ok(()),
        (n, of) => Err(Failure::work(format_args!("{n} of {of} pictures were not segmented"))),
    }
}

/// A bar on standard error for several pictures, if that is a terminal.
pub fn progress(pictures: usize) -> ProgressBar {
    if pictures < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(pictures as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// One picture; the error names the file.
fn one(
    session: &mut Session<'_>,
    model: &Model<'_>,
    palette: &[[u8; 3]],
    job: &Job,
    with_overlay: bool,
) -> Result<Report, String> {
    let of_image = |e: &dyn std::fmt::Display| format!("{}: {e}", job.image.display());
    let picture = picture::load(&job.image).map_err(|e| of_image(&e))?;
    let size = (picture.width, picture.height);
    let start = Instant::now();
    let shape = session.logits_shape();
    let mut logits = vec![0f32; if job.logits.is_some() { shape.iter().product() } else { 0 }];
    let wanted = job.logits.is_some().then_some(&mut logits[..]);
    let map = session.run(&picture.rgb, size, wanted, &mut ()).map_err(|e| of_image(&e))?;
    let seconds = start.elapsed().as_secs_f64();

    let mut counts = vec![0; model.facts().classes];
    map.view().count(&mut counts);
    let mut classes: Vec<_> = counts.into_iter().enumerate().filter(|&(_, n)| n > 0).collect();
    classes.sort_by_key(|&(class, n)| (std::cmp::Reverse(n), class));

    write(&job.map, &png_map::encode(&map, size, palette).map_err(|e| of_image(&e))?)?;
    if let Some(path) = &job.logits {
        write(path, &npy::encode(&shape, &logits))?;
    }
    if with_overlay {
        let total = (size.0 * size.1) as f64;
        let entries: Vec<_> = classes
            .iter()
            .map(|&(class, n)| Entry {
                name: model.class_name(class).unwrap_or("?"),
                colour: model.colour(class),
                share: n as f64 / total,
            })
            .collect();
        let canvas = overlay::draw(&picture, map.view(), palette, &entries);
        let file = png_map::encode_rgb(&canvas.rgb, (canvas.width, canvas.height));
        write(&job.overlay, &file.map_err(|e| of_image(&e))?)?;
    }
    Ok(Report { size, seconds, classes })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}

fn table(out: &mut Output, model: &Model<'_>, job: &Job, report: &Report) -> Result<(), Failure> {
    let ((width, height), seconds) = (report.size, report.seconds);
    let (image, map) = (job.image.display(), job.map.display());
    out.line(format_args!("{image}: {width}x{height}, {seconds:.2} s, {map}"))?;
    for &(class, pixels) in &report.classes {
        let share = pixels as f64 * 100.0 / (width * height) as f64;
        let name = model.class_name(class).unwrap_or("?");
        out.line(format_args!("  {share:6.2} %  {class:3}  {name}"))?;
    }
    Ok(())
}

fn json(model: &Model<'_>, job: &Job, report: &Report, with_overlay: bool) -> serde_json::Value {
    let total = (report.size.0 * report.size.1) as f64;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let classes: Vec<_> = report
        .classes
        .iter()
        .map(|&(class, pixels)| {
            serde_json::json!({
                "id": class,
                "name": model.class_name(class),
                "pixels": pixels,
                "share": pixels as f64 / total,
            })
        })
        .collect();
    serde_json::json!({
        "image": text(&job.image),
        "width": report.size.0,
        "height": report.size.1,
        "seconds": report.seconds,
        "map": text(&job.map),
        "overlay": with_overlay.then(|| text(&job.overlay)),
        "logits": job.logits.as_deref().map(text),
        "classes": classes,
    })
}
