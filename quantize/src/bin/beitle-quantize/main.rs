//! The command line of the converter: shows progress, notes and the report.

mod arguments;

use arguments::Arguments;
use beitle_quantize::{Options, convert};
use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
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
                eprintln!("note: {note}");
            }
            println!("{report}");
            println!("{}: {:.1} s", options.output.display(), start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}
