//! The pictures of a command, one after another: progress bar, warnings and the summary at the end.

use crate::console::{Failure, progress_bar, warn};
use beitle_files::printable;
use indicatif::ProgressBar;
use std::path::Path;

/// Calls `run` for every item, whose picture is `picture(item)`, and then `finish` with the result. A picture that fails is
/// reported on standard error, and `finish` gets `None`. Returns the number of pictures that failed.
///
/// # Errors
/// The only picture failed, or `finish` did.
pub fn for_each_picture<T, R>(
    items: &[T],
    picture: impl Fn(&T) -> &Path,
    mut run: impl FnMut(&T, &ProgressBar) -> Result<R, Failure>,
    mut finish: impl FnMut(&T, Option<R>) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let bar = progress_bar(items.len());
    let mut failed = 0;
    for item in items {
        bar.set_message(printable(&picture(item).display().to_string()));
        let result = match run(item, &bar) {
            Err(failure) if items.len() == 1 => return Err(failure),
            Err(failure) => {
                failed += 1;
                bar.suspend(|| warn(&failure.message));
                None
            }
            Ok(result) => Some(result),
        };
        bar.suspend(|| finish(item, result))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(failed)
}

/// The end of a command that went through `all` pictures.
///
/// # Errors
/// Some of them failed; `what` says what that means.
pub fn check_failed(failed: usize, all: usize, what: &str) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        n => Err(Failure::work(format_args!("{n} of {all} pictures {what}"))),
    }
}
