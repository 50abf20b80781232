//! One session with one connected peer.
//!
//! Frames go in by [`Session::frame`], out by [`Session::poll_frame`]; what concerns the node comes out by
//! [`Session::poll_event`]. Events that arrive are handed to the node unverified, in batches; it stores them (which
//! verifies them) and tells the outcome by [`Session::stored`].

mod pull;
mod serve;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter, Keys, PublicKey};

use super::Message;
use super::frame::{self, Joiner};
use super::sets::ReconcileSets;
use crate::identity;
use crate::signaling::SessionId;
use crate::store::{Invalid, Put, Store, StoreError};
use crate::time::Millis;

/// Bytes on their way in the transport's send buffer; half of it, so that it never refuses.
const SEND_WINDOW: usize = crate::transport::SEND_BUFFER / 2;
/// Bytes of answers waiting for a peer that does not read; past it the session ends.
const MAX_CONTROL_BYTES: usize = 1024 * 1024;
/// How long a peer may take to prove who it is.
const GREETING_LIMIT: Duration = Duration::from_secs(15);
/// Ids of events that an honest peer may have and this one does not keep; past it the peer is not honest.
const MAX_REFUSED: usize = 10_000;
/// Between two pings.
const PING_INTERVAL: Duration = Duration::from_secs(4);
/// Silence after which a peer counts as gone: three pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(12);

#[cfg(test)]
pub(super) use pull::PULL_BATCH;
use pull::{Batch, Pull};
use serve::{ReconcileBudget, Served};

/// What a session needs from its node while it works.
pub struct Env<'a> {
    /// The store.
    pub store: &'a mut dyn Store,
    /// Sets for reconciliation.
    pub sets: &'a mut ReconcileSets,
    /// The time.
    pub now: Millis,
}

/// What a session tells its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The peer has proven to be this person.
    Proven(PublicKey),
    /// Events arrived, not verified and perhaps known already. Answer with [`Session::stored`].
    Arrived(Vec<Event>),
    /// Everything that the peer has is here.
    Live,
    /// The round-trip time was measured.
    RoundTrip(Duration),
    /// The session is over: close the link.
    Ended {
        /// Why, in words.
        reason: String,
        /// Whether the peer broke the rules on purpose, as far as one can tell: do not connect again soon.
        hostile: bool,
    },
}

/// The session's state.
pub struct Session {
    keys: Keys,
    own: SessionId,
    peer: SessionId,
    person: Option<PublicKey>,
    challenge: String,
    started: Millis,
    heard: Millis,
    pinged: Option<(u64, Millis)>,
    next_ping: Millis,
    ended: bool,
    joiner: Joiner,
    // What goes out, most urgent first: answers, new events, history.
    control: VecDeque<Vec<u8>>,
    control_bytes: usize,
    live: VecDeque<EventId>,
    served: VecDeque<Served>,
    in_flight: usize,
    subscriptions: BTreeMap<String, Filter>,
    reconciliations: BTreeMap<String, Filter>,
    // What comes in.
    counter: u64,
    live_id: Option<String>,
    pull: Pull,
    need: Vec<EventId>,
    batches: BTreeMap<String, Batch>,
    fetched: usize,
    fetch_due: bool,
    progress: Millis,
    fell_behind: bool,
    answered: bool,
    budget: ReconcileBudget,
    refused: BTreeSet<EventId>,
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// A session over a link that has just opened, between these two session keys. `challenge` is random.
    pub fn new(keys: Keys, own: SessionId, peer: SessionId, challenge: String, now: Millis) -> Self {
        let mut session = Self {
            keys,
            own,
            peer,
            person: None,
            challenge,
            started: now,
            heard: now,
            pinged: None,
            next_ping: now,
            ended: false,
            joiner: Joiner::default(),
            control: VecDeque::new(),
            control_bytes: 0,
            live: VecDeque::new(),
            served: VecDeque::new(),
            in_flight: 0,
            subscriptions: BTreeMap::new(),
            reconciliations: BTreeMap::new(),
            counter: 0,
            live_id: None,
            pull: Pull::Idle { next: now },
            need: Vec::new(),
            batches: BTreeMap::new(),
            fetched: 0,
            fetch_due: false,
            progress: now,
            fell_behind: false,
            answered: false,
            budget: ReconcileBudget::default(),
            refused: BTreeSet::new(),
            events: VecDeque::new(),
        };
        session.say(&Message::Challenge(session.challenge.clone()));
        session
    }

    /// Whether the peer has proven who it is.
    pub fn is_proven(&self) -> bool {
        self.person.is_some()
    }

    /// The subscription under which new events come.
    #[cfg(test)]
    pub(super) fn live_id(&self) -> Option<&str> {
        self.live_id.as_deref()
    }

    /// Whether something is being reconciled or fetched.
    pub fn is_syncing(&self) -> bool {
        !matches!(self.pull, Pull::Idle { .. })
    }

    /// What concerns the node.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// The next frame to send, within the send window.
    ///
    /// # Errors
    /// When the store fails.
    pub fn poll_frame(&mut self, store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
        if self.in_flight >= SEND_WINDOW {
            return Ok(None);
        }
        while self.control.is_empty() && !self.ended {
            if let Some(id) = self.live.pop_front() {
                self.send_live(&id, store)?;
            } else if !self.serve_next(store)? {
                break;
            }
        }
        let frame = self.control.pop_front();
        if let Some(frame) = &frame {
            self.control_bytes -= frame.len();
            self.in_flight += frame.len();
        }
        Ok(frame)
    }

    /// Bytes have left the transport's send buffer.
    pub fn drained(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// How storing the events of a [`SessionEvent::Arrived`] went.
    pub fn stored(&mut self, events: &[Event], outcomes: &[Put]) {
        for (event, outcome) in events.iter().zip(outcomes) {
            match outcome {
                Put::Invalid(Invalid::Id | Invalid::Signature) => {
                    return self.end_hostile("an event is forged");
                }
                // Clocks and versions differ between honest peers.
                Put::Invalid(_) if self.refused.len() < MAX_REFUSED => {
                    self.refused.insert(event.id);
                }
                Put::Invalid(_) => return self.end_hostile("too many events that are not kept here"),
                _ => {}
            }
        }
    }

    /// Takes a frame from the peer.
    ///
    /// # Errors
    /// When the store fails; the peer is not to blame.
    pub fn frame(&mut self, frame: &[u8], env: &mut Env<'_>) -> Result<(), StoreError> {
        if self.ended {
            return Ok(());
        }
        self.heard = env.now;
        let mut size = 0;
        let message = match self.joiner.push(frame) {
            Ok(Some(text)) => {
                size = text.len();
                Message::parse(&text).map_err(|e| e.to_string())
            }
            Ok(None) => return Ok(()),
            Err(error) => Err(error.to_string()),
        };
        match message {
            Ok(message) => self.message(message, size, env),
            Err(reason) => {
                self.end_hostile(&reason);
                Ok(())
            }
        }
    }

    /// Goes on with what waited for arrived events to be stored: the receiver sets the pace.
    ///
    /// # Errors
    /// When the store fails.
    pub fn advance(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        if std::mem::take(&mut self.fetch_due) && !self.ended {
            self.fetch(env)
        } else {
            Ok(())
        }
    }

    /// Time has passed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn tick(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        let now = env.now;
        if self.ended {
            return Ok(());
        }
        if now.since(self.heard) >= SILENCE_LIMIT {
            self.end("the peer has gone silent");
        } else if !self.is_proven() && now.since(self.started) >= GREETING_LIMIT {
            self.end("the peer did not prove who it is");
        } else if self.is_late(now) {
            self.end("the peer did not answer");
        } else if self.is_proven()
            && matches!(self.pull, Pull::Idle { next } if self.fell_behind || now >= next)
        {
            // What was refused for its date may have become acceptable.
            self.refused.clear();
            if std::mem::take(&mut self.fell_behind) {
                self.subscribe();
            }
            self.reconcile(env)?;
        }
        if now >= self.next_ping && !self.ended {
            self.next_ping = now + PING_INTERVAL;
            let number = self.next_number();
            self.pinged = Some((number, now));
            self.say(&Message::Ping(number));
        }
        Ok(())
    }

    fn message(&mut self, message: Message, size: usize, env: &mut Env<'_>) -> Result<(), StoreError> {
        match message {
            Message::Ping(number) => self.say(&Message::Pong(number)),
            Message::Pong(number) => {
                if let Some((_, at)) = self.pinged.take_if(|(expected, _)| *expected == number) {
                    self.events.push_back(SessionEvent::RoundTrip(env.now.since(at)));
                }
            }
            Message::Challenge(_) if std::mem::replace(&mut self.answered, true) => {
                self.end_hostile("the peer asks for more than one proof");
            }
            Message::Challenge(challenge) => {
                let proof = identity::prove(&self.keys, self.own, self.peer, &challenge, env.now);
                self.say(&Message::Auth(Box::new(proof)));
            }
            Message::Auth(proof) if !self.is_proven() => {
                match identity::check_proof(&proof, self.peer, self.own, &self.challenge, env.now) {
                    Ok(person) => {
                        self.person = Some(person);
                        self.events.push_back(SessionEvent::Proven(person));
                        self.subscribe();
                        self.reconcile(env)?;
                    }
                    Err(reason) => self.end_hostile(reason),
                }
            }
            Message::Notice(_) | Message::Auth(_) | Message::Unknown => {}
            _ if !self.is_proven() => self.end_hostile("the peer asked before it proved who it is"),
            Message::Req { id, filter } => self.requested(id, *filter),
            Message::Close(id) => {
                self.subscriptions.remove(&id);
                self.served.retain(|served| served.id != id);
            }
            Message::NegOpen { id, filter, message } => {
                self.reconciliation_opened(id, &filter, &message, env)?;
            }
            Message::NegMsg { id, message } => {
                if self.reconciliations.contains_key(&id) {
                    self.reconciliation_continued(id, &message, env)?;
                } else {
                    self.learn(&id, &message, env)?;
                }
            }
            Message::NegClose(id) => {
                self.reconciliations.remove(&id);
            }
            Message::NegErr { id, .. } | Message::Closed { id, .. } => self.refused_by_peer(&id, env),
            Message::Event { id, event } => self.event(&id, *event, size, env)?,
            Message::Eose(id) => self.batch_done(&id),
        }
        Ok(())
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A subscription id that the peer does not choose: each side's ids begin with its own session.
    fn name(&mut self, what: &str) -> String {
        let number = self.next_number();
        format!("{}-{what}-{number}", &self.own.to_string()[..8])
    }

    fn say(&mut self, message: &Message) {
        if self.ended {
            return;
        }
        for frame in frame::split(&message.to_json()) {
            self.control_bytes += frame.len();
            self.control.push_back(frame);
        }
        if self.control_bytes > MAX_CONTROL_BYTES {
            self.end("the peer does not read what it asked for");
        }
    }

    fn end(&mut self, reason: &str) {
        self.finish(reason, false);
    }

    fn end_hostile(&mut self, reason: &str) {
        self.say(&Message::Notice(format!("closed: {reason}")));
        self.finish(reason, true);
    }

    fn finish(&mut self, reason: &str, hostile: bool) {
        if !self.ended {
            self.ended = true;
            self.events.push_back(SessionEvent::Ended {
                reason: reason.to_owned(),
                hostile,
            });
        }
    }
}
