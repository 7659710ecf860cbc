//! The value of `--cores`: a list of CPUs, as `taskset` takes it.

use beitle::parallel::Cores;
use std::collections::BTreeSet;

/// The largest number of a CPU. Linux supports no more.
const MAX: usize = 8191;

/// The CPUs of a list of numbers and ranges, such as `0,2,4-7`.
///
/// # Errors
/// What is wrong with the list, and what is expected.
pub fn parse(list: &str) -> Result<Cores, String> {
    let mut cpus = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = number(first).zip(number(last)).filter(|(first, last)| first <= last);
        let (first, last) = range.ok_or_else(|| {
            format!("{part:?}: expected numbers of CPUs, 0 to {MAX}, and ranges of them, such as 4-7 or 0,2")
        })?;
        cpus.extend(first..=last);
    }
    Ok(Cores::new(cpus))
}

/// The number of a CPU.
fn number(text: &str) -> Option<usize> {
    // Not the sign that `parse` would take.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && *n <= MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_numbers_and_ranges() {
        for (list, shown) in
            [("0", "0"), ("4-7", "4-7"), ("0,2", "0,2"), ("6,0-1,1-2,8191", "0-2,6,8191"), ("3-3", "3")]
        {
            assert_eq!(parse(list).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn other_lists_are_refused_with_their_wrong_part() {
        let lists = [
            "",
            ",",
            "0,",
            "a",
            "4-",
            "-4",
            "7-4",
            "1-2-3",
            "+1",
            " 1",
            "0x1",
            "1.5",
            "8192",
            "99999999999999999999",
        ];
        for list in lists {
            let error = parse(list).unwrap_err();
            assert!(error.contains("4-7 or 0,2"), "{list}: {error}");
        }
        assert!(parse("0,7-4,9").unwrap_err().starts_with("\"7-4\":"));
        assert_eq!(parse(&["0-8191"; 10].join(",")).unwrap().len(), 8192);
    }
}
