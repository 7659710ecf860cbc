//! Standard output and error that may be closed at any time, and how a command fails.

use std::fmt::{Arguments, Display};
use std::io::{self, Write};

/// Why a command ends without success.
#[derive(Debug)]
pub struct Failure {
    /// Exit status: 1 where the work failed, 2 where what was asked makes no sense.
    pub status: u8,
    /// What to tell the user.
    pub message: String,
}

impl Failure {
    /// The work failed.
    pub fn work(message: impl Display) -> Self {
        Failure { status: 1, message: message.to_string() }
    }

    /// What was asked makes no sense.
    pub fn usage(message: impl Display) -> Self {
        Failure { status: 2, message: message.to_string() }
    }
}

/// Standard output; falls silent when nobody reads it any more, so that files are still written.
#[derive(Default)]
pub struct Output {
    closed: bool,
}

impl Output {
    /// Writes a line.
    ///
    /// # Errors
    /// Anything but a closed pipe, a full disk for instance.
    pub fn line(&mut self, text: Arguments<'_>) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
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

/// Writes a line to standard error, if anybody reads it.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "beitle: {message}");
}

/// A number of bytes for people.
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

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_readable() {
        assert_eq!(super::bytes(1023), "1023 bytes");
        assert_eq!(super::bytes(1536), "1.5 KiB");
        assert_eq!(super::bytes(5 << 40), "5120.0 GiB");
    }
}
