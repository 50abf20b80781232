//! The simulated signal server: the real messages, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::rngs::StdRng;
use rand::seq::index;
use rand::{RngExt, SeedableRng};

use super::PeerId;
use crate::signaling::{ClientMessage, MAX_SAMPLE, MAX_TOPICS, ServerMessage, SessionId, Topic, check_hello};
use crate::time::Millis;

pub(super) struct SignalServer {
    rng: StdRng,
    lost: f64,
    connections: BTreeMap<PeerId, Connection>,
    sessions: BTreeMap<SessionId, PeerId>,
    topics: BTreeMap<Topic, Members>,
    /// Most topics that any connection was in at once.
    pub(super) most_topics: usize,
}

struct Connection {
    challenge: String,
    session: Option<SessionId>,
    topics: BTreeSet<Topic>,
}

#[derive(Default)]
struct Members {
    list: Vec<SessionId>,
    places: HashMap<SessionId, usize>,
}

impl Members {
    fn insert(&mut self, id: SessionId) {
        let list = &mut self.list;
        self.places.entry(id).or_insert_with(|| {
            list.push(id);
            list.len() - 1
        });
    }

    fn remove(&mut self, id: SessionId) {
        if let Some(place) = self.places.remove(&id) {
            self.list.swap_remove(place);
            if let Some(moved) = self.list.get(place) {
                self.places.insert(*moved, place);
            }
        }
    }

    fn sample(&self, asker: SessionId, rng: &mut StdRng) -> Vec<SessionId> {
        let amount = (MAX_SAMPLE + 1).min(self.list.len());
        index::sample(rng, self.list.len(), amount)
            .into_iter()
            .map(|place| self.list[place])
            .filter(|id| *id != asker)
            .take(MAX_SAMPLE)
            .collect()
    }
}

impl SignalServer {
    pub(super) fn new(seed: u64, lost: f64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            lost,
            connections: BTreeMap::new(),
            sessions: BTreeMap::new(),
            topics: BTreeMap::new(),
            most_topics: 0,
        }
    }

    /// Answers with the challenge.
    pub(super) fn connect(&mut self, id: PeerId, now: Millis) -> String {
        self.disconnect(id);
        let challenge = hex::encode(self.rng.random::<[u8; 16]>());
        let connection = Connection {
            challenge: challenge.clone(),
            session: None,
            topics: BTreeSet::new(),
        };
        self.connections.insert(id, connection);
        text(&ServerMessage::Challenge {
            challenge,
            now: Some(now),
        })
    }

    /// Forgets a connection; false when there is none.
    pub(super) fn disconnect(&mut self, id: PeerId) -> bool {
        let Some(connection) = self.connections.remove(&id) else {
            return false;
        };
        if let Some(session) = connection.session {
            self.sessions.remove(&session);
            for topic in &connection.topics {
                self.leave(topic, session);
            }
        }
        true
    }

    fn leave(&mut self, topic: &Topic, session: SessionId) {
        if let Some(members) = self.topics.get_mut(topic) {
            members.remove(session);
            if members.list.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    pub(super) fn message(&mut self, id: PeerId, message: &str, now: Millis) -> Vec<(PeerId, String)> {
        let message = serde_json::from_str(message).expect("a node speaks the protocol");
        let Some(connection) = self.connections.get_mut(&id) else {
            // It has ended in the meantime.
            return Vec::new();
        };
        match (message, connection.session) {
            (ClientMessage::Hello { proof, .. }, None) => {
                // What is late here is of an earlier connection.
                let Ok(session) = check_hello(&proof, &connection.challenge, now) else {
                    return Vec::new();
                };
                connection.session = Some(session);
                self.sessions.insert(session, id);
                vec![(id, text(&ServerMessage::Welcome { servers: Vec::new() }))]
            }
            (ClientMessage::Join { topic }, Some(session)) => {
                connection.topics.insert(topic.clone());
                self.most_topics = self.most_topics.max(connection.topics.len());
                assert!(
                    connection.topics.len() <= MAX_TOPICS,
                    "peer {id} is in too many topics"
                );
                let members = self.topics.entry(topic.clone()).or_default();
                members.insert(session);
                let peers = members.sample(session, &mut self.rng);
                vec![(id, text(&ServerMessage::Members { topic, peers }))]
            }
            (ClientMessage::Leave { topic }, Some(session)) => {
                connection.topics.remove(&topic);
                self.leave(&topic, session);
                Vec::new()
            }
            (ClientMessage::Relay { to, sealed }, Some(session)) => match self.sessions.get(&to) {
                Some(_) if self.rng.random_bool(self.lost) => Vec::new(),
                Some(peer) => vec![(
                    *peer,
                    text(&ServerMessage::Relayed {
                        from: session,
                        sealed,
                    }),
                )],
                None => vec![(id, text(&ServerMessage::Unreachable { to }))],
            },
            (ClientMessage::Ping, Some(_)) => vec![(id, text(&ServerMessage::Pong))],
            _ => Vec::new(),
        }
    }
}

fn text(message: &ServerMessage) -> String {
    serde_json::to_string(message).expect("these messages always serialise")
}
