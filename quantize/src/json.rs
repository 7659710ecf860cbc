//! JSON files of limited size: a path in, a value out, in bounded memory.
//!
//! A parsed value takes many times the memory of its text: 32 bytes for the `0` in a list, several hundred for the object
//! `{"":0}`. So not only the text's length is limited, but also the number of values and that of lists and objects, which are
//! counted before the text is parsed.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::regular_file;

/// Upper bound on a file's values. Two tables of 65,535 classes have half as many.
const MAX_VALUES: usize = 1 << 18;
/// Upper bound on a file's lists and objects. Real files have a few dozen.
const MAX_GROUPS: usize = 1 << 12;

/// Reads a JSON file of at most `max_bytes` bytes.
///
/// # Errors
/// The file cannot be read, exceeds a limit, or is not JSON.
pub fn read(path: &Path, max_bytes: u64) -> Result<Value, Error> {
    let text = regular_file::read(path, max_bytes)?;
    // Every value but the outermost follows a comma or the bracket of its list or object. Commas and brackets in strings are
    // counted, too, which the limits have room for.
    let groups = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    let values = groups + text.iter().filter(|byte| **byte == b',').count();
    for (found, limit, what) in
        [(groups, MAX_GROUPS, "opening brackets"), (values, MAX_VALUES, "commas and opening brackets")]
    {
        if found > limit {
            return Err(Error::new(path, format!("has {found} {what}; expected at most {limit}")));
        }
    }
    serde_json::from_slice(&text).map_err(|e| Error::new(path, format!("is not JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Value, String> {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("beitle-json-{}-{number}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let result = read(&path, 1 << 20);
        std::fs::remove_file(&path).unwrap();
        result.map_err(|e| e.to_string())
    }

    fn assert_refused(text: &str, part: &str) {
        let message = read_text(text).unwrap_err();
        assert!(message.contains(part), "{message} lacks {part}");
    }

    #[test]
    fn limits_hold_exactly() {
        let list = |values: usize| format!("[0{}]", ",0".repeat(values - 1));
        assert!(read_text(&list(MAX_VALUES)).is_ok());
        assert_refused(
            &list(MAX_VALUES + 1),
            "has 262145 commas and opening brackets; expected at most 262144",
        );
        let groups = |groups: usize| format!("[{{}}{}]", ",{}".repeat(groups - 2));
        assert!(read_text(&groups(MAX_GROUPS)).is_ok());
        assert_refused(&groups(MAX_GROUPS + 1), "has 4097 opening brackets; expected at most 4096");
        let spaces = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
        assert!(read_text(&spaces(1 << 20)).is_ok());
        assert_refused(&spaces((1 << 20) + 1), "has 1048577 bytes; expected at most 1048576");
    }

    #[test]
    fn deep_and_malformed_text_is_an_error() {
        for text in
            ["", "{", "nonsense", &"[".repeat(4096), &format!("{}1{}", "[".repeat(200), "]".repeat(200))]
        {
            assert_refused(text, "is not JSON");
        }
    }
}
