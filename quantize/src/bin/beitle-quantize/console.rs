//! Messages on standard error.

use beitle_files::{has_colours, printable};
use std::io::{self, Write};

/// Prints a line to standard error; errors are ignored, since there is nowhere left to report them.
pub fn warn(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", printable(&message.to_string()));
}

/// Prints why the program failed, in red on a terminal that has colours.
pub fn report(message: std::fmt::Arguments<'_>) {
    let (start, end) = if has_colours(&io::stderr()) { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(io::stderr(), "{start}error:{end} {}", printable(&message.to_string()));
}
