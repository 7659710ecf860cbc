//! Text for terminals.

/// Replaces control characters except line breaks. Names of files, and names in files, may contain escape sequences, which
/// terminals obey.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn escape_sequences_are_not_printed() {
        assert_eq!(super::printable("a\x1b[31m\n\u{9b}b"), "a\u{fffd}[31m\n\u{fffd}b");
    }
}
