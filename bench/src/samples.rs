//! Durations of many runs of one thing.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::report::figure;

/// Measured durations: by the clock, and what the calling thread worked. On a machine that others use too the slowest
/// run by the clock tells of them, not of us.
#[derive(Default)]
pub struct Samples {
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
}

impl Samples {
    /// Measures one run.
    pub fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let (begun, worked) = (Instant::now(), worked());
        let result = run();
        self.cpu.push(self::worked().saturating_sub(worked));
        self.wall.push(begun.elapsed());
        result
    }

    /// Prints p50 and p99 in milliseconds, by the clock and of the processor.
    pub fn report(&mut self, what: &str) {
        for (durations, of) in [(&mut self.wall, ""), (&mut self.cpu, "cpu ")] {
            durations.sort_unstable();
            for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
                let ms = percentile(durations, share).as_secs_f64() * 1e3;
                figure(format!("{what}/{of}{name}"), ms, "ms");
            }
        }
    }
}

/// The duration that `share` of the runs do not exceed.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(place.saturating_sub(1).min(last))
        .copied()
        .unwrap_or_default()
}

fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
