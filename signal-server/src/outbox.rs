//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::ws::Utf8Bytes;
use sazanami_core::signaling::ServerMessage;
use tokio::sync::Notify;

use crate::limits::Limits;
use crate::lock;
use crate::metrics::{Limit, Metrics};

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The server stops.
    Shutdown,
    /// The same session said hello on a newer connection.
    Replaced,
    /// The reader did not keep up and its queue is full; what waits is thrown away.
    SlowReader,
    /// No hello in time.
    NoHello,
    /// No frame for too long.
    Idle,
    /// The hello does not hold, or speaks another version.
    Refused,
    /// Too much garbage, or too many messages above the rate.
    Abuse,
    /// A message larger than allowed.
    TooLarge,
    /// Too many connections.
    Full,
}

impl CloseReason {
    /// The WebSocket close code: RFC 6455 §7.4, the IANA registry, and 4xxx for what only this protocol knows.
    pub fn code(self) -> u16 {
        match self {
            Self::Shutdown => 1001,
            Self::Refused | Self::Abuse | Self::SlowReader => 1008,
            Self::TooLarge => 1009,
            Self::Full => 1013,
            Self::Replaced => 4001,
            Self::NoHello => 4002,
            Self::Idle => 4003,
        }
    }

    /// In words, for the close frame.
    pub fn text(self) -> &'static str {
        match self {
            Self::Shutdown => "the server stops",
            Self::Replaced => "this session said hello on a newer connection",
            Self::SlowReader => "too slow a reader",
            Self::NoHello => "no hello in time",
            Self::Idle => "idle for too long",
            Self::Refused => "hello refused",
            Self::Abuse => "too many bad messages",
            Self::TooLarge => "message too large",
            Self::Full => "too many connections",
        }
    }
}

/// What comes next out of an [`Outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this.
    Message(Utf8Bytes),
    /// Close, after everything before it has been written.
    Close(CloseReason),
}

/// A bounded queue to one connection; only its own task takes out.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Notify,
    max_messages: usize,
    max_bytes: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Utf8Bytes>,
    bytes: usize,
    closed: Option<CloseReason>,
}

impl Outbox {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            max_messages: limits.queue_messages,
            max_bytes: limits.queue_bytes,
            metrics,
        }
    }

    /// Queues a message. A full queue closes the outbox: see [`CloseReason::SlowReader`].
    pub(crate) fn push(&self, message: &ServerMessage) {
        let text = serde_json::to_string(message).expect("every message has a JSON form");
        let mut state = lock(&self.state);
        if state.closed.is_some() {
            return;
        }
        if state.queue.len() >= self.max_messages || state.bytes + text.len() > self.max_bytes {
            self.metrics.strike(Limit::Queue);
            self.metrics.queue_dropped.add(state.queue.len() as u64 + 1);
            *state = State {
                closed: Some(CloseReason::SlowReader),
                ..State::default()
            };
        } else {
            state.bytes += text.len();
            state.queue.push_back(text.into());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Closes after what is queued; the first reason stands.
    pub(crate) fn close(&self, reason: CloseReason) {
        lock(&self.state).closed.get_or_insert(reason);
        self.changed.notify_one();
    }

    /// Why it is closed, if it is.
    pub fn closed(&self) -> Option<CloseReason> {
        lock(&self.state).closed
    }

    /// What comes next, if anything waits.
    pub fn try_next(&self) -> Option<Next> {
        let mut state = lock(&self.state);
        if let Some(text) = state.queue.pop_front() {
            state.bytes -= text.len();
            return Some(Next::Message(text));
        }
        state.closed.map(Next::Close)
    }

    /// Waits for what comes next.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the queue has overflowed, while a write is stuck.
    pub(crate) async fn overflowed(&self) {
        while self.closed() != Some(CloseReason::SlowReader) {
            self.changed.notified().await;
        }
    }
}
