//! What the server does to messages: seeded, and without sockets.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nostr::prelude::{Keys, SecretKey};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sazanami_core::signaling::introduction::Introduction;
use sazanami_core::signaling::{ClientMessage, ServerMessage, SessionId, Topic};
use sazanami_core::time::Millis;

use super::Owner;
use super::impostor::Impostor;

/// A kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// None: every message is passed on as it is.
    Nothing,
    /// Three of ten messages are lost.
    Drop,
    /// Messages arrive up to two and a half seconds late, in order.
    Delay,
    /// Messages arrive up to four times.
    Repeat,
    /// Messages arrive in any order.
    Reorder,
    /// Messages go to others than they are for, and topics are mixed up.
    Swap,
    /// Fields and bits are changed, and garbage is made up.
    Rewrite,
    /// Introductions of now and of earlier arrive again.
    Replay,
    /// Its own keys stand in the place of all others, and it seals anew what was sealed to it.
    Impersonate,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// From the peer to the server.
    Up,
    /// To the peer.
    Down,
}

/// A message that is to arrive.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) door: String,
    pub(super) way: Way,
    pub(super) text: String,
    pub(super) after: Duration,
}

/// The longest delay.
const LATE: Duration = Duration::from_millis(2_500);
/// Introductions that are remembered.
const MAX_KEPT: usize = 2_000;
/// What no server of any version says.
const GARBAGE: [&str; 8] = [
    "",
    "null",
    "[[[[[[[[[[[[[[[[",
    r#"{"type":"relayed"}"#,
    r#"{"type":"relayed","from":"00","sealed":"AAAA"}"#,
    r#"{"type":"members","topic":"さざなみ","peers":[1,2,3]}"#,
    r#"{"type":"error","code":"no_such_code","message":"?"}"#,
    r#"{"type":"unreachable","to":{"to":{"to":null}}}"#,
];

pub(super) struct Meddler {
    attack: Attack,
    rng: StdRng,
    acts: usize,
    /// Sessions by door, the present one last.
    sessions: BTreeMap<String, Vec<SessionId>>,
    /// Topics that were asked for, by door.
    topics: BTreeMap<String, Vec<Topic>>,
    /// Introductions, and the door that they were for.
    kept: Vec<(String, String)>,
    /// When the last delayed message arrives.
    last: HashMap<(String, Way), Instant>,
    impostor: Impostor,
}

impl Meddler {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let impostor = Impostor::new(fresh_keys(&mut rng));
        Self {
            attack: Attack::Nothing,
            rng,
            acts: 0,
            sessions: BTreeMap::new(),
            topics: BTreeMap::new(),
            kept: Vec::new(),
            last: HashMap::new(),
            impostor,
        }
    }

    pub(super) fn set_attack(&mut self, attack: Attack) {
        (self.attack, self.acts) = (attack, 0);
    }

    pub(super) fn acts(&self) -> usize {
        self.acts
    }

    pub(super) fn opened(&self) -> &[Introduction] {
        self.impostor.opened()
    }

    pub(super) fn owner(&self, session: SessionId) -> Owner {
        if self.impostor.is_mask(session) {
            return Owner::Server;
        }
        let of = |(door, sessions): (&String, &Vec<SessionId>)| {
            sessions.contains(&session).then(|| Owner::Door(door.clone()))
        };
        self.sessions.iter().find_map(of).unwrap_or(Owner::Nobody)
    }

    /// What becomes of a message.
    pub(super) fn meddle(&mut self, door: &str, way: Way, text: String) -> Vec<Delivery> {
        self.learn(door, way, &text);
        let straight = Delivery {
            door: door.to_owned(),
            way,
            text,
            after: Duration::ZERO,
        };
        // Whoever never gets in is never attacked.
        let greets = ["\"challenge\"", "\"hello\"", "\"welcome\""]
            .iter()
            .any(|word| straight.text.contains(word));
        if greets && self.rng.random_bool(0.9) {
            return vec![straight];
        }
        match self.attack {
            Attack::Nothing => vec![straight],
            Attack::Drop if self.rng.random_bool(0.3) => {
                self.acts += 1;
                Vec::new()
            }
            Attack::Drop => vec![straight],
            Attack::Delay => vec![self.delayed(straight)],
            Attack::Repeat => self.repeated(straight),
            Attack::Reorder => {
                self.acts += 1;
                let after = self.within(Duration::from_secs(1));
                vec![Delivery { after, ..straight }]
            }
            Attack::Swap => self.swapped(straight),
            Attack::Rewrite => self.rewritten(straight),
            Attack::Replay => self.with_replays(straight),
            Attack::Impersonate => self.impersonated(straight),
        }
    }

    /// Notes sessions, topics and introductions.
    fn learn(&mut self, door: &str, way: Way, text: &str) {
        match way {
            Way::Up => match serde_json::from_str(text) {
                Ok(ClientMessage::Hello { proof, .. }) => {
                    let sessions = self.sessions.entry(door.to_owned()).or_default();
                    let session = SessionId(proof.pubkey);
                    if sessions.last() != Some(&session) {
                        sessions.push(session);
                    }
                    let key = fresh_keys(&mut self.rng);
                    self.impostor.meet(session, key);
                }
                Ok(ClientMessage::Join { topic }) => {
                    let topics = self.topics.entry(door.to_owned()).or_default();
                    if !topics.contains(&topic) {
                        topics.push(topic);
                    }
                }
                _ => {}
            },
            Way::Down => {
                let is_introduction = matches!(serde_json::from_str(text), Ok(ServerMessage::Relayed { .. }));
                if is_introduction && self.kept.len() < MAX_KEPT {
                    self.kept.push((door.to_owned(), text.to_owned()));
                }
            }
        }
    }

    fn within(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.rng.random())
    }

    fn delayed(&mut self, straight: Delivery) -> Delivery {
        self.acts += 1;
        let now = Instant::now();
        let due = now + self.within(LATE);
        let last = self
            .last
            .entry((straight.door.clone(), straight.way))
            .or_insert(now);
        // Timers are exact to a millisecond: two apart keep their order.
        *last = due.max(*last + Duration::from_millis(2));
        Delivery {
            after: *last - now,
            ..straight
        }
    }

    fn repeated(&mut self, straight: Delivery) -> Vec<Delivery> {
        let copies = self.rng.random_range(0..=3);
        self.acts += copies;
        let mut all: Vec<Delivery> = (0..copies)
            .map(|_| Delivery {
                door: straight.door.clone(),
                way: straight.way,
                text: straight.text.clone(),
                after: self.within(Duration::from_millis(1_500)),
            })
            .collect();
        all.insert(0, straight);
        all
    }

    /// The present session of somebody behind another door.
    fn somebody_else(&mut self, door: &str) -> Option<(String, SessionId)> {
        let others: Vec<(String, SessionId)> = self
            .sessions
            .iter()
            .filter(|(name, _)| *name != door)
            .filter_map(|(name, sessions)| Some((name.clone(), *sessions.last()?)))
            .collect();
        others.choose(&mut self.rng).cloned()
    }

    fn swapped(&mut self, mut straight: Delivery) -> Vec<Delivery> {
        if self.rng.random_bool(0.4) {
            return vec![straight];
        }
        let Some((other, session)) = self.somebody_else(&straight.door) else {
            return vec![straight];
        };
        self.acts += 1;
        match straight.way {
            Way::Up => {
                if let Ok(ClientMessage::Relay { sealed, .. }) = serde_json::from_str(&straight.text) {
                    straight.text = as_json(&ClientMessage::Relay { to: session, sealed });
                }
            }
            Way::Down => match serde_json::from_str(&straight.text) {
                Ok(ServerMessage::Members { peers, .. }) => {
                    // Strangers in the place of friends, and the other way round.
                    let topics = self.topics.get(&straight.door).map_or(&[][..], Vec::as_slice);
                    if let Some(topic) = topics.choose(&mut self.rng).cloned() {
                        straight.text = as_json(&ServerMessage::Members { topic, peers });
                    }
                }
                Ok(ServerMessage::Relayed { .. }) => straight.door = other,
                _ => {}
            },
        }
        vec![straight]
    }

    fn rewritten(&mut self, mut straight: Delivery) -> Vec<Delivery> {
        if self.rng.random_bool(0.4) {
            return vec![straight];
        }
        self.acts += 1;
        let invented = match self.rng.random_range(0..6) {
            0 => Some(String::from_utf8_lossy(&self.bit_flipped(straight.text.as_bytes())).into_owned()),
            1 => GARBAGE.choose(&mut self.rng).map(|text| (*text).to_owned()),
            _ => self.field_changed(&straight),
        };
        if let Some(text) = invented {
            straight.text = text;
        }
        vec![straight]
    }

    fn bit_flipped(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if !bytes.is_empty() {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << self.rng.random_range(0..8);
        }
        bytes
    }

    fn field_changed(&mut self, straight: &Delivery) -> Option<String> {
        if straight.way == Way::Up {
            let ClientMessage::Relay { to, sealed } = serde_json::from_str(&straight.text).ok()? else {
                return None;
            };
            let sealed = String::from_utf8_lossy(&self.bit_flipped(sealed.as_bytes())).into_owned();
            return Some(as_json(&ClientMessage::Relay { to, sealed }));
        }
        let message = match serde_json::from_str(&straight.text).ok()? {
            ServerMessage::Challenge { challenge, now } => ServerMessage::Challenge {
                challenge,
                // Some years off.
                now: now.map(|now| Millis(now.0 / self.rng.random_range(1..4) * self.rng.random_range(1..4))),
            },
            ServerMessage::Members { topic, mut peers } => {
                // The asker too, twice, and many that nobody is.
                let own = self.sessions.get(&straight.door).and_then(|all| all.last());
                peers.extend(own.into_iter().chain(own));
                peers.extend((0..50).map(|_| SessionId(fresh_keys(&mut self.rng).public_key())));
                ServerMessage::Members { topic, peers }
            }
            ServerMessage::Relayed { from, sealed } => {
                let another = self.somebody_else(&straight.door);
                match another.filter(|_| self.rng.random_bool(0.5)) {
                    Some((_, other)) => ServerMessage::Relayed { from: other, sealed },
                    None => ServerMessage::Relayed {
                        from,
                        sealed: String::from_utf8_lossy(&self.bit_flipped(sealed.as_bytes())).into_owned(),
                    },
                }
            }
            ServerMessage::Unreachable { .. } | ServerMessage::Pong => ServerMessage::Unreachable {
                to: self.somebody_else(&straight.door)?.1,
            },
            ServerMessage::Welcome { .. } | ServerMessage::Error { .. } => ServerMessage::Pong,
        };
        Some(as_json(&message))
    }

    fn with_replays(&mut self, straight: Delivery) -> Vec<Delivery> {
        let door = straight.door.clone();
        let mut all = vec![straight];
        for _ in 0..3 {
            let Some((to, text)) = self.kept.choose(&mut self.rng).cloned() else {
                break;
            };
            self.acts += 1;
            // Mostly to whom it was for, who alone can open it.
            let door = if self.rng.random_bool(0.8) {
                to
            } else {
                door.clone()
            };
            all.push(Delivery {
                door,
                way: Way::Down,
                text,
                after: self.within(Duration::from_millis(500)),
            });
        }
        all
    }

    fn impersonated(&mut self, mut straight: Delivery) -> Vec<Delivery> {
        match straight.way {
            Way::Up => {
                let Ok(ClientMessage::Relay { to, sealed }) = serde_json::from_str(&straight.text) else {
                    return vec![straight];
                };
                let from = self.sessions.get(&straight.door).and_then(|all| all.last());
                let Some(from) = from.copied().filter(|_| self.impostor.is_mask(to)) else {
                    return vec![straight];
                };
                let passed_on = self.impostor.pass_on(from, to, &sealed, now(), &mut self.rng);
                let Some((receiver, message)) = passed_on else {
                    return Vec::new();
                };
                self.acts += 1;
                let Owner::Door(door) = self.owner(receiver) else {
                    return Vec::new();
                };
                vec![Delivery {
                    door,
                    way: Way::Down,
                    text: as_json(&message),
                    after: Duration::ZERO,
                }]
            }
            Way::Down => {
                if let Ok(ServerMessage::Members { topic, peers }) = serde_json::from_str(&straight.text) {
                    let peers = peers
                        .iter()
                        .filter_map(|peer| self.impostor.mask_of(*peer))
                        .collect();
                    self.acts += 1;
                    straight.text = as_json(&ServerMessage::Members { topic, peers });
                }
                vec![straight]
            }
        }
    }
}

fn as_json(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).expect("these messages always serialise")
}

fn fresh_keys(rng: &mut StdRng) -> Keys {
    loop {
        if let Ok(secret) = SecretKey::from_slice(&rng.random::<[u8; 32]>()) {
            return Keys::new(secret);
        }
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(since.as_millis().try_into().unwrap_or(u64::MAX))
}
