//! Chrome's trace format ("Trace Event Format" in its documentation), which <chrome://tracing> and
//! <https://ui.perfetto.dev> display as a timeline.

use beitle::observe::Stage;
use serde_json::json;

/// A step of a run. Stages follow one another for any number of threads, so the events do not overlap.
#[derive(Clone, Copy)]
pub struct Event {
    /// The stage the step belongs to.
    pub stage: Stage,
    /// Seconds from the beginning of the run.
    pub start: f64,
    /// Duration.
    pub seconds: f64,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// Encodes a run as JSON: an event called `name` that spans all others, then the events.
pub fn encode(name: &str, events: &[Event]) -> String {
    let event = |name: &str, start: f64, seconds: f64, macs: u64| {
        let rate = if seconds > 0.0 { macs as f64 / seconds / 1e9 } else { 0.0 };
        json!({
            "name": name, "ph": "X", "pid": 1, "tid": 1, "ts": start * 1e6, "dur": seconds * 1e6,
            "args": {"GMAC": macs as f64 / 1e9, "GMAC/s": rate},
        })
    };
    let end = events.last().map_or(0.0, |e| e.start + e.seconds);
    let whole = event(name, 0.0, end, events.iter().map(|e| e.macs).sum());
    let parts = events.iter().map(|e| event(e.stage.name(), e.start, e.seconds, e.macs));
    let all: Vec<_> = std::iter::once(whole).chain(parts).collect();
    json!({"displayTimeUnit": "ms", "traceEvents": all}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_spans_the_run() {
        let events = [
            Event { stage: Stage::Resize, start: 0.0, seconds: 0.25, macs: 0 },
            Event { stage: Stage::Embed, start: 0.25, seconds: 0.5, macs: 1_000_000_000 },
        ];
        let trace: serde_json::Value = serde_json::from_str(&encode("demo", &events)).unwrap();
        let all = trace["traceEvents"].as_array().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!((&all[0]["name"], &all[0]["dur"]), (&json!("demo"), &json!(750_000.0)));
        assert_eq!((&all[2]["name"], &all[2]["ts"]), (&json!("embed"), &json!(250_000.0)));
        assert_eq!(all[2]["args"]["GMAC/s"], json!(2.0));
    }
}
