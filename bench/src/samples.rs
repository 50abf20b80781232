//! Durations of many runs of one thing.

use std::time::{Duration, Instant};

use crate::report::figure;

/// Measured durations.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Measures one run.
    pub fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = run();
        self.0.push(begun.elapsed());
        result
    }

    /// The duration that `share` of the runs do not exceed.
    pub fn percentile(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0
            .get(place.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    }

    /// Prints p50 and p99 in milliseconds.
    pub fn report(&mut self, what: &str) {
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let ms = self.percentile(share).as_secs_f64() * 1e3;
            figure(format!("{what}/{name}"), ms, "ms");
        }
    }
}
