//! `beitle stream`: frames of a camera or a video, one after another.
//!
//! Three threads work at the same time: one reads frames ([`input`]), the main one runs the model and makes the results ([`emit`]), one
//! writes them. Frames go through [`handover`], results through a queue of one, so that the memory does not grow however slow the
//! others are. [`meter`] counts.

mod emit;
mod handover;
mod input;
mod meter;
mod y4m;

use crate::console::{Failure, plural, warn};
use crate::model_file::{FileArgs, ModelFile, check_task};
use crate::picture::PictureArgs;
use crate::session::{ProcessorArgs, Session};
use crate::threads::{not_started, thread};
use crate::verified::VerifyArgs;
use crate::views::ViewArgs;
use beitle::Model;
use beitle::file::format::Task;
use emit::{EmitArgs, Emitter};
use handover::{End, Frame, Handover, Taken};
use input::{InputArgs, Source, Video};
use meter::Meter;
use std::io::{self, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Arguments of `beitle stream`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Weight file of a segmentation model, made by beitle-quantize
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    #[command(flatten)]
    emit: EmitArgs,
    /// Run only one of N frames
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Drop frames that arrive while one is running, instead of letting the source wait
    #[arg(long)]
    latest: bool,
    /// Print no line each second, only the summary at the end
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    views: ViewArgs,
    #[command(flatten)]
    verify: VerifyArgs,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    processor: ProcessorArgs,
}

/// What is written for a frame.
struct Written {
    bytes: Vec<u8>,
    /// When the frame was read; `None` for the header, which belongs to no frame.
    read: Option<Instant>,
}

/// Runs the command.
///
/// # Errors
/// Invalid arguments, an input or weight file that is unreadable, a frame that cannot be run, or an output that cannot be written. A
/// torn last frame, a closed output and SIGINT end the stream without an error.
pub fn run(args: &Args) -> Result<(), Failure> {
    args.processor.isa()?;
    let file = ModelFile::open(&args.model, &args.file)?;
    let model = file.model_to_run()?;
    check_task(&args.model, &model, &[Task::Segmentation])?;
    args.verify.check(&file, &model, args.quiet)?;
    let (source, video) = Source::open(&args.input)?;
    check_video(args, &model, &video)?;
    let mut session = Session::new(&model, args.views.views(&model)?, &args.processor)?;
    if args.emit.is_binary() && stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal: redirect it to a file or a program, or use --emit json",
        ));
    }
    let emitter = Emitter::new(&args.emit, &model, video.size())?;
    let handover = Handover::new(video.frame_bytes(), args.latest)
        .map_err(|e| Failure::file(args.input.name(), format_args!("memory for frames: {e}")))?;
    let interrupted = beitle_files::catch_interrupts();
    let shared = Shared { meter: Mutex::new(Meter::new()), total: Mutex::new(Meter::new()) };
    let (results, to_write) = sync_channel(1);
    let (written, free) = channel();
    let ended = std::thread::scope(|scope| {
        // The reader is not waited for: it may be blocked by a source that sends nothing. So it owns nothing of this function.
        let handover = std::sync::Arc::new(handover);
        let its = std::sync::Arc::clone(&handover);
        let every = args.every.into();
        thread("reader")?.spawn(move || read(source, &its, every)).map_err(not_started)?;
        let writer = thread("writer")?
            .spawn_scoped(scope, || write(to_write, written, &shared))
            .map_err(not_started)?;
        let rate = (video.rate.0, video.rate.1.saturating_mul(args.every));
        let _ = results.send(Written { bytes: emitter.start(rate), read: None });
        let mut run = |frame: &Frame| run_frame(&mut session, &video, &emitter, frame, (&results, &free));
        let ended = loop {
            if interrupted.load(Ordering::Relaxed) {
                break Ok(None);
            }
            shared.report(args.quiet);
            let (frame, dropped) = match handover.take(Duration::from_millis(100)) {
                Taken::Nothing => continue,
                Taken::End(end) => break Ok(Some(end)),
                Taken::Frame(frame, dropped) => (frame, dropped),
            };
            shared.meter().drop_frames(dropped);
            match run(&frame) {
                Ok(true) => handover.give_back(frame.bytes),
                Ok(false) => break Ok(None),
                Err(e) => {
                    let what = format_args!("frame {}: {e}", frame.number);
                    break Err(Failure::file(args.input.name(), what));
                }
            }
        };
        handover.close();
        drop(results);
        let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer ended")));
        let end = ended?;
        match written {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::work(format_args!("standard output: {e}")))
            }
            _ => Ok(end),
        }
    });
    shared.summary();
    let name = args.input.name().display();
    match ended? {
        None | Some(End::Complete) => Ok(()),
        Some(End::Torn(found, expected)) => {
            warn(&format!("{name}: the last frame has only {found} of {expected} bytes and is left out"));
            Ok(())
        }
        Some(End::Failed(what)) => Err(Failure::work(format_args!("{name}: {what}"))),
    }
}

/// Checks that the model can run frames of a video.
fn check_video(args: &Args, model: &Model<'_>, video: &Video) -> Result<(), Failure> {
    let (pixels, most) = (video.width.saturating_mul(video.height) as u64, args.pictures.limits().max_pixels);
    if pixels > most {
        return Err(Failure::file(
            args.input.name(),
            format_args!("frames of {pixels} pixels; at most {most} are allowed (see --max-pixels)"),
        ));
    }
    let channels = model.facts().picture_channels;
    if !video.format.fits(channels) {
        return Err(Failure::file(
            &args.model,
            format_args!("takes pictures of {channels} channels, which frames in this format do not have"),
        ));
    }
    Ok(())
}

/// Runs a frame and hands over the result; false if the output is closed.
fn run_frame(
    session: &mut Session<'_>,
    video: &Video,
    emitter: &Emitter<'_>,
    frame: &Frame,
    (results, free): (&SyncSender<Written>, &Receiver<Vec<u8>>),
) -> Result<bool, crate::session::RunError> {
    let view = video.view(&frame.bytes)?;
    let pixels = session.run_view(&view, &emitter.wanted(), None, &mut ())?;
    let mut bytes = free.try_recv().unwrap_or_default();
    bytes.clear();
    emitter.frame(frame.number, &view, &pixels, &mut bytes)?;
    Ok(results.send(Written { bytes, read: Some(frame.read) }).is_ok())
}

/// Reads frames until the end, and hands over one of `every`.
fn read(mut source: Source, handover: &Handover, every: u64) {
    let Some(mut memory) = handover.memory() else { return };
    for number in 0.. {
        if let Err(end) = source.read(&mut memory) {
            return handover.end(end);
        }
        if number % every != 0 {
            continue;
        }
        handover.put(Frame { bytes: memory, number, read: Instant::now() });
        match handover.memory() {
            Some(next) => memory = next,
            None => return,
        }
    }
}

/// Writes results to standard output.
fn write(results: Receiver<Written>, free: Sender<Vec<u8>>, shared: &Shared) -> io::Result<()> {
    let mut out = stdout().lock();
    for Written { bytes, read } in results {
        out.write_all(&bytes)?;
        out.flush()?;
        if let Some(read) = read {
            shared.meter().frame(read.elapsed());
        }
        let _ = free.send(bytes);
    }
    Ok(())
}

/// The meters of the current second and of the seconds before.
struct Shared {
    meter: Mutex<Meter>,
    total: Mutex<Meter>,
}

impl Shared {
    fn meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once a second: prints the rate, and adds it to the total.
    fn report(&self, quiet: bool) {
        let mut meter = self.meter();
        if meter.elapsed() < Duration::from_secs(1) {
            return;
        }
        if !quiet {
            warn(&meter.to_string());
        }
        self.total.lock().unwrap_or_else(PoisonError::into_inner).add(&meter);
        *meter = Meter::new();
    }

    /// Prints the summary.
    fn summary(&self) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.add(&self.meter());
        let seconds = total.elapsed().as_secs_f64();
        warn(&format!("{} in {seconds:.1} s, {}", plural(total.frames(), "frame"), *total));
    }
}
