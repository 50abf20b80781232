//! Figures as JSON lines, on the standard output.

use serde::{Deserialize, Serialize};

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

/// Seconds of processor time that this process has taken so far, on all its threads: what a run cost on a machine
/// that others use too. Zero where there is no `/proc`.
pub fn cpu_seconds() -> f64 {
    /// `sysconf(_SC_CLK_TCK)`, a constant of the interface to user space.
    const TICKS: f64 = 100.0;
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return 0.0;
    };
    // The name, in brackets, may hold anything; user and system time are fields 14 and 15.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
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
            cpu: cpu_seconds(),
        }
    }

    /// Prints how many per second there were, and what one cost.
    pub fn report(&self, what: &str, events: usize) {
        let (wall, cpu) = (self.begun.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        figure(what, events as f64 / wall, "events/s");
        figure(format!("{what}/cpu"), cpu * 1e6 / events as f64, "µs/event");
    }
}
