//! How notes spread, in figures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::{PeerId, Sim};
use crate::time::Millis;

/// The way of one note through the network.
#[derive(Clone, Debug)]
pub struct Tracked {
    posted: Millis,
    /// When it came to each peer, and over how many hops.
    arrivals: BTreeMap<PeerId, (Millis, u32)>,
}

impl Tracked {
    pub(super) fn new(author: PeerId, now: Millis) -> Self {
        Self {
            posted: now,
            arrivals: BTreeMap::from([(author, (now, 0))]),
        }
    }

    pub(super) fn arrived(&mut self, peer: PeerId, from: PeerId, now: Millis) {
        let hops = self.arrivals.get(&from).map_or(0, |(_, hops)| *hops);
        self.arrivals.entry(peer).or_insert((now, hops + 1));
    }

    /// How many peers it has reached, its author's not counted.
    pub fn reached(&self) -> usize {
        self.arrivals.len() - 1
    }

    /// The time that it took to a part of those whom it reached: `1.0` for all of them.
    pub fn time(&self, part: f64) -> Duration {
        let times = self.arrivals.values().map(|(at, _)| at.since(self.posted));
        quantile(times.collect(), part).unwrap_or_default()
    }

    /// The hops over which it came to a part of those whom it reached.
    pub fn hops(&self, part: f64) -> u32 {
        let hops = self.arrivals.values().map(|(_, hops)| *hops);
        quantile(hops.collect(), part).unwrap_or_default()
    }
}

fn quantile<T: Ord + Copy>(mut values: Vec<T>, part: f64) -> Option<T> {
    values.sort_unstable();
    values.remove(0);
    let place = (values.len() as f64 * part).ceil() as usize;
    values.get(place.clamp(1, values.len().max(1)) - 1).copied()
}

fn middle<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// A line of the table: one scenario.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happened.
    pub scenario: String,
    /// Peers in all.
    pub peers: usize,
    /// Events that were to arrive somewhere, and how many did.
    pub wanted: u64,
    /// Of these.
    pub delivered: u64,
    /// Virtual time to half, to 95 of 100, and to the last.
    pub time: [Duration; 3],
    /// Hops to half, to 95 of 100, and to the last.
    pub hops: [u32; 3],
    /// Events sent over links.
    pub copies: u64,
    /// Bytes sent over links.
    pub bytes: u64,
}

impl Row {
    /// The figures of a note that all running peers want, with what was sent since `before` (see [`Sim::traffic`]).
    pub fn of(scenario: &str, sim: &Sim, tracked: &Tracked, before: (u64, u64)) -> Self {
        let (copies, bytes) = sim.traffic();
        Self {
            scenario: scenario.to_owned(),
            peers: sim.peers.len(),
            wanted: sim.running() as u64 - 1,
            delivered: tracked.reached() as u64,
            time: [0.5, 0.95, 1.0].map(|part| tracked.time(part)),
            hops: [0.5, 0.95, 1.0].map(|part| tracked.hops(part)),
            copies: copies - before.0,
            bytes: bytes - before.1,
        }
    }

    /// Several rows of one scenario in one: sums of what is counted, medians of what is measured.
    pub fn sum(rows: &[Self]) -> Self {
        let median = |values: Vec<Duration>| middle(values).unwrap_or_default();
        Self {
            scenario: rows.first().map(|row| row.scenario.clone()).unwrap_or_default(),
            peers: rows.iter().map(|row| row.peers).max().unwrap_or_default(),
            wanted: rows.iter().map(|row| row.wanted).sum(),
            delivered: rows.iter().map(|row| row.delivered).sum(),
            time: [0, 1, 2].map(|part| median(rows.iter().map(|row| row.time[part]).collect())),
            hops: [0, 1, 2].map(|part| {
                let hops = rows.iter().map(|row| row.hops[part]);
                middle(hops.collect()).unwrap_or_default()
            }),
            copies: rows.iter().map(|row| row.copies).sum(),
            bytes: rows.iter().map(|row| row.bytes).sum(),
        }
    }

    /// Events sent per event that was wanted.
    pub fn copies_per_copy(&self) -> f64 {
        self.copies as f64 / self.wanted.max(1) as f64
    }
}

/// The rows under headings.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<34} {:>6} {:>15} {:>22} {:>12} {:>7} {:>10}\n",
        "scenario", "peers", "delivered", "time p50/p95/max s", "hops", "copies", "bytes/copy"
    );
    for row in rows {
        let time = row
            .time
            .map(|time| format!("{:.2}", time.as_secs_f64()))
            .join("/");
        let hops = row.hops.map(|hops| hops.to_string()).join("/");
        let delivered = format!("{}/{}", row.delivered, row.wanted);
        let _ = writeln!(
            text,
            "{:<34} {:>6} {delivered:>15} {time:>22} {hops:>12} {:>7.2} {:>10}",
            row.scenario,
            row.peers,
            row.copies_per_copy(),
            row.bytes / row.wanted.max(1),
        );
    }
    text
}
