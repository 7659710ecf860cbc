//! The command line of the converter: shows progress, notes and the report.

mod arguments;

use arguments::Arguments;
use beitle_files::printable;
use beitle_quantize::{Options, convert};
use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    beitle_files::handle_signals();
    let options: Options = Arguments::parse()
        .into_options()
        .unwrap_or_else(|(kind, message)| Arguments::command().error(kind, message).exit());
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}, {elapsed}") {
        bar.set_style(style);
    }
    let start = Instant::now();
    let result = convert(&options, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    match result {
        Ok(report) => {
            for note in &report.notes {
                warn(format_args!("note: {note}"));
            }
            let seconds = start.elapsed().as_secs_f64();
            let text = format!("{report}\n{}: {seconds:.1} s", options.output.display());
            // The weight file is complete: a closed pipe is no failure.
            match writeln!(io::stdout(), "{}", printable(&text)) {
                Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                    warn(format_args!("error: standard output: {e}"));
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            }
        }
        Err(e) => {
            warn(format_args!("error: {e}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to standard error; errors are ignored, since there is nowhere left to report them.
fn warn(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", printable(&message.to_string()));
}
