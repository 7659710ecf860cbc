//! The `beitle` command line: `segment`, `stream`, `classify`, `features`, `info`, `eval` and `bench`.
//!
//! Every subcommand has a module of its own, which imports only from the modules below it: [`analysis`] and [`geojson`] (what is
//! computed from maps), [`session`] (threads and arena), [`cores`], [`limits`], [`labels`] and [`palette`] (what the numbers of maps
//! mean, and their colours), [`verified`], [`model_file`], then the file formats ([`picture`], [`png_file`], [`npy`], [`trace`]) and
//! drawings ([`overlay`], [`arena_chart`]), then [`threads`] (which the commands start) and [`console`] (output, failures).

mod analysis;
mod arena_chart;
mod batch;
mod bench;
mod canvas;
mod class_map;
mod classify;
mod console;
mod cores;
mod eval;
mod features;
mod geojson;
mod info;
mod inputs;
mod labels;
mod limits;
mod model_file;
mod naming;
mod npy;
mod numbers;
mod overlay;
mod palette;
mod picture;
mod png_file;
mod progress;
mod segment;
mod session;
#[cfg(test)]
#[path = "../../../tests/common/shell_files.rs"]
mod shell_files;
mod stream;
mod threads;
mod trace;
mod verified;
mod views;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// BEiT for edge devices: segments and classifies pictures, and computes their features
#[derive(Parser)]
#[command(
    name = "beitle",
    version,
    propagate_version = true,
    after_help = "Exit status: 0 if everything was done, 1 if something failed, 2 if the arguments are invalid. Results go to standard output, \
                  messages to standard error."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the class map of each picture
    ///
    /// A picture is fitted to the network's input, and its map has the picture's own size, unless --map-size says otherwise. The map is
    /// an indexed PNG whose pixel values are class numbers, or labels (16-bit grey for values above 255; a mask is grey). Its palette
    /// is the weight file's, printed by `beitle info`: published colours for classes that the converter knows, such as ADE20K's, and
    /// generated colours for others.
    ///
    /// For example: beitle segment photos -m base.beitle -o maps --overlay --name '{stem}.png'
    Segment(segment::Args),
    /// Segment frames of a camera or a video, from standard input to standard output
    ///
    /// For example: ffmpeg -i in.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | beitle stream -m road.beitle --emit overlay | ffplay -
    Stream(stream::Args),
    /// Print the most probable classes of each picture
    ///
    /// For example: beitle classify photo.jpg -m classifier.beitle --top 3
    Classify(classify::Args),
    /// Write the features of pictures as a NumPy file: a vector for each, or all tokens
    ///
    /// For example: beitle features photos -m classifier.beitle -o features.npy
    Features(features::Args),
    /// Describe a weight file
    ///
    /// For example: beitle info base.beitle --verify
    Info(info::Args),
    /// Score models on a data set and compare them with a reference, such as the f32 file of the same checkpoint
    ///
    /// For example: beitle eval ADEChallengeData2016 -m base.beitle --against base.f32.beitle --limit 100 --html report.html
    Eval(eval::Args),
    /// Measure the time of each stage, the share of the processor's peak rate, and memory
    ///
    /// For example: beitle bench base.beitle --threads 4 --runs 5
    Bench(bench::Args),
}

fn main() -> ExitCode {
    beitle_files::prepare_process();
    let result = match Cli::parse().command {
        Command::Segment(args) => segment::run(&args),
        Command::Stream(args) => stream::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console::report(&failure);
            ExitCode::from(failure.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn man_pages_and_completions_are_current() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
        shell_files::check(&Cli::command(), docs.as_ref());
    }
}
