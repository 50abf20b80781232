//! A whole peer as a state machine: store, sessions with other peers, signalling, and what the interface asks.
//!
//! A platform feeds [`Node::handle`] with what happens, carries out what [`Node::poll_output`] returns, and calls
//! again with [`Input::Tick`] at [`Node::next_tick`]. The node does no I/O but for its store, which blocks: it runs
//! in a worker or on a thread of its own.
//!
//! - [`api`]: what the interface asks and hears
//! - `requests`: answers to the interface
//! - `servers`: the signal servers in use
//! - `server`: the connection to one of them
//! - `introductions`: what peers tell each other through them to get connected
//! - `by_hand`: links whose offer and answer people carry themselves
//! - `upkeep`: the store's budgets and changes
//! - `transfer`: exports and imports
//! - `friends`: finding friends by topics that only both know
//! - `links`: links and the sessions on them
//! - `repair`: links whose path broke, changes of the network, sleep and wake
//! - `routes`: who may learn this device's address
//! - `spread`: how new events are passed on
//! - `wanted`: what those sessions ask for
//! - `clients`: clients that speak plain Nostr
//! - `verify`: events between their arrival and the store
//! - `media`: images and files

pub mod api;
mod by_hand;
mod clients;
mod friends;
mod introductions;
mod links;
mod media;
mod repair;
mod requests;
mod routes;
mod server;
mod servers;
mod spread;
mod transfer;
mod upkeep;
mod verify;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nostr::prelude::{Event, EventId, Keys, Kind, PublicKey, SecretKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::identity::{Vault, VaultError};
use crate::mesh::{LinkBudget, Mesh};
use crate::relay::{ClientCommand, ClientEvent};
use crate::signaling::{IceServers, ServerUrl, SessionId};
use crate::social::{MAX_FUTURE_SECS, read_deletion, read_profile, shown_name};
use crate::store::{OWNER, Put, RequestKey, Store, StoreError};
use crate::sync::ReconcileSets;
use crate::sync::limits::{Authors, Scores};
use crate::time::Millis;
use crate::transport::{LinkId, Route, TransportCommand, TransportEvent};
use api::{Change, FromNode, RequestError};
use by_hand::ByHand;
use clients::Clients;
use friends::Friends;
use introductions::Retired;
use links::Link;
use media::Media;
use routes::Routes;
use servers::Servers;
use spread::Spread;
pub use transfer::MAX_PIECE;
use transfer::Transfers;
use upkeep::Upkeep;
pub use verify::Job;
use verify::{Source, Verifying};
use wanted::Wanted;

/// Between two ticks of a node that is somebody.
const TICK: Duration = Duration::from_secs(1);
/// A tick that comes so long after the one before was late: the device slept, the tab was throttled or frozen, or the
/// node was busy. What seems to have been silent meanwhile may only not have been heard.
const ASLEEP: Duration = Duration::from_secs(4);
/// Between two ticks of a node that waits for sign-up.
const IDLE_TICK: Duration = Duration::from_secs(60);

/// What happens to a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// The interface asks.
    Request(api::Request),
    /// Something about the connection to a signal server.
    Signal(ServerId, SignalEvent),
    /// Something about links to peers.
    Transport(TransportEvent),
    /// What a signal server's `/turn` answered, or why it did not.
    IceServers(ServerId, Result<IceServers, String>),
    /// Which events of an [`Output::Verify`] hold, in their order.
    Verified {
        /// The job's number.
        job: u64,
        /// One answer for each event; a missing one is found out by the node itself.
        holds: Vec<bool>,
    },
    /// The network came back (`online` event): connect without waiting.
    Online,
    /// There is no network (`offline` event): nothing is tried until [`Input::Online`], but now and then, since not every
    /// device knows it for sure.
    Offline,
    /// This device is at another place in the network, or at one more (Wi-Fi to mobile, a VPN): links look for new paths.
    NetworkChanged,
    /// How many links this device can afford from now on: [`LinkBudget::Full`] until told otherwise.
    Budget(LinkBudget),
    /// Time has passed.
    Tick,
    /// Something about clients that speak plain Nostr. Never comes from outside the process; stands last, since
    /// postcard counts the variants that are skipped when it writes, and not when it reads.
    #[serde(skip)]
    Client(ClientEvent),
}

/// A signal server's number: its node never uses it again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerId(pub u32);

/// The WebSocket to a signal server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalEvent {
    /// It is open.
    Opened,
    /// A text frame.
    Message(String),
    /// It is closed, or could not be opened.
    Closed(String),
}

/// What a node wants done.
#[derive(Clone, Debug, Serialize, Deserialize)]
// Moved once to the platform.
#[allow(clippy::large_enum_variant)]
pub enum Output {
    /// For the interface.
    Interface(FromNode),
    /// For the connection to a signal server.
    Signal(ServerId, SignalCommand),
    /// For the transport.
    Transport(TransportCommand),
    /// For a client that speaks plain Nostr; only where there are such. Never leaves the process.
    #[serde(skip)]
    Client(ClientCommand),
    /// For a verifier; answered by [`Input::Verified`]. Never leaves the platform's thread of the node in this form.
    #[serde(skip)]
    Verify(Job),
}

/// What to do about a signal server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalCommand {
    /// Open the WebSocket ([`ServerUrl::socket`]), in place of an older one. Answered by [`SignalEvent::Opened`] or
    /// [`SignalEvent::Closed`].
    Connect(ServerUrl),
    /// Send a text frame.
    Send(String),
    /// Close it.
    Close,
    /// `GET` [`ServerUrl::turn`]; answered by [`Input::IceServers`].
    FetchIceServers(ServerUrl),
}

/// How a node is to behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// The signal servers to use, preferred ones first, beside those that the person adds.
    pub servers: Vec<ServerUrl>,
    /// Which candidates its links may use, whoever is at the other end; `None`: what the person has chosen for each ring.
    pub route: Option<Route>,
    /// How many events can be verified at once by [`Output::Verify`]; without any the node verifies itself.
    pub verifiers: usize,
    /// Seed of everything random, the session key included: from the operating system, but in tests.
    pub seed: [u8; 32],
}

/// Why a node could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The secret key's place.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The posts of a person are here, and their key is not: a new identity in its place would look like a loss.
    #[error("the posts on this device belong to a secret key that is no longer here: put the key back")]
    KeyLost,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A whole peer.
pub struct Node<S: Store> {
    config: Config,
    store: S,
    vault: Box<dyn Vault>,
    rng: StdRng,
    me: Option<Keys>,
    session: Keys,
    mesh: Mesh,
    servers: Servers,
    routes: Routes,
    by_hand: ByHand,
    sets: ReconcileSets,
    verifying: Verifying,
    authors: Authors,
    scores: Scores,
    wanted: Wanted,
    clients: Clients,
    media: Media,
    transfers: Transfers,
    links: BTreeMap<LinkId, Link>,
    by_session: BTreeMap<SessionId, LinkId>,
    retired: Retired,
    spread: Spread,
    friends: Friends,
    next_link: u64,
    upkeep: Upkeep,
    sent_events: u64,
    network_changed: bool,
    next_tick: Millis,
    /// When it ticked last.
    ticked: Millis,
    outputs: VecDeque<Output>,
    damaged: bool,
}

impl<S: Store> Node<S> {
    /// A node on a store, with the identity that the vault holds, if any; it connects by itself once there is one.
    ///
    /// # Errors
    /// When the vault cannot be read (better no node than a second identity), or the store.
    pub fn new(
        config: Config,
        mut store: S,
        mut vault: Box<dyn Vault>,
        now: Millis,
    ) -> Result<Self, StartError> {
        let mut rng = StdRng::from_seed(config.seed);
        let session = fresh_keys(&mut rng);
        let me = vault.load()?;
        if me.is_none() && store.setting(OWNER)?.is_some() {
            return Err(StartError::KeyLost);
        }
        // Whose data is never dropped must be known before anything else happens.
        store.set_me(me.as_ref().map(Keys::public_key))?;
        let mut node = Self {
            store,
            vault,
            rng,
            me,
            session,
            mesh: Mesh::default(),
            servers: Servers::default(),
            routes: Routes::default(),
            by_hand: ByHand::default(),
            sets: ReconcileSets::default(),
            verifying: Verifying::new(config.verifiers),
            config,
            authors: Authors::default(),
            scores: Scores::default(),
            wanted: Wanted::default(),
            clients: Clients::default(),
            media: Media::default(),
            transfers: Transfers::default(),
            links: BTreeMap::new(),
            by_session: BTreeMap::new(),
            retired: Retired::default(),
            spread: Spread::default(),
            friends: Friends::default(),
            next_link: 1,
            upkeep: Upkeep::default(),
            sent_events: 0,
            network_changed: false,
            next_tick: now,
            ticked: now,
            outputs: VecDeque::new(),
            damaged: false,
        };
        node.know_private_mutes()?;
        node.routes = Routes::read(&node.store)?;
        node.servers = Servers::read(&node.config.servers, &node.store)?;
        node.tick(now);
        Ok(node)
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input, now: Millis) {
        self.handle_all([input], now);
    }

    /// Takes what has happened until now: what is verified by then is stored together. A durable transaction costs the
    /// same for one event as for many.
    pub fn handle_all(&mut self, inputs: impl IntoIterator<Item = Input>, now: Millis) {
        for input in inputs {
            self.take(input, now);
        }
        // A peer that keeps the node busy does not keep it from looking at the clock.
        if now >= self.next_tick || now < self.ticked {
            self.tick(now);
        }
        self.settle(now);
        self.drive_blobs(now);
        self.send_frames();
        self.answer_clients(now);
    }

    fn take(&mut self, input: Input, now: Millis) {
        match input {
            Input::Request(request) => {
                let result = self.answer(request.command, request.key, now);
                self.damaged |= matches!(result, Err(RequestError::Damaged(_)));
                self.outputs.push_back(Output::Interface(FromNode::Reply {
                    id: request.id,
                    result,
                }));
            }
            Input::Signal(id, event) => self.signal_event(id, event, now),
            Input::Transport(event) => self.transport_event(event, now),
            Input::IceServers(id, result) => self.ice_servers(id, result, now),
            Input::Client(event) => self.client_event(event, now),
            Input::Verified { job, holds } => self.verified(job, &holds),
            Input::Online => self.network_came(now),
            Input::Offline => self.network_went(now),
            Input::NetworkChanged => self.network_became_another(now),
            Input::Budget(budget) => {
                self.mesh.set_budget(budget);
                self.tick(now);
            }
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && std::mem::take(&mut self.network_changed) {
            // Once for whatever happened together.
            self.change(Change::Network);
        }
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due.
    pub fn next_tick(&self) -> Millis {
        self.next_tick
    }

    /// How many events it has sent to peers: what spreading costs.
    pub fn sent_events(&self) -> u64 {
        self.sent_events
    }

    /// This device's session.
    pub fn session_id(&self) -> SessionId {
        SessionId(self.session.public_key())
    }

    /// How it was told to behave.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the store was found to be damaged: the platform ends the node, recovers what it can, and starts anew.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Ends the node and gives back what outlives it.
    pub fn into_parts(self) -> (S, Box<dyn Vault>) {
        (self.store, self.vault)
    }

    /// The store, to look into.
    pub fn store(&self) -> &S {
        &self.store
    }

    fn tick(&mut self, now: Millis) {
        let before = std::mem::replace(&mut self.ticked, now);
        self.next_tick = now + if self.me.is_some() { TICK } else { IDLE_TICK };
        if self.me.is_some() && (now < before || now.since(before) >= ASLEEP) {
            self.woke(before, now);
        }
        self.tend_verifying(now);
        self.tend_clients(now);
        if self.me.is_some() {
            self.tend_servers(now);
            self.tend_by_hand(now);
            self.tend_wants(now);
            self.tend_links(now);
            self.tend_store(now);
            self.tick_blobs(now);
        }
    }

    fn store_failed(&mut self, error: &StoreError) {
        tracing::error!(%error, "the store failed");
        self.damaged |= error.damaged;
    }

    fn change(&mut self, change: Change) {
        self.outputs
            .push_back(Output::Interface(FromNode::Changed(change)));
    }

    /// Stores events, tells the interface what changed, and passes on what is new.
    fn take_in(
        &mut self,
        events: &[Event],
        origin: Option<Source>,
        now: Millis,
    ) -> Result<Vec<Put>, StoreError> {
        let outcomes = self.put_by_time(events, now, S::put)?;
        self.spread(events, &outcomes, |_| origin, now);
        self.tell_stored(events, &outcomes)?;
        Ok(outcomes)
    }

    /// As [`Self::take_in`], for what a request wants written.
    fn take_in_for(
        &mut self,
        request: RequestKey,
        event: &Event,
        now: Millis,
    ) -> Result<Vec<Put>, StoreError> {
        let events = std::slice::from_ref(event);
        let put = |store: &mut S, _: &[Event], time| Ok(vec![store.put_for(request, event, time)?]);
        let outcomes = self.put_by_time(events, now, put)?;
        self.spread(events, &outcomes, |_| None, now);
        self.tell_stored(events, &outcomes)?;
        Ok(outcomes)
    }

    /// As [`Self::take_in`], for verified events of several sources.
    fn take_in_verified(
        &mut self,
        events: &[Event],
        origins: &[Source],
        now: Millis,
    ) -> Result<Vec<Put>, StoreError> {
        let outcomes = self.put_by_time(events, now, S::put_verified)?;
        self.spread(events, &outcomes, |n| origins.get(n).copied(), now);
        self.tell_stored(events, &outcomes)?;
        Ok(outcomes)
    }

    /// Stores by the own clock, but for what that one takes for the future: whether it is so, the network's time says,
    /// since this device may be days behind. Nothing expires by the server's word.
    fn put_by_time(
        &mut self,
        events: &[Event],
        now: Millis,
        put: impl Fn(&mut S, &[Event], Millis) -> Result<Vec<Put>, StoreError>,
    ) -> Result<Vec<Put>, StoreError> {
        let network = now.max(self.network_time(now));
        let is_ahead = |event: &Event| event.created_at.as_secs() > now.0 / 1000 + MAX_FUTURE_SECS;
        let mut outcomes = Vec::with_capacity(events.len());
        for run in events.chunk_by(|a, b| is_ahead(a) == is_ahead(b)) {
            let time = if is_ahead(&run[0]) { network } else { now };
            outcomes.extend(put(&mut self.store, run, time)?);
        }
        Ok(outcomes)
    }

    fn tell_stored(&mut self, events: &[Event], outcomes: &[Put]) -> Result<(), StoreError> {
        let stored: Vec<&Event> = events
            .iter()
            .zip(outcomes)
            .filter(|(_, put)| **put == Put::Stored)
            .map(|(event, _)| event)
            .collect();
        self.tell_changes();
        if stored.is_empty() {
            return Ok(());
        }
        let added: Vec<EventId> = stored
            .iter()
            .filter(|event| event.kind == Kind::TextNote)
            .map(|event| event.id)
            .collect();
        // One may have been deleted by another event of the same batch.
        for note in self.store.notes_of(&added)? {
            self.change(Change::NoteAdded(note));
        }
        for event in &stored {
            self.tell(event)?;
        }
        // Profiles, follow lists, note counts: once for each person of the batch.
        let people: BTreeSet<PublicKey> = stored.iter().map(|event| event.pubkey).collect();
        people
            .into_iter()
            .for_each(|person| self.change(Change::Person(person)));
        Ok(())
    }

    fn tell(&mut self, event: &Event) -> Result<(), StoreError> {
        match event.kind {
            Kind::TextNote => {}
            Kind::EventDeletion => {
                for id in read_deletion(event) {
                    if self.store.note(&id)?.is_none() {
                        self.change(Change::NoteRemoved(id));
                    }
                }
            }
            Kind::MuteList if self.me.as_ref().is_some_and(|me| me.public_key() == event.pubkey) => {
                self.know_private_mutes()?;
            }
            // A peer's name may be in the list of peers.
            _ => {
                self.network_changed = true;
                self.friends.changed |= event.kind == Kind::ContactList;
            }
        }
        Ok(())
    }

    fn name_of(&self, person: &PublicKey) -> Result<Option<String>, StoreError> {
        Ok(self
            .store
            .profile(person)?
            .and_then(|profile| shown_name(&profile)))
    }

    fn profile_of(&self, person: &PublicKey) -> Result<crate::social::Profile, StoreError> {
        Ok(self
            .store
            .replaceable(person, Kind::Metadata)?
            .map(|event| read_profile(&event))
            .unwrap_or_default())
    }
}

/// A key pair from the node's own randomness, so that a seeded run repeats.
fn fresh_keys(rng: &mut StdRng) -> Keys {
    loop {
        // All but a handful of 2^256 values are secret keys.
        if let Ok(secret) = SecretKey::from_slice(&rng.random::<[u8; 32]>()) {
            return Keys::new(secret);
        }
    }
}

#[cfg(test)]
mod tests;
