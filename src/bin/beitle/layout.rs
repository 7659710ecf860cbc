//! The arena as a picture in text: what lies where, and when.

use crate::console::bytes;
use beitle::plan::Plan;
use std::fmt::Write;
use std::ops::Range;

/// Columns of the picture: the phases of a run.
const PHASES: [&str; 7] = ["resize", "embed", "attend", "mlp", "top", "level 2", "bands"];
/// Lines of the picture.
const LINES: usize = 32;
/// Letters for buffers, in the order of their addresses.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A buffer as the plan lists it.
struct Buffer {
    name: &'static str,
    range: Range<usize>,
    phases: u8,
}

impl Buffer {
    fn alive(&self, phase: usize) -> bool {
        self.phases >> phase & 1 == 1
    }
}

/// The picture, then every buffer with its letter, size and place.
pub fn draw(plan: &Plan) -> String {
    let mut buffers: Vec<_> =
        plan.buffers().map(|(name, range, phases)| Buffer { name, range, phases }).collect();
    buffers.sort_by_key(|b| (b.range.start, b.range.end));
    let letter = |i: usize| LETTERS.get(i).copied().unwrap_or(b'#') as char;
    let total = plan.bytes();
    let mut text =
        format!("arena {} for {} workers\n\n{:>10}  ", bytes(total as u64), plan.workers(), "address");
    for phase in PHASES {
        let _ = write!(text, "{phase:<8}");
    }
    for line in 0..LINES {
        // A line stands for its share of the addresses and shows the buffer in the middle of it.
        let (start, middle) = (total * line / LINES, total * (2 * line + 1) / (2 * LINES));
        let _ = write!(text, "\n{:>10}  ", bytes(start as u64));
        for phase in 0..PHASES.len() {
            let here = buffers.iter().position(|b| b.alive(phase) && b.range.contains(&middle));
            let cell = here.map_or("·".repeat(6), |i| letter(i).to_string().repeat(6));
            let _ = write!(text, "{cell}  ");
        }
    }
    let _ = write!(text, "\n\n{:>10}  ", "in use");
    let used = |phase| buffers.iter().filter(|b| b.alive(phase)).map(|b| b.range.len()).sum::<usize>();
    for phase in 0..PHASES.len() {
        let _ = write!(text, "{:<8}", format!("{:.1}M", used(phase) as f64 / f64::from(1 << 20)));
    }
    let most = (0..PHASES.len()).max_by_key(|&p| used(p)).unwrap_or(0);
    let _ = writeln!(text, "\nThe phase that needs most: {}.\n", PHASES[most]);
    for (i, b) in buffers.iter().enumerate() {
        let when: Vec<_> = (0..PHASES.len()).filter(|&p| b.alive(p)).map(|p| PHASES[p]).collect();
        let (size, at) = (bytes(b.range.len() as u64), b.range.start);
        let _ = writeln!(text, "{}  {:22}{size:>11}  at {at:>9}  {}", letter(i), b.name, when.join(" "));
    }
    text
}
