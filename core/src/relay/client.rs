//! One connection of a client.
//!
//! Requests go in by [`Client::take`], texts come out by [`Client::poll`]. Events that it publishes are handed to the
//! node, which verifies and stores them and tells the outcome by [`Client::stored`].

mod reconcile;
mod serve;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nostr::prelude::{Event, Filter, MatchEventOptions, RelayMessage};

use super::Host;
use super::request::{Nonsense, Request, closed, ok};
use crate::store::{Invalid, Put, Store, StoreError};
use crate::sync::Env;
use crate::sync::limits::Offence;
use crate::time::Millis;

pub use serve::{DEFAULT_LIMIT, MAX_FILTERS, MAX_LIMIT, MAX_SUBSCRIPTIONS};

use reconcile::Reconciled;
use serve::Served;

/// Bytes on their way to the socket.
const WINDOW: usize = 256 * 1024;
/// Bytes of answers waiting for a client that does not read; past it the connection ends.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Bytes of new events waiting; past it the subscriptions are closed, and the client asks again.
const MAX_LIVE_BYTES: usize = 1024 * 1024;
/// How long a client that has subscribed to nothing may say nothing.
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// Older events are history that somebody brings along, as for peers.
const FRESH: Duration = Duration::from_secs(600);

/// Whether an event is new, so that others may be waiting for it.
pub fn is_fresh(event: &Event, now: Millis) -> bool {
    now.since(Millis(event.created_at.as_secs().saturating_mul(1_000))) < FRESH
}

/// A connection's state.
#[derive(Debug)]
pub struct Client {
    heard: Millis,
    ended: Option<&'static str>,
    subscriptions: BTreeMap<String, Vec<Filter>>,
    reconciliations: BTreeMap<String, Reconciled>,
    // What goes out, most urgent first: answers, new events, stored ones.
    answers: VecDeque<String>,
    answer_bytes: usize,
    live: VecDeque<(String, Arc<str>)>,
    live_bytes: usize,
    served: VecDeque<Served>,
    in_flight: usize,
}

impl Client {
    /// A connection that has just opened.
    pub fn new(now: Millis) -> Self {
        Self {
            heard: now,
            ended: None,
            subscriptions: BTreeMap::new(),
            reconciliations: BTreeMap::new(),
            answers: VecDeque::new(),
            answer_bytes: 0,
            live: VecDeque::new(),
            live_bytes: 0,
            served: VecDeque::new(),
            in_flight: 0,
        }
    }

    /// Why the connection is to be closed, once it is.
    pub fn end_reason(&self) -> Option<&'static str> {
        self.ended
    }

    /// Takes what the client said; what it publishes is given back, to be stored.
    ///
    /// # Errors
    /// When the store fails; the client is not to blame.
    pub fn take(
        &mut self,
        said: Result<Request, Nonsense>,
        host: &mut Host,
        env: &mut Env<'_>,
    ) -> Result<Option<Event>, StoreError> {
        self.heard = env.now;
        let request = match said {
            _ if self.ended.is_some() => return Ok(None),
            Ok(Request::Publish(event)) => return Ok(self.publish(*event, host, env.now)),
            Ok(request) => request,
            Err(Nonsense(answer)) => {
                host.offend(Offence::Nonsense, env.now);
                self.say(answer);
                self.judge(host, env.now);
                return Ok(None);
            }
        };
        let asks = host.asks(env.now);
        self.judge(host, env.now);
        match request {
            Request::Publish(_) => {}
            Request::Unsubscribe(id) => self.unsubscribe(&id),
            Request::Finish(id) => drop(self.reconciliations.remove(&id)),
            Request::Subscribe { id, .. } if !asks => self.say(closed(&id, TOO_MANY_MESSAGES)),
            Request::Subscribe { id, filters } => self.subscribe(id, filters, host, env)?,
            Request::Reconcile { id, .. } | Request::Continue { id, .. } if !asks => {
                self.refuse_to_reconcile(&id, TOO_MANY_MESSAGES);
            }
            Request::Reconcile { id, filter, message } => {
                self.reconcile(id, *filter, &message, host, env)?;
            }
            Request::Continue { id, message } => self.respond(&id, &message, host, env)?,
        }
        Ok(None)
    }

    fn publish(&mut self, event: Event, host: &mut Host, now: Millis) -> Option<Event> {
        if event.is_protected() {
            self.refuse(&event, "blocked: its author must bring it in person (NIP-70)");
        } else if !host.publishes(&event, is_fresh(&event, now), now) {
            self.refuse(&event, "rate-limited: too many events");
            self.judge(host, now);
        } else {
            return Some(event);
        }
        None
    }

    /// Tells that an event is not taken in.
    pub fn refuse(&mut self, event: &Event, reason: &str) {
        self.say(ok(&event.id, false, reason));
    }

    /// Tells how storing published events went.
    pub fn stored(&mut self, events: &[Event], outcomes: &[Put], host: &mut Host, now: Millis) {
        for (event, outcome) in events.iter().zip(outcomes) {
            if let Put::Invalid(Invalid::Id | Invalid::Signature) = outcome {
                host.offend(Offence::Forged, now);
            }
            let (accepted, reason) = answer(outcome);
            self.say(ok(&event.id, accepted, &reason));
        }
        self.judge(host, now);
    }

    /// Whether the client has subscribed to such an event.
    pub fn wants(&self, event: &Event) -> bool {
        self.matching(event).next().is_some()
    }

    fn matching<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a String> {
        let subscriptions = self.subscriptions.iter();
        subscriptions
            .filter(|(_, filters)| {
                filters
                    .iter()
                    .any(|filter| filter.match_event(event, MatchEventOptions::new()))
            })
            .map(|(id, _)| id)
    }

    /// Forwards a new event, whose JSON is given, to every subscription that it matches.
    pub fn forward(&mut self, event: &Event, json: &Arc<str>) {
        let ids: Vec<String> = self.matching(event).cloned().collect();
        for id in ids {
            self.live_bytes += json.len();
            self.live.push_back((id, Arc::clone(json)));
        }
        if self.live_bytes > MAX_LIVE_BYTES {
            (self.live_bytes, self.live) = (0, VecDeque::new());
            self.served.clear();
            for id in std::mem::take(&mut self.subscriptions).into_keys() {
                self.say(closed(&id, "error: too far behind, ask again"));
            }
        }
    }

    /// What to send now, within the window.
    ///
    /// # Errors
    /// When the store fails.
    pub fn poll(
        &mut self,
        host: &mut Host,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Vec<String>, StoreError> {
        let mut texts = Vec::new();
        while self.in_flight < WINDOW {
            let text = if let Some(text) = self.answers.pop_front() {
                self.answer_bytes -= text.len();
                text
            } else if let Some((id, json)) = self.live.pop_front() {
                self.live_bytes -= json.len();
                format!(r#"["EVENT",{},{json}]"#, serde_json::Value::from(id))
            } else if let Some(text) = self.serve_next(host, store, now)? {
                text
            } else {
                break;
            };
            self.in_flight += text.len();
            texts.push(text);
        }
        Ok(texts)
    }

    /// The socket has taken so much.
    pub fn drained(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) {
        let waits = !self.subscriptions.is_empty() || !self.served.is_empty();
        if !waits && now.since(self.heard) >= IDLE_LIMIT {
            self.end("idle");
        }
    }

    fn say(&mut self, text: String) {
        if self.ended.is_some() {
            return;
        }
        self.answer_bytes += text.len();
        self.answers.push_back(text);
        if self.answer_bytes > MAX_ANSWER_BYTES {
            self.end("the client does not read its answers");
        }
    }

    /// Ends the connection of an address that has misbehaved too often.
    fn judge(&mut self, host: &Host, now: Millis) {
        if host.is_banned(now) && self.ended.is_none() {
            self.say(RelayMessage::notice("blocked: too many bad messages, come back later").as_json());
            self.end("too many offences");
        }
    }

    fn end(&mut self, reason: &'static str) {
        self.ended.get_or_insert(reason);
    }
}

const TOO_MANY_MESSAGES: &str = "rate-limited: too many messages";

/// What is said of an event that was put into the store.
fn answer(outcome: &Put) -> (bool, String) {
    let (accepted, reason) = match outcome {
        Put::Stored => (true, ""),
        Put::Duplicate => (true, "duplicate: it is here already"),
        Put::Superseded => (false, "blocked: a newer version of it is here"),
        Put::Deleted => (false, "blocked: its author has asked to forget it"),
        Put::Expired => (false, "invalid: it has expired"),
        Put::NoRoom => (false, "blocked: there is no room for it here"),
        Put::Invalid(Invalid::Kind) => (false, "blocked: the kind is not one that is kept here"),
        Put::Invalid(reason) => return (false, format!("invalid: {reason}")),
    };
    (accepted, reason.to_owned())
}
