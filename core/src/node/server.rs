//! The connection to the signal server: kept up, with the lobby joined and ICE servers at hand.

use std::time::Duration;

use nostr::prelude::Keys;
use rand::RngExt;

use super::api::SignalState;
use super::{Node, Output, SignalCommand, SignalEvent};
use crate::signaling::{
    self, ClientMessage, ErrorCode, IceServer, IceServers, MAX_MESSAGE, PROTOCOL_VERSION, ServerMessage,
    SessionId, Topic,
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
/// Introductions that wait for the server to come back; they expire by themselves.
const MAX_UNSENT: usize = 256;
/// By how much this device's clock may differ from the server's before the server's is used between peers: below, it is
/// a slow path to the server as likely as a wrong clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
/// Part of the credentials' life after which new ones are fetched.
const ICE_REFRESH: f64 = 0.75;
/// Shortest life of credentials that is believed, in seconds: a server does not make a peer ask all the time.
const MIN_ICE_LIFE: u64 = 20;

/// What is known of the connection.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) state: SignalState,
    /// The last refusal, until the server has been well since: a welcome, or a pong.
    pub(super) refused: Option<ErrorCode>,
    since: Millis,
    heard: Millis,
    next_ping: Millis,
    retry: Millis,
    failures: u32,
    ice: Option<Vec<IceServer>>,
    ice_due: Millis,
    ice_asked: bool,
    unsent: Vec<String>,
    /// By when it must be heard, after a moment at which the connection may have broken.
    check: Option<Millis>,
    /// The device says that it has no network.
    pub(super) no_network: bool,
    /// Milliseconds by which the server's clock is ahead of this device's.
    ahead: i64,
}

impl Server {
    pub(super) fn retry_now(&mut self, now: Millis) {
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

    /// The ICE servers; `None` until `/turn` has answered or failed once.
    pub(super) fn ice(&self) -> Option<&[IceServer]> {
        self.ice.as_deref()
    }
}

impl<S: Store> Node<S> {
    pub(super) fn tend_server(&mut self, now: Millis) {
        match self.server.state {
            SignalState::Offline if now >= self.server.retry => {
                if self.server.no_network {
                    self.server.retry = now + PROBE;
                }
                self.server.since = now;
                self.set_signal_state(SignalState::Connecting);
                self.outputs.push_back(Output::Signal(SignalCommand::Connect));
            }
            SignalState::Connecting if now.since(self.server.since) >= CONNECT_LIMIT => self.hang_up(now),
            SignalState::Online if now.since(self.server.heard) >= SILENCE_LIMIT => self.hang_up(now),
            SignalState::Online if self.server.check.is_some_and(|at| now >= at) => self.call_again(now),
            SignalState::Online if now >= self.server.next_ping => {
                self.server.next_ping = now + PING_INTERVAL;
                self.tell_server(&ClientMessage::Ping);
            }
            _ => {}
        }
        if self.server.state == SignalState::Online && now >= self.server.ice_due && !self.server.ice_asked {
            self.server.ice_asked = true;
            self.outputs
                .push_back(Output::Signal(SignalCommand::FetchIceServers));
        }
    }

    pub(super) fn signal_event(&mut self, event: SignalEvent, now: Millis) {
        match event {
            SignalEvent::Opened => self.server.heard = now,
            SignalEvent::Message(text) if text.len() <= MAX_MESSAGE => {
                self.server.heard = now;
                self.server.check = None;
                // A server of a newer version may say what this one does not know.
                if let Ok(message) = serde_json::from_str::<ServerMessage>(&text) {
                    self.server_message(message, now);
                }
            }
            SignalEvent::Message(_) => self.hang_up(now),
            SignalEvent::Closed(reason) => {
                if self.server.state != SignalState::Offline {
                    tracing::info!(reason, "signal server lost");
                    self.went_offline(now);
                }
            }
        }
    }

    fn server_message(&mut self, message: ServerMessage, now: Millis) {
        match message {
            ServerMessage::Challenge {
                challenge,
                now: theirs,
            } => {
                let ahead = theirs.map_or(0, |theirs| theirs.0.wrapping_sub(now.0).cast_signed());
                let tolerated = u128::from(ahead.unsigned_abs()) <= CLOCK_TOLERANCE.as_millis();
                self.server.ahead = if tolerated { 0 } else { ahead };
                let dated = self.network_time(now);
                let proof = Box::new(signaling::hello_proof(&self.session, &challenge, dated));
                self.tell_server(&ClientMessage::Hello {
                    version: PROTOCOL_VERSION,
                    proof,
                });
            }
            ServerMessage::Welcome => {
                self.server.failures = 0;
                self.server.refused = None;
                self.server.next_ping = now + PING_INTERVAL;
                self.set_signal_state(SignalState::Online);
                // Even with all links made: in the lobby others find this peer.
                self.mesh.asked(now);
                self.friends.left();
                self.join_lobby();
                let unsent = std::mem::take(&mut self.server.unsent);
                self.outputs.extend(
                    unsent
                        .into_iter()
                        .map(|text| Output::Signal(SignalCommand::Send(text))),
                );
                self.tick(now);
            }
            ServerMessage::Members { topic, peers } if topic == Topic::lobby() => {
                let own = self.session_id();
                let others: Vec<SessionId> = peers.into_iter().filter(|peer| *peer != own).collect();
                self.mesh.sampled(&others, Ring::Stranger, now);
                self.tend_links(now);
            }
            ServerMessage::Members { topic, peers } => self.friends_found(&topic, &peers, now),
            ServerMessage::Relayed { from, sealed } => self.introduced(from, &sealed, now),
            ServerMessage::Unreachable { to } => self.unreachable(to),
            ServerMessage::Error { code, message } => {
                tracing::warn!(?code, message, "signal server refused");
                self.server.refused = Some(code);
                self.network_changed = true;
            }
            ServerMessage::Pong => self.network_changed |= self.server.refused.take().is_some(),
        }
    }

    pub(super) fn ice_servers(&mut self, result: Result<IceServers, String>, now: Millis) {
        self.server.ice_asked = false;
        match result {
            Ok(servers) => {
                let life = Duration::from_secs(servers.ttl.clamp(MIN_ICE_LIFE, 86_400)).mul_f64(ICE_REFRESH);
                self.server.ice_due = now + life;
                self.server.ice = Some(servers.ice_servers);
                self.renew_relays();
            }
            Err(reason) => {
                tracing::warn!(reason, "no ICE servers");
                self.server.ice_due = now + ICE_RETRY;
                // Peers on the same network still find each other.
                self.server.ice.get_or_insert_default();
            }
        }
        self.tend_links(now);
    }

    /// The time by which peers date what they say to each other: the server's, where this device's clock is far off. So
    /// a wrong clock keeps nobody apart; posts still bear the device's own time.
    pub(super) fn network_time(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_add_signed(self.server.ahead))
    }

    pub(super) fn join_lobby(&mut self) {
        self.tell_server(&ClientMessage::Join {
            topic: Topic::lobby(),
        });
    }

    pub(super) fn tell_server(&mut self, message: &ClientMessage) {
        let text = serde_json::to_string(message).expect("these messages always serialise");
        if self.server.state == SignalState::Online || matches!(message, ClientMessage::Hello { .. }) {
            self.outputs.push_back(Output::Signal(SignalCommand::Send(text)));
        } else if matches!(message, ClientMessage::Relay { .. }) && self.server.unsent.len() < MAX_UNSENT {
            // A broken path takes server and links down together: what repairs the links follows the welcome.
            self.server.unsent.push(text);
        }
    }

    /// Asks whether the server is still there, with little patience: the connection may have broken unnoticed.
    pub(super) fn check_server(&mut self, now: Millis) {
        match self.server.state {
            SignalState::Offline => self.server.retry_now(now),
            SignalState::Connecting => self.server.since = now,
            SignalState::Online if self.server.check.is_none() => {
                self.server.check = Some(now + CHECK_LIMIT);
                self.server.next_ping = now + PING_INTERVAL;
                self.tell_server(&ClientMessage::Ping);
            }
            SignalState::Online => {}
        }
    }

    /// Ends the connection to the server, and makes it anew at once. The session stays: the server drops the older one.
    pub(super) fn call_again(&mut self, now: Millis) {
        if self.server.state != SignalState::Offline {
            self.hang_up(now);
        }
        self.server.retry_now(now);
    }

    fn hang_up(&mut self, now: Millis) {
        self.outputs.push_back(Output::Signal(SignalCommand::Close));
        self.went_offline(now);
    }

    fn went_offline(&mut self, now: Millis) {
        let wait = FIRST_WAIT
            .saturating_mul(1 << self.server.failures.min(10))
            .min(MAX_WAIT);
        // Jitter: when a server restarts, its clients do not come back all at once.
        self.server.retry = now + wait.mul_f64(self.rng.random_range(0.5..1.5));
        self.server.failures += 1;
        if self.server.no_network {
            self.server.retry = self.server.retry.max(now + PROBE);
        }
        self.server.check = None;
        self.server.ice_asked = false;
        self.set_signal_state(SignalState::Offline);
    }

    fn set_signal_state(&mut self, state: SignalState) {
        self.server.state = state;
        self.network_changed = true;
    }

    /// The session key, for sealing.
    pub(super) fn session_keys(&self) -> &Keys {
        &self.session
    }
}
