//! Decimal numbers in arguments.

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
