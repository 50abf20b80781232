//! The simulated signal server: the real messages, in memory.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};

use super::PeerId;
use crate::signaling::{ClientMessage, MAX_SAMPLE, ServerMessage, SessionId, Topic, check_hello};
use crate::time::Millis;

pub(super) struct SignalServer {
    rng: StdRng,
    lost: f64,
    challenges: BTreeMap<PeerId, String>,
    sessions: BTreeMap<SessionId, PeerId>,
    topics: BTreeMap<Topic, BTreeSet<SessionId>>,
}

impl SignalServer {
    pub(super) fn new(seed: u64, lost: f64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            lost,
            challenges: BTreeMap::new(),
            sessions: BTreeMap::new(),
            topics: BTreeMap::new(),
        }
    }

    /// Answers with the challenge.
    pub(super) fn connect(&mut self, id: PeerId) -> String {
        self.disconnect(id);
        let challenge = hex::encode(self.rng.random::<[u8; 16]>());
        self.challenges.insert(id, challenge.clone());
        text(&ServerMessage::Challenge { challenge })
    }

    pub(super) fn disconnect(&mut self, id: PeerId) {
        self.challenges.remove(&id);
        let gone: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, peer)| **peer == id)
            .map(|(s, _)| *s)
            .collect();
        for session in gone {
            self.sessions.remove(&session);
            self.topics.values_mut().for_each(|members| {
                members.remove(&session);
            });
        }
    }

    pub(super) fn message(&mut self, id: PeerId, message: &str, now: Millis) -> Vec<(PeerId, String)> {
        let message = serde_json::from_str(message).expect("a node speaks the protocol");
        let session = self
            .sessions
            .iter()
            .find(|(_, peer)| **peer == id)
            .map(|(session, _)| *session);
        match (message, session) {
            (ClientMessage::Hello { proof, .. }, None) => {
                let Some(challenge) = self.challenges.get(&id) else {
                    return Vec::new();
                };
                let session = check_hello(&proof, challenge, now).expect("a node proves its session");
                self.sessions.insert(session, id);
                vec![(id, text(&ServerMessage::Welcome))]
            }
            (ClientMessage::Join { topic }, Some(session)) => {
                let members = self.topics.entry(topic.clone()).or_default();
                members.insert(session);
                let others = members.iter().filter(|member| **member != session).copied();
                let peers = others.sample(&mut self.rng, MAX_SAMPLE);
                vec![(id, text(&ServerMessage::Members { topic, peers }))]
            }
            (ClientMessage::Leave { topic }, Some(session)) => {
                self.topics.entry(topic).or_default().remove(&session);
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
            // A connection that has ended in the meantime.
            _ => Vec::new(),
        }
    }
}

fn text(message: &ServerMessage) -> String {
    serde_json::to_string(message).expect("these messages always serialise")
}
