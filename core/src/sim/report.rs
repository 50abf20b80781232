//! How notes spread, in figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use nostr::prelude::EventId;

use super::{PeerId, Sim};
use crate::time::Millis;

/// The way of one note through the network.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    posted: Millis,
    /// When it came to each peer, and over how many hops.
    arrivals: BTreeMap<PeerId, (Millis, u32)>,
}

impl Tracked {
    pub(super) fn new(author: Option<PeerId>, now: Millis) -> Self {
        Self {
            posted: now,
            arrivals: author.map(|author| (author, (now, 0))).into_iter().collect(),
        }
    }

    pub(super) fn arrived(&mut self, peer: PeerId, from: PeerId, now: Millis) {
        let hops = self.arrivals.get(&from).map_or(0, |(_, hops)| *hops);
        self.arrivals.entry(peer).or_insert((now, hops + 1));
    }
}

/// A moment from which is counted: see [`Sim::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub(super) at: Millis,
    pub(super) sent: u64,
    pub(super) bytes: u64,
}

/// A line of the table: one scenario.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happened.
    pub scenario: String,
    /// Peers in all.
    pub peers: usize,
    /// Notes that were to arrive somewhere: one for each peer and note.
    pub wanted: u64,
    /// How many of them did.
    pub delivered: u64,
    /// Virtual time to half of them, to 95 of 100, and to the last.
    pub time: [Duration; 3],
    /// Their hops in the same way.
    pub hops: [u32; 3],
    /// Events sent over links.
    pub copies: u64,
    /// Bytes sent over links.
    pub bytes: u64,
}

impl Row {
    /// The figures of tracked notes that these peers want, and did not have or write before the mark.
    pub fn of(scenario: &str, sim: &Sim, peers: &[PeerId], notes: &[EventId], mark: Mark) -> Self {
        let (mut wanted, mut delivered) = (0, 0);
        let (mut times, mut hops) = (Vec::new(), Vec::new());
        for note in notes {
            let tracked = &sim.tracked[note];
            for peer in peers {
                let arrival = tracked.arrivals.get(peer);
                if arrival.is_some_and(|(at, hops)| *at < mark.at || *hops == 0) {
                    continue;
                }
                wanted += 1;
                delivered += u64::from(sim.has(*peer, note));
                if let Some((at, over)) = arrival {
                    times.push(at.since(tracked.posted.max(mark.at)));
                    hops.push(*over);
                }
            }
        }
        Self {
            scenario: scenario.to_owned(),
            peers: sim.peers.len(),
            wanted,
            delivered,
            time: quantiles(times),
            hops: quantiles(hops),
            copies: sim.sent - mark.sent,
            bytes: sim.links.bytes - mark.bytes,
        }
    }

    /// Events sent per event that was wanted.
    pub fn copies_per_copy(&self) -> f64 {
        self.copies as f64 / self.wanted.max(1) as f64
    }

    /// Whether everything arrived.
    pub fn is_complete(&self) -> bool {
        self.wanted > 0 && self.delivered == self.wanted
    }
}

fn quantiles<T: Ord + Copy + Default>(mut values: Vec<T>) -> [T; 3] {
    values.sort_unstable();
    [50, 95, 100].map(|part| {
        let place = (values.len() * part).div_ceil(100);
        values.get(place.saturating_sub(1)).copied().unwrap_or_default()
    })
}

/// The headings of a table.
pub fn headings() -> String {
    format!(
        "{:<30} {:>6} {:>15} {:>22} {:>12} {:>7} {:>10}",
        "scenario", "peers", "delivered", "time p50/p95/max s", "hops", "copies", "bytes/copy"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self
            .time
            .map(|time| format!("{:.2}", time.as_secs_f64()))
            .join("/");
        let hops = self.hops.map(|hops| hops.to_string()).join("/");
        let delivered = format!("{}/{}", self.delivered, self.wanted);
        write!(
            f,
            "{:<30} {:>6} {delivered:>15} {time:>22} {hops:>12} {:>7.2} {:>10}",
            self.scenario,
            self.peers,
            self.copies_per_copy(),
            self.bytes / self.wanted.max(1),
        )
    }
}
