//! The command line of the converter: shows progress, notes and the report.

mod arguments;
mod console;
mod display;
#[cfg(test)]
#[path = "../../../../tests/common/shell_files.rs"]
mod shell_files;

use arguments::Arguments;
use beitle_files::{print_failure, printable};
use beitle_quantize::{Error, Options, convert};
use clap::{CommandFactory, Parser};
use console::warn;
use display::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    beitle_files::prepare_process();
    let mut options: Options = Arguments::parse()
        .into_options()
        .unwrap_or_else(|(kind, message)| Arguments::command().error(kind, message).exit());
    let start = Instant::now();
    let mut display = Display::new();
    let result = local(options.checkpoint.clone(), &mut display).and_then(|checkpoint| {
        options.checkpoint = checkpoint;
        convert(&options, &mut |now| display.show(now))
    });
    display.clear();
    match result {
        Ok(conversion) => {
            for note in &conversion.notes {
                warn(format_args!("note: {note}"));
            }
            let seconds = start.elapsed().as_secs_f64();
            let text = format!("{conversion}\n{}: {seconds:.1} s", options.output.display());
            // The weight file is complete: a closed pipe is no failure.
            match writeln!(io::stdout(), "{}", printable(&text)) {
                Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                    print_failure("error", &format!("standard output: {e}"));
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            }
        }
        Err(e) => {
            print_failure("error", &e.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The checkpoint's path, after downloading it if it is not on this machine.
#[cfg(feature = "hub")]
fn local(checkpoint: PathBuf, display: &mut Display) -> Result<PathBuf, Error> {
    beitle_quantize::hub::fetch(&checkpoint, &mut |now| display.show(now))
}

#[cfg(not(feature = "hub"))]
fn local(checkpoint: PathBuf, _: &mut Display) -> Result<PathBuf, Error> {
    Ok(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn man_page_and_completions_are_current() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
        shell_files::check(&Arguments::command(), docs.as_ref());
    }
}
