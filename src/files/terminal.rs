//! Text for terminals.

use std::io::{self, IsTerminal, Write};

/// Replaces control characters except line breaks. Names of files, and names in files, may contain escape sequences, which
/// terminals obey.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Prints why a program failed to standard error: a label, red where colours are shown, and the message. Errors are ignored, since
/// there is nowhere left to report them.
pub fn print_failure(label: &str, message: &str) {
    let mut stderr = io::stderr().lock();
    let (red, end) = if has_colours(&stderr) { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(stderr, "{red}{label}:{end} {}", printable(message));
}

/// Whether to colour text on an output: it is a terminal that shows colours, and the user has not set `NO_COLOR`
/// (<https://no-color.org>).
fn has_colours(output: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    output.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    #[test]
    fn escape_sequences_are_not_printed() {
        assert_eq!(super::printable("a\x1b[31m\n\u{9b}b"), "a\u{fffd}[31m\n\u{fffd}b");
    }
}
