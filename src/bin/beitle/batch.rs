//! The pictures of a command, one after another: progress bar, warnings and the summary at the end. In a [`Pipeline`] a picture is
//! read while the one before it runs and the one before that is written.

use crate::console::{Failure, progress_bar, warn};
use crate::threads::{not_started, thread};
use beitle_files::printable;
use indicatif::ProgressBar;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::scope;
use std::time::{Duration, Instant};

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

/// The stages of a command that goes through pictures. A stage waits until the next one takes its result (rendezvous channels), so that
/// at most three pictures are in memory at a time, one in each stage.
pub struct Pipeline<Read, Run, Write, Print> {
    /// Reads a picture, on a thread of its own.
    pub read: Read,
    /// Runs it, on the calling thread.
    pub run: Run,
    /// Writes the result's files, on a thread of its own.
    pub write: Write,
    /// Prints the result, on the thread that writes.
    pub print: Print,
}

/// How long each stage worked.
struct Times {
    read: Duration,
    run: Duration,
    write: Duration,
}

impl<Read, Run, Write, Print> Pipeline<Read, Run, Write, Print> {
    /// Takes every item, whose picture is `picture(item)`, through all stages, in order. A picture that fails is reported on standard
    /// error, and the others go on. Unless `quiet`, a line at the end says how long several pictures took. Returns the number of pictures
    /// that failed.
    ///
    /// # Errors
    /// The only picture failed, or `print` did, or a thread cannot be started.
    pub fn run<T: Sync, P: Send, R: Send, S>(
        mut self,
        items: &[T],
        picture: impl Fn(&T) -> &Path,
        quiet: bool,
    ) -> Result<usize, Failure>
    where
        Read: Fn(&T) -> Result<P, Failure> + Send,
        Run: FnMut(&T, P, &ProgressBar) -> Result<R, Failure>,
        Write: FnMut(&T, R) -> Result<S, Failure> + Send,
        Print: FnMut(&T, S) -> Result<(), Failure> + Send,
    {
        let (bar, start) = (progress_bar(items.len()), Instant::now());
        let result = scope(|scope| {
            let (pictures, to_run) = sync_channel(0);
            let (results, to_write) = sync_channel(0);
            let (read, write, print, bar) = (self.read, self.write, self.print, &bar);
            let reader = thread("reader")?
                .spawn_scoped(scope, move || read_all(items, read, &pictures))
                .map_err(not_started)?;
            let writer = thread("writer")?
                .spawn_scoped(scope, move || write_all(items, write, print, &to_write, bar))
                .map_err(not_started)?;
            let mut run = Duration::ZERO;
            for (item, read) in items.iter().zip(to_run) {
                bar.set_message(printable(&picture(item).display().to_string()));
                let start = Instant::now();
                let result = read.and_then(|picture| (self.run)(item, picture, bar));
                run += start.elapsed();
                // The writer has ended after an error, which it returns.
                if results.send(result).is_err() {
                    break;
                }
            }
            drop(results);
            let ended = || Failure::work("a thread ended unexpectedly");
            let (failed, write) = writer.join().map_err(|_| ended())??;
            let read = reader.join().map_err(|_| ended())?;
            Ok((failed, Times { read, run, write }))
        });
        bar.finish_and_clear();
        let (failed, times) = result?;
        if items.len() > 1 && !quiet {
            summary((items.len() - failed, items.len()), start.elapsed(), &times);
        }
        Ok(failed)
    }
}

/// Reads one picture after another, until nobody takes them any more. Returns the time that it took.
fn read_all<T, P>(
    items: &[T],
    read: impl Fn(&T) -> Result<P, Failure>,
    pictures: &SyncSender<Result<P, Failure>>,
) -> Duration {
    let mut time = Duration::ZERO;
    for item in items {
        let start = Instant::now();
        let picture = read(item);
        time += start.elapsed();
        if pictures.send(picture).is_err() {
            break;
        }
    }
    time
}

/// Writes one result after another. Returns the number of pictures that failed, and the time that it took.
fn write_all<T, R, S>(
    items: &[T],
    mut write: impl FnMut(&T, R) -> Result<S, Failure>,
    mut print: impl FnMut(&T, S) -> Result<(), Failure>,
    results: &Receiver<Result<R, Failure>>,
    bar: &ProgressBar,
) -> Result<(usize, Duration), Failure> {
    let (mut failed, mut time) = (0, Duration::ZERO);
    for (item, result) in items.iter().zip(results) {
        let start = Instant::now();
        let written = result.and_then(|result| write(item, result));
        time += start.elapsed();
        match written {
            Err(failure) if items.len() == 1 => return Err(failure),
            Err(failure) => {
                failed += 1;
                bar.suspend(|| warn(&failure.message));
            }
            Ok(written) => bar.suspend(|| print(item, written))?,
        }
        bar.inc(1);
    }
    Ok((failed, time))
}

/// Prints how long the pictures took, all together and in each stage.
fn summary((done, pictures): (usize, usize), all: Duration, times: &Times) {
    let [all, read, run, write] = [all, times.read, times.run, times.write].map(|time| time.as_secs_f64());
    let rate = done as f64 / all;
    let count = if done == pictures { format!("{pictures}") } else { format!("{done} of {pictures}") };
    warn(&format!(
        "{count} pictures in {all:.1} s, {rate:.2} per second; reading took {read:.1} s, running {run:.1} s, writing {write:.1} s"
    ));
}
