//! Figures as JSON lines, on the standard output.

use serde::{Deserialize, Serialize};

use crate::process::Process;

/// One measured value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured, as a path: `ingest/ours/100000`.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// Prints a figure.
pub fn figure(what: impl Into<String>, value: f64, unit: &str) {
    let figure = Figure {
        what: what.into(),
        value,
        unit: unit.to_owned(),
    };
    println!(
        "{}",
        serde_json::to_string(&figure).expect("a finite number and two texts serialise")
    );
}

/// The wall time and the processor time of one run.
pub struct Stopwatch {
    begun: std::time::Instant,
    cpu: f64,
}

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self {
            begun: std::time::Instant::now(),
            cpu: Process::own().cpu_seconds(),
        }
    }

    /// Prints how many per second there were, and what one cost.
    pub fn report(&self, what: &str, events: usize) {
        let wall = self.begun.elapsed().as_secs_f64();
        let cpu = Process::own().cpu_seconds() - self.cpu;
        figure(what, events as f64 / wall, "events/s");
        figure(format!("{what}/cpu"), cpu * 1e6 / events as f64, "µs/event");
    }
}
