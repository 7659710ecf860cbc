//! Terminal output and failures.
//!
//! Standard output may be closed at any time (`beitle ... | head`). The commands then continue without printing, so
//! that their output files are complete.

use beitle_files::printable;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::{Arguments, Display};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// Exit status: 1 if the work failed, 2 if the arguments are invalid.
    pub status: u8,
    /// The message for the user.
    pub message: String,
}

impl Failure {
    /// The work failed: status 1.
    pub fn work(message: impl Display) -> Self {
        Failure { status: 1, message: message.to_string() }
    }

    /// The work on a file failed: status 1, and the message begins with the path.
    pub fn file(path: &Path, cause: impl Display) -> Self {
        Failure::work(format_args!("{}: {cause}", path.display()))
    }

    /// The arguments are invalid: status 2.
    pub fn usage(message: impl Display) -> Self {
        Failure { status: 2, message: message.to_string() }
    }
}

/// Standard output. Once the reader has closed the pipe, further lines are discarded.
#[derive(Default)]
pub struct Stdout {
    closed: bool,
}

impl Stdout {
    /// Prints a line.
    ///
    /// # Errors
    /// Any I/O error other than a closed pipe, such as a full disk.
    pub fn line(&mut self, text: Arguments<'_>) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let text = printable(&text.to_string());
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(|e| Failure::work(format_args!("standard output: {e}"))),
        }
    }
}

/// Writes a file to standard output; it may be closed, as in [`Stdout`].
///
/// # Errors
/// Any other I/O error.
pub fn write_stdout(file: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(file).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::work(format_args!("standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error; errors are ignored, since there is nowhere left to report them.
pub fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "beitle: {}", printable(message));
}

/// Prints why the program ends with a failure, and on a terminal, after invalid arguments, where to read about them.
pub fn report(failure: &Failure) {
    beitle_files::print_failure("beitle", &failure.message);
    if failure.status == 2 && io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "For the arguments of a command: beitle help COMMAND");
    }
}

/// A progress bar on standard error, hidden for a single item and where standard error is not a terminal.
pub fn progress_bar(items: usize) -> ProgressBar {
    if items < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(items as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {eta} left  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// Formats a number of bytes with a binary unit.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} {}", UNITS[0]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Formats a count with its noun: `1 thread`, `2 threads`.
pub fn plural<N: Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    format!("{n} {noun}{}", if n == N::from(1) { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_binary_units() {
        assert_eq!(super::bytes(1023), "1023 bytes");
        assert_eq!(super::bytes(1536), "1.5 KiB");
        assert_eq!(super::bytes(5 << 40), "5120.0 GiB");
    }
}
