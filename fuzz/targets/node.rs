//! A whole node between a hostile signal server and hostile peers.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nostr::nips::nip44;
use sazanami_core::identity::{self, MemoryVault};
use sazanami_core::mesh::{LinkBudget, MAX_LINKS};
use sazanami_core::node::{Config, Input, Node, Output, ServerId, SignalCommand, SignalEvent};
use sazanami_core::signaling::introduction::{self, Body, Introduction, OpenError};
use sazanami_core::signaling::{ClientMessage, IceServers, PeerSignal, ServerMessage, SessionId, Topic};
use sazanami_core::store::MemoryStore;
use sazanami_core::sync::frame::split;
use sazanami_core::time::Millis;
use sazanami_core::transport::{CloseReason, LinkId, Route, SEND_BUFFER, TransportCommand, TransportEvent};
use sazanami_fuzz::{PEOPLE, START, Said, Speaker, Unjoined, person, session};

/// The only server.
const SERVER: ServerId = ServerId(0);
/// Steps of one script.
const STEPS: usize = 96;

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Server(Server),
    Introduce(Introduced),
    Ice(Option<(String, u64)>),
    Link(u8, Link),
    Wait(u16),
    Online,
    Budget(bool),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Server {
    Opened,
    Challenge(String, Option<u64>),
    Welcome(Vec<String>),
    Members(bool, Vec<u8>),
    Strangers(u8),
    Relayed(u8, String),
    Unreachable(u8),
    Refused(String),
    Text(String),
    Closed,
}

/// An introduction of one of the people, sealed well, with anything in it.
#[derive(arbitrary::Arbitrary, Debug)]
struct Introduced {
    from: u8,
    from_attempt: u8,
    to_attempt: Option<Attempt>,
    sequence: u8,
    expires: i16,
    proof: Proof,
    links: u16,
    what: What,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Attempt {
    /// The one that the node told this peer last.
    Last,
    Any(u8),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Proof {
    Good,
    OfAnother(u8),
    Stale,
    None,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum What {
    Offer(String),
    Answer(String),
    Candidate(String),
    Full,
    Text(String),
}

/// What happens to the n-th living link.
#[derive(arbitrary::Arbitrary, Debug)]
enum Link {
    Signal(Option<String>),
    Opened,
    Prove,
    Say(Said),
    Frame(Vec<u8>),
    Drained,
    Closed,
}

struct World {
    node: Node<MemoryStore>,
    now: Millis,
    links: BTreeMap<LinkId, Wire>,
    seen: BTreeSet<LinkId>,
    attempts: BTreeMap<SessionId, u64>,
    /// Whether the server has said what time it is, which introductions go by.
    clock_set: bool,
}

struct Wire {
    open: bool,
    unread: usize,
    peer: Speaker,
    wire: Unjoined,
}

impl World {
    fn new() -> Self {
        let config = Config {
            servers: vec!["https://sazanami.example".parse().unwrap()],
            verifiers: 0,
            route: Some(Route::Any),
            seed: [9; 32],
        };
        let vault = Box::new(MemoryVault(Some(person(0))));
        let node = Node::new(config, MemoryStore::new(), vault, START).expect("memory does not fail");
        let mut world = Self {
            node,
            now: START,
            links: BTreeMap::new(),
            seen: BTreeSet::new(),
            attempts: BTreeMap::new(),
            clock_set: false,
        };
        world.carry_out();
        world
    }

    fn handle(&mut self, input: Input) {
        self.node.handle(input, self.now);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                // Verified in line: no verifiers.
                Output::Verify(_) | Output::Client(_) => {}
                Output::Transport(command) => self.transport(command),
                Output::Signal(_, SignalCommand::Send(text)) => self.sent(&text),
                Output::Signal(..) | Output::Interface(_) => {}
            }
        }
        // One place is spare for a newcomer that has next to none.
        assert!(self.links.len() <= MAX_LINKS + 1, "{} links", self.links.len());
    }

    fn transport(&mut self, command: TransportCommand) {
        match command {
            TransportCommand::Connect { link, .. } => {
                assert!(self.seen.insert(link), "{link} is used twice");
                // Who is at its other end does not matter to the script: all say the same things.
                let who = 1 + (link.0 % u64::from(PEOPLE - 1)) as u8;
                let wire = Wire {
                    open: false,
                    unread: 0,
                    peer: Speaker::new(who),
                    wire: Unjoined::default(),
                };
                self.links.insert(link, wire);
            }
            TransportCommand::Signal { link, .. } | TransportCommand::Restart { link, .. } => {
                assert!(self.links.contains_key(&link), "{link} is over")
            }
            TransportCommand::Send { link, frame } => {
                let Some(wire) = self.links.get_mut(&link) else {
                    panic!("a frame for {link}, which is over");
                };
                assert!(wire.open, "a frame for {link}, which is not open");
                wire.unread += frame.len();
                assert!(wire.unread <= SEND_BUFFER, "{} bytes wait", wire.unread);
                for message in wire.wire.read(&frame) {
                    wire.peer.hear(&message);
                }
            }
            TransportCommand::Close { link } => {
                assert!(self.links.remove(&link).is_some(), "{link} is closed twice");
            }
        }
    }

    fn sent(&mut self, text: &str) {
        let message: ClientMessage = serde_json::from_str(text).expect("the server can read it");
        let ClientMessage::Relay { to, sealed } = message else {
            return;
        };
        let receiver = (0..PEOPLE).find(|n| session(*n) == to);
        let Some(receiver) = receiver else { return };
        let opened = introduction::open(&sealed, &person(receiver), self.node.session_id(), self.now);
        if self.clock_set && matches!(opened, Err(OpenError::Expired)) {
            return;
        }
        let opened = opened.expect("the receiver can open it");
        self.attempts.insert(to, opened.from_attempt);
    }

    fn server(&mut self, message: &ServerMessage) {
        let text = serde_json::to_string(message).expect("every message has a JSON form");
        self.handle(Input::Signal(SERVER, SignalEvent::Message(text)));
    }

    fn introduce(&mut self, it: Introduced) {
        let (from, me) = (it.from % PEOPLE, self.node.session_id());
        let attempt = u64::from(it.from_attempt % 4);
        let prove = |who: u8, at: Millis| {
            let proof = identity::prove(&person(who), session(from), me, &attempt.to_string(), at);
            Some(Box::new(proof))
        };
        let candidate = |candidate| PeerSignal::Candidate {
            candidate,
            sdp_mid: None,
            sdp_m_line_index: None,
        };
        let body = match it.what {
            What::Offer(sdp) => Body::Signal(PeerSignal::Offer(sdp)),
            What::Answer(sdp) => Body::Signal(PeerSignal::Answer(sdp)),
            What::Candidate(text) => Body::Signal(candidate(text)),
            What::Full => Body::Full,
            What::Text(text) => return self.relay(from, &text),
        };
        let introduction = Introduction {
            from_attempt: attempt,
            to_attempt: it.to_attempt.map(|attempt| match attempt {
                Attempt::Last => self.attempts.get(&session(from)).copied().unwrap_or(0),
                Attempt::Any(n) => n.into(),
            }),
            sequence: it.sequence.into(),
            expires: Millis(self.now.0.saturating_add_signed(i64::from(it.expires) * 1_000)),
            proof: match it.proof {
                Proof::Good => prove(from, self.now),
                Proof::OfAnother(n) => prove(n, self.now),
                Proof::Stale => prove(from, Millis(0)),
                Proof::None => None,
            },
            links: it.links.into(),
            body,
        };
        let text = serde_json::to_string(&introduction).expect("every introduction has a JSON form");
        self.relay(from, &text);
    }

    fn relay(&mut self, from: u8, text: &str) {
        let to = self.node.session_id();
        let sealed = nip44::encrypt(person(from).secret_key(), &to.0, text, nip44::Version::V2);
        if let Ok(sealed) = sealed {
            self.server(&ServerMessage::Relayed {
                from: session(from),
                sealed,
            });
        }
    }

    fn link(&mut self, n: u8, what: Link) {
        let Some((id, wire)) = self.links.iter_mut().nth(usize::from(n) % (MAX_LINKS + 1)) else {
            return;
        };
        let link = *id;
        let frame = |text: String| split(&text).collect::<Vec<_>>();
        let frames = match what {
            Link::Signal(text) => {
                let signal = text.map_or_else(|| PeerSignal::Offer("v=0".to_owned()), PeerSignal::Answer);
                return self.handle(Input::Transport(TransportEvent::Signal { link, signal }));
            }
            Link::Opened => {
                wire.open = true;
                return self.handle(Input::Transport(TransportEvent::Opened { link }));
            }
            Link::Drained => {
                let bytes = std::mem::take(&mut wire.unread);
                return self.handle(Input::Transport(TransportEvent::Drained { link, bytes }));
            }
            Link::Closed => {
                self.links.remove(&link);
                let reason = CloseReason::Remote;
                return self.handle(Input::Transport(TransportEvent::Closed { link, reason }));
            }
            _ if !wire.open => return,
            // Nobody knows the session at the other end, so most proofs fail; frames in the `session` target get further.
            Link::Prove => frame(wire.peer.proof(0, self.now).to_json()),
            Link::Say(said) => wire
                .peer
                .say(&said, 0, self.now)
                .into_iter()
                .flat_map(frame)
                .collect(),
            Link::Frame(bytes) => vec![bytes],
        };
        for frame in frames {
            self.handle(Input::Transport(TransportEvent::Frame { link, frame }));
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    for step in steps.into_iter().take(STEPS) {
        match step {
            Step::Server(said) => server(&mut world, said),
            Step::Introduce(it) => world.introduce(it),
            Step::Ice(answer) => {
                let answer = answer.map(|(url, ttl)| IceServers {
                    ice_servers: vec![sazanami_core::signaling::IceServer {
                        urls: vec![url],
                        username: None,
                        credential: None,
                    }],
                    ttl,
                });
                world.handle(Input::IceServers(SERVER, answer.ok_or_else(|| "none".to_owned())));
            }
            Step::Link(n, what) => world.link(n, what),
            Step::Wait(millis) => {
                world.now = world.now + Duration::from_millis(u64::from(millis));
                world.handle(Input::Tick);
            }
            Step::Online => world.handle(Input::Online),
            Step::Budget(full) => {
                let budget = if full {
                    LinkBudget::Full
                } else {
                    LinkBudget::Background
                };
                world.handle(Input::Budget(budget));
            }
        }
    }
});

fn server(world: &mut World, said: Server) {
    match said {
        Server::Opened => world.handle(Input::Signal(SERVER, SignalEvent::Opened)),
        Server::Challenge(challenge, now) => {
            world.clock_set |= now.is_some();
            world.server(&ServerMessage::Challenge {
                challenge,
                now: now.map(Millis),
            });
        }
        Server::Welcome(servers) => world.server(&ServerMessage::Welcome { servers }),
        Server::Members(lobby, peers) => {
            let topic = if lobby {
                Topic::lobby()
            } else {
                Topic::derive(b"x")
            };
            let peers = peers.into_iter().map(session).collect();
            world.server(&ServerMessage::Members { topic, peers });
        }
        Server::Strangers(count) => {
            // Sessions that lead nowhere: more than anybody remembers.
            let strangers = (0..count).map(|n| {
                let secret = nostr::prelude::SecretKey::from_slice(&[n.max(1); 32]);
                let keys =
                    sazanami_core::Keys::new(secret.unwrap_or_else(|_| person(0).secret_key().clone()));
                SessionId(keys.public_key())
            });
            let peers = strangers.collect();
            let topic = Topic::lobby();
            world.server(&ServerMessage::Members { topic, peers });
        }
        Server::Relayed(from, sealed) => world.server(&ServerMessage::Relayed {
            from: session(from),
            sealed,
        }),
        Server::Unreachable(to) => world.server(&ServerMessage::Unreachable { to: session(to) }),
        Server::Refused(message) => world.server(&ServerMessage::Error {
            code: sazanami_core::signaling::ErrorCode::RateLimited,
            message,
        }),
        Server::Text(text) => world.handle(Input::Signal(SERVER, SignalEvent::Message(text))),
        Server::Closed => world.handle(Input::Signal(SERVER, SignalEvent::Closed("gone".to_owned()))),
    }
}
