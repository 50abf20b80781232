//! Whom to connect to: a bounded partial mesh.
//!
//! A peer makes links to its friends, to those it shares rooms with, and to a few random peers of those the signal
//! server samples for it, and takes in others up to [`LinkBudget::most`]. It never knows everybody and need not: posts
//! travel over several hops. Some links are always random, so that circles of friends stay one network.

use std::collections::BTreeMap;
use std::time::Duration;

use nostr::prelude::PublicKey;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::signaling::SessionId;
use crate::social::Ring;
use crate::time::Millis;

mod affordable;

pub use affordable::{Affordable, Device, OUT_OF_SIGHT};

/// Most links of a peer, made and taken in. Each costs a browser some hundred KiB and a share of every post.
pub const MAX_LINKS: usize = 12;
/// Links that a peer makes by itself; six random ones keep a mesh of thousands connected.
pub const TARGET_LINKS: usize = 6;
/// A peer with fewer links than this is let in even by a full one.
pub const MIN_LINKS: usize = 3;
/// Links with friends and room members; the rest stays random.
pub const MAX_NEAR: usize = 8;
/// Links with the devices of one person that count as near: nobody takes all places with sessions of their own.
pub const MAX_NEAR_PER_PERSON: usize = 2;
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

/// How many links a device can afford now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkBudget {
    /// A desktop, an always-on peer, a browser tab in the foreground.
    #[default]
    Full,
    /// A phone: each link costs battery and somebody's data plan.
    Phone,
    /// A tab in the background: enough to stay reachable and to notice what is new.
    Background,
}

impl LinkBudget {
    /// Most links, made and taken in. Four is the least that keeps one random link beside the newest and the lonely.
    pub const fn most(self) -> usize {
        match self {
            Self::Full => MAX_LINKS,
            Self::Phone => 6,
            Self::Background => 4,
        }
    }

    /// Links that it makes by itself.
    const fn target(self) -> usize {
        match self {
            Self::Full => TARGET_LINKS,
            Self::Phone => 4,
            Self::Background => MIN_LINKS,
        }
    }

    /// Links that others made; the rest is kept for those that this peer chooses itself, so that nobody can surround
    /// it.
    const fn incoming(self) -> usize {
        self.most() * 2 / 3
    }

    /// Links that others made and on which they have not proven who they are yet: an offer alone costs its sender
    /// nothing.
    const fn unproven(self) -> usize {
        self.most() / 3
    }

    /// Links with friends and room members.
    const fn near(self) -> usize {
        MAX_NEAR * self.most() / MAX_LINKS
    }
}

/// Whether links with people of a ring go before random ones. Those who are followed and do not follow back are met by
/// chance only: there is no topic that both would know.
pub fn is_near(ring: Ring) -> bool {
    matches!(ring, Ring::Me | Ring::Friend | Ring::RoomMember)
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    ring: Ring,
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
    /// Those of all that lead to friends, room members and own devices.
    pub near: usize,
    /// Those of them that this peer made.
    pub near_outgoing: usize,
}

impl Links {
    /// All of them.
    pub fn total(&self) -> usize {
        self.outgoing + self.incoming + self.unproven
    }

    /// How many more random ones this peer wants to make.
    fn wanted(&self, budget: LinkBudget) -> usize {
        let random = self.outgoing.saturating_sub(self.near_outgoing);
        let wanted = budget.target().saturating_sub(self.outgoing + self.incoming);
        let wanted = wanted.max(MIN_LINKS.min(budget.target()).saturating_sub(random));
        // The last place is for a friend, or for somebody who has nobody.
        let room = (budget.most() - 1).saturating_sub(self.total());
        wanted
            .min(room)
            .min(MAX_CONNECTING.saturating_sub(self.connecting))
    }

    /// How many more near ones.
    fn wanted_near(&self, budget: LinkBudget) -> usize {
        (budget.near().saturating_sub(self.near))
            .min(budget.most().saturating_sub(self.total()))
            .min(MAX_CONNECTING.saturating_sub(self.connecting))
    }
}

/// What a full peer does with a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Accept,
    /// Take it in and give up another link: at once when the spare place is taken, or else when it has proven on the
    /// link who it is.
    Displace,
    /// Say that it is full.
    Full,
}

/// Whom to connect to.
#[derive(Debug, Default)]
pub struct Mesh {
    budget: LinkBudget,
    candidates: BTreeMap<SessionId, Candidate>,
    bans: BTreeMap<PublicKey, Millis>,
    sampled: Option<Millis>,
    displaced: Option<Millis>,
}

impl Mesh {
    /// How many links this device can afford from now on.
    pub fn set_budget(&mut self, budget: LinkBudget) {
        self.budget = budget;
    }

    /// How many links it can afford.
    pub fn budget(&self) -> LinkBudget {
        self.budget
    }

    /// The signal server named these sessions, in the lobby or in a topic that people of this ring know.
    pub fn sampled(&mut self, peers: &[SessionId], ring: Ring, now: Millis) {
        for peer in peers {
            if self.candidates.len() >= MAX_CANDIDATES && !self.candidates.contains_key(peer) {
                // Of those that are not near, the one that failed most gives way.
                let worst = self
                    .candidates
                    .iter()
                    .max_by_key(|(_, c)| (!is_near(c.ring), c.failures))
                    .map(|(id, _)| *id);
                worst.and_then(|id| self.candidates.remove(&id));
            }
            let candidate = self.candidates.entry(*peer).or_insert(Candidate {
                ring,
                failures: 0,
                not_before: now,
            });
            candidate.ring = candidate.ring.min(ring);
        }
    }

    /// Who is behind a session, now that it is proven: a topic says only who might be.
    pub fn set_ring(&mut self, peer: SessionId, ring: Ring) {
        if let Some(candidate) = self.candidates.get_mut(&peer) {
            candidate.ring = ring;
        }
    }

    /// How near a session might be, by the topics it was met in.
    pub fn supposed_ring(&self, peer: &SessionId) -> Ring {
        self.candidates
            .get(peer)
            .map_or(Ring::Stranger, |candidate| candidate.ring)
    }

    /// Whether a session is remembered as worth trying.
    pub fn knows(&self, peer: &SessionId) -> bool {
        self.candidates.contains_key(peer)
    }

    /// The sessions to connect to now, given who is linked or being linked.
    pub fn choose(
        &self,
        linked: impl Fn(&SessionId) -> bool,
        links: Links,
        now: Millis,
        rng: &mut impl Rng,
    ) -> Vec<SessionId> {
        if links.wanted(self.budget) == 0 && links.wanted_near(self.budget) == 0 {
            return Vec::new();
        }
        let mut free: Vec<(SessionId, Candidate)> = self
            .candidates
            .iter()
            .filter(|(id, candidate)| {
                candidate.not_before <= now && !linked(id) && !self.is_banned(&id.0, now)
            })
            .map(|(id, candidate)| (*id, *candidate))
            .collect();
        // Random, but first those who did not fail before: some pairs never find a path.
        free.shuffle(rng);
        free.sort_by_key(|(_, candidate)| candidate.failures);
        let (mut near, mut others): (Vec<_>, Vec<_>) = free
            .into_iter()
            .partition(|(_, candidate)| is_near(candidate.ring));
        near.sort_by_key(|(_, candidate)| candidate.ring);
        near.truncate(links.wanted_near(self.budget));
        others.truncate(links.wanted(self.budget).saturating_sub(near.len()));
        near.append(&mut others);
        near.into_iter().map(|(id, _)| id).collect()
    }

    /// Whether to ask the signal server for a new sample; remembers that it was asked.
    pub fn wants_sample(&mut self, links: Links, now: Millis) -> bool {
        let due = self.sampled.is_none_or(|at| now.since(at) >= RESAMPLE);
        let wants = links.wanted(self.budget) > 0 && due;
        if wants {
            self.sampled = Some(now);
        }
        wants
    }

    /// A sample was asked for.
    pub fn asked(&mut self, now: Millis) {
        self.sampled = Some(now);
    }

    /// What to do with a peer of this ring that wants in and says how many links it has.
    pub fn admit(&mut self, links: Links, ring: Ring, its_links: usize, now: Millis) -> Admission {
        let (others, most) = (links.incoming + links.unproven, self.budget.most());
        if is_near(ring) && links.near < self.budget.near() {
            return if links.total() + 1 < most {
                Admission::Accept
            } else {
                Admission::Displace
            };
        }
        if links.unproven >= self.budget.unproven() || links.total() >= most {
            Admission::Full
        } else if links.total() + 1 < most && others < self.budget.incoming() {
            Admission::Accept
        } else if its_links < MIN_LINKS && self.displaced.is_none_or(|at| now.since(at) >= DISPLACE) {
            self.displaced = Some(now);
            Admission::Displace
        } else {
            Admission::Full
        }
    }

    /// A link has held for a while.
    pub fn held(&mut self, peer: SessionId) {
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

    /// Things are different now, the network or a choice: nobody is waited for any longer.
    pub fn try_now(&mut self, now: Millis) {
        for candidate in self.candidates.values_mut() {
            candidate.failures = 0;
            candidate.not_before = now;
        }
    }

    /// The clock was set back: what was to be at a moment that is far away now is taken nearer.
    pub fn clock_set_back(&mut self, now: Millis) {
        for candidate in self.candidates.values_mut() {
            candidate.not_before = candidate.not_before.min(now + MAX_BACKOFF);
        }
        for until in self.bans.values_mut() {
            *until = (*until).min(now + BAN);
        }
        self.sampled = self.sampled.filter(|at| *at <= now);
        self.displaced = self.displaced.filter(|at| *at <= now);
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
        mesh.sampled(&sessions(16), Ring::Stranger, NOW);
        let mut chosen = |linked: bool, links| mesh.choose(|_| linked, links, NOW, &mut rng).len();
        assert_eq!(chosen(false, made(0, 0)), MAX_CONNECTING);
        assert_eq!(chosen(false, made(4, 3)), 1);
        assert_eq!(chosen(false, made(TARGET_LINKS, 0)), 0);
        assert_eq!(chosen(true, made(0, 0)), 0);
    }

    #[test]
    fn strangers_cannot_surround_a_peer() {
        let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
        mesh.sampled(&sessions(16), Ring::Stranger, NOW);
        let mut links = Links::default();
        for _ in 0..100 {
            match mesh.admit(links, Ring::Stranger, 9, NOW) {
                Admission::Accept => links.unproven += 1,
                _ => break,
            }
        }
        assert_eq!(
            links.unproven,
            LinkBudget::Full.unproven(),
            "offers alone take few places"
        );
        assert!(
            !mesh.choose(|_| false, links, NOW, &mut rng).is_empty(),
            "and keep nobody from choosing"
        );

        let mut links = Links::default();
        while mesh.admit(links, Ring::Stranger, 9, NOW) == Admission::Accept {
            links.incoming += 1;
        }
        assert_eq!(links.incoming, LinkBudget::Full.incoming());
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
        mesh.sampled(&peer, Ring::Stranger, NOW);
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
            mesh.sampled(&[peer], Ring::Stranger, NOW);
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
        assert_eq!(mesh.admit(room, Ring::Stranger, 9, NOW), Admission::Accept);
        assert_eq!(mesh.admit(full, Ring::Stranger, 9, NOW), Admission::Full);
        assert_eq!(mesh.admit(full, Ring::Stranger, 0, NOW), Admission::Displace);
        assert_eq!(
            mesh.admit(full, Ring::Stranger, 0, NOW),
            Admission::Full,
            "one at a time"
        );
        assert_eq!(
            mesh.admit(full, Ring::Stranger, 0, NOW + DISPLACE),
            Admission::Displace
        );
        assert_eq!(
            mesh.admit(made(MAX_LINKS, 0), Ring::Stranger, 0, NOW + DISPLACE * 2),
            Admission::Full,
            "never past the limit"
        );
    }

    #[test]
    fn friends_come_first_and_some_links_stay_random() {
        let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
        let (friends, strangers) = (sessions(12), sessions(16));
        mesh.sampled(&strangers, Ring::Stranger, NOW);
        mesh.sampled(&friends, Ring::Friend, NOW);
        let chosen = mesh.choose(|_| false, Links::default(), NOW, &mut rng);
        assert_eq!(chosen.len(), MAX_CONNECTING);
        assert!(chosen.iter().all(|id| friends.contains(id)), "friends first");
        let links = Links {
            outgoing: MAX_NEAR,
            near: MAX_NEAR,
            near_outgoing: MAX_NEAR,
            ..Links::default()
        };
        let chosen = mesh.choose(|id| friends[..MAX_NEAR].contains(id), links, NOW, &mut rng);
        assert_eq!(chosen.len(), MIN_LINKS);
        assert!(
            chosen.iter().all(|id| strangers.contains(id)),
            "but not only friends"
        );
    }

    #[test]
    fn a_full_peer_gives_a_friend_a_place_until_friends_are_many() {
        let mut mesh = Mesh::default();
        let full = made(MAX_LINKS, 0);
        assert_eq!(mesh.admit(full, Ring::Friend, 9, NOW), Admission::Displace);
        assert_eq!(mesh.admit(full, Ring::Friend, 9, NOW), Admission::Displace);
        let near = Links {
            near: MAX_NEAR,
            ..full
        };
        assert_eq!(mesh.admit(near, Ring::Friend, 9, NOW), Admission::Full);
    }

    #[test]
    fn phones_and_background_tabs_take_fewer() {
        for (budget, most) in [(LinkBudget::Phone, 6), (LinkBudget::Background, 4)] {
            let (mut mesh, mut rng) = (Mesh::default(), StdRng::seed_from_u64(1));
            mesh.set_budget(budget);
            mesh.sampled(&sessions(32), Ring::Stranger, NOW);
            mesh.sampled(&sessions(32), Ring::Friend, NOW);
            let mut links = Links::default();
            loop {
                let near = links.near;
                for peer in mesh.choose(|_| false, links, NOW, &mut rng) {
                    links.outgoing += 1;
                    if mesh.supposed_ring(&peer) == Ring::Friend {
                        (links.near, links.near_outgoing) = (links.near + 1, links.near_outgoing + 1);
                    }
                }
                if links.near == near {
                    break;
                }
            }
            while mesh.admit(links, Ring::Stranger, 9, NOW) == Admission::Accept {
                links.incoming += 1;
            }
            assert!(links.total() < most, "{budget:?}: {links:?}");
        }
    }
}
