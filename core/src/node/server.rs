//! The connection to one signal server: kept up, with all topics joined and ICE servers at hand.

use std::time::Duration;

use nostr::prelude::Keys;
use rand::RngExt;

use super::api::{ServerOrigin, SignalState};
use super::{Node, Output, ServerId, SignalCommand, SignalEvent};
use crate::signaling::{
    self, ClientMessage, ErrorCode, IceServer, IceServers, MAX_MESSAGE, MAX_SAMPLE, PROTOCOL_VERSION,
    ServerMessage, ServerUrl, SessionId, Topic,
};
use crate::social::Ring;
use crate::store::Store;
use crate::time::Millis;

/// First wait before connecting again; doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait before connecting again.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long connecting and being welcomed may take together.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to answer where the connection may have broken: after sleep.
const CHECK_LIMIT: Duration = Duration::from_secs(3);
/// Between two attempts while the device says that it has no network.
const PROBE: Duration = Duration::from_secs(60);
/// Between two pings; proxies cut connections that are silent for a minute.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// Silence after which the connection counts as broken.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// Before `/turn` is asked again after it failed.
const ICE_RETRY: Duration = Duration::from_secs(30);
/// By how much this device's clock may differ from the server's before the server's is used between peers: below, it is
/// a slow path to the server as likely as a wrong clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
/// A connection that has held for so long is worth coming back to at once.
const STEADY: Duration = Duration::from_secs(30);
/// Between two looks at what a server recommends, while it says another thing each time.
const LISTEN_AGAIN: Duration = Duration::from_secs(3_600);
/// ICE servers that are used of one signal server, and addresses of each.
const MAX_ICE: usize = 8;
/// Part of the credentials' life after which new ones are fetched.
const ICE_REFRESH: f64 = 0.75;
/// Shortest life of credentials that is believed, in seconds: a server does not make a peer ask all the time.
const MIN_ICE_LIFE: u64 = 20;

/// A server, and what is known of the connection to it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) id: ServerId,
    pub(super) url: ServerUrl,
    /// Why it is used.
    pub(super) origin: ServerOrigin,
    pub(super) state: SignalState,
    /// The last refusal, until the server has been well since: a welcome, or a pong.
    pub(super) refused: Option<ErrorCode>,
    since: Millis,
    heard: Millis,
    next_ping: Millis,
    retry: Millis,
    failures: u32,
    /// Its ICE servers; `None` until `/turn` has answered or failed once.
    pub(super) ice: Option<Vec<IceServer>>,
    ice_due: Millis,
    ice_asked: bool,
    /// How it names itself in challenges.
    name: Option<String>,
    /// Joins that it has not answered yet.
    joins: u32,
    /// When its recommendations were listened to.
    listened: Option<Millis>,
    /// By when it must be heard, after a moment at which the connection may have broken.
    check: Option<Millis>,
    /// Milliseconds by which its clock is ahead of this device's; `None` while it has not told.
    pub(super) ahead: Option<i64>,
}

impl Server {
    pub(super) fn new(id: ServerId, url: ServerUrl, origin: ServerOrigin) -> Self {
        Self {
            id,
            url,
            origin,
            state: SignalState::default(),
            refused: None,
            since: Millis::default(),
            heard: Millis::default(),
            next_ping: Millis::default(),
            retry: Millis::default(),
            failures: 0,
            ice: None,
            ice_due: Millis::default(),
            ice_asked: false,
            name: None,
            joins: 0,
            listened: None,
            check: None,
            ahead: None,
        }
    }

    fn retry_now(&mut self, now: Millis) {
        self.retry = now;
        self.failures = 0;
    }

    /// The clock was set back: what was to be at a moment that is far away now is taken nearer.
    pub(super) fn clock_set_back(&mut self, now: Millis) {
        self.retry = self.retry.min(now + MAX_WAIT);
        self.next_ping = self.next_ping.min(now);
        self.ice_due = self.ice_due.min(now);
        self.since = self.since.min(now);
        self.heard = self.heard.min(now);
    }
}

impl<S: Store> Node<S> {
    pub(super) fn tend_server(&mut self, id: ServerId, now: Millis) {
        let no_network = self.servers.no_network;
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        match server.state {
            SignalState::Offline if now >= server.retry => {
                if no_network {
                    server.retry = now + PROBE;
                }
                server.since = now;
                let connect = SignalCommand::Connect(server.url.clone());
                self.set_signal_state(id, SignalState::Connecting);
                self.outputs.push_back(Output::Signal(id, connect));
            }
            SignalState::Connecting if now.since(server.since) >= CONNECT_LIMIT => self.hang_up(id, now),
            SignalState::Online if now.since(server.heard) >= SILENCE_LIMIT => self.hang_up(id, now),
            SignalState::Online if server.check.is_some_and(|at| now >= at) => self.call_again(id, now),
            SignalState::Online if now >= server.next_ping => {
                server.next_ping = now + PING_INTERVAL;
                self.tell_server(id, &ClientMessage::Ping);
            }
            _ => {}
        }
        if let Some(server) = self.servers.get_mut(id)
            && server.state == SignalState::Online
            && now >= server.ice_due
            && !server.ice_asked
        {
            server.ice_asked = true;
            let fetch = SignalCommand::FetchIceServers(server.url.clone());
            self.outputs.push_back(Output::Signal(id, fetch));
        }
    }

    pub(super) fn signal_event(&mut self, id: ServerId, event: SignalEvent, now: Millis) {
        // What comes of one that is not used any more is late.
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        match event {
            SignalEvent::Opened => server.heard = now,
            SignalEvent::Message(text) if text.len() <= MAX_MESSAGE => {
                server.heard = now;
                server.check = None;
                // A server of a newer version may say what this one does not know.
                if let Ok(message) = serde_json::from_str::<ServerMessage>(&text) {
                    self.server_message(id, message, now);
                }
            }
            SignalEvent::Message(_) => self.hang_up(id, now),
            SignalEvent::Closed(reason) => {
                if server.state != SignalState::Offline {
                    tracing::info!(url = %server.url, reason, "signal server lost");
                    self.went_offline(id, now);
                }
            }
        }
    }

    fn server_message(&mut self, id: ServerId, message: ServerMessage, now: Millis) {
        let connecting = self
            .servers
            .get(id)
            .is_some_and(|server| server.state == SignalState::Connecting);
        match message {
            ServerMessage::Challenge {
                challenge,
                now: theirs,
            } if connecting => {
                if !self.is_challenged_by_itself(id, &challenge) {
                    return self.hang_up(id, now);
                }
                if let (Some(theirs), Some(server)) = (theirs, self.servers.get_mut(id)) {
                    let ahead = theirs.0.wrapping_sub(now.0).cast_signed();
                    let tolerated = u128::from(ahead.unsigned_abs()) <= CLOCK_TOLERANCE.as_millis();
                    server.ahead = Some(if tolerated { 0 } else { ahead });
                }
                // To a server by its own clock, whatever the others say.
                let ahead = self.servers.get(id).and_then(|server| server.ahead);
                let dated = Millis(now.0.saturating_add_signed(ahead.unwrap_or_default()));
                let proof = Box::new(signaling::hello_proof(&self.session, &challenge, dated));
                self.tell_server(
                    id,
                    &ClientMessage::Hello {
                        version: PROTOCOL_VERSION,
                        proof,
                    },
                );
            }
            ServerMessage::Welcome { servers } if connecting => self.welcomed(id, &servers, now),
            // Once for each connection.
            ServerMessage::Challenge { .. } | ServerMessage::Welcome { .. } => {}
            ServerMessage::Members { topic, peers } => {
                // What nobody asked for is not listened to: a server would fill all places with those it made up.
                match self.servers.get_mut(id) {
                    Some(server) if server.joins > 0 => server.joins -= 1,
                    _ => return,
                }
                let own = self.session_id();
                let others: Vec<SessionId> = peers
                    .into_iter()
                    .filter(|peer| *peer != own)
                    .take(MAX_SAMPLE)
                    .collect();
                let ring = if topic == Topic::lobby() {
                    Some(Ring::Stranger)
                } else {
                    self.ring_of_topic(&topic)
                };
                if let Some(ring) = ring
                    && !others.is_empty()
                {
                    self.mesh.sampled(&others, ring, now);
                    self.met(id, &others);
                    self.tend_links(now);
                }
            }
            ServerMessage::Relayed { from, sealed } => self.introduced(id, from, &sealed, now),
            ServerMessage::Unreachable { to } => self.not_reachable(id, to),
            ServerMessage::Error { code, message } => {
                if let Some(server) = self.servers.get_mut(id) {
                    tracing::warn!(url = %server.url, ?code, message, "signal server refused");
                    server.refused = Some(code);
                    self.network_changed = true;
                }
            }
            ServerMessage::Pong => {
                if let Some(server) = self.servers.get_mut(id) {
                    self.network_changed |= server.refused.take().is_some();
                }
            }
        }
    }

    /// Whether a challenge is the server's own: one that another of the servers makes is passed on, to log in there in this
    /// peer's place. Of two that make the same, the preferred one is believed.
    fn is_challenged_by_itself(&mut self, id: ServerId, challenge: &str) -> bool {
        let Some(name) = signaling::challenger(challenge) else {
            return true;
        };
        let preferred = self.servers.ids().into_iter().take_while(|other| *other != id);
        let same = |other: ServerId| {
            self.servers
                .get(other)
                .is_some_and(|other| other.name.as_deref() == Some(name))
        };
        if preferred.into_iter().any(same) {
            tracing::warn!("a signal server passes on the challenge of another");
            return false;
        }
        if let Some(server) = self.servers.get_mut(id) {
            server.name = Some(name.to_owned());
        }
        true
    }

    fn welcomed(&mut self, id: ServerId, recommended: &[String], now: Millis) {
        if let Some(server) = self.servers.get_mut(id) {
            server.refused = None;
            server.since = now;
            server.joins = 0;
            server.next_ping = now + PING_INTERVAL;
        }
        self.set_signal_state(id, SignalState::Online);
        // Even with all links made: in the lobby others find this peer.
        self.mesh.asked(now);
        let lobby = Topic::lobby();
        for topic in [lobby].into_iter().chain(self.friends.topics()) {
            self.tell_server(id, &ClientMessage::Join { topic });
        }
        self.send_unsent();
        if self.listens(id, now) {
            self.recommended(id, recommended, now);
        }
        self.tick(now);
    }

    pub(super) fn ice_servers(&mut self, id: ServerId, result: Result<IceServers, String>, now: Millis) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        server.ice_asked = false;
        match result {
            Ok(servers) => {
                let life = Duration::from_secs(servers.ttl.clamp(MIN_ICE_LIFE, 86_400)).mul_f64(ICE_REFRESH);
                server.ice_due = now + life;
                server.ice = Some(few(servers.ice_servers));
                if self.servers.ice_source() == Some(id) {
                    self.renew_relays();
                }
            }
            Err(reason) => {
                tracing::warn!(url = %server.url, reason, "no ICE servers");
                server.ice_due = now + ICE_RETRY;
                // Peers on the same network still find each other.
                server.ice.get_or_insert_default();
            }
        }
        self.tend_links(now);
    }

    /// Says something to a server that has welcomed this peer, or is to.
    pub(super) fn tell_server(&mut self, id: ServerId, message: &ClientMessage) {
        let online = |server: &Server| server.state == SignalState::Online;
        if self.servers.get(id).is_some_and(online) || matches!(message, ClientMessage::Hello { .. }) {
            if let (ClientMessage::Join { .. }, Some(server)) = (message, self.servers.get_mut(id)) {
                server.joins = server.joins.saturating_add(1);
            }
            let text = serde_json::to_string(message).expect("these messages always serialise");
            self.outputs
                .push_back(Output::Signal(id, SignalCommand::Send(text)));
        }
    }

    /// Asks whether a server is still there, with little patience: the connection may have broken unnoticed.
    pub(super) fn check_server(&mut self, id: ServerId, now: Millis) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        match server.state {
            SignalState::Offline => server.retry_now(now),
            SignalState::Connecting => server.since = now,
            SignalState::Online if server.check.is_none() => {
                server.check = Some(now + CHECK_LIMIT);
                server.next_ping = now + PING_INTERVAL;
                self.tell_server(id, &ClientMessage::Ping);
            }
            SignalState::Online => {}
        }
    }

    /// Ends the connection to a server, and makes it anew at once. The session stays: the server drops the older one.
    pub(super) fn call_again(&mut self, id: ServerId, now: Millis) {
        let offline = |server: &Server| server.state == SignalState::Offline;
        if !self.servers.get(id).is_none_or(offline) {
            self.hang_up(id, now);
        }
        if let Some(server) = self.servers.get_mut(id) {
            server.retry_now(now);
        }
    }

    fn hang_up(&mut self, id: ServerId, now: Millis) {
        self.outputs.push_back(Output::Signal(id, SignalCommand::Close));
        self.went_offline(id, now);
    }

    fn went_offline(&mut self, id: ServerId, now: Millis) {
        let no_network = self.servers.no_network;
        if let Some(server) = self.servers.get_mut(id) {
            if server.state == SignalState::Online && now.since(server.since) >= STEADY {
                server.failures = 0;
            }
            let wait = FIRST_WAIT
                .saturating_mul(1 << server.failures.min(10))
                .min(MAX_WAIT);
            // Jitter: when a server restarts, its clients do not come back all at once.
            server.retry = now + wait.mul_f64(self.rng.random_range(0.5..1.5));
            server.failures += 1;
            if no_network {
                server.retry = server.retry.max(now + PROBE);
            }
            server.check = None;
            server.ice_asked = false;
        }
        self.servers.lost(id);
        self.set_signal_state(id, SignalState::Offline);
    }

    fn set_signal_state(&mut self, id: ServerId, state: SignalState) {
        if let Some(server) = self.servers.get_mut(id) {
            server.state = state;
        }
        self.network_changed = true;
    }

    fn listens(&mut self, id: ServerId, now: Millis) -> bool {
        let Some(server) = self.servers.get_mut(id) else {
            return false;
        };
        let due = server
            .listened
            .is_none_or(|at| now < at || now.since(at) >= LISTEN_AGAIN);
        if due {
            server.listened = Some(now);
        }
        due
    }

    /// The session key, for sealing.
    pub(super) fn session_keys(&self) -> &Keys {
        &self.session
    }
}

/// As many as are used: each costs a link's making time and packets.
fn few(mut servers: Vec<IceServer>) -> Vec<IceServer> {
    servers.truncate(MAX_ICE);
    servers
        .iter_mut()
        .for_each(|server| server.urls.truncate(MAX_ICE));
    servers
}
