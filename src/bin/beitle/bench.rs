//! `beitle bench`: seconds and multiply-accumulates of each stage, its share of what the processor can do at most, and the
//! memory it took.

use crate::console::{Failure, Output, bytes};
use crate::picture::{self, Picture};
use crate::session::{self, Processor, Session};
use crate::trace::{self, Event};
use beitle::Model;
use beitle::file::format::{Role, TensorKind};
use beitle::observe::{Observer, Stage};
use beitle::parallel::Parallel;
use beitle::plan::Plan;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `beitle bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Weight file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A picture [default: a made-up one of the network's input size]
    #[arg(long, value_name = "IMAGE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    processor: Processor,
    /// Runs that count, after one that does not; the median is shown
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Also write the last run as a Chrome trace (for chrome://tracing or Perfetto)
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// What one run did, and when.
struct Clock {
    start: Instant,
    events: Vec<Event>,
}

impl Clock {
    /// Seconds and multiply-accumulates of each stage.
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

impl Observer for Clock {
    fn done(&mut self, stage: Stage, macs: u64) -> bool {
        let start = self.events.last().map_or(0.0, |e| e.start + e.seconds);
        let seconds = self.start.elapsed().as_secs_f64() - start;
        self.events.push(Event { stage, start, seconds, macs });
        true
    }
}

/// Runs the command.
///
/// # Errors
/// Unreadable files, a picture too large for this machine.
pub fn run(args: &Args) -> Result<(), Failure> {
    let isa = args.processor.isa()?;
    let threads = args.processor.threads()?;
    let start = Instant::now();
    let file = session::open(&args.file)?;
    let model = session::model(&args.file, &file)?;
    let f = model.facts();
    Plan::new(&model, threads.workers(), (f.width, f.height))
        .map_err(|e| Failure::work(format_args!("{}: {e}", args.file.display())))?;
    let open = start.elapsed().as_secs_f64();
    let picture = match &args.image {
        Some(path) => {
            picture::load(path).map_err(|e| Failure::work(format_args!("{}: {e}", path.display())))?
        }
        None => made_up(model.facts().width, model.facts().height),
    };
    let size = (picture.width, picture.height);
    let mut session = Session::new(&model, isa, threads);
    let mut totals = Vec::new();
    let mut runs = Vec::new();
    let mut last = Vec::new();
    for counts in (0..=args.runs).map(|i| i > 0) {
        let start = Instant::now();
        let mut clock = Clock { start, events: Vec::new() };
        session
            .run(&picture.rgb, size, None, &mut clock)
            .map_err(|e| Failure::work(format_args!("{}: {e}", args.file.display())))?;
        if counts {
            totals.push(start.elapsed().as_secs_f64());
            runs.push(clock.stages());
            last = clock.events;
        }
    }
    if let Some(path) = &args.profile {
        let name = args.file.file_name().unwrap_or_default().to_string_lossy();
        std::fs::write(path, trace::encode(&name, &last))
            .map_err(|e| Failure::work(format_args!("{}: {e}", path.display())))?;
    }
    let stages: Vec<_> = Stage::ALL
        .iter()
        .enumerate()
        .map(|(i, stage)| {
            let macs = runs.iter().map(|r| r[i].1).max().unwrap_or(0);
            let seconds = median(runs.iter().map(|r| r[i].0).collect());
            Row { name: stage.name(), seconds, macs, int8: is_int8(&model, *stage) }
        })
        .filter(|row| row.seconds > 0.0 || row.macs > 0)
        .collect();
    let peak = [session.peak(false), session.peak(true)];
    let result = Measured { size, open, seconds: median(totals), stages, peak };
    if args.json { result.json(args, &session) } else { result.table(&session) }
}

/// Whether a stage multiplies integers.
fn is_int8(model: &Model, stage: Stage) -> bool {
    let role = match stage {
        Stage::Embed => Role::Embed,
        Stage::Qkv | Stage::Attend => Role::Qkv,
        Stage::Proj => Role::Proj,
        Stage::Fc1 => Role::Fc1,
        Stage::Fc2 => Role::Fc2,
        Stage::Psp => Role::PspBottleneck,
        Stage::Lateral => Role::Lateral2,
        Stage::Fpn0 | Stage::Fpn1 | Stage::Fpn2 => Role::FpnConv,
        Stage::Products | Stage::Bottleneck => Role::FpnBottleneck,
        Stage::Classify => Role::Classifier,
        Stage::Resize | Stage::Norm | Stage::Features | Stage::Upsample | Stage::Map => return false,
    };
    let bytes = [TensorKind::Int8, TensorKind::Int4].map(|kind| kind as u8);
    model.file().find(role, 0).is_some_and(|entry| bytes.contains(&entry.kind))
}

/// A stage as it is printed.
struct Row {
    name: &'static str,
    seconds: f64,
    macs: u64,
    int8: bool,
}

/// What was measured.
struct Measured {
    size: (usize, usize),
    /// Seconds to open the file and plan the arena.
    open: f64,
    seconds: f64,
    stages: Vec<Row>,
    /// Multiply-accumulates a second on registers alone, of f32 and of int8.
    peak: [Option<f64>; 2],
}

impl Measured {
    fn macs(&self) -> u64 {
        self.stages.iter().map(|s| s.macs).sum()
    }

    /// Of `seconds`, the share that these stages' multiplications would take at the peak.
    fn share(&self, stages: &[Row], seconds: f64) -> Option<f64> {
        let at_peak: Option<f64> =
            stages.iter().map(|s| Some(s.macs as f64 / self.peak[usize::from(s.int8)]?)).sum();
        at_peak.map(|least| least / seconds)
    }

    fn table(&self, session: &Session<'_>) -> Result<(), Failure> {
        let mut out = Output::default();
        out.line(format_args!(
            "{:18}{:>10}{:>7}{:>10}{:>10}{:>8}",
            "stage", "ms", "%", "GMAC", "GMAC/s", "peak %"
        ))?;
        let mut line = |name: &str, seconds: f64, stages: &[Row]| {
            let giga = stages.iter().map(|s| s.macs).sum::<u64>() as f64 / 1e9;
            let (ms, part) = (seconds * 1e3, seconds * 100.0 / self.seconds);
            if giga == 0.0 {
                return out.line(format_args!("{name:18}{ms:>10.2}{part:>7.1}"));
            }
            let share = self.share(stages, seconds).map_or("-".into(), |s| format!("{:.1}", 100.0 * s));
            out.line(format_args!(
                "{name:18}{ms:>10.2}{part:>7.1}{giga:>10.2}{:>10.1}{share:>8}",
                giga / seconds
            ))
        };
        for row in &self.stages {
            line(row.name, row.seconds, std::slice::from_ref(row))?;
        }
        line("all", self.seconds, &self.stages)?;
        let (threads, isa) = (session.workers(), session.isa());
        out.line(format_args!("\npicture {}x{}, {isa}, threads: {threads}", self.size.0, self.size.1))?;
        if let [Some(f32), Some(int8)] = self.peak.map(|p| p.map(|p| p / 1e9)) {
            out.line(format_args!("peak on registers alone: int8 {int8:.1} GMAC/s, f32 {f32:.1} GMAC/s"))?;
        }
        out.line(format_args!("open and plan {:.2} ms", self.open * 1e3))?;
        let mut memory = format!("arena {}", bytes(session.arena_bytes() as u64));
        if let (Some(peak), Some(own)) = (memory_of("VmHWM:"), memory_of("RssAnon:")) {
            memory += &format!(
                ", process {} without the mapped file, {} at its peak with it",
                bytes(own),
                bytes(peak)
            );
        }
        out.line(format_args!("{memory}"))
    }

    fn json(&self, args: &Args, session: &Session<'_>) -> Result<(), Failure> {
        let stages: Vec<_> = self
            .stages
            .iter()
            .map(|row| {
                let share = self.share(std::slice::from_ref(row), row.seconds);
                serde_json::json!({"name": row.name, "seconds": row.seconds, "macs": row.macs, "peak_share": share})
            })
            .collect();
        let json = serde_json::json!({
            "file": args.file.to_string_lossy(),
            "width": self.size.0,
            "height": self.size.1,
            "isa": session.isa(),
            "threads": session.workers(),
            "runs": args.runs,
            "seconds": self.seconds,
            "open_seconds": self.open,
            "macs": self.macs(),
            "stages": stages,
            "peak_macs_per_second": {"f32": self.peak[0], "int8": self.peak[1]},
            "peak_share": self.share(&self.stages, self.seconds),
            "arena_bytes": session.arena_bytes(),
            "private_bytes": memory_of("RssAnon:"),
            "peak_rss_bytes": memory_of("VmHWM:"),
        });
        Output::default().line(format_args!("{json}"))
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

/// Slopes and edges: the engine's speed does not depend on what is in a picture.
fn made_up(width: usize, height: usize) -> Picture {
    let pixel = |x: usize, y: usize| [(x * 7 + y) as u8, (x ^ y) as u8, (y * 3) as u8];
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    Picture { width, height, rgb }
}

/// A line of the process's memory account in bytes, where the system keeps one (Linux): `VmHWM:` the most it ever held,
/// `RssAnon:` what it holds now without mapped files.
fn memory_of(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn medians() {
        assert_eq!(super::median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median(vec![4.0, 1.0]), 2.5);
    }
}
