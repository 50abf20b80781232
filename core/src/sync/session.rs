//! One session with one connected peer.
//!
//! Frames go in by [`Session::frame`], out by [`Session::poll_frame`]; what concerns the node comes out by
//! [`Session::poll_event`]. Events that arrive are handed to the node unverified, in batches; it stores them (which
//! verifies them) and tells the outcome by [`Session::stored`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter, Keys, MatchEventOptions, PublicKey};

use super::Message;
use super::frame::{self, Joiner};
use super::reconcile::{self, ReconcileSets, Set};
use crate::identity;
use crate::signaling::SessionId;
use crate::social::{KINDS, MAX_EVENT_BYTES};
use crate::store::{Invalid, Known, Put, Store, StoreError};
use crate::time::Millis;

/// Bytes on their way in the transport's send buffer; half of it, so that it never refuses.
const SEND_WINDOW: usize = crate::transport::SEND_BUFFER / 2;
/// Events asked for at once.
pub const PULL_BATCH: usize = 128;
/// Batches under way at once, so that the link is not idle for a round trip between them.
const PULLS_AT_ONCE: usize = 2;
/// Batches that a peer may have under way with us.
const MAX_SERVED_PULLS: usize = 4;
/// Subscriptions to new events that a peer may have with us.
const MAX_SUBSCRIPTIONS: usize = 4;
/// Reconciliations that a peer may have under way with us; each holds a snapshot of a set.
const MAX_RECONCILIATIONS: usize = 2;
/// Ids taken from one reconciliation; the rest comes in the next one.
const MAX_NEED: usize = 200_000;
/// Events waiting to be forwarded; past it the subscription is closed and the peer reconciles instead.
const MAX_LIVE_QUEUE: usize = 5_000;
/// Bytes of answers waiting for a peer that does not read; past it the session ends.
const MAX_CONTROL_BYTES: usize = 1024 * 1024;
/// How long a peer may take to prove who it is.
const GREETING_LIMIT: Duration = Duration::from_secs(15);
/// How long an answer to a reconciliation or a pull may take without any progress.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Between two pings.
const PING_INTERVAL: Duration = Duration::from_secs(4);
/// Silence after which a peer counts as gone: three pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(12);
/// Between two reconciliations of a session in which nothing seems to be missing: the delivery check.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// Before reconciling again when a peer did not deliver what it said it has.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

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

#[derive(Debug)]
enum Pull {
    /// Waiting for the answer to `NEG-OPEN` or `NEG-MSG`.
    Reconciling {
        id: String,
        set: Set,
        need: Vec<EventId>,
        since: Millis,
    },
    /// Fetching.
    Fetching,
    /// Nothing known to be missing; reconcile again at `next`.
    Idle { next: Millis },
}

/// A batch that was asked for.
#[derive(Debug)]
struct Batch {
    wanted: BTreeSet<EventId>,
    arrived: Vec<Event>,
    bytes: usize,
    progress: Millis,
}

/// A batch that the peer asked for: what is still to be sent.
#[derive(Debug)]
struct Served {
    id: String,
    ids: VecDeque<EventId>,
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
    reconciliations: BTreeMap<String, Set>,
    // What comes in.
    counter: u64,
    live_id: Option<String>,
    pull: Pull,
    need: Vec<EventId>,
    batches: BTreeMap<String, Batch>,
    fetched: usize,
    fetch_due: bool,
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

    /// Forwards a new event if the peer wants such.
    pub fn forward(&mut self, event: &Event) {
        let wanted = self
            .subscriptions
            .values()
            .any(|filter| filter.match_event(event, MatchEventOptions::new()));
        if !wanted || self.ended {
            return;
        }
        if self.live.len() < MAX_LIVE_QUEUE {
            self.live.push_back(event.id);
        } else {
            // The peer cannot keep up: it reconciles when it is told so, and nothing is lost.
            self.live.clear();
            for id in std::mem::take(&mut self.subscriptions).into_keys() {
                self.say(&Message::Closed {
                    id,
                    reason: "error: too far behind, reconcile".to_owned(),
                });
            }
        }
    }

    /// How storing the events of a [`SessionEvent::Arrived`] went.
    pub fn stored(&mut self, events: &[Event], outcomes: &[Put]) {
        for (event, outcome) in events.iter().zip(outcomes) {
            match outcome {
                Put::Invalid(Invalid::Id | Invalid::Signature) => {
                    return self.end_hostile("an event is forged");
                }
                // Clocks and versions differ between honest peers.
                Put::Invalid(_) => {
                    self.refused.insert(event.id);
                }
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
        let message = match self.joiner.push(frame) {
            Ok(Some(text)) => Message::parse(&text).map_err(|e| e.to_string()),
            Ok(None) => return Ok(()),
            Err(error) => Err(error.to_string()),
        };
        match message {
            Ok(message) => self.message(message, env),
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
        } else if matches!(self.pull, Pull::Idle { next } if self.is_proven() && now >= next) {
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

    fn is_late(&self, now: Millis) -> bool {
        let waiting_since = match &self.pull {
            Pull::Reconciling { since, .. } => Some(*since),
            _ => self.batches.values().map(|batch| batch.progress).min(),
        };
        waiting_since.is_some_and(|since| now.since(since) >= ANSWER_LIMIT)
    }

    fn message(&mut self, message: Message, env: &mut Env<'_>) -> Result<(), StoreError> {
        match message {
            Message::Ping(number) => self.say(&Message::Pong(number)),
            Message::Pong(number) => {
                if let Some((_, at)) = self.pinged.take_if(|(expected, _)| *expected == number) {
                    self.events.push_back(SessionEvent::RoundTrip(env.now.since(at)));
                }
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
            Message::Notice(_) | Message::Auth(_) => {}
            _ if !self.is_proven() => self.end_hostile("the peer asked before it proved who it is"),
            Message::Req { id, filter } => self.requested(id, *filter),
            Message::Close(id) => {
                self.subscriptions.remove(&id);
                self.served.retain(|served| served.id != id);
            }
            Message::NegOpen { id, filter, message } => {
                self.reconciliation_opened(id, &filter, &message, env)?
            }
            Message::NegMsg { id, message } => {
                if let Some(set) = self.reconciliations.get(&id).cloned() {
                    self.respond(id, &set, &message);
                } else {
                    self.learn(&id, &message, env)?;
                }
            }
            Message::NegClose(id) => {
                self.reconciliations.remove(&id);
            }
            Message::NegErr { id, .. } | Message::Closed { id, .. } => self.refused_by_peer(&id, env),
            Message::Event { id, event } => self.event(&id, *event, env)?,
            Message::Eose(id) => self.batch_done(&id),
        }
        Ok(())
    }

    // The peer's side: what it asks of us.

    fn requested(&mut self, id: String, filter: Filter) {
        if let Some(ids) = filter.ids {
            let pull = Served {
                id,
                ids: ids.into_iter().collect(),
            };
            if self.served.len() >= MAX_SERVED_PULLS || pull.ids.len() > 2 * PULL_BATCH {
                self.end_hostile("the peer asks for too much at once");
            } else {
                self.served.push_back(pull);
            }
        } else if filter.limit != Some(0) {
            let reason = "unsupported: reconcile with NEG-OPEN, and subscribe with limit 0".to_owned();
            self.say(&Message::Closed { id, reason });
        } else if self.subscriptions.len() >= MAX_SUBSCRIPTIONS && !self.subscriptions.contains_key(&id) {
            self.say(&Message::Closed {
                id,
                reason: "rate-limited: too many subscriptions".to_owned(),
            });
        } else {
            self.say(&Message::Eose(id.clone()));
            self.subscriptions.insert(id, filter);
        }
    }

    fn reconciliation_opened(
        &mut self,
        id: String,
        filter: &Filter,
        message: &[u8],
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        let plain = Filter {
            kinds: filter.kinds.clone(),
            authors: filter.authors.clone(),
            since: filter.since,
            until: filter.until,
            ..Filter::new()
        };
        let full =
            self.reconciliations.len() >= MAX_RECONCILIATIONS && !self.reconciliations.contains_key(&id);
        if plain != *filter || full {
            self.say(&Message::NegErr {
                id,
                reason: "blocked: not this filter, or too many at once".to_owned(),
            });
            return Ok(());
        }
        let set = env.sets.get(&plain, env.store)?;
        self.reconciliations.insert(id.clone(), set.clone());
        self.respond(id, &set, message);
        Ok(())
    }

    fn respond(&mut self, id: String, set: &Set, message: &[u8]) {
        match reconcile::respond(set, message) {
            Ok(message) => self.say(&Message::NegMsg { id, message }),
            Err(error) => self.end_hostile(&error.to_string()),
        }
    }

    fn send_live(&mut self, id: &EventId, store: &dyn Store) -> Result<(), StoreError> {
        // Deleted in the meantime: then the deletion is what follows.
        let Some(event) = store.event(id)? else {
            return Ok(());
        };
        let wanting = self
            .subscriptions
            .iter()
            .find(|(_, f)| f.match_event(&event, MatchEventOptions::new()));
        if let Some(name) = wanting.map(|(name, _)| name.clone()) {
            self.say(&Message::Event {
                id: name,
                event: Box::new(event),
            });
        }
        Ok(())
    }

    /// Sends one event or the end of the oldest pull; false when there is none.
    fn serve_next(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        let Some(served) = self.served.front_mut() else {
            return Ok(false);
        };
        let name = served.id.clone();
        if let Some(id) = served.ids.pop_front() {
            if let Some(event) = store.event(&id)? {
                self.say(&Message::Event {
                    id: name,
                    event: Box::new(event),
                });
            }
        } else {
            self.served.pop_front();
            self.say(&Message::Eose(name));
        }
        Ok(true)
    }

    // Our side: what we ask of the peer.

    /// Everything that is new to the peer from now on, however old it says it is: no `since` in the filter.
    fn subscribe(&mut self) {
        let id = self.name("live");
        self.say(&Message::Req {
            id: id.clone(),
            filter: Box::new(Filter::new().kinds(KINDS).limit(0)),
        });
        self.live_id = Some(id);
    }

    fn reconcile(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        let filter = Filter::new().kinds(KINDS);
        let set = env.sets.get(&filter, env.store)?;
        match reconcile::initiate(&set) {
            Ok(message) => {
                let id = self.name("sync");
                self.say(&Message::NegOpen {
                    id: id.clone(),
                    filter: Box::new(filter),
                    message,
                });
                self.fetched = 0;
                self.pull = Pull::Reconciling {
                    id,
                    set,
                    need: Vec::new(),
                    since: env.now,
                };
            }
            Err(error) => self.end(&error.to_string()),
        }
        Ok(())
    }

    fn learn(&mut self, id: &str, message: &[u8], env: &mut Env<'_>) -> Result<(), StoreError> {
        let Pull::Reconciling {
            id: own,
            set,
            need,
            since,
        } = &mut self.pull
        else {
            return Ok(());
        };
        if own != id {
            return Ok(());
        }
        let (new, next) = match reconcile::learn(set, message) {
            Ok(learnt) => learnt,
            Err(error) => {
                self.end_hostile(&error.to_string());
                return Ok(());
            }
        };
        for id in new {
            if env.store.known(&id)? == Known::No && !self.refused.contains(&id) && need.len() < MAX_NEED {
                need.push(id);
            }
        }
        if let Some(message) = next.filter(|_| need.len() < MAX_NEED) {
            *since = env.now;
            self.say(&Message::NegMsg {
                id: id.to_owned(),
                message,
            });
            return Ok(());
        }
        // Reconciliation goes from old to new; the newest is what a person wants to see first: taken from the end.
        self.need = std::mem::take(need);
        self.pull = Pull::Fetching;
        self.say(&Message::NegClose(id.to_owned()));
        self.fetch(env)
    }

    /// Asks for the next batches; when nothing is left, checks again or goes live.
    fn fetch(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        while self.batches.len() < PULLS_AT_ONCE && !self.need.is_empty() {
            let mut wanted = BTreeSet::new();
            while wanted.len() < PULL_BATCH
                && let Some(id) = self.need.pop()
            {
                // It may have come from somebody else in the meantime.
                if env.store.known(&id)? == Known::No {
                    wanted.insert(id);
                }
            }
            if !wanted.is_empty() {
                let id = self.name("pull");
                let filter = Filter::new().ids(wanted.iter().copied());
                self.say(&Message::Req {
                    id: id.clone(),
                    filter: Box::new(filter),
                });
                self.batches.insert(
                    id,
                    Batch {
                        wanted,
                        arrived: Vec::new(),
                        bytes: 0,
                        progress: env.now,
                    },
                );
            }
        }
        if !self.batches.is_empty() || !matches!(self.pull, Pull::Fetching) {
            return Ok(());
        }
        if self.fetched > 0 {
            // The delivery check: only a reconciliation that finds nothing proves that everything came.
            return self.reconcile(env);
        }
        self.go_live(env.now + CHECK_INTERVAL);
        Ok(())
    }

    fn go_live(&mut self, next: Millis) {
        self.pull = Pull::Idle { next };
        self.events.push_back(SessionEvent::Live);
    }

    fn event(&mut self, id: &str, event: Event, env: &mut Env<'_>) -> Result<(), StoreError> {
        if self.live_id.as_deref() == Some(id) {
            // Deduplicated before anybody spends time on its signature.
            if env.store.known(&event.id)? == Known::No && !self.refused.contains(&event.id) {
                self.events.push_back(SessionEvent::Arrived(vec![event]));
            }
            return Ok(());
        }
        let Some(batch) = self.batches.get_mut(id) else {
            // The end of a batch and a late event may cross.
            return Ok(());
        };
        if !batch.wanted.remove(&event.id) {
            self.end_hostile("the peer sent an event that nobody asked for");
            return Ok(());
        }
        batch.progress = env.now;
        batch.bytes += event.content.len();
        batch.arrived.push(event);
        if batch.bytes > 4 * MAX_EVENT_BYTES {
            let arrived = std::mem::take(&mut batch.arrived);
            batch.bytes = 0;
            self.fetched += arrived.len();
            self.events.push_back(SessionEvent::Arrived(arrived));
        }
        Ok(())
    }

    fn batch_done(&mut self, id: &str) {
        let Some(batch) = self.batches.remove(id) else {
            return;
        };
        if !batch.arrived.is_empty() {
            self.fetched += batch.arrived.len();
            self.events.push_back(SessionEvent::Arrived(batch.arrived));
        }
        self.fetch_due = true;
    }

    fn refused_by_peer(&mut self, id: &str, env: &mut Env<'_>) {
        if self.live_id.as_deref() == Some(id) {
            // We fell behind: subscribe anew, and reconcile what was missed.
            self.subscribe();
            if let Pull::Idle { next } = &mut self.pull {
                *next = env.now;
            }
        } else if self.batches.remove(id).is_some()
            || matches!(&self.pull, Pull::Reconciling { id: own, .. } if own == id)
        {
            self.batches.clear();
            self.need.clear();
            self.go_live(env.now + RETRY_INTERVAL);
        }
    }

    // Both.

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
