//! Several servers as one: what this one knows of the others, asks them, and is asked.
//!
//! No NATS here: messages go in as bytes ([`Hub::heard`]) and come out of a queue ([`Hub::next_for_others`]). Nothing
//! about topics is announced. A join asks all servers for their part of the sample and is answered when all that are
//! alive have said something, or after [`SAMPLE_LIMIT`]. A relay goes to the server that is known to have the session,
//! from a sample or an earlier message, or else to all of them.
//!
//! Other servers are trusted to tell who is connected, but not to be well: whatever they say costs a bounded amount.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use rand::{Rng, RngExt};
use sazanami_core::signaling::{MAX_MESSAGE, MAX_SAMPLE, SessionId, Topic};
use sazanami_core::time::Millis;
use serde::{Deserialize, Serialize};

use super::ConnectionId;
use crate::metrics::{Limit, Metrics};

/// How long other servers have for their part of a sample.
pub(super) const SAMPLE_LIMIT: Duration = Duration::from_millis(200);
/// How long a session is looked for before it counts as unreachable.
pub(super) const SEARCH_LIMIT: Duration = Duration::from_millis(500);
/// Between two signs of life.
const ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// Silence after which a server counts as dead.
const SILENCE_LIMIT: Duration = Duration::from_secs(3);
/// Most other servers.
const MAX_SERVERS: usize = 256;
/// Most sessions whose server is remembered, about 8 MiB; then all are forgotten, and found again by asking.
const MAX_PLACES: usize = 65_536;
/// Most joins and relays that wait for other servers; above, they are answered from here alone.
const MAX_WAITING: usize = 8_192;
/// Most messages and bytes that wait to be sent; more are dropped.
const MAX_QUEUED: (usize, usize) = (16_384, 16 * 1024 * 1024);
/// Most sessions in one [`Told::Claim`].
const CLAIMS: usize = 256;
/// Largest message: a sealed one and what is around it.
pub(super) const MAX_TOLD: usize = 2 * MAX_MESSAGE;

/// One server as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerId(pub u128);

impl std::fmt::Display for ServerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<ServerId> for String {
    fn from(id: ServerId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ServerId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

/// What servers tell each other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) server: ServerId,
    #[serde(flatten)]
    pub(super) told: Told,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    /// A sign of life.
    Alive,
    /// Its end.
    Bye,
    /// Sessions that are there, and for how many milliseconds: where one is twice, the younger stays.
    Claim { sessions: Vec<(SessionId, u64)> },
    /// Asks for a sample.
    Sample { token: u64, topic: Topic },
    /// The sample, and out of how many it was drawn.
    Sampled {
        token: u64,
        count: usize,
        peers: Vec<SessionId>,
    },
    /// Carries a sealed message. `search`: to all, and whoever has the session says so.
    Relay {
        from: SessionId,
        to: SessionId,
        sealed: String,
        search: bool,
    },
    /// A relay has found its session.
    Found { from: SessionId, to: SessionId },
    /// A relay came to where its session is not.
    Missing { from: SessionId, to: SessionId },
}

/// Something to tell other servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForOthers {
    /// Whom; nothing: all.
    pub to: Option<ServerId>,
    /// What.
    pub bytes: Vec<u8>,
    /// The sender and receiver of the relay in it: when there is no such server, [`super::Hub::lost`] wants to know.
    pub relay: Option<(SessionId, SessionId)>,
}

/// A part of a sample: out of how many it was drawn, and who.
pub(super) type Part = (usize, Vec<SessionId>);

/// A join that waits for other servers.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) asker: ConnectionId,
    pub(super) topic: Topic,
    pub(super) parts: Vec<Part>,
    missing: HashSet<ServerId>,
    deadline: Millis,
}

#[derive(Debug)]
pub(super) struct Cluster {
    id: ServerId,
    /// Whether there is a connection to NATS.
    joined: bool,
    heard: HashMap<ServerId, Millis>,
    next_alive: Millis,
    places: HashMap<SessionId, ServerId>,
    next_token: u64,
    joins: HashMap<u64, Join>,
    searches: HashMap<(SessionId, SessionId), Millis>,
    queue: VecDeque<ForOthers>,
    queued_bytes: usize,
}

impl Cluster {
    pub(super) fn new(id: ServerId) -> Self {
        Self {
            id,
            joined: false,
            heard: HashMap::new(),
            next_alive: Millis(0),
            places: HashMap::new(),
            next_token: 0,
            joins: HashMap::new(),
            searches: HashMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    pub(super) fn id(&self) -> ServerId {
        self.id
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    pub(super) fn servers(&self) -> usize {
        self.heard.len()
    }

    /// Whether anybody would hear.
    pub(super) fn has_others(&self) -> bool {
        self.joined && !self.heard.is_empty()
    }

    /// NATS is there (again): says who is here.
    pub(super) fn join(&mut self, sessions: Vec<(SessionId, u64)>, metrics: &Metrics) {
        self.joined = true;
        self.next_alive = Millis(0);
        self.tell(None, Told::Alive, metrics);
        for sessions in sessions.chunks(CLAIMS) {
            let sessions = sessions.to_vec();
            self.tell(None, Told::Claim { sessions }, metrics);
        }
    }

    /// NATS is gone, and with it the others: whatever waits for them is handed back.
    pub(super) fn part(&mut self) -> (Vec<Join>, Vec<(SessionId, SessionId)>) {
        self.joined = false;
        self.heard.clear();
        self.places.clear();
        self.queue.clear();
        self.queued_bytes = 0;
        let searches = std::mem::take(&mut self.searches);
        let joins = std::mem::take(&mut self.joins);
        (joins.into_values().collect(), searches.into_keys().collect())
    }

    /// Queues something; `false` when there is no room.
    pub(super) fn tell(&mut self, to: Option<ServerId>, told: Told, metrics: &Metrics) -> bool {
        if !self.joined {
            return false;
        }
        let relay = match &told {
            Told::Relay { from, to, .. } => Some((*from, *to)),
            _ => None,
        };
        let letter = Letter {
            server: self.id,
            told,
        };
        let bytes = serde_json::to_vec(&letter).expect("every letter has a JSON form");
        if self.queue.len() >= MAX_QUEUED.0 || self.queued_bytes + bytes.len() > MAX_QUEUED.1 {
            metrics.strike(Limit::ClusterQueue);
            return false;
        }
        self.queued_bytes += bytes.len();
        self.queue.push_back(ForOthers { to, bytes, relay });
        true
    }

    pub(super) fn next(&mut self) -> Option<ForOthers> {
        let next = self.queue.pop_front()?;
        self.queued_bytes -= next.bytes.len();
        Some(next)
    }

    /// Notes that a server lives; `false` when it must be ignored.
    pub(super) fn hear(&mut self, server: ServerId, now: Millis, metrics: &Metrics) -> bool {
        if server == self.id || !self.joined {
            return false;
        }
        if !self.heard.contains_key(&server) {
            if self.heard.len() >= MAX_SERVERS {
                return false;
            }
            // It need not wait for the next sign of life to know of this one.
            self.tell(Some(server), Told::Alive, metrics);
        }
        self.heard.insert(server, now);
        true
    }

    /// Forgets a server; the joins that waited for it alone are handed back.
    pub(super) fn forget(&mut self, server: ServerId) -> Vec<Join> {
        self.heard.remove(&server);
        self.places.retain(|_, place| *place != server);
        for join in self.joins.values_mut() {
            join.missing.remove(&server);
        }
        self.take_joins(|join| join.missing.is_empty())
    }

    fn take_joins(&mut self, done: impl Fn(&Join) -> bool) -> Vec<Join> {
        self.joins
            .extract_if(|_, join| done(join))
            .map(|(_, join)| join)
            .collect()
    }

    /// Remembers where a session is.
    pub(super) fn place(&mut self, session: SessionId, server: ServerId) {
        if self.places.len() >= MAX_PLACES && !self.places.contains_key(&session) {
            self.places.clear();
        }
        self.places.insert(session, server);
    }

    /// Whether it is remembered where a session is.
    pub(super) fn knows(&self, session: SessionId) -> bool {
        self.places.contains_key(&session)
    }

    /// Forgets that a session was on `server`.
    pub(super) fn misplaced(&mut self, session: SessionId, server: Option<ServerId>) {
        if server.is_none_or(|server| self.places.get(&session) == Some(&server)) {
            self.places.remove(&session);
        }
    }

    /// Asks the others for their parts of a sample; `false` when the own part must do.
    pub(super) fn ask(&mut self, asker: ConnectionId, topic: &Topic, now: Millis, metrics: &Metrics) -> bool {
        if !self.has_others() || self.joins.len() >= MAX_WAITING {
            return false;
        }
        let token = self.next_token;
        let topic = topic.clone();
        if !self.tell(
            None,
            Told::Sample {
                token,
                topic: topic.clone(),
            },
            metrics,
        ) {
            return false;
        }
        self.next_token += 1;
        let join = Join {
            asker,
            topic,
            parts: Vec::new(),
            missing: self.heard.keys().copied().collect(),
            deadline: now + SAMPLE_LIMIT,
        };
        self.joins.insert(token, join);
        true
    }

    /// Takes a part of a sample; the join, when it was the last.
    pub(super) fn answered(
        &mut self,
        token: u64,
        server: ServerId,
        count: usize,
        mut peers: Vec<SessionId>,
    ) -> Option<Join> {
        let join = self.joins.get_mut(&token)?;
        if !join.missing.remove(&server) {
            return None;
        }
        peers.truncate(MAX_SAMPLE);
        let done = join.missing.is_empty();
        join.parts.push((count.max(peers.len()), peers.clone()));
        for peer in peers {
            self.place(peer, server);
        }
        if done { self.joins.remove(&token) } else { None }
    }

    /// Sends a relay to where its receiver is, or looks for it; `false` when nobody could have it.
    pub(super) fn carry(
        &mut self,
        from: SessionId,
        to: SessionId,
        sealed: String,
        now: Millis,
        metrics: &Metrics,
    ) -> bool {
        if !self.has_others() {
            return false;
        }
        let place = self.places.get(&to).copied();
        let search = place.is_none();
        if search && self.searches.len() >= MAX_WAITING {
            return false;
        }
        let told = Told::Relay {
            from,
            to,
            sealed,
            search,
        };
        let sent = self.tell(place, told, metrics);
        if sent && search {
            self.searches.insert((from, to), now + SEARCH_LIMIT);
        }
        sent
    }

    /// A search has ended.
    pub(super) fn found(&mut self, from: SessionId, to: SessionId, server: ServerId) {
        // Only what was looked for: else anybody could fill the places.
        if self.searches.remove(&(from, to)).is_some() {
            self.place(to, server);
        }
    }

    /// What is past its time: joins to be answered, and relays that found nobody.
    pub(super) fn tick(
        &mut self,
        now: Millis,
        metrics: &Metrics,
    ) -> (Vec<Join>, Vec<(SessionId, SessionId)>) {
        if self.joined && now >= self.next_alive {
            self.next_alive = now + ALIVE_INTERVAL;
            self.tell(None, Told::Alive, metrics);
        }
        let silent = |heard: &Millis| now.since(*heard) >= SILENCE_LIMIT;
        let dead: Vec<_> = self
            .heard
            .extract_if(|_, heard| silent(heard))
            .map(|(server, _)| server)
            .collect();
        let mut joins = self.take_joins(|join| now >= join.deadline);
        joins.extend(dead.into_iter().flat_map(|server| self.forget(server)));
        let lost = self.searches.extract_if(|_, deadline| now >= *deadline);
        (joins, lost.map(|(relay, _)| relay).collect())
    }
}

/// Draws from all parts together, as if they had been one: each next one from a part by how many are left of it.
pub(super) fn merge(mut parts: Vec<Part>, most: usize, rng: &mut impl Rng) -> Vec<SessionId> {
    let mut merged = Vec::with_capacity(most);
    loop {
        parts.retain(|(_, peers)| !peers.is_empty());
        let all = parts
            .iter()
            .fold(0usize, |sum, (count, _)| sum.saturating_add(*count));
        if all == 0 || merged.len() >= most {
            return merged;
        }
        let mut drawn = rng.random_range(0..all);
        let part = parts.iter_mut().find(|(count, _)| {
            let found = drawn < *count;
            drawn = drawn.saturating_sub(*count);
            found
        });
        if let Some((count, peers)) = part
            && let Some(peer) = peers.pop()
        {
            *count -= 1;
            if !merged.contains(&peer) {
                merged.push(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
