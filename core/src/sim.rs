//! A seeded network of whole peers in one process, under virtual time: the proving ground of everything above it.
//!
//! Real [`Node`]s with real sessions, seals and signatures run over simulated links and a simulated signal server.
//! The same seed gives the same run, message by message; a failing test prints its seed.

mod network;
mod server;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use nostr::prelude::EventId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::identity::{MemoryVault, Vault};
use crate::node::api::{Command, FromNode, Network, Reply, Request, RequestError};
use crate::node::{Config, Input, Node, Output, SignalCommand, SignalEvent};
use crate::signaling::IceServers;
use crate::store::{MemoryStore, Scope, Store};
use crate::time::Millis;
use crate::transport::Route;
use network::Network as Links;
use server::SignalServer;

/// What the simulated network is like.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// One-way delay of a link, from and to.
    pub latency: (Duration, Duration),
    /// Part of the frames that are lost and sent again by the transport, which delays all that follow them.
    pub loss: f64,
    /// Part of the frames at which the link breaks, taking with it what is under way.
    pub breaks: f64,
    /// Part of the introductions that the signal server loses.
    pub lost_introductions: f64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: (Duration::from_millis(5), Duration::from_millis(80)),
            loss: 0.0,
            breaks: 0.0,
            lost_introductions: 0.0,
        }
    }
}

/// A peer by its number.
pub type PeerId = usize;

pub(crate) enum Happening {
    Input(Box<Input>),
    ToServer(String),
}

struct Peer {
    node: Option<Node<MemoryStore>>,
    /// What outlives the node while the peer is off.
    kept: Option<(MemoryStore, Box<dyn Vault>)>,
    life: u64,
    tick_at: Millis,
    replies: BTreeMap<u64, Result<Reply, RequestError>>,
}

/// The simulation.
pub struct Sim {
    now: Millis,
    rng: StdRng,
    peers: Vec<Peer>,
    server: SignalServer,
    links: Links,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    happenings: BTreeMap<u64, (PeerId, u64, Happening)>,
    next: u64,
}

impl Sim {
    /// A network without peers.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            now: Millis(1_700_000_000_000),
            server: SignalServer::new(rng.random(), conditions.lost_introductions),
            links: Links::new(rng.random(), conditions),
            rng,
            peers: Vec::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next: 0,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Adds a peer of this name and starts it.
    pub fn add(&mut self, name: &str) -> PeerId {
        let id = self.peers.len();
        self.peers.push(Peer {
            node: None,
            kept: Some((MemoryStore::default(), Box::new(MemoryVault::default()))),
            life: 0,
            tick_at: self.now,
            replies: BTreeMap::new(),
        });
        self.start(id);
        self.request(
            id,
            Command::SignUp {
                name: name.to_owned(),
            },
        )
        .expect("a name is a name");
        id
    }

    /// Starts a peer that was stopped: a new session on the same store.
    pub fn start(&mut self, id: PeerId) {
        let config = Config {
            route: Route::Any,
            seed: self.rng.random(),
        };
        let peer = &mut self.peers[id];
        let (store, vault) = peer.kept.take().expect("it was stopped");
        let node = Node::new(config, store, vault, self.now).expect("a memory vault can be read");
        peer.tick_at = node.next_tick();
        peer.node = Some(node);
        peer.life += 1;
        self.carry_out(id);
    }

    /// Stops a peer as closing a tab does: without a word.
    pub fn stop(&mut self, id: PeerId) {
        if let Some(node) = self.peers[id].node.take() {
            self.peers[id].kept = Some(node.into_parts());
            self.server.disconnect(id);
            for (peer, after, event) in self.links.vanish(id) {
                self.schedule(peer, after, Happening::Input(Box::new(Input::Transport(event))));
            }
        }
    }

    /// Asks a running peer's node.
    ///
    /// # Errors
    /// What the node answers.
    pub fn request(&mut self, id: PeerId, command: Command) -> Result<Reply, RequestError> {
        let number = self.next_number();
        self.deliver(id, Input::Request(Request { id: number, command }));
        self.peers[id]
            .replies
            .remove(&number)
            .expect("a node answers at once")
    }

    /// Writes a note.
    pub fn post(&mut self, id: PeerId, text: &str) -> EventId {
        match self.request(
            id,
            Command::Post {
                text: text.to_owned(),
            },
        ) {
            Ok(Reply::Posted(note)) => note.id,
            other => panic!("peer {id} cannot post: {other:?}"),
        }
    }

    /// The texts of all notes that a peer has, sorted.
    pub fn notes(&self, id: PeerId) -> Vec<String> {
        let peer = &self.peers[id];
        let store = peer
            .node
            .as_ref()
            .map(Node::store)
            .or(peer.kept.as_ref().map(|(store, _)| store));
        let page = store
            .expect("a peer has a store")
            .timeline(Scope::Everyone, None, usize::MAX);
        let mut texts: Vec<_> = page
            .expect("memory does not fail")
            .notes
            .into_iter()
            .map(|n| n.content)
            .collect();
        texts.sort();
        texts
    }

    /// The network as a peer sees it.
    pub fn network(&mut self, id: PeerId) -> Network {
        match self.request(id, Command::Network) {
            Ok(Reply::Network(network)) => network,
            other => panic!("peer {id} has no network: {other:?}"),
        }
    }

    /// How many peers run.
    pub fn running(&self) -> usize {
        self.peers.iter().filter(|peer| peer.node.is_some()).count()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(end, |_| false);
    }

    /// Lets time pass until something holds, asked each virtual second; false when the limit comes first.
    pub fn run_until_holds(&mut self, limit: Duration, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            if holds(self) {
                return true;
            }
            self.run_for(Duration::from_secs(1));
        }
        holds(self)
    }

    fn run_until(&mut self, end: Millis, mut stop: impl FnMut(&Self) -> bool) {
        while !stop(self) {
            let next_tick = self
                .peers
                .iter()
                .enumerate()
                .filter(|(_, peer)| peer.node.is_some())
                .map(|(id, peer)| (peer.tick_at, id))
                .min();
            let next_happening = self.queue.peek().map(|Reverse((at, _))| *at);
            match (next_happening, next_tick) {
                (Some(at), tick) if at <= end && tick.is_none_or(|(tick, _)| at <= tick) => {
                    self.now = self.now.max(at);
                    self.happen();
                }
                (_, Some((tick, id))) if tick <= end => {
                    self.now = self.now.max(tick);
                    self.deliver(id, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self) {
        let Some(Reverse((_, number))) = self.queue.pop() else {
            return;
        };
        let Some((id, life, happening)) = self.happenings.remove(&number) else {
            return;
        };
        if self.peers[id].life != life || self.peers[id].node.is_none() {
            return;
        }
        match happening {
            Happening::Input(input) => self.deliver(id, *input),
            Happening::ToServer(text) => {
                for (to, message) in self.server.message(id, &text, self.now) {
                    let after = self.links.delay();
                    let input = Input::Signal(SignalEvent::Message(message));
                    self.schedule(to, after, Happening::Input(Box::new(input)));
                }
            }
        }
    }

    fn deliver(&mut self, id: PeerId, input: Input) {
        // A frame that arrives after its link has gone is nobody's.
        if let Input::Transport(event) = &input
            && !self.links.admits(id, event)
        {
            return;
        }
        if let Some(node) = self.peers[id].node.as_mut() {
            node.handle(input, self.now);
            self.peers[id].tick_at = node.next_tick();
        }
        self.carry_out(id);
    }

    fn carry_out(&mut self, id: PeerId) {
        while let Some(output) = self.peers[id].node.as_mut().and_then(Node::poll_output) {
            match output {
                Output::Interface(FromNode::Reply { id: number, result }) => {
                    self.peers[id].replies.insert(number, result);
                }
                Output::Interface(FromNode::Changed(_)) => {}
                Output::Signal(command) => self.signal(id, command),
                Output::Transport(command) => {
                    for (peer, after, event) in self.links.command(id, command, self.now) {
                        self.schedule(peer, after, Happening::Input(Box::new(Input::Transport(event))));
                    }
                }
            }
        }
    }

    fn signal(&mut self, id: PeerId, command: SignalCommand) {
        let after = self.links.delay();
        match command {
            SignalCommand::Connect => {
                let challenge = self.server.connect(id);
                for event in [SignalEvent::Opened, SignalEvent::Message(challenge)] {
                    self.schedule(id, after, Happening::Input(Box::new(Input::Signal(event))));
                }
            }
            SignalCommand::Send(text) => self.schedule(id, after, Happening::ToServer(text)),
            SignalCommand::Close => self.server.disconnect(id),
            SignalCommand::FetchIceServers => {
                let servers = IceServers {
                    ice_servers: Vec::new(),
                    ttl: 3_600,
                };
                self.schedule(
                    id,
                    after,
                    Happening::Input(Box::new(Input::IceServers(Ok(servers)))),
                );
            }
        }
    }

    fn schedule(&mut self, id: PeerId, after: Duration, happening: Happening) {
        let number = self.next_number();
        self.queue.push(Reverse((self.now + after, number)));
        self.happenings
            .insert(number, (id, self.peers[id].life, happening));
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
