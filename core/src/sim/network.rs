//! Simulated links: ordered and reliable until they break, as data channels are, with delay, retransmission and
//! sudden ends.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Conditions, PeerId};
use crate::signaling::PeerSignal;
use crate::time::Millis;
use crate::transport::{CloseReason, LinkId, Path, PathKind, TransportCommand, TransportEvent};

/// What a lost frame costs: a retransmission timeout (RFC 9260 has one second at first).
const RETRANSMISSION: Duration = Duration::from_millis(1_000);
/// How long a peer takes to notice that the other end has vanished without a word.
const VANISHED: Duration = Duration::from_secs(20);

type End = (PeerId, LinkId);
type Events = Vec<(PeerId, Duration, TransportEvent)>;

#[derive(Debug)]
struct Link {
    polite: bool,
    offering: bool,
    other: Option<End>,
    open: bool,
    /// When the last frame sent from here arrives: the next one comes later.
    arrives: Millis,
}

pub(super) struct Network {
    rng: StdRng,
    conditions: Conditions,
    links: BTreeMap<End, Link>,
}

impl Network {
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            conditions,
            links: BTreeMap::new(),
        }
    }

    /// A one-way delay.
    pub(super) fn delay(&mut self) -> Duration {
        let (from, to) = self.conditions.latency;
        self.rng.random_range(from..=to)
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
            | TransportEvent::Path { link, .. } => self.links.contains_key(&(id, *link)),
        }
    }

    /// A peer is gone without a word.
    pub(super) fn vanish(&mut self, id: PeerId) -> Events {
        let gone: Vec<End> = self
            .links
            .keys()
            .filter(|(peer, _)| *peer == id)
            .copied()
            .collect();
        let mut events = Vec::new();
        for end in gone {
            if let Some((peer, link)) = self.links.remove(&end).and_then(|link| link.other) {
                let reason = CloseReason::Failed("the other end vanished".to_owned());
                events.push((peer, VANISHED, TransportEvent::Closed { link, reason }));
            }
        }
        events
    }

    pub(super) fn command(&mut self, id: PeerId, command: TransportCommand, now: Millis) -> Events {
        match command {
            TransportCommand::Connect { link, options } => {
                let state = Link {
                    polite: options.polite,
                    offering: options.offer,
                    other: None,
                    open: false,
                    arrives: now,
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
            TransportCommand::Signal { link, signal } => self.signal((id, link), &signal),
            TransportCommand::Send { link, frame } => self.send((id, link), frame, now),
            TransportCommand::Close { link } => {
                let other = self.links.remove(&(id, link)).and_then(|link| link.other);
                let closed = |link| TransportEvent::Closed {
                    link,
                    reason: CloseReason::Remote,
                };
                let mut events: Events = Vec::new();
                if let Some((peer, link)) = other {
                    events.push((peer, self.delay(), closed(link)));
                }
                events.push((
                    id,
                    Duration::ZERO,
                    TransportEvent::Closed {
                        link,
                        reason: CloseReason::Local,
                    },
                ));
                events
            }
        }
    }

    fn signal(&mut self, end: End, signal: &PeerSignal) -> Events {
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
            PeerSignal::Answer(sdp) if link.offering && !link.open => {
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

    fn open(&mut self, a: End, b: End) -> Events {
        let mut events = Vec::new();
        for (peer, link) in [a, b] {
            if let Some(state) = self.links.get_mut(&(peer, link)) {
                state.open = true;
            }
            let path = Path {
                kind: PathKind::Direct,
                rtt_ms: None,
            };
            let after = self.delay();
            events.push((peer, after, TransportEvent::Opened { link }));
            events.push((peer, after, TransportEvent::Path { link, path }));
        }
        events
    }

    fn send(&mut self, end: End, frame: Vec<u8>, now: Millis) -> Events {
        let mut delay = self.delay();
        let lost = self.rng.random_bool(self.conditions.loss);
        let breaks = self.rng.random_bool(self.conditions.breaks);
        if lost {
            delay += RETRANSMISSION;
        }
        let Some(link) = self.links.get_mut(&end).filter(|link| link.open) else {
            return Vec::new();
        };
        let Some((peer, other)) = link.other else {
            return Vec::new();
        };
        if breaks {
            // What is under way is lost at once; both ends hear of it a little later.
            let ends = [end, (peer, other)];
            for end in ends {
                self.links.entry(end).and_modify(|link| link.open = false);
            }
            let failed = || CloseReason::Failed("the path broke".to_owned());
            return ends
                .map(|(id, link)| {
                    (
                        id,
                        delay,
                        TransportEvent::Closed {
                            link,
                            reason: failed(),
                        },
                    )
                })
                .to_vec();
        }
        link.arrives = link.arrives.max(now + delay);
        let after = link.arrives.since(now);
        vec![
            (
                end.0,
                after,
                TransportEvent::Drained {
                    link: end.1,
                    bytes: frame.len(),
                },
            ),
            (peer, after, TransportEvent::Frame { link: other, frame }),
        ]
    }
}

fn name((peer, link): End) -> String {
    format!("{peer} {}", link.0)
}

fn end_of(sdp: &str) -> Option<End> {
    let (peer, link) = sdp.split_once(' ')?;
    Some((peer.parse().ok()?, LinkId(link.parse().ok()?)))
}
