//! Who is connected, in which topics, and how a message gets from one to another.
//!
//! No sockets here: a [`crate::connection::Connection`] puts messages in, and they come out of the [`Outbox`] of
//! whomever they are for.

mod members;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand::rngs::StdRng;
use sazanami_core::signaling::{MAX_SAMPLE, ServerMessage, SessionId, Topic};
use sazanami_core::time::Millis;

use self::members::Members;
use crate::address::ClientAddress;
use crate::bucket::KeyedBuckets;
use crate::limits::Limits;
use crate::lock;
use crate::outbox::{CloseReason, Outbox};

/// A connection, as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// All connections of one server.
#[derive(Debug)]
pub struct Hub {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next_id: u64,
    rng: StdRng,
    /// Set once the server stops: nobody new comes in.
    stopped: bool,
    connections: HashMap<ConnectionId, Entry>,
    sessions: HashMap<SessionId, ConnectionId>,
    topics: HashMap<Topic, Members>,
    addresses: HashMap<ClientAddress, usize>,
    hellos: KeyedBuckets<ClientAddress>,
}

#[derive(Debug)]
struct Entry {
    address: ClientAddress,
    outbox: Arc<Outbox>,
    session: Option<SessionId>,
    topics: HashSet<Topic>,
}

impl Hub {
    /// An empty hub; `seed` decides the samples of topic members.
    pub fn new(limits: Limits, seed: [u8; 32]) -> Self {
        let state = State {
            next_id: 0,
            rng: StdRng::from_seed(seed),
            stopped: false,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            topics: HashMap::new(),
            addresses: HashMap::new(),
            hellos: KeyedBuckets::new(limits.hellos_per_address),
        };
        Self {
            limits,
            state: Mutex::new(state),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections.len()
    }

    /// Topics that somebody is in.
    pub fn topics(&self) -> usize {
        lock(&self.state).topics.len()
    }

    /// Ends every connection and lets nobody in any more.
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        for entry in state.connections.values() {
            entry.outbox.close(CloseReason::Shutdown);
        }
    }

    pub(crate) fn open(&self, address: ClientAddress) -> Result<(ConnectionId, Arc<Outbox>), CloseReason> {
        let mut state = lock(&self.state);
        if state.stopped {
            return Err(CloseReason::Shutdown);
        }
        let from_there = state.addresses.get(&address).copied().unwrap_or(0);
        if state.connections.len() >= self.limits.connections
            || from_there >= self.limits.connections_per_address
        {
            return Err(CloseReason::Full);
        }
        let id = ConnectionId(state.next_id);
        state.next_id += 1;
        state.addresses.insert(address, from_there + 1);
        let outbox = Arc::new(Outbox::new(self.limits.queue_messages, self.limits.queue_bytes));
        let entry = Entry {
            address,
            outbox: Arc::clone(&outbox),
            session: None,
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
        state.hellos.take(address, now)
    }

    /// Makes a connection reachable as `session`; an older connection of the same session ends.
    pub(crate) fn register(&self, id: ConnectionId, session: SessionId) {
        let mut state = lock(&self.state);
        if let Some(older) = state.sessions.get(&session).copied()
            && older != id
        {
            state.leave_everything(older);
            if let Some(entry) = state.connections.get(&older) {
                entry.outbox.close(CloseReason::Replaced);
            }
        }
        if let Some(entry) = state.connections.get_mut(&id) {
            entry.session = Some(session);
            state.sessions.insert(session, id);
        }
    }

    /// Enters a topic and answers with a sample of it; `false` when there are too many.
    pub(crate) fn join(&self, id: ConnectionId, topic: Topic) -> bool {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let Some(entry) = state.connections.get_mut(&id) else {
            return true;
        };
        if !entry.topics.contains(&topic) {
            if entry.topics.len() >= self.limits.topics {
                return false;
            }
            entry.topics.insert(topic.clone());
        }
        let members = state.topics.entry(topic.clone()).or_default();
        members.insert(id);
        let sample = members.sample(id, MAX_SAMPLE, &mut state.rng);
        let peers = sample
            .into_iter()
            .filter_map(|id| state.connections.get(&id)?.session)
            .collect();
        if let Some(entry) = state.connections.get(&id) {
            entry.outbox.push(&ServerMessage::Members { topic, peers });
        }
        true
    }

    pub(crate) fn leave(&self, id: ConnectionId, topic: &Topic) {
        lock(&self.state).leave(id, topic);
    }

    /// Carries a sealed message; `false` when its receiver is not here.
    pub(crate) fn relay(&self, from: SessionId, to: SessionId, sealed: String) -> bool {
        let outbox = {
            let state = lock(&self.state);
            let receiver = state.sessions.get(&to).and_then(|id| state.connections.get(id));
            let Some(receiver) = receiver else { return false };
            Arc::clone(&receiver.outbox)
        };
        if outbox.closed().is_some() {
            return false;
        }
        outbox.push(&ServerMessage::Relayed { from, sealed });
        true
    }
}

impl State {
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
