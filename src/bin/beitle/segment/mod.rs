//! `beitle segment`: class maps, overlays and logits of pictures. [`output`] makes the files and the text.

mod args;
mod output;

use crate::batch::{Pipeline, check_failed};
use crate::console::{Failure, Stdout};
use crate::inputs::{self, PictureFiles, Places};
use crate::labels::Labels;
use crate::model_file::{ModelFile, check_task, demonstration_model};
use crate::naming::{OTHER_DATA, has_ending, is_standard};
use crate::picture::Picture;
use crate::progress::WindowProgress;
use crate::session::{Session, WantedPixels};
pub use args::Args;
use args::MapSize;
use beitle::file::format::Task;
use beitle_files::printable;
use indicatif::ProgressBar;
use output::{Segmented, Written};
use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::Instant;

/// Runs the command.
///
/// # Errors
/// Invalid arguments, an unreadable weight file, or pictures that failed; the other pictures are still processed.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    args.analysis.check(args.json, "--json")?;
    let path: &Path = match &args.model {
        Some(path) => path,
        None => demonstration_model(args.quiet)?,
    };
    let file = ModelFile::open(path, &args.file)?;
    let model = file.model_to_run()?;
    check_task(path, &model, &[Task::Segmentation])?;
    let labels = args.labels.labels(&model)?;
    let views = args.views.views(&model)?;
    if args.logits.is_some() && !views.is_single_whole() {
        let reason = "logits are available only with --mode whole and without --flip";
        return Err(Failure::usage(format_args!("--logits: {reason}")));
    }
    let wanted = inputs::Wanted {
        map: true,
        overlay: args.overlay,
        confidence: args.confidence,
        geojson: args.geojson,
    };
    let (output, logits) = (args.output.as_deref(), args.logits.as_deref());
    let places = Places { output, logits, names: args.name.as_ref().map(|pattern| (pattern, path)) };
    let mut pictures = inputs::picture_files(&args.images, args.recursive, &places)?;
    let to_stdout = output.is_some_and(is_standard);
    if to_stdout && (args.json || stdout().is_terminal()) {
        let why =
            if args.json { "--json writes to standard output, too" } else { "standard output is a terminal" };
        return Err(Failure::usage(format_args!("-o -: {why}")));
    }
    // A table for each of many pictures would hide the messages.
    let silent = args.quiet || to_stdout || pictures.len() > 1 && !args.verbose;
    inputs::check_results(&pictures, wanted, [path].into_iter().chain(args.labels.files()))?;
    pictures.iter().try_for_each(|files| check_ending(&files.map))?;
    if args.skip_existing {
        pictures.retain(|files| !files.exist(wanted));
    }
    args.verify.check(&file, &model, args.quiet)?;
    let mut session = Session::new(&model, views, &args.processor)?;
    let logits_shape = session.logits_shape();
    let mut out = Stdout::default();
    let stages = Pipeline {
        read: |files: &PictureFiles| args.pictures.load(&files.image),
        run: |files: &PictureFiles, picture, bar: &ProgressBar| {
            let name = printable(&files.image.display().to_string());
            segment(&mut session, &labels, picture, files, args, &mut WindowProgress::new(bar, name))
        },
        write: |files: &PictureFiles, result| output::write(result, &labels, files, args, logits_shape),
        print: |files: &PictureFiles, result: Written| match args.json {
            false if silent => Ok(()),
            true => out.line(format_args!("{}", output::json(&model, files, result, args))),
            false => output::print_table(&mut out, &labels, files, &result),
        },
    };
    let failed = stages.run(&pictures, |files| &files.image, args.quiet)?;
    check_failed(failed, pictures.len(), "failed")
}

/// Checks that a map, which is a PNG file, is not named like another one.
fn check_ending(map: &Path) -> Result<(), Failure> {
    if has_ending(map, &OTHER_DATA) {
        let map = map.display();
        return Err(Failure::usage(format_args!("{map}: maps are PNG files; use the ending .png")));
    }
    Ok(())
}

/// Segments one picture.
fn segment(
    session: &mut Session<'_>,
    labels: &Labels,
    picture: Picture,
    files: &PictureFiles,
    args: &Args,
    windows: &mut WindowProgress<'_>,
) -> Result<Segmented, Failure> {
    let start = Instant::now();
    let failed = |e| Failure::file(&files.image, e);
    let mut logits = files.logits.as_ref().map(|_| session.new_logits()).transpose().map_err(failed)?;
    let [_, height, width] = session.logits_shape();
    let wanted = WantedPixels {
        size: match args.map_size {
            MapSize::Picture => None,
            MapSize::Logits => Some((width, height)),
            MapSize::Fixed(width, height) => Some((width, height)),
        },
        labels: Some(labels),
        confidence: args.confidence,
        points: &args.point,
        top: args.top.into(),
    };
    let pixels = session.run_picture(&picture, &wanted, logits.as_deref_mut(), windows).map_err(failed)?;
    windows.finish();
    Ok(Segmented { picture, pixels, logits, seconds: start.elapsed().as_secs_f64() })
}
