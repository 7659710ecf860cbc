//! The command line: `beitle segment`, `beitle info`, `beitle eval` and `beitle bench`.

mod bench;
mod console;
mod eval;
mod info;
mod inputs;
mod jpeg;
mod layout;
mod npy;
mod overlay;
mod picture;
mod png_map;
mod segment;
mod session;
mod text;
mod trace;

use clap::{Parser, Subcommand};
use console::Failure;
use std::process::ExitCode;

/// BEiT semantic segmentation, the same bytes on every processor.
#[derive(Parser)]
#[command(name = "beitle", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Give every pixel of pictures its class
    Segment(segment::Args),
    /// Print what a weight file holds
    Info(info::Args),
    /// Score models on a data set, and compare them with the f32 file
    Eval(eval::Args),
    /// Measure each stage of a run
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Segment(args) => segment::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, message }) => {
            console::complain(&message);
            ExitCode::from(status)
        }
    }
}
