//! `beitle segment`: class maps, overlays and logits of pictures.

use crate::batch::{check_failed, for_each_picture};
use crate::class_map::ClassMapBuf;
use crate::console::{Failure, Stdout};
use crate::inputs::{self, PictureFiles};
use crate::model_file::{FileArgs, ModelFile, check_task, demonstration_model};
use crate::overlay::{self, LegendEntry};
use crate::picture::{Picture, PictureArgs};
use crate::progress::WindowProgress;
use crate::session::{ProcessorArgs, Session};
use crate::views::ViewArgs;
use crate::{npy, png_file};
use beitle::Model;
use beitle::file::format::Task;
use beitle_files::printable;
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `beitle segment`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG, BMP, WebP, PNM) or folders of pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Weight file, made by beitle-quantize [default: the demonstration model, models/demo.beitle]
    #[arg(short, long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Where to write the map: a file for one picture, a folder for several [default: <name>.seg.png in the current
    /// folder]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    views: ViewArgs,
    /// Also write <name>.overlay.png: the picture blended with the colours of its classes, with a legend
    #[arg(long)]
    overlay: bool,
    /// Print one JSON object per picture instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the logits as a NumPy file, f32 [classes, height, width]: a file for one picture, a folder for
    /// several. Only with --mode whole
    #[arg(long, value_name = "FILE.npy")]
    logits: Option<PathBuf>,
    /// First read the whole weight file and verify its checksums
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    processor: ProcessorArgs,
}

/// Result of one picture.
struct Segmented {
    size: (usize, usize),
    seconds: f64,
    /// Class and number of pixels of every class in the picture, the most frequent first.
    classes: Vec<(usize, u64)>,
}

/// Runs the command.
///
/// # Errors
/// Invalid arguments, an unreadable weight file, or pictures that failed; the other pictures are still processed.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    let path = match &args.model {
        Some(path) => path,
        None => demonstration_model()?,
    };
    let file = ModelFile::open(path, &args.file)?;
    let model = file.model()?;
    check_task(path, &model, &[Task::Segmentation])?;
    if args.verify {
        model.verify().map_err(|e| Failure::file(path, e))?;
    }
    let views = args.views.views(&model)?;
    if args.logits.is_some() && !views.is_single_whole() {
        let reason = "logits are available only with --mode whole and without --flip";
        return Err(Failure::usage(format_args!("--logits: {reason}")));
    }
    let pictures = inputs::picture_files(&args.images, args.output.as_deref(), args.logits.as_deref())?;
    inputs::check_results(&pictures, (true, args.overlay), path)?;
    let mut session = Session::new(&model, views, &args.processor)?;
    let mut out = Stdout::default();
    let run = |files: &PictureFiles, bar: &ProgressBar| {
        let name = printable(&files.image.display().to_string());
        segment(&mut session, &model, files, args, &mut WindowProgress::new(bar, name))
    };
    let print = |files: &PictureFiles, result: Option<Segmented>| match result {
        Some(result) if args.json => out.line(format_args!("{}", json(&model, files, &result, args.overlay))),
        Some(result) => print_table(&mut out, &model, files, &result),
        None => Ok(()),
    };
    let failed = for_each_picture(&pictures, |files| &files.image, run, print)?;
    check_failed(failed, pictures.len(), "failed")
}

/// Segments one picture and writes its files.
fn segment(
    session: &mut Session<'_>,
    model: &Model<'_>,
    files: &PictureFiles,
    args: &Args,
    windows: &mut WindowProgress<'_>,
) -> Result<Segmented, Failure> {
    let picture = args.pictures.load(&files.image)?;
    let start = Instant::now();
    let failed = |e| Failure::file(&files.image, e);
    let mut logits = files.logits.as_ref().map(|_| session.new_logits()).transpose().map_err(failed)?;
    let map = session.run(&picture, logits.as_deref_mut(), windows).map_err(failed)?;
    windows.finish();
    let seconds = start.elapsed().as_secs_f64();

    let classes = classes_by_frequency(&map, model);
    let palette: Vec<_> = (0..model.facts().classes).map(|class| model.colour(class)).collect();
    let size = (picture.width, picture.height);
    let png = png_file::encode_map(&map, size, &palette).map_err(|e| Failure::file(&files.image, e))?;
    write(&files.map, &png)?;
    if let (Some(path), Some(logits)) = (&files.logits, &logits) {
        write(path, &npy::encode(&session.logits_shape(), logits))?;
    }
    if args.overlay {
        let png = overlay_png(&picture, &map, &palette, model, &classes);
        write(&files.overlay, &png.map_err(|e| Failure::file(&files.image, e))?)?;
    }
    Ok(Segmented { size, seconds, classes })
}

/// Class and number of pixels of every class in the map, the most frequent first.
fn classes_by_frequency(map: &ClassMapBuf, model: &Model<'_>) -> Vec<(usize, u64)> {
    let mut counts = vec![0; model.facts().classes];
    map.view().count(&mut counts);
    let mut classes: Vec<_> = counts.into_iter().enumerate().filter(|&(_, n)| n > 0).collect();
    classes.sort_by_key(|&(class, n)| (std::cmp::Reverse(n), class));
    classes
}

/// The overlay as a PNG file.
fn overlay_png(
    picture: &Picture,
    map: &ClassMapBuf,
    palette: &[[u8; 3]],
    model: &Model<'_>,
    classes: &[(usize, u64)],
) -> Result<Vec<u8>, String> {
    let total = (picture.width * picture.height) as f64;
    let entries: Vec<_> = classes
        .iter()
        .map(|&(class, n)| LegendEntry {
            name: model.class_name(class).unwrap_or("?"),
            colour: model.colour(class),
            share: n as f64 / total,
        })
        .collect();
    let canvas = overlay::draw(picture, map, palette, &entries);
    png_file::encode_rgb(&canvas.rgb, (canvas.width, canvas.height))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    beitle_files::write(path, bytes).map_err(|e| Failure::file(path, format_args!("cannot be written: {e}")))
}

fn print_table(
    out: &mut Stdout,
    model: &Model<'_>,
    files: &PictureFiles,
    result: &Segmented,
) -> Result<(), Failure> {
    let ((width, height), seconds) = (result.size, result.seconds);
    let (image, map) = (files.image.display(), files.map.display());
    out.line(format_args!("{image}: {width}x{height}, {seconds:.2} s, written to {map}"))?;
    for &(class, pixels) in &result.classes {
        let share = pixels as f64 * 100.0 / (width * height) as f64;
        let name = model.class_name(class).unwrap_or("?");
        out.line(format_args!("  {share:6.2} %  {class:3}  {name}"))?;
    }
    Ok(())
}

fn json(
    model: &Model<'_>,
    files: &PictureFiles,
    result: &Segmented,
    with_overlay: bool,
) -> serde_json::Value {
    let total = (result.size.0 * result.size.1) as f64;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let classes: Vec<_> = result
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
        "image": text(&files.image),
        "width": result.size.0,
        "height": result.size.1,
        "seconds": result.seconds,
        "map": text(&files.map),
        "overlay": with_overlay.then(|| text(&files.overlay)),
        "logits": files.logits.as_deref().map(text),
        "classes": classes,
    })
}
