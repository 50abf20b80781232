//! The signal servers in use: all of them at once, so that the death of any keeps nobody apart.
//!
//! Which they are: those that the node was started with (in the browser the one that the page came from), those that the
//! person has added, and those that one of these recommends. Every peer is in the same topics on each of its servers. What
//! it has to say to another goes through two of those on which that one was met, or through all where it is not known:
//! whoever hears it twice takes it once ([`crate::signaling::introduction`]). All of them see the same session key and topics,
//! and none of them who is behind it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::api::{ServerInfo, ServerOrigin, SignalState};
use super::server::Server;
use super::{Node, Output, RequestError, ServerId, SignalCommand};
use crate::signaling::{ClientMessage, ErrorCode, IceServer, MAX_RECOMMENDED, ServerUrl, SessionId, Topic};
use crate::store::{Store, StoreError};
use crate::time::Millis;

/// Servers in use at once: each costs a connection, and a share of what is said before a link is made.
pub(super) const MAX_SERVERS: usize = 6;
/// Servers that one introduction goes through.
const MAX_WAYS: usize = 2;
/// Sessions of which it is remembered on which servers they are.
const MAX_SEEN: usize = 256;
/// Introductions that wait until a server is reached; they expire by themselves.
const MAX_UNSENT: usize = 256;
/// Servers that the person did not want; the oldest is forgotten.
const MAX_DISMISSED: usize = 32;
/// The setting that keeps the choice.
const SETTING: &str = "servers";

/// What is kept of the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Choice {
    /// By the person.
    added: Vec<ServerUrl>,
    /// By whom.
    recommended: BTreeMap<ServerUrl, Vec<ServerUrl>>,
    /// Recommended, and not wanted by the person.
    dismissed: Vec<ServerUrl>,
}

/// The signal servers, in the order in which they are preferred.
#[derive(Debug, Default)]
pub(super) struct Servers {
    list: Vec<Server>,
    next: u32,
    choice: Choice,
    /// Introductions that wait for any server.
    unsent: Vec<(SessionId, String)>,
    /// On which servers a session was met.
    seen: BTreeMap<SessionId, BTreeSet<ServerId>>,
    /// The device says that it has no network.
    pub(super) no_network: bool,
}

impl Servers {
    /// Those that the node was started with, and those that were kept; what cannot be read counts as not kept.
    pub(super) fn read(started: &[ServerUrl], store: &impl Store) -> Result<Self, StoreError> {
        let mut servers = Self::default();
        for url in started {
            servers.push(url.clone(), ServerOrigin::Started);
        }
        if let Some(text) = store.setting(SETTING)? {
            servers.choice = serde_json::from_str(&text).unwrap_or_default();
        }
        servers.choose();
        Ok(servers)
    }

    fn push(&mut self, url: ServerUrl, origin: ServerOrigin) {
        if self.list.len() < MAX_SERVERS && !self.has(&url) {
            self.list.push(Server::new(ServerId(self.next), url, origin));
            self.next += 1;
        }
    }

    fn has(&self, url: &ServerUrl) -> bool {
        self.list.iter().any(|server| server.url == *url)
    }

    /// Takes up what was chosen and is not in use yet, and gives up what is not wanted any more; which those were.
    fn choose(&mut self) -> Vec<ServerId> {
        let added = self.choice.added.clone();
        let is_started = |server: &&Server| server.origin == ServerOrigin::Started;
        let started: Vec<ServerUrl> = self
            .list
            .iter()
            .filter(is_started)
            .map(|server| server.url.clone())
            .collect();
        let mut recommended: Vec<ServerUrl> = Vec::new();
        // Who is recommended recommends nobody: else one server could name all that a peer uses.
        for url in started
            .iter()
            .chain(&added)
            .filter_map(|by| self.choice.recommended.get(by))
            .flatten()
        {
            let is_other = [&started, &added, &recommended, &self.choice.dismissed]
                .iter()
                .all(|list| !list.contains(url));
            if is_other {
                recommended.push(url.clone());
            }
        }
        // What the person chose has its place before what others do.
        recommended.truncate(MAX_SERVERS.saturating_sub(started.len() + added.len()));
        let wanted = |server: &Server| match server.origin {
            ServerOrigin::Started => true,
            ServerOrigin::Added => added.contains(&server.url),
            ServerOrigin::Recommended => recommended.contains(&server.url),
        };
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.list).into_iter().partition(wanted);
        self.list = kept;
        for url in &added {
            self.push(url.clone(), ServerOrigin::Added);
        }
        for url in recommended {
            self.push(url, ServerOrigin::Recommended);
        }
        self.list.sort_by_key(|server| server.origin as u8);
        gone.iter().map(|server| server.id).collect()
    }

    pub(super) fn ids(&self) -> Vec<ServerId> {
        self.list.iter().map(|server| server.id).collect()
    }

    pub(super) fn get(&self, id: ServerId) -> Option<&Server> {
        self.list.iter().find(|server| server.id == id)
    }

    pub(super) fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.list.iter_mut().find(|server| server.id == id)
    }

    fn online(&self) -> impl Iterator<Item = &Server> {
        self.list
            .iter()
            .filter(|server| server.state == SignalState::Online)
    }

    /// Whether any has welcomed this peer.
    pub(super) fn any_online(&self) -> bool {
        self.online().next().is_some()
    }

    /// The state of the one that is furthest.
    pub(super) fn state(&self) -> SignalState {
        let state = |wanted| {
            self.list
                .iter()
                .any(|server| server.state == wanted)
                .then_some(wanted)
        };
        state(SignalState::Online)
            .or_else(|| state(SignalState::Connecting))
            .unwrap_or_default()
    }

    pub(super) fn refused(&self) -> Option<ErrorCode> {
        self.list.iter().find_map(|server| server.refused)
    }

    pub(super) fn info(&self) -> Vec<ServerInfo> {
        let info = |server: &Server| ServerInfo {
            url: server.url.clone(),
            state: server.state,
            refused: server.refused,
            origin: server.origin,
        };
        self.list.iter().map(info).collect()
    }

    /// Whose ICE servers links use: of the first that has a relay, those that are reached before the others.
    pub(super) fn ice_source(&self) -> Option<ServerId> {
        let rank = |server: &&Server| {
            let ice = server.ice.as_deref().unwrap_or_default();
            let relays = ice.iter().any(|ice| ice.relays());
            (server.state != SignalState::Online, !relays, ice.is_empty())
        };
        let known = self.list.iter().filter(|server| server.ice.is_some());
        known.min_by_key(rank).map(|server| server.id)
    }

    /// The ICE servers; `None` until one `/turn` has answered or failed.
    pub(super) fn ice(&self) -> Option<&[IceServer]> {
        let source = self.ice_source()?;
        self.get(source)?.ice.as_deref()
    }

    /// By how many milliseconds the servers' clock is ahead of this device's, by those that are reached. Of several the one
    /// that agrees best: where this device's clock is right, a server that lies about the time changes nothing beside
    /// another.
    pub(super) fn ahead(&self) -> i64 {
        let best = |online: bool| {
            let asked = self
                .list
                .iter()
                .filter(|server| (server.state == SignalState::Online) == online);
            asked
                .filter_map(|server| server.ahead)
                .min_by_key(|ahead| ahead.unsigned_abs())
        };
        best(true).or_else(|| best(false)).unwrap_or_default()
    }

    pub(super) fn clock_set_back(&mut self, now: Millis) {
        self.list.iter_mut().for_each(|server| server.clock_set_back(now));
    }

    /// Those that an introduction goes through; the session is taken to be on all where nothing is known.
    fn ways_to(&mut self, to: SessionId) -> Vec<ServerId> {
        let online: BTreeSet<ServerId> = self.online().map(|server| server.id).collect();
        if let Some(seen) = self.seen.get(&to)
            && !seen.is_disjoint(&online)
        {
            return seen.intersection(&online).copied().take(MAX_WAYS).collect();
        }
        if self.seen.contains_key(&to) || self.seen.len() < MAX_SEEN {
            self.seen.insert(to, online.clone());
        }
        online.into_iter().collect()
    }

    /// A server does not know a session; whether there is no other that may.
    fn missing(&mut self, at: ServerId, session: &SessionId) -> bool {
        let Some(seen) = self.seen.get_mut(session) else {
            return true;
        };
        seen.remove(&at);
        seen.is_empty()
    }

    /// Nobody is met on a server that is not reached.
    pub(super) fn lost(&mut self, id: ServerId) {
        self.seen.retain(|_, seen| {
            seen.remove(&id);
            !seen.is_empty()
        });
    }
}

/// Whether a server may have others used: over TLS, or on this machine while it is here itself. Else it could have people's
/// devices knock at any address in their networks.
fn may_recommend(by: &ServerUrl, url: &ServerUrl) -> bool {
    url.as_str().starts_with("https://") || (by.is_local() && url.is_local())
}

impl<S: Store> Node<S> {
    pub(super) fn tend_servers(&mut self, now: Millis) {
        for id in self.servers.ids() {
            self.tend_server(id, now);
        }
    }

    /// Sessions were met on a server.
    pub(super) fn met(&mut self, at: ServerId, sessions: &[SessionId]) {
        if self.servers.seen.len() + sessions.len() > MAX_SEEN {
            let (mesh, linked) = (&self.mesh, &self.by_session);
            self.servers
                .seen
                .retain(|id, _| linked.contains_key(id) || mesh.knows(id));
        }
        for session in sessions {
            self.servers.seen.entry(*session).or_default().insert(at);
        }
    }

    /// Sends a sealed introduction, once a server is reached.
    pub(super) fn relay(&mut self, to: SessionId, sealed: String) {
        let ways = self.servers.ways_to(to);
        if ways.is_empty() && self.servers.unsent.len() < MAX_UNSENT {
            // A broken path takes servers and links down together: what repairs the links follows the welcome.
            self.servers.unsent.push((to, sealed.clone()));
        }
        for id in ways {
            let sealed = sealed.clone();
            self.tell_server(id, &ClientMessage::Relay { to, sealed });
        }
    }

    pub(super) fn send_unsent(&mut self) {
        for (to, sealed) in std::mem::take(&mut self.servers.unsent) {
            self.relay(to, sealed);
        }
    }

    pub(super) fn not_reachable(&mut self, at: ServerId, session: SessionId) {
        if self.servers.missing(at, &session) {
            self.unreachable(session);
        }
    }

    /// Tells all that are reached.
    pub(super) fn tell_servers(&mut self, message: &ClientMessage) {
        let online: Vec<ServerId> = self.servers.online().map(|server| server.id).collect();
        for id in online {
            self.tell_server(id, message);
        }
    }

    pub(super) fn join_lobby(&mut self) {
        let topic = Topic::lobby();
        self.tell_servers(&ClientMessage::Join { topic });
    }

    /// The time by which peers date what they say to each other: the servers', where this device's clock is far off. So
    /// a wrong clock keeps nobody apart; posts still bear the device's own time.
    pub(super) fn network_time(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_add_signed(self.servers.ahead()))
    }

    /// Asks whether the servers are still there, with little patience: the connections may have broken unnoticed.
    pub(super) fn check_servers(&mut self, now: Millis) {
        for id in self.servers.ids() {
            self.check_server(id, now);
        }
    }

    /// Makes all connections to servers anew, at once.
    pub(super) fn call_all_again(&mut self, now: Millis) {
        for id in self.servers.ids() {
            self.call_again(id, now);
        }
        // What their clocks said was beside this device's as it was.
        self.servers
            .list
            .iter_mut()
            .for_each(|server| server.ahead = None);
    }

    /// The person wants a server used.
    pub(super) fn add_server(&mut self, text: &str, now: Millis) -> Result<(), RequestError> {
        let url = ServerUrl::typed(text).map_err(|_| RequestError::NotAServer)?;
        let is_known = |server: &Server| server.url == url && server.origin != ServerOrigin::Recommended;
        if self.servers.list.iter().any(is_known) {
            return Ok(());
        }
        let others = self
            .servers
            .list
            .iter()
            .filter(|server| server.origin != ServerOrigin::Recommended);
        if others.count() >= MAX_SERVERS {
            return Err(RequestError::TooManyServers);
        }
        let mut choice = self.servers.choice.clone();
        choice.dismissed.retain(|other| *other != url);
        choice.added.push(url);
        self.change_servers(choice, now)
    }

    /// The person does not want a server used any more.
    pub(super) fn remove_server(&mut self, url: &ServerUrl, now: Millis) -> Result<(), RequestError> {
        let mut choice = self.servers.choice.clone();
        choice.added.retain(|other| other != url);
        choice.recommended.remove(url);
        choice.dismissed.retain(|other| other != url);
        choice.dismissed.push(url.clone());
        if choice.dismissed.len() > MAX_DISMISSED {
            choice.dismissed.remove(0);
        }
        self.change_servers(choice, now)
    }

    /// A server's operator recommends others.
    pub(super) fn recommended(&mut self, by: ServerId, servers: &[String], now: Millis) {
        let Some(server) = self.servers.get(by) else {
            return;
        };
        if server.origin == ServerOrigin::Recommended {
            return;
        }
        let (by, mut choice) = (server.url.clone(), self.servers.choice.clone());
        let servers = servers.iter().take(MAX_RECOMMENDED);
        let servers: Vec<ServerUrl> = servers
            .filter_map(|url| url.parse().ok())
            .filter(|url| may_recommend(&by, url))
            .collect();
        if servers.is_empty() {
            choice.recommended.remove(&by);
        } else {
            choice.recommended.insert(by, servers);
        }
        choice.recommended.retain(|by, _| self.servers.has(by));
        if let Err(error) = self.change_servers(choice, now) {
            tracing::error!(%error, "the recommended servers cannot be kept");
        }
    }

    fn change_servers(&mut self, choice: Choice, now: Millis) -> Result<(), RequestError> {
        if choice == self.servers.choice {
            return Ok(());
        }
        let text = serde_json::to_string(&choice).expect("these always serialise");
        self.store.set_setting(SETTING, Some(&text))?;
        self.servers.choice = choice;
        let open: BTreeSet<ServerId> = self
            .servers
            .list
            .iter()
            .filter(|server| server.state != SignalState::Offline)
            .map(|server| server.id)
            .collect();
        for id in self.servers.choose() {
            self.servers.lost(id);
            if open.contains(&id) {
                self.outputs.push_back(Output::Signal(id, SignalCommand::Close));
            }
        }
        self.network_changed = true;
        self.tick(now);
        Ok(())
    }
}
