//! Numbers in arguments.

/// A decimal number with at most six digits before and after the point. The standard library's parser of floating-point numbers
/// would be the only use of 20 kB of code and tables.
pub fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.len() <= 6 && part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let number: u64 = format!("{whole}{fraction}").parse().ok()?;
    Some(number as f64 / 10u64.pow(fraction.len() as u32) as f64)
}

/// A number from 0 to 1, for the parser of arguments.
///
/// # Errors
/// A message for the user.
pub fn share(text: &str) -> Result<f64, String> {
    let share = decimal(text).filter(|value| *value <= 1.0);
    share.ok_or_else(|| "expected a number between 0 and 1, such as 0.6".into())
}

/// Two numbers with one of the separators between them, such as the sides of 640x480.
pub fn pair(text: &str, separators: &[char]) -> Option<(usize, usize)> {
    let (first, second) = text.split_once(separators)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_parsed_as_by_the_standard_library() {
        for text in ["0", "1", "0.5", "1.25", "1.75", "0.333333", "123456.654321", "007.10"] {
            assert_eq!(decimal(text), text.parse().ok(), "{text}");
        }
        for text in ["", ".", ".5", "-1", "+1", "1e3", "1.2.3", "inf", "NaN", "1,5", "1234567", "0.1234567"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
