//! Signals that a test's process ignores.

/// The name of a signal for `kill`, if this process, and so the programs that it starts, do not ignore it: after `nohup`, and in
/// the background of a script, they ignore some.
pub fn unless_ignored(name: &str, number: u32) -> Option<&str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    if mask >> (number - 1) & 1 == 1 {
        eprintln!("skipped: this process ignores SIG{name}");
        return None;
    }
    Some(name)
}
