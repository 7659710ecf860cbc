//! `beitle features`: the features of pictures, or all tokens, as a NumPy file.

use crate::batch::{check_failed, for_each_picture};
use crate::console::Failure;
use crate::inputs;
use crate::model_file::{FileArgs, ModelFile, check_task};
use crate::naming::is_standard;
use crate::npy;
use crate::picture::PictureArgs;
use crate::session::{Pooled, ProcessorArgs, Session, Wanted};
use crate::verified::VerifyArgs;
use beitle::file::format::Task;
use beitle::views::{Mode, Views};
use beitle_files::OutputFile;
use indicatif::ProgressBar;
use std::io::{self, BufWriter, Write};
use std::iter::repeat_n;
use std::path::{Path, PathBuf};

/// Arguments of `beitle features`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG, BMP, WebP, PNM), folders of pictures, or - for a picture from standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Weight file of a classification model or of a model without head, made by beitle-quantize
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// The NumPy file to write: f32 [pictures, channels], in the order of the pictures, those of a folder by name. The row of a
    /// picture that cannot be read is NaN
    #[arg(short, long, value_name = "OUT.npy")]
    output: PathBuf,
    /// Write all tokens after the last block, the class token first: f32 [pictures, tokens, channels]
    #[arg(long)]
    tokens: bool,
    #[command(flatten)]
    verify: VerifyArgs,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    processor: ProcessorArgs,
}

/// Runs the command.
///
/// # Errors
/// Invalid arguments, a weight file that is unreadable or of another task, a file that cannot be written, or pictures that failed;
/// their rows are NaN, and the other pictures are still processed.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    let file = ModelFile::open(&args.model, &args.file)?;
    let model = file.model_to_run()?;
    check_task(&args.model, &model, &[Task::Classification, Task::Features])?;
    args.verify.check(&file, &model, false)?;
    let pictures = inputs::pictures(&args.images)?;
    if is_standard(&args.output) {
        return Err(Failure::usage("-o -: features cannot go to standard output; give a file"));
    }
    let sources = pictures.iter().map(PathBuf::as_path).chain([args.model.as_path()]);
    beitle_files::check([args.output.as_path()], sources).map_err(Failure::usage)?;
    let mut session = Session::new(&model, Views::new(Mode::Whole), &args.processor)?;
    let facts = model.facts();
    let row = if args.tokens { facts.tokens() * facts.channels } else { facts.channels };
    let shape = match args.tokens {
        true => vec![pictures.len(), facts.tokens(), facts.channels],
        false => vec![pictures.len(), facts.channels],
    };
    let failed_to_write = |e: io::Error| Failure::file(&args.output, format_args!("cannot be written: {e}"));
    let mut out = BufWriter::new(OutputFile::create(&args.output).map_err(failed_to_write)?);
    out.write_all(&npy::header(&shape)).map_err(failed_to_write)?;
    let run = |picture: &PathBuf, _: &ProgressBar| features(&mut session, picture, args);
    let write = |_: &PathBuf, values: Option<Vec<f32>>| match values {
        Some(values) => npy::write_values(&mut out, values).map_err(failed_to_write),
        None => npy::write_values(&mut out, repeat_n(f32::NAN, row)).map_err(failed_to_write),
    };
    let failed = for_each_picture(&pictures, PathBuf::as_path, run, write)?;
    let out = out.into_inner().map_err(|e| failed_to_write(e.into_error()))?;
    out.commit().map_err(failed_to_write)?;
    check_failed(failed, pictures.len(), "failed; their rows are NaN")
}

/// A row of the file.
fn features(session: &mut Session<'_>, picture: &Path, args: &Args) -> Result<Vec<f32>, Failure> {
    let decoded = args.pictures.load(picture)?;
    let wanted = Wanted { features: !args.tokens, tokens: args.tokens, logits: false };
    let Pooled { features, tokens, .. } =
        session.run_pooled(&decoded, wanted, &mut ()).map_err(|e| Failure::file(picture, e))?;
    Ok(if args.tokens { tokens } else { features })
}
