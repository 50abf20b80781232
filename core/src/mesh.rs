//! Whom to connect to: a bounded partial mesh.
//!
//! A peer makes links to a few random peers of those the signal server samples for it, and takes in others up to
//! [`MAX_LINKS`]. It never knows everybody and need not: posts travel over several hops.

use std::collections::BTreeMap;
use std::time::Duration;

use nostr::prelude::PublicKey;
use rand::seq::IteratorRandom;
use rand::{Rng, RngExt};

use crate::signaling::SessionId;
use crate::time::Millis;

/// Most links of a peer, made and taken in. Each costs a browser some hundred KiB and a share of every post.
pub const MAX_LINKS: usize = 12;
/// Links that a peer makes by itself; six random ones keep a mesh of thousands connected.
pub const TARGET_LINKS: usize = 6;
/// A peer with fewer links than this is let in even by a full one.
pub const MIN_LINKS: usize = 3;
/// Links that others made; the rest is kept for those that this peer chooses itself, so that nobody can surround it.
const MAX_INCOMING: usize = 8;
/// Links that others made and on which they have not proven who they are yet: an offer alone costs its sender nothing.
const MAX_UNPROVEN: usize = 4;
/// Attempts under way at once.
const MAX_CONNECTING: usize = 4;
/// Sessions remembered as worth trying.
const MAX_CANDIDATES: usize = 64;
/// Sessions and people remembered as hostile.
const MAX_BANS: usize = 1_000;
/// How long a hostile peer is kept away.
pub const BAN: Duration = Duration::from_secs(600);
/// First wait after a failed attempt; doubles up to [`MAX_BACKOFF`].
const BACKOFF: Duration = Duration::from_secs(2);
/// Longest wait between attempts with one session.
const MAX_BACKOFF: Duration = Duration::from_secs(120);
/// Between two new samples while links are missing.
const RESAMPLE: Duration = Duration::from_secs(15);
/// Between two newcomers that are let in by giving up a link.
const DISPLACE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Candidate {
    failures: u32,
    not_before: Millis,
}

/// The links that there are, counted by who made them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Made by this peer, or being made.
    pub outgoing: usize,
    /// Those of them that are being made.
    pub connecting: usize,
    /// Made by others, who have proven who they are.
    pub incoming: usize,
    /// Made by others, who have not proven it yet.
    pub unproven: usize,
}

impl Links {
    /// All of them.
    pub fn total(&self) -> usize {
        self.outgoing + self.incoming + self.unproven
    }

    /// How many more this peer wants to make.
    fn wanted(&self) -> usize {
        let wanted = TARGET_LINKS.saturating_sub(self.outgoing + self.incoming);
        let wanted = wanted.max(MIN_LINKS.saturating_sub(self.outgoing));
        wanted
            .min(MAX_LINKS.saturating_sub(self.total()))
            .min(MAX_CONNECTING.saturating_sub(self.connecting))
    }
}

/// What a full peer does with a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Accept,
    /// Take it into the spare place, and give up another link once it has proven who it is.
    Displace,
    /// Say that it is full.
    Full,
}

/// Whom to connect to.
#[derive(Debug, Default)]
pub struct Mesh {
    candidates: BTreeMap<SessionId, Candidate>,
    bans: BTreeMap<PublicKey, Millis>,
    sampled: Option<Millis>,
    displaced: Option<Millis>,
}

impl Mesh {
    /// The signal server named these sessions.
    pub fn sampled(&mut self, peers: &[SessionId], now: Millis) {
        for peer in peers {
            if self.candidates.len() >= MAX_CANDIDATES && !self.candidates.contains_key(peer) {
                // The one that failed most gives way.
                let worst = self
                    .candidates
                    .iter()
                    .max_by_key(|(_, c)| c.failures)
                    .map(|(id, _)| *id);
                worst.and_then(|id| self.candidates.remove(&id));
            }
            self.candidates.entry(*peer).or_insert(Candidate {
                failures: 0,
                not_before: now,
            });
        }
    }

    /// The sessions to connect to now, given who is linked or being linked.
    pub fn choose(
        &mut self,
        linked: impl Fn(&SessionId) -> bool,
        links: Links,
        now: Millis,
        rng: &mut impl Rng,
    ) -> Vec<SessionId> {
        let wanted = links.wanted();
        self.candidates
            .iter()
            .filter(|(id, candidate)| {
                candidate.not_before <= now && !linked(id) && !self.is_banned(&id.0, now)
            })
            .map(|(id, _)| *id)
            .sample(rng, wanted)
    }

    /// Whether to ask the signal server for a new sample; remembers that it was asked.
    pub fn wants_sample(&mut self, links: Links, now: Millis) -> bool {
        let due = self.sampled.is_none_or(|at| now.since(at) >= RESAMPLE);
        let wants = links.wanted() > 0 && due;
        if wants {
            self.sampled = Some(now);
        }
        wants
    }

    /// A sample was asked for.
    pub fn asked(&mut self, now: Millis) {
        self.sampled = Some(now);
    }

    /// What to do with a peer that wants in and says how many links it has.
    pub fn admit(&mut self, links: Links, its_links: usize, now: Millis) -> Admission {
        let others = links.incoming + links.unproven;
        if links.unproven >= MAX_UNPROVEN || links.total() >= MAX_LINKS {
            Admission::Full
        } else if links.total() + 1 < MAX_LINKS && others < MAX_INCOMING {
            Admission::Accept
        } else if its_links < MIN_LINKS && self.displaced.is_none_or(|at| now.since(at) >= DISPLACE) {
            self.displaced = Some(now);
            Admission::Displace
        } else {
            Admission::Full
        }
    }

    /// A link opened.
    pub fn connected(&mut self, peer: SessionId) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.failures = 0;
        }
    }

    /// An attempt failed or a link broke: wait before the next one, longer each time.
    pub fn failed(&mut self, peer: SessionId, now: Millis, rng: &mut impl Rng) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            let wait = BACKOFF
                .saturating_mul(1 << candidate.failures.min(10))
                .min(MAX_BACKOFF);
            // Jitter, so that two sides do not try in step for ever.
            candidate.not_before = now + wait.mul_f64(rng.random_range(0.5..1.5));
            candidate.failures += 1;
        }
    }

    /// The server does not know this session any more.
    pub fn unreachable(&mut self, peer: SessionId) {
        self.candidates.remove(&peer);
    }

    /// Keeps a hostile session and the person behind it away for a while.
    pub fn ban(&mut self, peer: SessionId, person: Option<PublicKey>, now: Millis) {
        self.candidates.remove(&peer);
        for key in [Some(peer.0), person].into_iter().flatten() {
            if self.bans.len() >= MAX_BANS {
                let oldest = self
                    .bans
                    .iter()
                    .min_by_key(|(_, until)| **until)
                    .map(|(key, _)| *key);
                oldest.and_then(|key| self.bans.remove(&key));
            }
            self.bans.insert(key, now + BAN);
        }
    }

    /// Whether a session key or a person is kept away.
    pub fn is_banned(&self, key: &PublicKey, now: Millis) -> bool {
        self.bans.get(key).is_some_and(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use nostr::prelude::Keys;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_000);

    fn sessions(count: usize) -> Vec<SessionId> {
        (0..count)
            .map(|_| SessionId(Keys::generate().public_key()))
            .collect()
    }

    fn made(outgoing: usize, connecting: usize) -> Links {
        Links {
            outgoing,
            connecting,
            ..Links::default()
        }
    }

    #[test]
    fn it_makes_a_few_links_and_no_more() {
        let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
        mesh.sampled(&sessions(16), NOW);
        let mut chosen = |linked: bool, links| mesh.choose(|_| linked, links, NOW, &mut rng).len();
        assert_eq!(chosen(false, made(0, 0)), MAX_CONNECTING);
        assert_eq!(chosen(false, made(4, 3)), 1);
        assert_eq!(chosen(false, made(TARGET_LINKS, 0)), 0);
        assert_eq!(chosen(true, made(0, 0)), 0);
    }

    #[test]
    fn strangers_cannot_surround_a_peer() {
        let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
        mesh.sampled(&sessions(16), NOW);
        let mut links = Links::default();
        for _ in 0..100 {
            match mesh.admit(links, 9, NOW) {
                Admission::Accept => links.unproven += 1,
                _ => break,
            }
        }
        assert_eq!(links.unproven, MAX_UNPROVEN, "offers alone take few places");
        assert!(
            !mesh.choose(|_| false, links, NOW, &mut rng).is_empty(),
            "and keep nobody from choosing"
        );

        let mut links = Links::default();
        while mesh.admit(links, 9, NOW) == Admission::Accept {
            links.incoming += 1;
        }
        assert_eq!(links.incoming, MAX_INCOMING);
        assert_eq!(
            mesh.choose(|_| false, links, NOW, &mut rng).len(),
            MIN_LINKS,
            "some are always its own choice"
        );
    }

    #[test]
    fn a_failing_peer_is_tried_later_and_later() {
        let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
        let peer = sessions(1);
        mesh.sampled(&peer, NOW);
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..8 {
            mesh.failed(peer[0], now, &mut rng);
            let start = now;
            while mesh.choose(|_| false, made(0, 0), now, &mut rng).is_empty() {
                now = now + Duration::from_millis(100);
            }
            waits.push(now.since(start));
        }
        assert!(waits[0] <= BACKOFF * 2 && waits[7] > waits[0] * 10, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= MAX_BACKOFF * 2));
    }

    #[test]
    fn candidates_and_bans_are_bounded() {
        let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
        for peer in sessions(MAX_BANS + 5) {
            mesh.sampled(&[peer], NOW);
            mesh.failed(peer, NOW, &mut rng);
            assert!(mesh.candidates.len() <= MAX_CANDIDATES);
            mesh.ban(peer, None, NOW);
            assert!(mesh.bans.len() <= MAX_BANS && mesh.is_banned(&peer.0, NOW));
            assert!(!mesh.is_banned(&peer.0, NOW + BAN));
        }
    }

    #[test]
    fn a_full_peer_lets_a_lonely_one_in_but_not_a_crowd() {
        let mut mesh = Mesh::default();
        let (room, full) = (made(MAX_LINKS - 2, 0), made(MAX_LINKS - 1, 0));
        assert_eq!(mesh.admit(room, 9, NOW), Admission::Accept);
        assert_eq!(mesh.admit(full, 9, NOW), Admission::Full);
        assert_eq!(mesh.admit(full, 0, NOW), Admission::Displace);
        assert_eq!(mesh.admit(full, 0, NOW), Admission::Full, "one at a time");
        assert_eq!(mesh.admit(full, 0, NOW + DISPLACE), Admission::Displace);
        assert_eq!(
            mesh.admit(made(MAX_LINKS, 0), 0, NOW + DISPLACE * 2),
            Admission::Full,
            "never past the limit"
        );
    }
}
