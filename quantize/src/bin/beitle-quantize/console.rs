//! Messages on standard error.

use beitle_files::printable;
use std::io::{self, Write};

/// Prints a line to standard error; errors are ignored, since there is nowhere left to report them.
pub fn warn(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", printable(&message.to_string()));
}
