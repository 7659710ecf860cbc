//! Text from untrusted files, for weight files, reports and messages.

/// The text with a space for each control character and line break, so that it is one line and does not control a terminal.
pub fn printable(text: &str) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if is_break(c) { ' ' } else { c }).collect()
}

/// The longest start of the text that has at most `bytes` bytes.
pub fn start(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// Text for an error message: at most 200 bytes of it.
pub fn excerpt(text: &str) -> String {
    const LENGTH: usize = 200;
    if text.len() <= LENGTH { text.to_string() } else { format!("{} ...", start(text, LENGTH)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc\t\0\u{7f}\u{9b}\u{2028}d"), "a [2Jb  c     d");
        assert_eq!(printable("Straße 道路 \u{1f697}"), "Straße 道路 \u{1f697}");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!((start("aß", 3), start("aß", 2), start("aß", 0)), ("aß", "a", ""));
        assert_eq!(excerpt(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(excerpt(&"ß".repeat(101)), format!("{} ...", "ß".repeat(100)));
    }
}
