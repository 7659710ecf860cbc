//! What one run may use of the machine, and why a picture was not run.

use crate::console::bytes;
use beitle::file::format::Role;
use beitle::observe::{Observer, Stage, TensorName};
use beitle_pictures::zeroed;
use std::fmt;

/// What one run may use. Without limits a small hostile file could ask for all memory, or run for hours.
#[derive(Clone, Copy)]
pub struct RunLimits {
    /// Bytes of the arena, together with the results of a run.
    pub arena_bytes: usize,
    /// Multiply-accumulates for each window.
    pub macs: u64,
    /// Windows of a picture, in all views together.
    pub windows: usize,
}

/// Why a picture was not run.
#[derive(Debug)]
pub enum RunError {
    /// The engine refused the picture.
    Engine(beitle::Error),
    /// The picture does not have the channels that the model takes.
    Picture(beitle_pictures::Error),
    /// The arena is larger than allowed: its size and the limit in bytes.
    Arena(usize, usize),
    /// The operating system refused memory for a buffer of this many bytes.
    Memory(usize),
    /// This point lies outside the map, whose width and height come second.
    Point([usize; 2], (usize, usize)),
    /// A result is infinite or not a number.
    NotFinite,
    /// A window takes more work than allowed: the limit in multiply-accumulates.
    Work(u64),
    /// The picture has more windows than allowed: their number and the limit.
    Windows(usize, usize),
}

impl From<beitle::Error> for RunError {
    fn from(e: beitle::Error) -> Self {
        RunError::Engine(e)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RunError::Engine(ref e) => e.fmt(f),
            RunError::Picture(ref e) => e.fmt(f),
            RunError::Arena(needed, limit) => {
                let [needed, limit] = [needed, limit].map(|n| bytes(n as u64));
                write!(f, "the run would need {needed} of working memory; --max-arena allows {limit}")
            }
            RunError::Memory(n) => write!(f, "not enough memory for a buffer of {}", bytes(n as u64)),
            RunError::Point([x, y], (width, height)) => {
                write!(f, "--point {x},{y}: outside the map of {width}x{height} pixels")
            }
            RunError::NotFinite => {
                f.write_str("the results are not finite; the model's weights overflow on this picture")
            }
            RunError::Work(limit) => {
                let limit = limit / 1_000_000_000;
                write!(f, "stopped after {limit} billion multiply-accumulates, the limit of --max-work")
            }
            RunError::Windows(needed, limit) => {
                write!(f, "the picture would be run in {needed} windows; --max-windows allows {limit}")
            }
        }
    }
}

/// Memory for `len` values, all of them the default.
///
/// # Errors
/// The operating system refuses so much memory.
pub fn memory<T: Clone + Default>(len: usize) -> Result<Vec<T>, RunError> {
    zeroed(len).map_err(|_| RunError::Memory(len.saturating_mul(size_of::<T>())))
}

/// An observer that stops a run at the limits of its windows and of the work for each, and passes everything on to another observer.
pub struct WorkLimit<'a> {
    inner: &'a mut dyn Observer,
    limits: RunLimits,
    left: u64,
    /// The limit that was exceeded.
    pub exceeded: Option<RunError>,
}

impl<'a> WorkLimit<'a> {
    /// Nothing has been done yet.
    pub fn new(inner: &'a mut dyn Observer, limits: RunLimits) -> Self {
        WorkLimit { inner, limits, left: limits.macs, exceeded: None }
    }
}

impl Observer for WorkLimit<'_> {
    fn done(&mut self, stage: Stage, macs: u64) -> bool {
        if macs > self.left {
            self.exceeded = Some(RunError::Work(self.limits.macs));
        }
        self.left = self.left.saturating_sub(macs);
        self.inner.done(stage, macs) && self.exceeded.is_none()
    }
    fn window(&mut self, done: usize, total: usize) {
        self.left = self.limits.macs;
        if total > self.limits.windows {
            self.exceeded = Some(RunError::Windows(total, self.limits.windows));
        }
        self.inner.window(done, total);
    }
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        self.inner.tensor(name, data, width, pitch);
    }
    fn wants_tensors(&self) -> bool {
        self.inner.wants_tensors()
    }
    fn input(&mut self, role: Role, layer: u16, rows: &[f32], width: usize, pitch: usize) {
        self.inner.input(role, layer, rows, width, pitch);
    }
    fn wants_layers(&self) -> bool {
        self.inner.wants_layers()
    }
    fn wants_inputs(&self) -> bool {
        self.inner.wants_inputs()
    }
}
