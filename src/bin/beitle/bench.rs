//! `beitle bench`: time and multiply-accumulates of each stage, its share of the processor's peak rate, and memory.

use crate::console::{Failure, Stdout, bytes, plural};
use crate::model_file::{FileArgs, ModelFile};
use crate::numbers::pair;
use crate::picture::{Picture, PictureArgs};
use crate::session::{ProcessorArgs, Session, Wanted};
use crate::trace::{self, Event};
use crate::views::{ViewArgs, describe};
use beitle::Model;
use beitle::file::format::{Role, Task, TensorKind};
use beitle::observe::{Observer, Stage};
use beitle::plan::Plan;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `beitle bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Weight file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Picture to run [default: a generated one]
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// Size of the generated picture in pixels [default: the network's input size]
    #[arg(long, value_name = "WIDTHxHEIGHT", conflicts_with = "image", value_parser = parse_size)]
    size: Option<(usize, usize)>,
    #[command(flatten)]
    views: ViewArgs,
    #[command(flatten)]
    open: FileArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    processor: ProcessorArgs,
    /// Number of measured runs, after one run to warm up; up to five more time the stages. Medians are printed
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the last run that times the stages as a Chrome trace, for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Records the steps of a run and their times.
struct Recorder {
    start: Instant,
    /// Whether each layer runs as a step of its own, so that it can be timed.
    layers: bool,
    events: Vec<Event>,
    windows: usize,
}

impl Recorder {
    /// Seconds and multiply-accumulates of each stage, in the order of [`Stage::ALL`].
    fn stages(&self) -> Vec<(f64, u64)> {
        let mut stages = vec![(0.0, 0); Stage::ALL.len()];
        for event in &self.events {
            if let Some((seconds, macs)) = stages.get_mut(event.stage as usize) {
                *seconds += event.seconds;
                *macs += event.macs;
            }
        }
        stages
    }
}

impl Observer for Recorder {
    fn done(&mut self, stage: Stage, macs: u64) -> bool {
        let start = self.events.last().map_or(0.0, |e| e.start + e.seconds);
        let seconds = self.start.elapsed().as_secs_f64() - start;
        self.events.push(Event { stage, start, seconds, macs });
        true
    }
    fn wants_layers(&self) -> bool {
        self.layers
    }
    fn window(&mut self, done: usize, _: usize) {
        self.windows = done;
    }
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or written, or the picture is too large for this machine.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    if let Some(path) = &args.profile {
        let inputs = [Some(&args.file), args.image.as_ref()].into_iter().flatten();
        beitle_files::check([path.as_path()], inputs.map(PathBuf::as_path)).map_err(Failure::usage)?;
    }
    let start = Instant::now();
    let file = ModelFile::open(&args.file, &args.open)?;
    let model = file.model_to_run()?;
    let facts = model.facts();
    let open_seconds = start.elapsed().as_secs_f64();
    let mut session = Session::new(&model, args.views.views(&model)?, &args.processor)?;
    let picture = match (&args.image, args.size) {
        (Some(path), _) => args.pictures.load(path)?,
        (None, size) => test_pattern(size.unwrap_or((facts.width, facts.height))),
    };
    let size = (picture.width, picture.height);
    let start = Instant::now();
    Plan::with_views(&model, session.workers(), size, session.views())
        .map_err(|e| Failure::file(&args.file, e))?;
    let open_seconds = open_seconds + start.elapsed().as_secs_f64();
    let runs = measure(args, &mut session, &picture)?;
    if let Some(path) = &args.profile {
        let name = args.file.file_name().unwrap_or_default().to_string_lossy();
        let trace = trace::encode(&name, &runs.last);
        beitle_files::write(path, trace.as_bytes()).map_err(|e| Failure::file(path, e))?;
    }
    let measurement = Measurement {
        size,
        windows: runs.windows,
        open_seconds,
        seconds: median(runs.seconds),
        stages: stage_medians(&model, &runs.stages),
        peak: [session.peak(false), session.peak(true)],
    };
    if args.json { measurement.print_json(args, &session) } else { measurement.print_table(&session) }
}

/// The measured runs.
#[derive(Default)]
struct Runs {
    /// Seconds of each run.
    seconds: Vec<f64>,
    /// Seconds and multiply-accumulates of the stages of each run that timed them, in the order of [`Stage::ALL`].
    stages: Vec<Vec<(f64, u64)>>,
    /// The steps of the last such run.
    last: Vec<Event>,
    /// Windows in a run.
    windows: usize,
}

/// The most runs in which stages are timed.
const MAX_STAGE_RUNS: u32 = 5;

/// Times whole runs, and then the stages of further runs: in these, each layer is a step of its own, which takes longer.
fn measure(args: &Args, session: &mut Session<'_>, picture: &Picture) -> Result<Runs, Failure> {
    let mut runs = Runs::default();
    measure_once(args, session, picture, false)?;
    for _ in 0..args.runs {
        runs.seconds.push(measure_once(args, session, picture, false)?.0);
    }
    for _ in 0..args.runs.min(MAX_STAGE_RUNS) {
        let recorder = measure_once(args, session, picture, true)?.1;
        runs.stages.push(recorder.stages());
        runs.windows = recorder.windows;
        runs.last = recorder.events;
    }
    Ok(runs)
}

/// The seconds and the steps of a run.
fn measure_once(
    args: &Args,
    session: &mut Session<'_>,
    picture: &Picture,
    layers: bool,
) -> Result<(f64, Recorder), Failure> {
    let start = Instant::now();
    let mut recorder = Recorder { start, layers, events: Vec::new(), windows: 0 };
    let wanted = match session.task() {
        Task::Segmentation => None,
        task => Some(Wanted { logits: task == Task::Classification, features: true, tokens: false }),
    };
    let done = match wanted {
        None => session.run(picture, None, &mut recorder).map(|_| ()),
        Some(wanted) => session.run_pooled(picture, wanted, &mut recorder).map(|_| ()),
    };
    done.map_err(|e| Failure::file(&args.file, e))?;
    Ok((start.elapsed().as_secs_f64(), recorder))
}

/// The median of every stage that ran.
fn stage_medians(model: &Model<'_>, runs: &[Vec<(f64, u64)>]) -> Vec<Row> {
    let row = |(i, stage): (usize, &Stage)| {
        let macs = runs.iter().map(|stages| stages[i].1).max().unwrap_or(0);
        let seconds = median(runs.iter().map(|stages| stages[i].0).collect());
        Row { name: stage.name(), seconds, macs, int8: is_int8(model, *stage) }
    };
    Stage::ALL.iter().enumerate().map(row).filter(|row| row.seconds > 0.0 || row.macs > 0).collect()
}

/// Whether a stage multiplies integers.
fn is_int8(model: &Model, stage: Stage) -> bool {
    let role = match stage {
        Stage::Embed => Role::Embed,
        Stage::Qkv | Stage::Attend | Stage::Tokens => Role::Qkv,
        Stage::Proj => Role::Proj,
        Stage::Fc1 => Role::Fc1,
        Stage::Fc2 => Role::Fc2,
        Stage::Psp => Role::PspBottleneck,
        Stage::Lateral => Role::Lateral2,
        Stage::Fpn0 | Stage::Fpn1 | Stage::Fpn2 => Role::FpnConv,
        Stage::Products | Stage::Bottleneck | Stage::Bands => Role::FpnBottleneck,
        Stage::Classify => Role::Classifier,
        Stage::Resize | Stage::Norm | Stage::Features | Stage::Map => return false,
    };
    let integers = [TensorKind::Int8, TensorKind::Int4].map(|kind| kind as u8);
    model.file().find(role, 0).is_some_and(|entry| integers.contains(&entry.kind))
}

/// A stage of the table.
struct Row {
    name: &'static str,
    seconds: f64,
    macs: u64,
    int8: bool,
}

/// The result of all runs; times are medians.
struct Measurement {
    size: (usize, usize),
    windows: usize,
    /// Seconds to open the file and plan the arena.
    open_seconds: f64,
    seconds: f64,
    stages: Vec<Row>,
    /// Multiply-accumulates per second when all operands are in registers: f32, int8.
    peak: [Option<f64>; 2],
}

impl Measurement {
    fn macs(&self) -> u64 {
        self.stages.iter().map(|s| s.macs).sum()
    }

    /// The time of all stages, one after another.
    fn stage_seconds(&self) -> f64 {
        self.stages.iter().map(|s| s.seconds).sum()
    }

    /// Time of the stages' multiplications at the peak rate, divided by `seconds`.
    fn peak_share(&self, stages: &[Row], seconds: f64) -> Option<f64> {
        let at_peak: Option<f64> =
            stages.iter().map(|s| Some(s.macs as f64 / self.peak[usize::from(s.int8)]?)).sum();
        at_peak.map(|least| least / seconds)
    }

    fn print_table(&self, session: &Session<'_>) -> Result<(), Failure> {
        let mut out = Stdout::default();
        let [name, ms, percent] = ["stage", "ms", "%"];
        out.line(format_args!("{name:18}{ms:>10}{percent:>7}{:>10}{:>10}{:>8}", "GMAC", "GMAC/s", "peak %"))?;
        for row in &self.stages {
            out.line(format_args!("{}", self.row(row.name, row.seconds, std::slice::from_ref(row))))?;
        }
        out.line(format_args!("{}", self.row("sum of the stages", self.stage_seconds(), &self.stages)))?;
        out.line(format_args!("{}", self.row("a run", self.seconds, &self.stages)))?;
        let (width, height) = self.size;
        let mut threads = plural(session.workers(), "thread");
        if let Some(cores) = session.cores() {
            threads += &format!(" on CPUs {cores}");
        }
        let (views, windows) = (describe(session.views()), plural(self.windows, "window"));
        out.line(format_args!(
            "\npicture {width}x{height}, {views}, {windows} ({:.1} ms each), {}, {threads}",
            self.seconds * 1e3 / self.windows as f64,
            session.isa()
        ))?;
        if let [Some(f32), Some(int8)] = self.peak.map(|p| p.map(|p| p / 1e9)) {
            out.line(format_args!(
                "peak rate (operands in registers): int8 {int8:.1} GMAC/s, f32 {f32:.1} GMAC/s"
            ))?;
        }
        out.line(format_args!("open and plan: {:.2} ms", self.open_seconds * 1e3))?;
        out.line(format_args!("memory: {}", memory(session)))
    }

    /// A row of the table, for one stage or for all of them. The percentages are those of the sum of the stages, which is more than
    /// a run takes: a run takes several layers in one step.
    fn row(&self, name: &str, seconds: f64, stages: &[Row]) -> String {
        let giga = stages.iter().map(|s| s.macs).sum::<u64>() as f64 / 1e9;
        let (ms, percent) = (seconds * 1e3, seconds * 100.0 / self.stage_seconds());
        if giga == 0.0 {
            return format!("{name:18}{ms:>10.2}{percent:>7.1}");
        }
        let share = self.peak_share(stages, seconds).map_or("-".into(), |s| format!("{:.1}", 100.0 * s));
        format!("{name:18}{ms:>10.2}{percent:>7.1}{giga:>10.2}{:>10.1}{share:>8}", giga / seconds)
    }

    fn print_json(&self, args: &Args, session: &Session<'_>) -> Result<(), Failure> {
        let stages: Vec<_> = self
            .stages
            .iter()
            .map(|row| {
                let share = self.peak_share(std::slice::from_ref(row), row.seconds);
                serde_json::json!({"name": row.name, "seconds": row.seconds, "macs": row.macs, "peak_share": share})
            })
            .collect();
        let json = serde_json::json!({
            "file": args.file.to_string_lossy(),
            "width": self.size.0,
            "height": self.size.1,
            "views": describe(session.views()),
            "windows": self.windows,
            "isa": session.isa(),
            "threads": session.workers(),
            "cores": session.cores().map(ToString::to_string),
            "runs": args.runs,
            "seconds": self.seconds,
            "open_seconds": self.open_seconds,
            "macs": self.macs(),
            "stages": stages,
            "peak_macs_per_second": {"f32": self.peak[0], "int8": self.peak[1]},
            "peak_share": self.peak_share(&self.stages, self.seconds),
            "arena_bytes": session.arena_bytes(),
            "private_bytes": process_memory("RssAnon:"),
            "peak_rss_bytes": process_memory("VmHWM:"),
        });
        Stdout::default().line(format_args!("{json}"))
    }
}

/// The arena, and the memory of the process where the operating system reports it.
fn memory(session: &Session<'_>) -> String {
    let arena = bytes(session.arena_bytes() as u64);
    match (process_memory("VmHWM:"), process_memory("RssAnon:")) {
        (Some(peak), Some(private)) => format!(
            "arena {arena}, process {} without mapped files, peak {} with the mapped weight file and program",
            bytes(private),
            bytes(peak)
        ),
        _ => format!("arena {arena}"),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// A picture of gradients and edges. The engine's time does not depend on the content.
fn test_pattern((width, height): (usize, usize)) -> Picture {
    let pixel = |x: usize, y: usize| [(x * 7 + y) as u8, (x ^ y) as u8, (y * 3) as u8];
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    let alpha = Some(vec![128; width * height]);
    Picture { width, height, rgb, alpha }
}

/// Parses `WIDTHxHEIGHT`, both from 1 to 65535.
fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let is_side = |side| (1..=usize::from(u16::MAX)).contains(&side);
    let sides = pair(text, &['x', 'X']).filter(|&(width, height)| is_side(width) && is_side(height));
    sides.ok_or_else(|| "expected WIDTHxHEIGHT in pixels, such as 640x480".into())
}

/// A field of Linux's `/proc/self/status` in bytes: `VmHWM:` is the peak resident size, mapped files included;
/// `RssAnon:` is the current resident size without them. `None` on other systems.
fn process_memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|row| row.strip_prefix(field))?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(super::median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median(vec![4.0, 1.0]), 2.5);
    }
}
