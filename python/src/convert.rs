//! The function `convert`: a checkpoint in, a weight file out.

use crate::errors::{self, value, wrong_type};
use crate::image::path_of;
use crate::session::SIGNALS;
use beitle::file::format::{Precision, Recipe};
use beitle_quantize::{Conv, Names, Options, Progress, Rounding, hub};
use pyo3::prelude::*;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// Convert a BEiT checkpoint into a weight file.
///
/// source: a transformers folder, a `.pth` file of unilm or mmsegmentation, a model of the Hugging Face Hub ("owner/name" or
///     "owner/name@revision"), or the URL of a `.pth` file. Downloads share the cache and the environment variables of Python's
///     tools.
/// out: the weight file to write. It appears only when it is complete.
/// precision: "int8"; "auto", which keeps as many layers in half precision as `agreement` needs; "int4"; "f16"; or "f32".
/// calibration: a folder with a handful of typical pictures to calibrate rounding with; None: drawn scenes.
/// rounding: "compensated", or "nearest", which is faster and less accurate.
/// conv: "winograd4", "winograd2" or "direct": how the largest 3x3 convolutions run in int8; None: as fits the precision.
/// agreement: for "auto", the share of pixels that must agree with half precision; None: 0.976.
/// sqnr_floor: for "int8", "int4" and "auto", layers with a lower signal-to-noise ratio in decibels stay in half precision.
/// recipe: "hf", as transformers runs the model, or "paper", as the published models were trained; None: "hf" for tensors named as
///     in transformers, "paper" for those of unilm and mmsegmentation.
/// size: (height, width) of the input in pixels, multiples of the patch size; None: as the checkpoint says.
/// names: class names and colours: "ade20k", "cityscapes", "coco-stuff", "voc", "camvid", or the path of a text file with a class
///     on each line, `name` or `red green blue name`.
/// key: the key of the state dict in a file that holds several.
/// heads: attention heads, if the checkpoint does not say.
/// feature_blocks: four numbers of blocks before each feature that the neck of a segmentation model reads; None: as the
///     checkpoint says.
/// progress: called as `progress(phase, done, total)`: phase is a text, the numbers count its steps. An exception ends the
///     conversion.
///
/// Returns a `beitle.Report`. Raises OSError for files that cannot be read, written or downloaded, and beitle.ModelError for
/// checkpoints that are damaged or not of this family. KeyboardInterrupt ends a conversion after its current step, and a download
/// at once; the file `out` is then as it was.
#[allow(clippy::too_many_arguments)] // keyword arguments of Python
#[pyfunction]
#[pyo3(signature = (source, out, *, precision = "int8", calibration = None, rounding = "compensated", conv = None,
    agreement = None, sqnr_floor = None, recipe = None, size = None, names = None, key = None, heads = None,
    feature_blocks = None, progress = None))]
pub fn convert<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    out: PathBuf,
    precision: &str,
    calibration: Option<PathBuf>,
    rounding: &str,
    conv: Option<&str>,
    agreement: Option<f64>,
    sqnr_floor: Option<f64>,
    recipe: Option<&str>,
    size: Option<&Bound<'py, PyAny>>,
    names: Option<&Bound<'py, PyAny>>,
    key: Option<String>,
    heads: Option<i64>,
    feature_blocks: Option<&Bound<'py, PyAny>>,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(source) = path_of(source)? else {
        return Err(wrong_type("source", "a path, a URL or the name of a model", source));
    };
    check_output(&out)?;
    let auto = precision == "auto";
    let mut options = match by_name(Precision::ALL, Precision::name, precision) {
        Some(chosen) => Options::new(source, out, chosen),
        None if auto => Options::auto(source, out),
        None => return Err(one_of("precision", "int8, auto, int4, f16, f32", precision)),
    };
    if let Some(name) = conv {
        let found = Conv::by_name(name);
        options.conv = found.ok_or_else(|| one_of("conv", "winograd4, winograd2, direct", name))?;
    }
    options.rounding = rounding_of(rounding, calibration)?;
    options.agreement = agreement_of(agreement, auto)?.or(options.agreement);
    options.sqnr_floor = sqnr_floor_of(sqnr_floor, options.precision)?;
    let recipe_of =
        |name| by_name(Recipe::ALL, Recipe::name, name).ok_or_else(|| one_of("recipe", "hf, paper", name));
    options.recipe = recipe.map(recipe_of).transpose()?;
    options.size = size.map(crate::request::size).transpose()?;
    options.names = match names {
        None => None,
        Some(names) => match path_of(names)? {
            None => return Err(wrong_type("names", "the name of a data set or a path", names)),
            Some(name) => Some(Names::new(name)),
        },
    };
    options.key = key;
    let number = |heads: i64| {
        let heads = usize::try_from(heads).ok().filter(|heads| *heads > 0);
        heads.ok_or_else(|| value("heads", "expected a positive number"))
    };
    options.heads = heads.map(number).transpose()?;
    options.feature_blocks = match feature_blocks {
        None => None,
        Some(blocks) => {
            let four = blocks
                .extract()
                .map_err(|_| wrong_type("feature_blocks", "four numbers of blocks", blocks))?;
            Some(four)
        }
    };
    if let Some(progress) = progress
        && !progress.is_callable()
    {
        return Err(wrong_type("progress", "a function", progress));
    }
    let report = run(py, options, progress.map(Bound::as_unbound))?;
    let text = report.to_string();
    let class = py.import("beitle._types")?.getattr("Report")?;
    class.call1((report.file_bytes, report.notes, report.ignored, text))
}

fn rounding_of(rounding: &str, calibration: Option<PathBuf>) -> PyResult<Rounding> {
    match (rounding, calibration) {
        ("compensated", folder) => Ok(Rounding::Compensated(folder)),
        ("nearest", None) => Ok(Rounding::Nearest),
        ("nearest", Some(_)) => Err(value("calibration", "needs rounding=\"compensated\"")),
        (other, _) => Err(one_of("rounding", "compensated, nearest", other)),
    }
}

fn agreement_of(agreement: Option<f64>, auto: bool) -> PyResult<Option<f64>> {
    match agreement {
        None => Ok(None),
        Some(_) if !auto => Err(value("agreement", "needs precision=\"auto\"")),
        Some(share) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
        Some(other) => Err(value("agreement", format_args!("expected a number from 0 to 1, got {other}"))),
    }
}

fn sqnr_floor_of(floor: Option<f64>, precision: Precision) -> PyResult<Option<f64>> {
    match floor {
        Some(db) if !db.is_finite() => Err(value("sqnr_floor", format_args!("expected decibels, got {db}"))),
        Some(_) if !matches!(precision, Precision::Int8 | Precision::Int4) => {
            Err(value("sqnr_floor", "needs precision \"int8\", \"int4\" or \"auto\""))
        }
        floor => Ok(floor),
    }
}

/// Checks that the output can be a file that is written.
fn check_output(out: &Path) -> PyResult<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && !folder.is_dir()
    {
        let kind = if folder.exists() { ErrorKind::NotADirectory } else { ErrorKind::NotFound };
        return Err(errors::os(out, &kind.into()));
    }
    match out.metadata() {
        Ok(found) if found.is_dir() => Err(errors::os(out, &ErrorKind::IsADirectory.into())),
        Ok(found) if found.is_file() && found.permissions().readonly() => {
            Err(errors::os(out, &ErrorKind::PermissionDenied.into()))
        }
        _ => Ok(()),
    }
}

/// Downloads the checkpoint if it is not on this machine, and converts it.
fn run(
    py: Python<'_>,
    mut options: Options,
    progress: Option<&Py<PyAny>>,
) -> PyResult<beitle_quantize::Report> {
    let source = options.checkpoint.clone();
    let fetch = move |report: &mut OnStep| hub::fetch(&source, report);
    options.checkpoint = on_thread(py, progress, End::AtOnce, fetch)?.map_err(|e| errors::download(&e))?;
    // Not the threads that rayon has for the whole process: they do not exist in a process that was forked.
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build().map_err(|e| errors::threads(&e))?;
    let convert = move |report: &mut OnStep| pool.install(|| beitle_quantize::convert(&options, report));
    on_thread(py, progress, End::AfterStep, convert)?.map_err(|e| errors::conversion(&e))
}

/// What the converter calls after each step.
type OnStep = dyn FnMut(Progress) + Send;

/// How an exception ends the work of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The caller does not wait: a server may be silent for minutes. The thread ends after the step that it is in.
    AtOnce,
    /// The caller waits for the end of the step, after which nothing is written any more. Signals are looked at between steps
    /// only: after the last one the output is written, and an exception would say that it is not.
    AfterStep,
}

/// The stack of a thread that converts, as large as that of a program's main thread.
const STACK: usize = 8 << 20;

/// Does `work` on another thread without Python's lock, while this one, on which Python's signal handlers run, calls `progress`.
/// The converter cannot be asked to stop, so an exception of `progress` or of a handler unwinds it, which removes its temporary
/// files as a panic would.
fn on_thread<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Py<PyAny>>,
    end: End,
    work: impl FnOnce(&mut OnStep) -> T + Send + 'static,
) -> PyResult<T> {
    let (steps, next_step) = channel::<Progress>();
    let (go_on, answer) = channel::<()>();
    let mut report = move |now| {
        // After an exception the other ends of the channels do not exist.
        if steps.send(now).is_err() || answer.recv().is_err() {
            // Unlike `panic!`, it prints nothing.
            resume_unwind(Box::new("stopped by an exception"));
        }
    };
    let thread = thread::Builder::new().name("beitle".into()).stack_size(STACK);
    let thread = thread.spawn(move || work(&mut report)).map_err(|e| errors::threads(&e))?;
    let watch = move || {
        loop {
            let step = next_step.recv_timeout(SIGNALS);
            match step {
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if end == End::AfterStep => continue,
                _ => {}
            }
            Python::attach(|py| {
                py.check_signals()?;
                let (Some(progress), Ok(now)) = (progress, step) else { return Ok(()) };
                progress.call1(py, (now.phase.to_string(), now.done, now.total)).map(|_| ())
            })?;
            if step.is_ok() {
                // If the thread has panicked meanwhile, the next look at its steps finds that out.
                let _ = go_on.send(());
            }
        }
    };
    py.detach(move || {
        let watched = watch();
        // With its ends of the channels, for whose messages the thread would wait.
        drop(watch);
        if let Err(e) = watched {
            if end == End::AfterStep {
                let _ = thread.join();
            }
            return Err(e);
        }
        thread.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

fn by_name<T: Copy>(all: &[T], name_of: fn(T) -> &'static str, name: &str) -> Option<T> {
    all.iter().copied().find(|item| name_of(*item) == name)
}

fn one_of(argument: &str, expected: &str, found: &str) -> PyErr {
    value(argument, format_args!("expected one of {expected}, got {found:?}"))
}
