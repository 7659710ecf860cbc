//! Shows how far a conversion has come, on standard error: a bar on a terminal, elsewhere a line now and then.

use crate::console::warn;
use beitle_quantize::{Phase, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// The time between two lines of a phase.
const INTERVAL: Duration = Duration::from_secs(10);

pub struct Display {
    /// `None` where standard error is not a terminal.
    bar: Option<ProgressBar>,
    start: Instant,
    /// The phase of the last line, and when it was printed.
    last: Option<(Phase, Instant)>,
}

impl Display {
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| ProgressBar::new(0));
        if let (Some(bar), Ok(style)) =
            (&bar, ProgressStyle::with_template("{msg}: {bar:40} {pos} of {len}, {elapsed}"))
        {
            bar.set_style(style);
        }
        Display { bar, start: Instant::now(), last: None }
    }

    pub fn show(&mut self, now: Progress) {
        let Progress { phase, done, total } = now;
        if let Some(bar) = &self.bar {
            bar.set_message(phase.to_string());
            bar.set_length(total as u64);
            return bar.set_position(done as u64);
        }
        // The first line says that a phase begins, the next ones that it goes on.
        let is_due = self.last.is_none_or(|(last, at)| last != phase || at.elapsed() >= INTERVAL);
        if is_due {
            let seconds = self.start.elapsed().as_secs();
            warn(format_args!("{phase}: {done} of {total}, {seconds} s"));
            self.last = Some((phase, Instant::now()));
        }
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
