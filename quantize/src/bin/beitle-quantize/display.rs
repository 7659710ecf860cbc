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
    /// The phase that is shown, and when a line was last printed.
    last: Option<(Phase, Instant)>,
}

impl Display {
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| ProgressBar::new(0));
        Display { bar, start: Instant::now(), last: None }
    }

    pub fn show(&mut self, now: Progress) {
        let Progress { phase, done, total } = now;
        if let Some(bar) = &self.bar {
            if self.last.is_none_or(|(last, _)| last != phase) {
                self.last = Some((phase, Instant::now()));
                bar.set_message(phase.to_string());
                let template = match phase {
                    Phase::Download => {
                        "{msg}: {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
                    }
                    _ => "{msg}: {bar:40} {pos} of {len}, {elapsed}",
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                bar.reset();
            }
            bar.set_length(total as u64);
            return bar.set_position(done as u64);
        }
        // The first line says that a phase begins, the next ones that it goes on.
        let is_due = self.last.is_none_or(|(last, at)| last != phase || at.elapsed() >= INTERVAL);
        if is_due {
            let seconds = self.start.elapsed().as_secs();
            match phase {
                Phase::Download => warn(format_args!(
                    "{phase}: {} of {} MB, {seconds} s",
                    done / 1_000_000,
                    total / 1_000_000
                )),
                _ => warn(format_args!("{phase}: {done} of {total}, {seconds} s")),
            }
            self.last = Some((phase, Instant::now()));
        }
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
