//! A seeded network of whole peers in one process, under virtual time: the proving ground of everything above it.
//!
//! Real [`Node`]s with real sessions, seals and signatures run over simulated links and a simulated signal server.
//! The same seed gives the same run, message by message; a failing test prints its seed.
//!
//! - [`Conditions`] and [`Nat`]: what the network is like; [`Sim::divide`] cuts it into parts
//! - [`PeerOptions`]: what a peer is like: its clock, its address translation, and whether it plays by the rules
//! - [`scenarios`]: whole stories, which the tests and the example `simulate` tell
//! - [`Row`]: how notes spread, in figures

mod network;
mod report;
mod role;
pub mod scenarios;
mod server;
mod signalling;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nostr::prelude::{Event, EventId, PublicKey};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::identity::{MemoryVault, Vault};
use crate::mesh::LinkBudget;
use crate::node::api::{Change, Command, FromNode, Network, Reply, Request, RequestError};
use crate::node::{Config, Input, Job, Node, Output, ServerId};
use crate::store::{EventPool, Known, MemoryStore, Scope, Store};
use crate::time::Millis;
use crate::transport::{Route, TransportCommand, TransportEvent};
pub use network::Nat;
use network::Network as Links;
use report::Tracked;
pub use report::{Mark, Row, headings};
pub use role::Role;
use role::Tamper;
use signalling::Servers;

/// When every simulation begins.
pub const START: Millis = Millis(1_700_000_000_000);

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
    /// Bytes per second that a peer's line carries up and down, all its links together; `None` for no limit.
    pub bandwidth: Option<(u64, u64)>,
    /// Whether the server has a TURN server.
    pub relay: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: (Duration::from_millis(5), Duration::from_millis(80)),
            loss: 0.0,
            breaks: 0.0,
            lost_introductions: 0.0,
            bandwidth: None,
            relay: true,
        }
    }
}

/// What a peer is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerOptions {
    /// What stands between it and the others.
    pub nat: Nat,
    /// How it behaves.
    pub role: Role,
    /// Milliseconds by which its clock is ahead.
    pub clock: i64,
    /// How many links it takes.
    pub budget: LinkBudget,
    /// It goes to people by the way that is chosen for their ring, strangers by a relay; otherwise to all directly.
    pub by_ring: bool,
    /// The signal servers that it uses; the first alone when none is named.
    pub servers: &'static [usize],
    /// Verifiers beside its node, whose work [`Sim::jobs`] hands over.
    pub verifiers: usize,
}

/// A peer by its number.
pub type PeerId = usize;

enum Happening {
    Input(Input),
    ToServer(ServerId, String),
    Tick,
}

/// Something that is going to happen to a peer.
struct Planned {
    peer: PeerId,
    life: u64,
    happening: Happening,
}

struct Peer {
    node: Option<Node<MemoryStore>>,
    /// What outlives the node while the peer is off.
    kept: Option<(MemoryStore, Box<dyn Vault>)>,
    options: PeerOptions,
    key: Option<PublicKey>,
    tamper: Option<Tamper>,
    life: u64,
    tick_at: Millis,
    replies: BTreeMap<u64, Result<Reply, RequestError>>,
    jobs: Vec<Job>,
    /// What waits for it to wake.
    asleep: Option<(Millis, Vec<Input>)>,
    throttled: Duration,
}

impl Peer {
    fn clock(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_add_signed(self.options.clock))
    }

    fn store(&self) -> &MemoryStore {
        self.node
            .as_ref()
            .map(Node::store)
            .or(self.kept.as_ref().map(|(store, _)| store))
            .expect("a peer has a store")
    }
}

/// The simulation.
pub struct Sim {
    now: Millis,
    rng: StdRng,
    pool: EventPool,
    peers: Vec<Peer>,
    servers: Servers,
    /// Parts of the network that reach the servers; `None` for all.
    served: Option<BTreeSet<usize>>,
    links: Links,
    /// By time, then in the order in which it was planned.
    queue: BTreeMap<(Millis, u64), Box<Planned>>,
    next: u64,
    tracked: BTreeMap<EventId, Tracked>,
    sent: u64,
    connects: u64,
}

impl Sim {
    /// A network without peers.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            now: START,
            servers: Servers::new(rng.random(), conditions.lost_introductions),
            served: None,
            links: Links::new(rng.random(), conditions),
            rng,
            pool: EventPool::default(),
            peers: Vec::new(),
            queue: BTreeMap::new(),
            next: 0,
            tracked: BTreeMap::new(),
            sent: 0,
            connects: 0,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Randomness of the run, for scenarios.
    pub fn rng(&mut self) -> &mut impl Rng {
        &mut self.rng
    }

    /// Adds a peer of this name and starts it.
    pub fn add(&mut self, name: &str) -> PeerId {
        self.add_with(name, PeerOptions::default())
    }

    /// Adds many peers at once.
    pub fn crowd(&mut self, count: usize) -> Vec<PeerId> {
        (0..count)
            .map(|_| self.add(&format!("peer {}", self.peers.len())))
            .collect()
    }

    /// Adds a peer that is somehow different, and starts it. Without a name it tells nobody who it is.
    pub fn add_with(&mut self, name: &str, options: PeerOptions) -> PeerId {
        let id = self.peers.len();
        let store = MemoryStore::with_pool(&self.pool);
        self.links.add(options.nat);
        self.peers.push(Peer {
            node: None,
            kept: Some((store, Box::new(MemoryVault::default()))),
            options,
            key: None,
            tamper: None,
            life: 0,
            tick_at: self.now,
            replies: BTreeMap::new(),
            jobs: Vec::new(),
            asleep: None,
            throttled: Duration::ZERO,
        });
        self.start(id);
        let become_somebody = if name.is_empty() {
            let secret = hex::encode(self.rng.random::<[u8; 32]>());
            Command::Import { nsec: secret }
        } else {
            let name = name.to_owned();
            Command::SignUp { name }
        };
        match self.request(id, become_somebody) {
            Ok(Reply::Me(Some(me))) => self.peers[id].key = Some(me.key),
            other => panic!("peer {id} cannot sign up: {other:?}"),
        }
        if options.role != Role::Honest {
            let own = self.key(id).to_hex();
            self.peers[id].tamper = Some(Tamper::new(options.role, self.rng.random(), own));
        }
        id
    }

    /// Who a peer is.
    pub fn key(&self, id: PeerId) -> PublicKey {
        self.peers[id].key.expect("it has signed up")
    }

    /// Starts a peer that was stopped: a new session on the same store.
    pub fn start(&mut self, id: PeerId) {
        let config = Config {
            servers: self.peers[id].options.servers(),
            route: (!self.peers[id].options.by_ring).then_some(Route::Any),
            verifiers: self.peers[id].options.verifiers,
            seed: self.rng.random(),
        };
        let now = self.now;
        let peer = &mut self.peers[id];
        let (store, vault) = peer.kept.take().expect("it was stopped");
        let node = Node::new(config, store, vault, peer.clock(now)).expect("a memory vault can be read");
        peer.node = Some(node);
        peer.life += 1;
        // Ticks that were planned for an earlier life are void.
        peer.tick_at = Millis::default();
        self.plan_tick(id);
        self.carry_out(id, None);
        let budget = self.peers[id].options.budget;
        if budget != LinkBudget::Full {
            self.deliver(id, Input::Budget(budget));
        }
    }

    /// Stops a peer as closing a tab does: without a word.
    pub fn stop(&mut self, id: PeerId) {
        self.peers[id].jobs.clear();
        if let Some(node) = self.peers[id].node.take() {
            self.peers[id].kept = Some(node.into_parts());
            self.servers.disconnect(id);
            let events = self.links.vanish(id);
            self.plan_events(events);
        }
    }

    /// Puts events into a stopped peer's store.
    pub fn stock(&mut self, id: PeerId, events: &[Event]) {
        let now = self.peers[id].clock(self.now);
        let (store, _) = self.peers[id].kept.as_mut().expect("it was stopped");
        store.put(events, now).expect("memory does not fail");
    }

    /// Cuts the network into parts by a number for each peer: nothing gets from one part into another, and the signal
    /// server is reached from those of `served` (`None`: from all).
    pub fn divide(&mut self, part_of: impl Fn(PeerId) -> usize, served: Option<&[usize]>) {
        let events = self.links.divide(part_of);
        self.plan_events(events);
        self.served = served.map(|parts| parts.iter().copied().collect());
        for id in 0..self.peers.len() {
            if !self.is_served(id) {
                self.lose_servers(id);
            }
        }
    }

    /// Suspends a running peer: what is to happen to it waits until it wakes.
    pub fn sleep(&mut self, id: PeerId) {
        self.peers[id].asleep = Some((self.now, Vec::new()));
    }

    /// Wakes a peer: what has waited happens to it now.
    pub fn wake(&mut self, id: PeerId) {
        let (since, waited) = self.peers[id].asleep.take().expect("it sleeps");
        let hung_up = self.now.since(since) >= Duration::from_secs(60);
        for input in waited {
            if !(hung_up && matches!(input, Input::Signal(..))) {
                self.deliver(id, input);
            }
        }
        // Nobody keeps a connection that says nothing for so long; the device hears of it when it says something.
        if hung_up {
            self.lose_servers(id);
        }
        self.deliver(id, Input::Tick);
    }

    /// Has a peer's timers come no more often than so, as those of a tab in the background.
    pub fn throttle(&mut self, id: PeerId, every: Duration) {
        self.peers[id].throttled = every;
    }

    /// Sets a running peer's clock: by so many milliseconds it is ahead from now on.
    pub fn set_clock(&mut self, id: PeerId, ahead: i64) {
        self.peers[id].options.clock = ahead;
        self.deliver(id, Input::Tick);
    }

    /// Breaks the path of the links between two peers, which a restart mends; with `told` their transports notice after
    /// some seconds.
    pub fn break_path(&mut self, a: PeerId, b: PeerId, told: bool) {
        let events = self.links.break_path(a, b, told);
        self.plan_events(events);
    }

    /// Ends a division.
    pub fn heal(&mut self) {
        self.divide(|_| 0, None);
    }

    /// Changes what the network is like.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.links.set_conditions(conditions);
    }

    /// Asks a running peer's node.
    ///
    /// # Errors
    /// What the node answers.
    pub fn request(&mut self, id: PeerId, command: Command) -> Result<Reply, RequestError> {
        let number = self.next_number();
        self.deliver(
            id,
            Input::Request(Request {
                id: number,
                key: None,
                command,
            }),
        );
        self.peers[id]
            .replies
            .remove(&number)
            .expect("a node answers at once")
    }

    /// What a peer's verifiers are to do, since the last call; answered by [`Input::Verified`].
    pub fn jobs(&mut self, id: PeerId) -> Vec<Job> {
        std::mem::take(&mut self.peers[id].jobs)
    }

    /// Gives a running peer's node an input.
    pub fn input(&mut self, id: PeerId, input: Input) {
        self.deliver(id, input);
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

    /// Writes a note whose way through the network is recorded.
    pub fn post_tracked(&mut self, id: PeerId, text: &str) -> EventId {
        let note = self.post(id, text);
        self.tracked.insert(note, Tracked::new(Some(id), self.now));
        note
    }

    /// Records the way of a note that some peers have from elsewhere.
    pub fn track(&mut self, note: EventId) {
        self.tracked.insert(note, Tracked::new(None, self.now));
    }

    /// Makes one person follow another.
    pub fn follow(&mut self, id: PeerId, other: PeerId) {
        let person = self.key(other);
        self.request(id, Command::Follow { person, follow: true })
            .expect("following is possible");
    }

    /// Whether a peer has an event.
    pub fn has(&self, id: PeerId, event: &EventId) -> bool {
        self.peers[id].store().known(event) == Ok(Known::Stored)
    }

    /// The texts of all notes that a peer has, sorted.
    pub fn notes(&self, id: PeerId) -> Vec<String> {
        let page = self.peers[id].store().timeline(Scope::Everyone, None, usize::MAX);
        let notes = page.expect("memory does not fail").notes;
        let mut texts: Vec<_> = notes.into_iter().map(|n| n.content).collect();
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

    /// Whether a peer runs.
    pub fn is_running(&self, id: PeerId) -> bool {
        self.peers[id].node.is_some()
    }

    /// How many peers run.
    pub fn running(&self) -> usize {
        self.peers.iter().filter(|peer| peer.node.is_some()).count()
    }

    /// The present moment, to count from.
    pub fn mark(&self) -> Mark {
        Mark {
            at: self.now,
            sent: self.sent,
            bytes: self.links.bytes,
        }
    }

    /// How many links were begun, counted at both ends.
    pub fn connects(&self) -> u64 {
        self.connects
    }

    /// Most rendezvous topics that any peer was in at once.
    pub fn most_topics(&self) -> usize {
        self.servers.most_topics()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.queue.first_entry()
            && next.key().0 <= end
        {
            let ((at, _), planned) = next.remove_entry();
            self.happen(at, *planned);
        }
        self.now = self.now.max(end);
    }

    /// Lets time pass in which nobody runs.
    pub fn skip(&mut self, duration: Duration) {
        assert_eq!(self.running(), 0, "only what does not run can be skipped");
        self.run_for(duration);
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

    fn happen(&mut self, at: Millis, planned: Planned) {
        let id = planned.peer;
        self.now = self.now.max(at);
        if self.peers[id].life != planned.life || self.peers[id].node.is_none() {
            return;
        }
        match planned.happening {
            // The node may have asked for another moment since.
            Happening::Tick if self.peers[id].tick_at != at => {}
            Happening::Tick if self.peers[id].asleep.is_some() => {}
            Happening::Tick => self.deliver(id, Input::Tick),
            Happening::Input(input) => match &mut self.peers[id].asleep {
                Some((_, waiting)) => waiting.push(input),
                None => self.deliver(id, input),
            },
            Happening::ToServer(server, text) => self.tell_server(id, server, &text),
        }
    }

    fn deliver(&mut self, id: PeerId, input: Input) {
        let mut from = None;
        if let Input::Transport(event) = &input {
            // A frame that arrives after its link has gone is nobody's.
            if !self.links.admits(id, event) {
                return;
            }
            if let TransportEvent::Frame { link, .. } = event {
                from = self.links.other(id, *link);
            }
            // Who tampers with messages does not pack them.
            if let TransportEvent::Frame { frame, .. } = event
                && self.peers[id].tamper.is_some()
                && role::is(frame, "HELLO")
            {
                return;
            }
        }
        let now = self.now;
        let peer = &mut self.peers[id];
        let clock = peer.clock(now);
        if let Some(node) = peer.node.as_mut() {
            let before = node.sent_events();
            node.handle(input, clock);
            self.sent += node.sent_events() - before;
            self.plan_tick(id);
        }
        self.carry_out(id, from);
    }

    /// Does what a node wants done. What it stored came `from` there.
    fn carry_out(&mut self, id: PeerId, from: Option<PeerId>) {
        while let Some(output) = self.peers[id].node.as_mut().and_then(Node::poll_output) {
            match output {
                Output::Interface(FromNode::Reply { id: number, result }) => {
                    self.peers[id].replies.insert(number, result);
                }
                Output::Interface(FromNode::Changed(Change::NoteAdded(note))) => {
                    if let (Some(tracked), Some(from)) = (self.tracked.get_mut(&note.id), from) {
                        tracked.arrived(id, from, self.now);
                    }
                }
                Output::Interface(FromNode::Changed(_)) => {}
                Output::Verify(job) => self.peers[id].jobs.push(job),
                Output::Client(_) => unreachable!("these nodes have no clients"),
                Output::Signal(server, command) => self.signal(id, server, command),
                Output::Transport(TransportCommand::Send { link, frame })
                    if self.peers[id].tamper.is_some() =>
                {
                    let bytes = frame.len();
                    let tamper = self.peers[id].tamper.as_mut();
                    let frames = tamper.map_or_else(Vec::new, |tamper| tamper.frames(frame));
                    if frames.is_empty() {
                        let drained = TransportEvent::Drained { link, bytes };
                        self.plan_events(vec![(id, Duration::ZERO, drained)]);
                    }
                    for frame in frames {
                        self.transport(id, TransportCommand::Send { link, frame });
                    }
                }
                Output::Transport(command) => self.transport(id, command),
            }
        }
    }

    fn transport(&mut self, id: PeerId, command: TransportCommand) {
        self.connects += u64::from(matches!(command, TransportCommand::Connect { .. }));
        let events = self.links.command(id, command, self.now);
        self.plan_events(events);
    }

    fn plan_tick(&mut self, id: PeerId) {
        let peer = &self.peers[id];
        let Some(node) = &peer.node else {
            return;
        };
        let at = Millis(node.next_tick().0.saturating_add_signed(-peer.options.clock));
        let wait = at.since(self.now).max(peer.throttled);
        let at = self.now + wait;
        if peer.tick_at != at {
            self.peers[id].tick_at = at;
            self.plan(id, wait, Happening::Tick);
        }
    }

    fn plan_events(&mut self, events: Vec<(PeerId, Duration, TransportEvent)>) {
        for (peer, after, event) in events {
            self.plan(peer, after, Happening::Input(Input::Transport(event)));
        }
    }

    fn plan(&mut self, peer: PeerId, after: Duration, happening: Happening) {
        let planned = Planned {
            peer,
            life: self.peers[peer].life,
            happening,
        };
        let place = (self.now + after, self.next_number());
        self.queue.insert(place, Box::new(planned));
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
