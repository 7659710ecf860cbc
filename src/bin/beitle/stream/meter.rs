//! Rate and latency of a stream.

use std::fmt;
use std::time::{Duration, Instant};

/// Steps of the histogram in an octave: percentiles are exact to 5 percent.
const STEPS: f64 = 16.0;
/// Octaves of microseconds.
const OCTAVES: usize = 40;

/// Counts frames and their latencies, in a memory of fixed size.
#[derive(Clone)]
pub struct Meter {
    start: Instant,
    frames: u64,
    dropped: u64,
    /// Frames by the logarithm of their latency.
    latencies: Vec<u64>,
}

impl Meter {
    pub fn new() -> Self {
        Meter { start: Instant::now(), frames: 0, dropped: 0, latencies: vec![0; STEPS as usize * OCTAVES] }
    }

    /// A frame whose result has been written, `latency` after the frame was read.
    pub fn frame(&mut self, latency: Duration) {
        let microseconds = (latency.as_micros() as f64).max(1.0);
        let step = (microseconds.log2() * STEPS) as usize;
        self.latencies[step.min(STEPS as usize * OCTAVES - 1)] += 1;
        self.frames += 1;
    }

    /// Frames that have been dropped.
    pub fn drop_frames(&mut self, frames: u64) {
        self.dropped += frames;
    }

    /// Time since the meter was made.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Adds the frames of another meter.
    pub fn add(&mut self, other: &Meter) {
        self.frames += other.frames;
        self.dropped += other.dropped;
        self.latencies.iter_mut().zip(&other.latencies).for_each(|(sum, n)| *sum += n);
    }

    /// Frames that have been counted.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The latency in milliseconds that a share of the frames does not exceed.
    fn percentile(&self, share: f64) -> f64 {
        let wanted = (share * self.frames as f64).ceil() as u64;
        let mut sum = 0;
        let step = self.latencies.iter().position(|n| {
            sum += n;
            sum >= wanted
        });
        ((step.unwrap_or(0) as f64 + 0.5) / STEPS).exp2() / 1000.0
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.frames as f64 / self.elapsed().as_secs_f64().max(1e-6);
        write!(f, "{rate:.1} frames per second")?;
        if self.frames > 0 {
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| self.percentile(share));
            write!(f, ", latency {p50:.1} ms (95 %: {p95:.1}, 99 %: {p99:.1})")?;
        }
        if self.dropped > 0 { write!(f, ", {} dropped", self.dropped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close() {
        let mut meter = Meter::new();
        (1..=1000).for_each(|ms| meter.frame(Duration::from_millis(ms)));
        for (share, want) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (0.001, 1.0)] {
            let found = meter.percentile(share);
            assert!((found / want - 1.0).abs() < 0.05, "{share}: {found}");
        }
        let mut other = Meter::new();
        other.frame(Duration::ZERO);
        other.frame(Duration::MAX);
        meter.add(&other);
        assert_eq!(meter.frames(), 1002);
        other.drop_frames(3);
        assert!(other.to_string().ends_with(", 3 dropped"));
    }
}
