//! Whole conversions: options in, a weight file and a report out.

mod auto;
mod single;
mod tensor;

use crate::calibrate::Pictures;
use crate::checkpoint::Checkpoint;
use crate::config;
use crate::error::Error;
use crate::options::{Options, Rounding};
use crate::output::Report;
use crate::output::data_sets::Names;
use crate::progress::Progress;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// Converts a checkpoint. `progress` is called at the beginning of each phase and after each of its steps.
///
/// # Errors
/// The checkpoint is damaged or not a BEiT model, an option contradicts it, or the output cannot be written. The
/// output path is then left as it was.
pub fn convert(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
    check_output(options)?;
    start_threads().map_err(|e| Error::io(&options.output, "cannot start threads to make it", e))?;
    match options.agreement {
        Some(goal) => auto::convert(options, goal, progress),
        None => single::convert(options, progress),
    }
}

/// Starts rayon's threads, unless the process has them already. Rayon would start them when they are first used, and panic if the
/// operating system cannot. A caller in a thread pool has threads: those of its pool do the work.
fn start_threads() -> io::Result<()> {
    if rayon::current_thread_index().is_some() {
        return Ok(());
    }
    // After a failure rayon only says that it was initialised before.
    static FAILURE: OnceLock<Option<String>> = OnceLock::new();
    let start = || match rayon::ThreadPoolBuilder::new().build_global() {
        Err(e) if std::error::Error::source(&e).is_some() => Some(e.to_string()),
        _ => None,
    };
    FAILURE.get_or_init(start).clone().map_or(Ok(()), |message| Err(io::Error::other(message)))
}

/// Checks, before any work, that the output can be written and is none of the files that the conversion reads.
fn check_output(options: &Options) -> Result<(), Error> {
    let is_folder = options.checkpoint.is_dir();
    if let Some(folder) = if is_folder { Some(&*options.checkpoint) } else { options.checkpoint.parent() } {
        config::check_architecture(folder)?;
    }
    let checkpoint = Checkpoint::open_with(&options.checkpoint, options.key.as_deref())?;
    let pictures = match &options.rounding {
        Rounding::Compensated(folder) => Pictures::find(folder.as_deref())?,
        Rounding::Nearest => Pictures::find(None)?,
    };
    let mut inputs = checkpoint.paths();
    if let Some(Names::File(path)) = &options.names {
        inputs.push(path.clone());
    }
    let inputs = inputs.iter().map(AsRef::as_ref).chain(pictures.paths());
    let output: &Path = &options.output;
    beitle_files::check([output], inputs).map_err(|e| Error::new(e.path, e.message))
}
