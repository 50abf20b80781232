//! The hub among others: what they say, and what they are told.

use sazanami_core::signaling::{MAX_MESSAGE, MAX_SAMPLE, ServerMessage, SessionId, Topic};
use sazanami_core::time::Millis;

use super::cluster::{self, Cluster, ForOthers, Join, Letter, MAX_TOLD, ServerId, Told};
use super::{ConnectionId, Hub, State};
use crate::lock;
use crate::metrics::Metrics;
use crate::outbox::CloseReason;

impl Hub {
    /// From now on this is one of several servers, as `id`; a shell moves what they say to each other.
    pub fn be_one_of_many(&self, id: ServerId) {
        lock(&self.state).cluster = Some(Cluster::new(id));
    }

    /// Other servers heard of; nothing when this is to be the only one.
    pub fn cluster_servers(&self) -> Option<usize> {
        lock(&self.state).cluster.as_ref().map(Cluster::servers)
    }

    /// Whether other servers can be heard.
    pub fn is_joined(&self) -> bool {
        lock(&self.state).cluster.as_ref().is_some_and(Cluster::is_joined)
    }

    /// The others can be heard (again).
    pub fn joined(&self, now: Millis) {
        let mut state = lock(&self.state);
        let sessions = state.sessions.iter();
        let claims = sessions
            .filter_map(|(session, id)| Some((*session, state.age(*id, now)?)))
            .collect();
        if let Some(cluster) = &mut state.cluster {
            cluster.join(claims, &self.metrics);
        }
        drop(state);
        self.for_others.notify_one();
    }

    /// The others can no longer be heard: this server goes on for its own clients.
    pub fn parted(&self) {
        let mut state = lock(&self.state);
        if let Some((joins, lost)) = state.cluster.as_mut().map(Cluster::part) {
            state.answer(joins);
            state.unreachable(&lost, &self.metrics);
        }
    }

    /// Says goodbye to the others, before this server ends.
    pub fn leave_others(&self) {
        lock(&self.state).tell(None, Told::Bye, &self.metrics);
        self.for_others.notify_one();
    }

    /// What is to be told next, if anything.
    pub fn try_next_for_others(&self) -> Option<ForOthers> {
        lock(&self.state).cluster.as_mut()?.next()
    }

    /// Waits for what is to be told next.
    pub async fn next_for_others(&self) -> ForOthers {
        loop {
            if let Some(next) = self.try_next_for_others() {
                return next;
            }
            self.for_others.notified().await;
        }
    }

    /// Ends what has waited for others for too long, and says now and then that this server lives.
    pub fn tick(&self, now: Millis) {
        let mut state = lock(&self.state);
        let Some(cluster) = &mut state.cluster else { return };
        let (joins, lost) = cluster.tick(now, &self.metrics);
        state.answer(joins);
        state.unreachable(&lost, &self.metrics);
        drop(state);
        self.for_others.notify_one();
    }

    /// There is no server where a relay was sent to.
    pub fn lost(&self, from: SessionId, to: SessionId) {
        let mut state = lock(&self.state);
        if let Some(cluster) = &mut state.cluster {
            cluster.misplaced(to, None);
        }
        state.unreachable(&[(from, to)], &self.metrics);
    }

    /// Takes what another server says.
    pub fn heard(&self, bytes: &[u8], now: Millis) {
        self.metrics.cluster_received.add(1);
        let letter = (bytes.len() <= MAX_TOLD).then(|| serde_json::from_slice::<Letter>(bytes));
        let Some(Ok(Letter { server, told })) = letter else {
            self.metrics.cluster_malformed.add(1);
            return;
        };
        let mut state = lock(&self.state);
        let heard = state
            .cluster
            .as_mut()
            .is_some_and(|cluster| cluster.hear(server, now, &self.metrics));
        if heard {
            self.told(&mut state, server, told, now);
        }
        drop(state);
        self.for_others.notify_one();
    }

    fn told(&self, state: &mut State, server: ServerId, told: Told, now: Millis) {
        match told {
            Told::Alive => {}
            Told::Bye => {
                let joins = state.cluster.as_mut().map(|cluster| cluster.forget(server));
                state.answer(joins.unwrap_or_default());
            }
            Told::Claim { sessions } => {
                for (session, age) in sessions {
                    state.claimed(session, age, server, now, &self.metrics);
                }
            }
            Told::Sample { token, topic } => {
                let (count, peers) = state.part(None, &topic);
                state.tell(Some(server), Told::Sampled { token, count, peers }, &self.metrics);
            }
            Told::Sampled { token, count, peers } => {
                let cluster = state.cluster.as_mut();
                let done = cluster.and_then(|cluster| cluster.answered(token, server, count, peers));
                state.answer(done.into_iter().collect());
            }
            Told::Relay { sealed, .. } if sealed.len() > MAX_MESSAGE => self.metrics.cluster_malformed.add(1),
            Told::Relay {
                from,
                to,
                sealed,
                search,
            } => {
                let outbox = state.outbox(to).filter(|outbox| outbox.closed().is_none());
                let here = outbox.is_some();
                if let Some(outbox) = outbox {
                    outbox.push(&ServerMessage::Relayed { from, sealed });
                    if let Some(cluster) = &mut state.cluster {
                        // It will want an answer.
                        cluster.place(from, server);
                    }
                }
                match (here, search) {
                    (true, true) => state.tell(Some(server), Told::Found { from, to }, &self.metrics),
                    (false, false) => state.tell(Some(server), Told::Missing { from, to }, &self.metrics),
                    _ => true,
                };
            }
            Told::Found { from, to } => {
                if let Some(cluster) = &mut state.cluster {
                    cluster.found(from, to, server);
                }
            }
            Told::Missing { from, to } => {
                if let Some(cluster) = &mut state.cluster {
                    cluster.misplaced(to, Some(server));
                }
                state.unreachable(&[(from, to)], &self.metrics);
            }
        }
    }
}

impl State {
    pub(super) fn tell(&mut self, to: Option<ServerId>, told: Told, metrics: &Metrics) -> bool {
        self.cluster
            .as_mut()
            .is_some_and(|cluster| cluster.tell(to, told, metrics))
    }

    /// For how many milliseconds a connection has been welcome.
    fn age(&self, id: ConnectionId, now: Millis) -> Option<u64> {
        let since = self.connections.get(&id)?.since;
        Some(u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX))
    }

    /// Says that a session is here, and forgets that it was elsewhere.
    pub(super) fn claim(&mut self, session: SessionId, metrics: &Metrics) {
        if let Some(cluster) = &mut self.cluster {
            cluster.misplaced(session, None);
            let sessions = vec![(session, 0)];
            cluster.tell(None, Told::Claim { sessions }, metrics);
        }
    }

    /// Another server has a session too: the younger connection stays, on equal age that of the smaller server id. Ages,
    /// because the servers' clocks may differ.
    fn claimed(&mut self, session: SessionId, age: u64, server: ServerId, now: Millis, metrics: &Metrics) {
        let Some(own) = self.cluster.as_ref().map(Cluster::id) else {
            return;
        };
        if let Some(id) = self.sessions.get(&session).copied()
            && let Some(own_age) = self.age(id, now)
        {
            if (own_age, own) < (age, server) {
                // The other may not have heard of it: it was not there when this one said so.
                let sessions = vec![(session, own_age)];
                self.tell(Some(server), Told::Claim { sessions }, metrics);
                return;
            }
            self.replace(id);
        } else if self
            .cluster
            .as_ref()
            .is_none_or(|cluster| !cluster.knows(session))
        {
            // Not asked for: relays look for it when they must.
            return;
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.place(session, server);
        }
    }

    /// Ends a connection whose session has a newer one.
    pub(super) fn replace(&mut self, id: ConnectionId) {
        self.leave_everything(id);
        if let Some(entry) = self.connections.get(&id) {
            entry.outbox.close(CloseReason::Replaced);
        }
    }

    /// The own part of a sample.
    pub(super) fn part(&mut self, asker: Option<ConnectionId>, topic: &Topic) -> cluster::Part {
        let Some(members) = self.topics.get(topic) else {
            return (0, Vec::new());
        };
        let sample = members.sample(asker, MAX_SAMPLE, &mut self.rng);
        let sessions = sample
            .into_iter()
            .filter_map(|id| self.connections.get(&id)?.session);
        (members.others(asker), sessions.collect())
    }

    /// Answers joins with what has come.
    pub(super) fn answer(&mut self, joins: Vec<Join>) {
        for Join {
            asker,
            topic,
            mut parts,
            ..
        } in joins
        {
            parts.push(self.part(Some(asker), &topic));
            // It may have left, or gone, in the meantime.
            let Some(entry) = self.connections.get(&asker) else {
                continue;
            };
            if entry.topics.contains(&topic) {
                // A session that moves may still be somewhere else.
                parts
                    .iter_mut()
                    .for_each(|(_, peers)| peers.retain(|peer| Some(*peer) != entry.session));
                let peers = cluster::merge(parts, MAX_SAMPLE, &mut self.rng);
                entry.outbox.push(&ServerMessage::Members { topic, peers });
            }
        }
    }

    fn unreachable(&mut self, relays: &[(SessionId, SessionId)], metrics: &Metrics) {
        for &(from, to) in relays {
            if let Some(outbox) = self.outbox(from) {
                metrics.unreachable.add(1);
                outbox.push(&ServerMessage::Unreachable { to });
            }
        }
    }
}
