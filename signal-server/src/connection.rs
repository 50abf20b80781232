//! One peer's connection as a state machine: frames and the time in, messages out through its [`Outbox`].

use std::sync::Arc;

use sazanami_core::signaling::{
    ClientMessage, ErrorCode, MAX_MESSAGE, PROTOCOL_VERSION, ServerMessage, SessionId,
};
use sazanami_core::time::Millis;
use serde::Deserialize;

use crate::address::ClientAddress;
use crate::bucket::TokenBucket;
use crate::hub::{ConnectionId, Hub};
use crate::limits::Limits;
use crate::metrics::Limit;
use crate::outbox::{CloseReason, Outbox};

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame of this many bytes; the protocol has none.
    Binary(usize),
    /// A WebSocket ping or pong of this many bytes.
    Control(usize),
    /// A frame too large to be read at all.
    TooLarge,
}

/// A connection. Dropping it takes it out of the hub.
#[derive(Debug)]
pub struct Connection {
    hub: Arc<Hub>,
    id: ConnectionId,
    outbox: Arc<Outbox>,
    challenge: String,
    session: Option<SessionId>,
    messages: TokenBucket,
    bytes: TokenBucket,
    patience: TokenBucket,
    opened: Millis,
    last_frame: Millis,
    /// When the last error about the rate went out: one per second, or the answer to a flood would be a flood.
    warned: Option<Millis>,
}

impl Connection {
    /// Enters the hub and sends the challenge, which must be random.
    ///
    /// # Errors
    /// When there are too many connections, or the server stops.
    pub fn open(
        hub: Arc<Hub>,
        address: ClientAddress,
        challenge: String,
        now: Millis,
    ) -> Result<Self, CloseReason> {
        let (id, outbox) = hub.open(address)?;
        outbox.push(&ServerMessage::Challenge {
            challenge: challenge.clone(),
            now: Some(now),
        });
        let limits = hub.limits();
        Ok(Self {
            messages: TokenBucket::full(limits.messages, now),
            bytes: TokenBucket::full(limits.bytes, now),
            patience: TokenBucket::full(limits.patience, now),
            hub,
            id,
            outbox,
            challenge,
            session: None,
            opened: now,
            last_frame: now,
            warned: None,
        })
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Where its messages come out.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Takes a frame; what it leads to is in this outbox and in others.
    pub fn handle(&mut self, frame: Frame<'_>, now: Millis) {
        if self.outbox.closed().is_some() {
            return;
        }
        self.last_frame = now;
        let size = match frame {
            Frame::Text(text) => text.len(),
            Frame::Binary(size) | Frame::Control(size) => size,
            Frame::TooLarge => MAX_MESSAGE + 1,
        };
        if size > MAX_MESSAGE {
            self.strike(Limit::MessageSize);
            self.error(
                ErrorCode::TooLarge,
                &format!("a message has at most {MAX_MESSAGE} bytes"),
            );
            self.outbox.close(CloseReason::TooLarge);
        } else if self.within_rate(size, now) {
            match frame {
                Frame::Text(text) => self.text(text, now),
                Frame::Binary(_) => self.garbage("binary frames mean nothing here", now),
                Frame::Control(_) | Frame::TooLarge => {}
            }
        }
    }

    /// When [`Connection::timeout`] has something to do, if no frame comes.
    pub fn deadline(&self) -> Millis {
        let limits = self.hub.limits();
        let idle = self.last_frame + limits.idle_timeout;
        if self.session.is_some() {
            idle
        } else {
            idle.min(self.opened + limits.hello_timeout)
        }
    }

    /// Closes a connection that is past its deadline.
    pub fn timeout(&mut self, now: Millis) {
        if now >= self.deadline() && self.outbox.closed().is_none() {
            let (limit, reason) = if self.session.is_some() {
                (Limit::IdleTimeout, CloseReason::Idle)
            } else {
                (Limit::HelloTimeout, CloseReason::NoHello)
            };
            self.strike(limit);
            self.error(ErrorCode::TimedOut, reason.text());
            self.outbox.close(reason);
        }
    }

    fn text(&mut self, text: &str, now: Millis) {
        let message = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(_) if speaks_another_version(text) => return self.refuse_version(),
            Err(error) => {
                return self.garbage(&format!("not a message of this protocol: {}", clip(&error)), now);
            }
        };
        match (message, self.session) {
            (ClientMessage::Hello { version, .. }, _) if version != PROTOCOL_VERSION => self.refuse_version(),
            (ClientMessage::Hello { proof, .. }, None) => self.hello(&proof, now),
            (ClientMessage::Hello { .. }, Some(_)) => self.garbage("the hello was already accepted", now),
            (ClientMessage::Ping, _) => self.outbox.push(&ServerMessage::Pong),
            (_, None) => {
                // Costs as much as garbage: an honest client waits for the welcome.
                if self.spend_patience(Limits::GARBAGE_COST, now) {
                    self.error(ErrorCode::NotWelcome, "say hello first");
                }
            }
            (ClientMessage::Join { topic }, Some(_)) => {
                if !self.hub.join(self.id, topic, now) {
                    let most = self.hub.limits().topics;
                    self.error(ErrorCode::TooManyTopics, &format!("at most {most} topics"));
                }
            }
            (ClientMessage::Leave { topic }, Some(_)) => self.hub.leave(self.id, &topic),
            (ClientMessage::Relay { to, sealed }, Some(from)) => {
                if !self.hub.relay(from, to, sealed, now) {
                    self.outbox.push(&ServerMessage::Unreachable { to });
                }
            }
        }
    }

    fn hello(&mut self, proof: &sazanami_core::Event, now: Millis) {
        if !self.hub.admit_hello(self.id, now) {
            self.error(
                ErrorCode::RateLimited,
                "too many hellos from this address; try again later",
            );
            return self.outbox.close(CloseReason::Refused);
        }
        match sazanami_core::signaling::check_hello(proof, &self.challenge, now) {
            Ok(session) => {
                self.session = Some(session);
                let servers = self.hub.recommended().to_vec();
                self.outbox.push(&ServerMessage::Welcome { servers });
                self.hub.register(self.id, session, now);
            }
            Err(why) => {
                self.error(ErrorCode::Proof, why);
                self.outbox.close(CloseReason::Refused);
            }
        }
    }

    fn refuse_version(&self) {
        self.error(
            ErrorCode::Version,
            &format!("this server speaks version {PROTOCOL_VERSION}"),
        );
        self.outbox.close(CloseReason::Refused);
    }

    fn within_rate(&mut self, size: usize, now: Millis) -> bool {
        let limits = self.hub.limits();
        let messages = self.messages.take(limits.messages, 1.0, now);
        // A frame has at most MAX_MESSAGE bytes, so the number is exact.
        let bytes = self.bytes.take(limits.bytes, size as f64, now);
        if messages && bytes {
            return true;
        }
        self.strike(if messages { Limit::Bytes } else { Limit::Messages });
        if self.spend_patience(1.0, now) && self.warned.is_none_or(|last| now.since(last).as_secs() >= 1) {
            self.warned = Some(now);
            self.error(
                ErrorCode::RateLimited,
                "too much at once; this message was dropped",
            );
        }
        false
    }

    fn garbage(&mut self, why: &str, now: Millis) {
        if self.spend_patience(Limits::GARBAGE_COST, now) {
            self.error(ErrorCode::Malformed, why);
        }
    }

    /// `false` when there is none left and the connection closes.
    fn spend_patience(&mut self, cost: f64, now: Millis) -> bool {
        let left = self.patience.take(self.hub.limits().patience, cost, now);
        if !left {
            self.strike(Limit::Patience);
            self.outbox.close(CloseReason::Abuse);
        }
        left
    }

    fn strike(&self, limit: Limit) {
        self.hub.metrics().strike(limit);
    }

    fn error(&self, code: ErrorCode, message: &str) {
        self.outbox.push(&ServerMessage::Error {
            code,
            message: message.to_owned(),
        });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.close(self.id);
    }
}

/// Whether this is a hello whose other fields are of another version, so that it does not even parse.
fn speaks_another_version(text: &str) -> bool {
    #[derive(Deserialize)]
    struct AnyHello {
        r#type: String,
        version: u32,
    }
    serde_json::from_str::<AnyHello>(text)
        .is_ok_and(|hello| hello.r#type == "hello" && hello.version != PROTOCOL_VERSION)
}

/// The parser's words quote what it read: enough to find a mistake, never a whole frame.
fn clip(error: &serde_json::Error) -> String {
    error.to_string().chars().take(120).collect()
}
