//! Who is connected, in which topics, and how a message gets from one to another.
//!
//! No sockets here: a [`crate::connection::Connection`] puts messages in, and they come out of the [`Outbox`] of
//! whomever they are for.

mod cluster;
mod members;
mod others;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sazanami_core::signaling::{MAX_RECOMMENDED, ServerMessage, ServerUrl, SessionId, Topic};
use sazanami_core::time::Millis;
use tokio::sync::Notify;

use self::cluster::Cluster;
pub use self::cluster::{ForOthers, ServerId};
use self::members::Members;
use crate::address::ClientAddress;
use crate::bucket::KeyedBuckets;
use crate::limits::Limits;
use crate::lock;
use crate::metrics::{Limit, Metrics};
use crate::outbox::{CloseReason, Outbox};

/// A connection, as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// All connections of one server.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    /// Names this server in its challenges: random, new at each start.
    id: [u8; 16],
    /// Other servers that clients are told to use beside this one.
    recommended: Vec<String>,
    metrics: Arc<Metrics>,
    /// Something is to be told to other servers.
    for_others: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next_id: u64,
    rng: StdRng,
    /// Set once the server is to stop: nobody new comes in.
    draining: bool,
    connections: HashMap<ConnectionId, Entry>,
    sessions: HashMap<SessionId, ConnectionId>,
    topics: HashMap<Topic, Members>,
    addresses: HashMap<ClientAddress, usize>,
    hellos: KeyedBuckets<ClientAddress>,
    /// The other servers, where there are to be any.
    cluster: Option<Cluster>,
}

#[derive(Debug)]
struct Entry {
    address: ClientAddress,
    outbox: Arc<Outbox>,
    session: Option<SessionId>,
    /// When the session became reachable here.
    since: Millis,
    topics: HashSet<Topic>,
}

impl Hub {
    /// An empty hub; `seed` decides the samples of topic members.
    pub fn new(limits: Limits, seed: [u8; 32]) -> Self {
        let state = State {
            next_id: 0,
            rng: StdRng::from_seed(seed),
            draining: false,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            topics: HashMap::new(),
            addresses: HashMap::new(),
            hellos: KeyedBuckets::new(limits.hellos_per_address),
            cluster: None,
        };
        Self {
            limits,
            id: StdRng::from_seed(seed).random(),
            recommended: Vec::new(),
            metrics: Arc::default(),
            for_others: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// Has clients told to use these servers beside this one; the first [`MAX_RECOMMENDED`] of them.
    #[must_use]
    pub fn recommending(mut self, servers: &[ServerUrl]) -> Self {
        let servers = servers.iter().take(MAX_RECOMMENDED);
        self.recommended = servers.map(ServerUrl::to_string).collect();
        self
    }

    /// What names this server in its challenges.
    pub(crate) fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The addresses of the servers that clients are told to use beside this one.
    pub fn recommended(&self) -> &[String] {
        &self.recommended
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections.len()
    }

    /// Topics that somebody is in.
    pub fn topics(&self) -> usize {
        lock(&self.state).topics.len()
    }

    /// Lets nobody in any more.
    pub fn drain(&self) {
        lock(&self.state).draining = true;
    }

    /// Whether nobody is let in any more.
    pub fn is_draining(&self) -> bool {
        lock(&self.state).draining
    }

    /// Ends at most `most` connections, and says how many are left that were not told to go.
    pub fn send_away(&self, most: usize) -> usize {
        let state = lock(&self.state);
        let staying = state
            .connections
            .values()
            .filter(|entry| entry.outbox.closed().is_none());
        let mut left = 0;
        for (place, entry) in staying.enumerate() {
            if place < most {
                entry.outbox.close(CloseReason::Shutdown);
            } else {
                left += 1;
            }
        }
        left
    }

    /// Ends every connection and lets nobody in any more.
    pub fn stop(&self) {
        self.drain();
        self.send_away(usize::MAX);
    }

    pub(crate) fn open(&self, address: ClientAddress) -> Result<(ConnectionId, Arc<Outbox>), CloseReason> {
        let mut state = lock(&self.state);
        if state.draining {
            return Err(CloseReason::Shutdown);
        }
        let from_there = state.addresses.get(&address).copied().unwrap_or(0);
        for (count, most, limit) in [
            (
                state.connections.len(),
                self.limits.connections,
                Limit::Connections,
            ),
            (
                from_there,
                self.limits.connections_per_address,
                Limit::ConnectionsPerAddress,
            ),
        ] {
            if count >= most {
                self.metrics.strike(limit);
                return Err(CloseReason::Full);
            }
        }
        self.metrics.opened.add(1);
        let id = ConnectionId(state.next_id);
        state.next_id += 1;
        state.addresses.insert(address, from_there + 1);
        let outbox = Arc::new(Outbox::new(&self.limits, Arc::clone(&self.metrics)));
        let entry = Entry {
            address,
            outbox: Arc::clone(&outbox),
            session: None,
            since: Millis(0),
            topics: HashSet::new(),
        };
        state.connections.insert(id, entry);
        Ok((id, outbox))
    }

    pub(crate) fn close(&self, id: ConnectionId) {
        let mut state = lock(&self.state);
        state.leave_everything(id);
        let Some(entry) = state.connections.remove(&id) else {
            return;
        };
        if let Some(count) = state.addresses.get_mut(&entry.address) {
            *count -= 1;
            if *count == 0 {
                state.addresses.remove(&entry.address);
            }
        }
    }

    /// Whether an address may have one more hello checked.
    pub(crate) fn admit_hello(&self, id: ConnectionId, now: Millis) -> bool {
        let mut state = lock(&self.state);
        let Some(address) = state.connections.get(&id).map(|entry| entry.address) else {
            return false;
        };
        let admitted = state.hellos.take(address, now);
        if !admitted {
            self.metrics.strike(Limit::HellosPerAddress);
        }
        admitted
    }

    /// Makes a connection reachable as `session`; an older connection of the same session ends, here or elsewhere.
    pub(crate) fn register(&self, id: ConnectionId, session: SessionId, now: Millis) {
        let mut state = lock(&self.state);
        if let Some(older) = state.sessions.get(&session).copied()
            && older != id
        {
            state.replace(older);
        }
        if let Some(entry) = state.connections.get_mut(&id) {
            entry.session = Some(session);
            entry.since = now;
            state.sessions.insert(session, id);
            state.claim(session, &self.metrics);
        }
        drop(state);
        self.for_others.notify_one();
    }

    /// Enters a topic, which is answered with a sample of it; `false` when there are too many.
    pub(crate) fn join(&self, id: ConnectionId, topic: Topic, now: Millis) -> bool {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let Some(entry) = state.connections.get_mut(&id) else {
            return true;
        };
        if !entry.topics.contains(&topic) {
            if entry.topics.len() >= self.limits.topics {
                self.metrics.strike(Limit::Topics);
                return false;
            }
            entry.topics.insert(topic.clone());
        }
        state.topics.entry(topic.clone()).or_default().insert(id);
        let others = state.cluster.as_mut();
        if others.is_some_and(|others| others.ask(id, &topic, now, &self.metrics)) {
            self.for_others.notify_one();
            return true;
        }
        let (_, peers) = state.part(Some(id), &topic);
        if let Some(entry) = state.connections.get(&id) {
            entry.outbox.push(&ServerMessage::Members { topic, peers });
        }
        true
    }

    pub(crate) fn leave(&self, id: ConnectionId, topic: &Topic) {
        lock(&self.state).leave(id, topic);
    }

    /// Carries a sealed message; `false` when its receiver is not here, nor on another server.
    pub(crate) fn relay(&self, from: SessionId, to: SessionId, sealed: String, now: Millis) -> bool {
        let size = sealed.len() as u64;
        let outbox = {
            let mut state = lock(&self.state);
            let outbox = state.outbox(to);
            if outbox.is_none() {
                let others = state.cluster.as_mut();
                if !others.is_some_and(|others| others.carry(from, to, sealed, now, &self.metrics)) {
                    self.metrics.unreachable.add(1);
                    return false;
                }
                self.for_others.notify_one();
                self.metrics.relayed(size);
                return true;
            }
            outbox
        };
        let Some(outbox) = outbox.filter(|outbox| outbox.closed().is_none()) else {
            self.metrics.unreachable.add(1);
            return false;
        };
        self.metrics.relayed(size);
        outbox.push(&ServerMessage::Relayed { from, sealed });
        true
    }
}

impl State {
    /// Where messages to a session go.
    fn outbox(&self, session: SessionId) -> Option<Arc<Outbox>> {
        let id = self.sessions.get(&session)?;
        Some(Arc::clone(&self.connections.get(id)?.outbox))
    }

    fn leave(&mut self, id: ConnectionId, topic: &Topic) {
        if let Some(entry) = self.connections.get_mut(&id) {
            entry.topics.remove(topic);
        }
        if let Some(members) = self.topics.get_mut(topic) {
            members.remove(id);
            if members.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// Makes a connection unreachable, before it ends.
    fn leave_everything(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(&id) else {
            return;
        };
        let topics = std::mem::take(&mut entry.topics);
        let session = entry.session.take();
        for topic in &topics {
            self.leave(id, topic);
        }
        if let Some(session) = session
            && self.sessions.get(&session) == Some(&id)
        {
            self.sessions.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests;
