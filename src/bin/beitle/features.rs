//! `beitle features`: the features of pictures, or all tokens, as a NumPy file.

use crate::console::{Failure, progress_bar, warn};
use crate::inputs;
use crate::model_file::{FileArgs, ModelFile, check_task};
use crate::npy;
use crate::picture::PictureArgs;
use crate::session::{Pooled, ProcessorArgs, Session, Wanted};
use beitle::file::format::Task;
use beitle::views::{Mode, Views};
use beitle_files::{OutputFile, printable};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `beitle features`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG, BMP, WebP, PNM) or folders of pictures
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

/// Runs the command.
///
/// # Errors
/// Invalid arguments, a weight file that is unreadable or of another task, a file that cannot be written, or pictures that failed;
/// their rows are NaN, and the other pictures are still processed.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    let file = ModelFile::open(&args.model, &args.file)?;
    let model = file.model()?;
    check_task(&args.model, &model, &[Task::Classification, Task::Features])?;
    if args.verify {
        model.verify().map_err(|e| Failure::file(&args.model, e))?;
    }
    let pictures = inputs::pictures(&args.images)?;
    let sources = pictures.iter().map(PathBuf::as_path).chain([args.model.as_path()]);
    beitle_files::check([args.output.as_path()], sources).map_err(Failure::usage)?;
    let mut session = Session::new(&model, Views::new(Mode::Whole), &args.processor)?;
    let facts = model.facts();
    let row = if args.tokens { facts.tokens() * facts.channels } else { facts.channels };
    let shape = match args.tokens {
        true => vec![pictures.len(), facts.tokens(), facts.channels],
        false => vec![pictures.len(), facts.channels],
    };
    let failed_to_write = |e| Failure::file(&args.output, format_args!("cannot be written: {e}"));
    let mut out = OutputFile::create(&args.output).map_err(failed_to_write)?;
    out.write_all(&npy::header(&shape)).map_err(failed_to_write)?;
    let bar = progress_bar(pictures.len());
    let mut failed = 0;
    for picture in &pictures {
        bar.set_message(printable(&picture.display().to_string()));
        let values = match features(&mut session, picture, args) {
            Ok(values) => values,
            Err(failure) if pictures.len() == 1 => return Err(failure),
            Err(failure) => {
                failed += 1;
                bar.suspend(|| warn(&failure.message));
                vec![f32::NAN; row]
            }
        };
        out.write_all(&npy::values(&values).collect::<Vec<_>>()).map_err(failed_to_write)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    out.commit().map_err(failed_to_write)?;
    match failed {
        0 => Ok(()),
        n => {
            let all = pictures.len();
            Err(Failure::work(format_args!("{n} of {all} pictures failed; their rows are NaN")))
        }
    }
}

/// A row of the file.
fn features(session: &mut Session<'_>, picture: &Path, args: &Args) -> Result<Vec<f32>, Failure> {
    let decoded = args.pictures.load(picture)?;
    let wanted = Wanted { features: !args.tokens, tokens: args.tokens, logits: false };
    let Pooled { features, tokens, .. } =
        session.run_pooled(&decoded, wanted, &mut ()).map_err(|e| Failure::file(picture, e))?;
    Ok(if args.tokens { tokens } else { features })
}
