//! Simulated links: ordered and reliable until they break, as data channels are, with delay, bandwidth,
//! retransmission, peers that cannot reach each other, and sudden ends.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Conditions, PeerId};
use crate::signaling::PeerSignal;
use crate::time::Millis;
use crate::transport::{
    CloseReason, IceState, LinkId, Path, PathKind, Route, TransportCommand, TransportEvent,
};

/// What a lost frame costs: a retransmission timeout (RFC 9260 has one second at first).
const RETRANSMISSION: Duration = Duration::from_millis(1_000);
/// How long a peer takes to notice that the other end has vanished without a word.
const VANISHED: Duration = Duration::from_secs(20);
/// How long a path is without an answer before ICE calls it disconnected.
const UNHEARD: Duration = Duration::from_secs(5);
/// How long ICE tries before it says that there is no path.
const NO_PATH: Duration = Duration::from_secs(15);
/// What SCTP, DTLS, UDP and IP add to a frame.
const OVERHEAD: usize = 77;

type End = (PeerId, LinkId);
type Events = Vec<(PeerId, Duration, TransportEvent)>;

/// What kind of address translation a peer is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nat {
    /// None, or one that lets everybody in.
    #[default]
    Open,
    /// Lets in whom the peer has sent to, at one and the same port.
    Restricted,
    /// Another port for each destination: reached only by those who are open.
    Symmetric,
}

impl Nat {
    /// Whether two peers find a direct path.
    fn reaches(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Open, _) | (_, Self::Open) | (Self::Restricted, Self::Restricted)
        )
    }
}

#[derive(Debug)]
struct Link {
    polite: bool,
    offering: bool,
    other: Option<End>,
    open: bool,
    latency: Duration,
    /// When the last frame sent from here arrives: the next one comes later.
    arrives: Millis,
    route: Route,
    /// Frames that wait for a path, while there is none.
    held: Option<Vec<Vec<u8>>>,
}

/// Where a peer stands in the network.
#[derive(Clone, Copy, Debug, Default)]
struct Site {
    nat: Nat,
    part: usize,
    /// When its line is free again, in microseconds.
    up: u64,
    down: u64,
}

pub(super) struct Network {
    rng: StdRng,
    conditions: Conditions,
    links: BTreeMap<End, Link>,
    sites: Vec<Site>,
    pub(super) bytes: u64,
}

impl Network {
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            conditions,
            links: BTreeMap::new(),
            sites: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn add(&mut self, nat: Nat) {
        self.sites.push(Site {
            nat,
            ..Site::default()
        });
    }

    /// A one-way delay.
    pub(super) fn delay(&mut self) -> Duration {
        let (from, to) = self.conditions.latency;
        self.rng.random_range(from..=to)
    }

    pub(super) fn has_relay(&self) -> bool {
        self.conditions.relay
    }

    pub(super) fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// The peer at the other end of a link.
    pub(super) fn other(&self, id: PeerId, link: LinkId) -> Option<PeerId> {
        Some(self.links.get(&(id, link))?.other?.0)
    }

    /// Whether an event still concerns its peer; an end is passed on once, and ends the link.
    pub(super) fn admits(&mut self, id: PeerId, event: &TransportEvent) -> bool {
        match event {
            TransportEvent::Closed {
                link,
                reason: CloseReason::Local,
            } => !self.links.contains_key(&(id, *link)),
            TransportEvent::Closed { link, .. } => self.links.remove(&(id, *link)).is_some(),
            TransportEvent::Frame { link, .. } => self.links.get(&(id, *link)).is_some_and(|link| link.open),
            TransportEvent::Signal { link, .. }
            | TransportEvent::Opened { link }
            | TransportEvent::Drained { link, .. }
            | TransportEvent::Path { link, .. }
            | TransportEvent::Ice { link, .. } => self.links.contains_key(&(id, *link)),
        }
    }

    /// A peer is gone without a word.
    pub(super) fn vanish(&mut self, id: PeerId) -> Events {
        let gone: Vec<End> = self
            .links
            .range((id, LinkId(0))..=(id, LinkId(u64::MAX)))
            .map(|(end, _)| *end)
            .collect();
        let mut events = Vec::new();
        for end in gone {
            if let Some((peer, link)) = self.links.remove(&end).and_then(|link| link.other) {
                events.push(failed((peer, link), VANISHED, "the other end vanished"));
            }
        }
        events
    }

    /// Puts each peer into a part of the network; frames do not get from one part to another.
    pub(super) fn divide(&mut self, part_of: impl Fn(PeerId) -> usize) -> Events {
        for (id, site) in self.sites.iter_mut().enumerate() {
            site.part = part_of(id);
        }
        let sites = &self.sites;
        let mut events = Vec::new();
        for (end, link) in &mut self.links {
            if link.open
                && let Some((other, _)) = link.other
                && sites[end.0].part != sites[other].part
            {
                link.open = false;
                events.push(failed(*end, VANISHED, "the network is cut"));
            }
        }
        events
    }

    pub(super) fn part(&self, id: PeerId) -> usize {
        self.sites[id].part
    }

    pub(super) fn command(&mut self, id: PeerId, command: TransportCommand, now: Millis) -> Events {
        match command {
            TransportCommand::Connect { link, options } => {
                let state = Link {
                    polite: options.polite,
                    offering: options.offer,
                    other: None,
                    open: false,
                    latency: Duration::ZERO,
                    arrives: now,
                    route: options.route,
                    held: None,
                };
                self.links.insert((id, link), state);
                let offer = PeerSignal::Offer(name((id, link)));
                let event = TransportEvent::Signal { link, signal: offer };
                if options.offer {
                    vec![(id, Duration::ZERO, event)]
                } else {
                    Vec::new()
                }
            }
            TransportCommand::Signal { link, signal } => self.signal((id, link), &signal, now),
            TransportCommand::Send { link, frame } => self.send((id, link), frame, now),
            TransportCommand::Restart { link, .. } => {
                let end = (id, link);
                let Some(state) = self.links.get_mut(&end) else {
                    return Vec::new();
                };
                state.offering = true;
                let signal = PeerSignal::Offer(name(end));
                vec![(id, Duration::ZERO, TransportEvent::Signal { link, signal })]
            }
            TransportCommand::Close { link } => {
                let gone = self.links.remove(&(id, link));
                let mut events: Events = Vec::new();
                if let Some(Link {
                    other: Some((peer, link)),
                    open,
                    latency,
                    ..
                }) = gone
                {
                    let reason = CloseReason::Remote;
                    // Nobody hears a goodbye through a cut: the other side notices by itself.
                    let after = if open { latency } else { VANISHED };
                    events.push((peer, after, TransportEvent::Closed { link, reason }));
                }
                let reason = CloseReason::Local;
                events.push((id, Duration::ZERO, TransportEvent::Closed { link, reason }));
                events
            }
        }
    }

    fn signal(&mut self, end: End, signal: &PeerSignal, now: Millis) -> Events {
        let Some(link) = self.links.get_mut(&end) else {
            return Vec::new();
        };
        let (id, own) = end;
        match signal {
            PeerSignal::Offer(sdp) if !link.offering || link.polite => {
                link.offering = false;
                link.other = end_of(sdp);
                let signal = PeerSignal::Answer(name(end));
                vec![(id, Duration::ZERO, TransportEvent::Signal { link: own, signal })]
            }
            PeerSignal::Answer(_) if link.offering && link.open => {
                link.offering = false;
                self.mend(end, now)
            }
            PeerSignal::Answer(sdp) if link.offering && !link.open => {
                link.offering = false;
                let Some(other) = end_of(sdp) else {
                    return Vec::new();
                };
                link.other = Some(other);
                if self.links.get(&other).and_then(|link| link.other) != Some(end) {
                    return Vec::new();
                }
                self.open(end, other)
            }
            _ => Vec::new(),
        }
    }

    /// Breaks the path between two peers: what they send waits until one of them has looked for another. With `told`
    /// their transports notice after a while.
    pub(super) fn break_path(&mut self, a: PeerId, b: PeerId, told: bool) -> Events {
        let mut events = Vec::new();
        for (end, link) in &mut self.links {
            let between = link
                .other
                .is_some_and(|(other, _)| [(a, b), (b, a)].contains(&(end.0, other)));
            if between && link.open {
                link.held.get_or_insert_default();
                if told {
                    let (link, state) = (end.1, IceState::Disconnected);
                    events.push((end.0, UNHEARD, TransportEvent::Ice { link, state }));
                }
            }
        }
        events
    }

    /// A restart was answered: there is a path again, where there can be one.
    fn mend(&mut self, end: End, now: Millis) -> Events {
        let Some(other) = self.links.get(&end).and_then(|link| link.other) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if self.sites[end.0].part != self.sites[other.0].part {
            return events;
        }
        for (id, link) in [end, other] {
            let Some(state) = self.links.get_mut(&(id, link)) else {
                continue;
            };
            if let Some(held) = state.held.take() {
                let state = IceState::Connected;
                events.push((id, Duration::ZERO, TransportEvent::Ice { link, state }));
                for frame in held {
                    events.extend(self.send((id, link), frame, now));
                }
            }
        }
        events
    }

    fn open(&mut self, a: End, b: End) -> Events {
        let (one, two) = (self.sites[a.0], self.sites[b.0]);
        let relayed = [a, b].iter().any(|end| {
            self.links
                .get(end)
                .is_some_and(|link| link.route == Route::RelayOnly)
        });
        if one.part != two.part || !(relayed || one.nat.reaches(two.nat)) {
            return [a, b].map(|end| failed(end, NO_PATH, "no path")).to_vec();
        }
        let latency = self.delay();
        let mut events = Vec::new();
        for (peer, link) in [a, b] {
            if let Some(state) = self.links.get_mut(&(peer, link)) {
                (state.open, state.latency) = (true, latency);
            }
            let path = Path {
                kind: if relayed {
                    PathKind::Relayed
                } else {
                    PathKind::Direct
                },
                rtt_ms: None,
            };
            events.push((peer, latency, TransportEvent::Opened { link }));
            events.push((peer, latency, TransportEvent::Path { link, path }));
        }
        events
    }

    fn send(&mut self, end: End, frame: Vec<u8>, now: Millis) -> Events {
        let lost = self.rng.random_bool(self.conditions.loss);
        let breaks = self.rng.random_bool(self.conditions.breaks);
        let jitter = self.rng.random_range(1.0..1.1);
        let size = frame.len() + OVERHEAD;
        let Some(link) = self.links.get_mut(&end).filter(|link| link.open) else {
            return Vec::new();
        };
        let Some((peer, other)) = link.other else {
            return Vec::new();
        };
        if let Some(held) = &mut link.held {
            held.push(frame);
            return Vec::new();
        }
        let mut delay = link.latency.mul_f64(jitter);
        if breaks {
            // What is under way is lost at once; both ends hear of it a little later.
            let ends = [end, (peer, other)];
            for end in ends {
                self.links.entry(end).and_modify(|link| link.open = false);
            }
            return ends.map(|end| failed(end, delay, "the path broke")).to_vec();
        }
        if lost {
            delay += RETRANSMISSION;
        }
        self.bytes += size as u64;
        let (left, arrived) = match self.conditions.bandwidth {
            None => (delay, delay),
            Some((up, down)) => {
                let now = now.0 * 1_000;
                let micros = |rate: u64| size as u64 * 1_000_000 / rate.max(1);
                let line = &mut self.sites[end.0].up;
                *line = now.max(*line) + micros(up);
                let left = *line;
                let line = &mut self.sites[peer].down;
                *line = (left + delay.as_micros() as u64).max(*line) + micros(down);
                (
                    Duration::from_micros(left - now),
                    Duration::from_micros(*line - now),
                )
            }
        };
        link.arrives = link.arrives.max(now + arrived);
        let drained = TransportEvent::Drained {
            link: end.1,
            bytes: frame.len(),
        };
        vec![
            (end.0, left, drained),
            (
                peer,
                link.arrives.since(now),
                TransportEvent::Frame { link: other, frame },
            ),
        ]
    }
}

fn failed((peer, link): End, after: Duration, reason: &str) -> (PeerId, Duration, TransportEvent) {
    let reason = CloseReason::Failed(reason.to_owned());
    (peer, after, TransportEvent::Closed { link, reason })
}

fn name((peer, link): End) -> String {
    format!("{peer} {}", link.0)
}

fn end_of(sdp: &str) -> Option<End> {
    let (peer, link) = sdp.split_once(' ')?;
    Some((peer.parse().ok()?, LinkId(link.parse().ok()?)))
}
