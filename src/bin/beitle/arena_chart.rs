//! The arena as a text chart (`beitle info --plan`): addresses downwards, phases of a run across, a letter per buffer.

use crate::console::{bytes, plural};
use beitle::plan::Plan;
use std::fmt::Write;
use std::ops::Range;

/// Columns of the chart: the phases of a run, in the order of the plan's phase bits.
const PHASES: [&str; 7] = ["resize", "embed", "attend", "mlp", "psp", "fpn 2", "bands"];
/// Rows of the chart.
const ROWS: usize = 32;
/// Letters of the buffers, in order of address.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A buffer of the plan.
struct Buffer {
    name: &'static str,
    range: Range<usize>,
    /// Bit set of the phases in which the buffer is alive.
    phases: u8,
}

impl Buffer {
    fn is_alive(&self, phase: usize) -> bool {
        self.phases >> phase & 1 == 1
    }
}

/// Draws the chart, the bytes in use in each phase, and the list of buffers.
pub fn draw(plan: &Plan) -> String {
    let mut buffers: Vec<_> =
        plan.buffers().map(|(name, range, phases)| Buffer { name, range, phases }).collect();
    buffers.sort_by_key(|b| (b.range.start, b.range.end));
    let total = plan.bytes();
    let mut text = format!("arena {} for {}\n\n", bytes(total as u64), plural(plan.workers(), "worker"));
    draw_chart(&mut text, &buffers, total);
    draw_phase_totals(&mut text, &buffers);
    list_buffers(&mut text, &buffers);
    text
}

fn letter(buffer: usize) -> char {
    LETTERS.get(buffer).copied().unwrap_or(b'#').into()
}

/// A row stands for an equal part of the addresses and shows the buffer at the middle of it.
fn draw_chart(text: &mut String, buffers: &[Buffer], total: usize) {
    let _ = write!(text, "{:>10}  ", "address");
    for phase in PHASES {
        let _ = write!(text, "{phase:<8}");
    }
    for row in 0..ROWS {
        let (start, middle) = (total * row / ROWS, total * (2 * row + 1) / (2 * ROWS));
        let _ = write!(text, "\n{:>10}  ", bytes(start as u64));
        for phase in 0..PHASES.len() {
            let here = buffers.iter().position(|b| b.is_alive(phase) && b.range.contains(&middle));
            let cell = here.map_or("·".repeat(6), |i| letter(i).to_string().repeat(6));
            let _ = write!(text, "{cell}  ");
        }
    }
}

fn draw_phase_totals(text: &mut String, buffers: &[Buffer]) {
    let used = |phase| buffers.iter().filter(|b| b.is_alive(phase)).map(|b| b.range.len()).sum::<usize>();
    let _ = write!(text, "\n\n{:>10}  ", "MiB in use");
    for phase in 0..PHASES.len() {
        let _ = write!(text, "{:<8}", format!("{:.1}", used(phase) as f64 / f64::from(1 << 20)));
    }
    let peak = (0..PHASES.len()).max_by_key(|&p| used(p)).unwrap_or(0);
    let _ = writeln!(text, "\nThe phase that needs most: {}.\n", PHASES[peak]);
}

fn list_buffers(text: &mut String, buffers: &[Buffer]) {
    for (i, b) in buffers.iter().enumerate() {
        let phases: Vec<_> = (0..PHASES.len()).filter(|&p| b.is_alive(p)).map(|p| PHASES[p]).collect();
        let (size, start) = (bytes(b.range.len() as u64), b.range.start);
        let phases = phases.join(", ");
        let _ = writeln!(text, "{}  {:22}{size:>11}  at {start:>9}  {phases}", letter(i), b.name);
    }
}
