//! One session with one connected peer.
//!
//! Frames go in by [`Session::frame`], out by [`Session::poll_frame`]; what concerns the node comes out by
//! [`Session::poll_event`]. Events that arrive are handed to the node unverified, in batches; it stores them (which
//! verifies them) and tells the outcome by [`Session::stored`].

mod blobs;
mod gossip;
mod pull;
mod pulse;
mod serve;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter, Keys, PublicKey};

use super::Message;
use super::blobs::BlobSession;
use super::frame::{self, Joiner, UnitJoiner};
use super::limits::{Bucket, LIVE_BYTES, LIVE_EVENTS, MESSAGES, Offence, Score};
use super::pack::{self, Packer, UNIT_BYTES};
use super::sets::ReconcileSets;
use super::wants::Wants;
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
/// How long the greeting waits for a sign that the peer has opened its end of the channel.
const GREET_AFTER: Duration = Duration::from_secs(1);
/// Ids of events that an honest peer may have and this one does not keep; past it the peer is not honest.
const MAX_REFUSED: usize = 10_000;
use gossip::Gossip;
pub(crate) use gossip::MAX_ANNOUNCED;
#[cfg(test)]
pub(super) use pull::MAX_PULL;
use pull::{Fetching, Pull};
use pulse::{Beat, Pulse};
use serve::Served;

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
    Arrived {
        /// The events.
        events: Vec<Event>,
        /// New ones, which somebody may be waiting for; otherwise history.
        live: bool,
    },
    /// The peer has these events, which are not here. Answer with [`Session::ask`], or not.
    Announced(Vec<EventId>),
    /// The peer was asked for these events, which it had announced, and did not have them.
    Withheld(Vec<EventId>),
    /// Everything that the peer has is here.
    Live,
    /// The round-trip time was measured.
    RoundTrip(Duration),
    /// The peer has left a ping without an answer for a while: perhaps the path to it broke.
    Suspect,
    /// The session is over: close the link.
    Ended {
        /// Why, in words.
        reason: String,
        /// Whether the peer broke the rules on purpose, as far as one can tell: do not connect again soon.
        hostile: bool,
    },
}

/// What the peer has used of its limits.
#[derive(Debug, Default)]
struct Rates {
    live: Bucket,
    live_bytes: Bucket,
    messages: Bucket,
    opens: Bucket,
    reconcile: Bucket,
    reconcile_bytes: Bucket,
    served: Bucket,
}

/// The session's state.
pub struct Session {
    keys: Keys,
    own: SessionId,
    peer: SessionId,
    person: Option<PublicKey>,
    challenge: String,
    has_greeted: bool,
    started: Millis,
    pulse: Pulse,
    ended: bool,
    joiner: Joiner,
    units: UnitJoiner,
    wants: Wants,
    /// The peer takes packed messages, and whether compressed ones.
    offered: Option<bool>,
    // What goes out, most urgent first: pings and their answers, other answers, new events, history.
    urgent: VecDeque<Vec<u8>>,
    control: VecDeque<Vec<u8>>,
    control_bytes: usize,
    packer: Packer,
    live: VecDeque<EventId>,
    served: VecDeque<Served>,
    in_flight: usize,
    subscriptions: BTreeMap<String, Filter>,
    reconciliations: BTreeMap<String, Filter>,
    // What comes in.
    counter: u64,
    live_ids: Vec<String>,
    pull: Pull,
    fetching: Fetching,
    fetch_due: bool,
    fell_behind: bool,
    answered: bool,
    rates: Rates,
    score: Score,
    refused: BTreeSet<EventId>,
    live_in: Vec<Event>,
    gossip: Gossip,
    sent_events: u64,
    events: VecDeque<SessionEvent>,
    blobs: BlobSession,
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
            has_greeted: false,
            started: now,
            pulse: Pulse::new(now),
            ended: false,
            joiner: Joiner::default(),
            units: UnitJoiner::default(),
            wants: Wants::everything(),
            offered: None,
            urgent: VecDeque::new(),
            control: VecDeque::new(),
            control_bytes: 0,
            packer: Packer::default(),
            live: VecDeque::new(),
            served: VecDeque::new(),
            in_flight: 0,
            subscriptions: BTreeMap::new(),
            reconciliations: BTreeMap::new(),
            counter: 0,
            live_ids: Vec::new(),
            pull: Pull::Idle { next: now },
            fetching: Fetching::default(),
            fetch_due: false,
            fell_behind: false,
            answered: false,
            rates: Rates::default(),
            score: Score::default(),
            refused: BTreeSet::new(),
            live_in: Vec::new(),
            gossip: Gossip::default(),
            sent_events: 0,
            events: VecDeque::new(),
            blobs: BlobSession::default(),
        };
        // What arrives while the other side still opens its end may be lost there (the `rtc` crate, when it comes together
        // with the end of the handshake). A ping may be; whoever is heard has opened it.
        session.say_at_once(&Message::Ping(0));
        session
    }

    /// Asks for a proof, once.
    fn greet(&mut self) {
        if !std::mem::replace(&mut self.has_greeted, true) {
            self.say(&Message::Challenge(self.challenge.clone()));
            self.say(&Message::Hello {
                pack: true,
                deflate: true,
            });
        }
    }

    /// Whether the peer has proven who it is.
    pub fn is_proven(&self) -> bool {
        self.person.is_some()
    }

    /// The subscription under which new events come.
    #[cfg(test)]
    pub(super) fn live_id(&self) -> Option<&str> {
        self.live_ids.first().map(String::as_str)
    }

    /// Whether something is being reconciled or fetched.
    pub fn is_syncing(&self) -> bool {
        !matches!(self.pull, Pull::Idle { .. })
    }

    /// What this side wants, before the session begins; later by [`Session::want`].
    pub fn wanting(mut self, wants: Wants) -> Self {
        self.wants = wants;
        self
    }

    /// Points for offences so far.
    pub fn score(&self) -> Score {
        self.score
    }

    /// Goes on with the points that the person had before.
    pub fn resume(&mut self, score: Score) {
        self.score = score;
    }

    /// Notes an offence; one too many ends the session.
    pub fn offend(&mut self, offence: Offence, times: usize, now: Millis) {
        if self.score.add(offence, times, now) {
            self.end_hostile(offence.reason());
        }
    }

    /// Whether there is room for a new event of this size.
    fn takes_live(&mut self, size: usize, now: Millis) -> bool {
        let takes =
            self.rates.live.take(LIVE_EVENTS, 1, now) && self.rates.live_bytes.take(LIVE_BYTES, size, now);
        if !takes {
            // What is not taken now comes with the next reconciliation.
            self.offend(Offence::Flood, 1, now);
        }
        takes
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
        if let Some(frame) = self.urgent.pop_front() {
            self.control_bytes -= frame.len();
            self.pulse.sent(self.in_flight);
            self.in_flight += frame.len();
            return Ok(Some(frame));
        }
        while self.control.is_empty() && !self.ended {
            if self.send_announcements() {
                continue;
            }
            let more = if let Some(id) = self.live.pop_front() {
                self.send_live(&id, store)?;
                true
            } else {
                self.serve_next(store)?
            };
            if !more && !self.send_unit() {
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

    /// How many events went out since this was asked last.
    pub fn take_sent_events(&mut self) -> u64 {
        std::mem::take(&mut self.sent_events)
    }

    /// Bytes have left the transport's send buffer.
    pub fn drained(&mut self, bytes: usize) {
        self.pulse.drained(bytes);
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// How storing the events of a [`SessionEvent::Arrived`] went.
    pub fn stored(&mut self, events: &[Event], outcomes: &[Put], live: bool) {
        if !live {
            self.taken_in(outcomes);
        }
        for (event, outcome) in events.iter().zip(outcomes) {
            match outcome {
                Put::Stored | Put::Duplicate => {}
                Put::Invalid(Invalid::Id | Invalid::Signature) => {
                    return self.end_hostile("an event is forged");
                }
                // Clocks, versions and room differ between honest peers.
                _ if self.refused.len() < MAX_REFUSED => {
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
        self.pulse.heard(env.now);
        self.greet();
        if frame::is_packed(frame) {
            self.packed_frame(frame, env)?;
        } else {
            match self.joiner.push(frame) {
                Ok(Some(text)) => match Message::parse(&text) {
                    Ok(message) => self.message(message, text.len(), env)?,
                    Err(error) => self.end_hostile(&error.to_string()),
                },
                Ok(None) => {}
                Err(error) => self.end_hostile(&error.to_string()),
            }
        }
        // Those that came together are stored together.
        if !self.live_in.is_empty() && !self.ended {
            let events = std::mem::take(&mut self.live_in);
            self.events
                .push_back(SessionEvent::Arrived { events, live: true });
        }
        Ok(())
    }

    fn packed_frame(&mut self, frame: &[u8], env: &mut Env<'_>) -> Result<(), StoreError> {
        if !self.is_proven() {
            self.end_hostile("the peer packs before it proved who it is");
            return Ok(());
        }
        let unit = match self.units.push(frame) {
            Ok(Some(unit)) => unit,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.end_hostile(&error.to_string());
                return Ok(());
            }
        };
        let records = match pack::open(unit) {
            Ok(records) => records,
            Err(error) => {
                self.end_hostile(&error.to_string());
                return Ok(());
            }
        };
        for record in records {
            match record {
                _ if self.ended => break,
                Ok((message, size)) => self.message(message, size, env)?,
                Err(error) => self.end_hostile(&error.to_string()),
            }
        }
        Ok(())
    }

    /// Goes on with what waited for arrived events to be stored: the receiver sets the pace.
    ///
    /// # Errors
    /// When the store fails.
    pub fn advance(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        self.send_asks(env)?;
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
        if now.since(self.started) >= GREET_AFTER {
            self.greet();
        }
        match self.pulse.tick(now) {
            Beat::Quiet => {}
            Beat::Ping => {
                let number = self.next_number();
                self.pulse.pinged(number, now);
                self.say_at_once(&Message::Ping(number));
            }
            Beat::Suspect => self.events.push_back(SessionEvent::Suspect),
            Beat::Gone => {
                self.end("the peer has gone silent");
                return Ok(());
            }
        }
        if !(self.is_proven() && self.answered) && now.since(self.started) >= GREETING_LIMIT {
            self.end("the peer did not prove who it is, or did not ask for a proof");
        } else if self.is_late(now) || self.gossip.is_late(now) {
            self.end("the peer did not answer");
        } else if self.is_proven()
            && self.answered
            && (self.pull.is_due(now) || self.fell_behind && matches!(self.pull, Pull::Idle { .. }))
        {
            // What was refused for its date may have become acceptable.
            self.refused.clear();
            if std::mem::take(&mut self.fell_behind) {
                self.subscribe();
            }
            self.reconcile(env)?;
        }
        Ok(())
    }

    fn message(&mut self, message: Message, size: usize, env: &mut Env<'_>) -> Result<(), StoreError> {
        let counted = !matches!(message, Message::Event { .. });
        if counted && !self.rates.messages.take(MESSAGES, 1, env.now) {
            self.offend(Offence::Messages, 1, env.now);
            if self.ended {
                return Ok(());
            }
        }
        match message {
            // At once, by the message's own event: a throttled tab's timers may be a minute apart.
            Message::Ping(number) => self.say_at_once(&Message::Pong(number)),
            Message::Pong(number) => {
                if let Some(rtt) = self.pulse.answered(number, env.now) {
                    self.events.push_back(SessionEvent::RoundTrip(rtt));
                }
            }
            Message::Challenge(_) if std::mem::replace(&mut self.answered, true) => {
                self.end_hostile("the peer asks for more than one proof");
            }
            Message::Challenge(challenge) => {
                let proof = identity::prove(&self.keys, self.own, self.peer, &challenge, env.now);
                self.say(&Message::Auth(Box::new(proof)));
                self.greeted(env)?;
            }
            Message::Auth(proof) if !self.is_proven() => {
                // The random challenge shows that it is fresh, whatever the peer's clock says.
                let dated = Millis(proof.created_at.as_secs().saturating_mul(1_000));
                match identity::check_proof(&proof, self.peer, self.own, &self.challenge, dated) {
                    Ok(person) => {
                        self.person = Some(person);
                        self.events.push_back(SessionEvent::Proven(person));
                        self.greeted(env)?;
                    }
                    Err(reason) => self.end_hostile(reason),
                }
            }
            Message::Hello { pack, deflate } => self.offered = pack.then_some(deflate),
            Message::Notice(_) | Message::Auth(_) | Message::Unknown => {}
            _ if !self.is_proven() => self.end_hostile("the peer asked before it proved who it is"),
            Message::Req { id, filter } => {
                self.requested(id, *filter);
                self.lead(env)?;
            }
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
                self.led(&id, None, env)?;
            }
            Message::NegEnd { id, have, all } => {
                self.reconciliations.remove(&id);
                self.led(&id, all.then_some(have), env)?;
            }
            Message::NegErr { id, .. } | Message::Closed { id, .. } => self.refused_by_peer(&id, env),
            Message::Event { id, event } => self.event(&id, *event, size, env)?,
            Message::Eose(id) => self.batch_done(&id, env.now),
            Message::Have(ids) => self.have(ids, env)?,
        }
        Ok(())
    }

    /// Begins once both sides have said who they are: nobody is asked before.
    fn greeted(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        if self.ended || !self.answered || !self.is_proven() {
            return Ok(());
        }
        self.offer_announcements();
        self.subscribe();
        self.begin(env)
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

    /// This device was asleep, or its clock was set: whoever seems silent is asked anew before they are judged.
    pub fn woke(&mut self, now: Millis) {
        self.pulse.woke(now);
    }

    /// The peer has shown by other ways that it is there.
    pub fn vouched(&mut self, now: Millis) {
        self.pulse.vouched(now);
    }

    /// Says something short ahead of everything that waits.
    fn say_at_once(&mut self, message: &Message) {
        if self.ended {
            return;
        }
        let frame = frame::urgent(&message.to_json());
        self.control_bytes += frame.len();
        self.urgent.push_back(frame);
        self.check_control();
    }

    fn say(&mut self, message: &Message) {
        if self.ended {
            return;
        }
        self.sent_events += u64::from(matches!(message, Message::Event { .. }));
        if self.packs() && is_bulky(message) {
            self.packer.add(message);
            if self.packer.len() >= UNIT_BYTES {
                self.send_unit();
            }
        } else {
            // In the order in which it is said.
            self.send_unit();
            let text = message.to_json();
            frame::split(&text).for_each(|frame| self.queue(frame));
        }
        self.check_control();
    }

    fn check_control(&mut self) {
        if self.control_bytes + self.packer.len() > MAX_CONTROL_BYTES {
            self.end("the peer does not read what it asked for");
        }
    }

    /// Whether the peer takes packed messages, and knows that this side is somebody.
    fn packs(&self) -> bool {
        self.offered.is_some() && self.answered
    }

    /// Queues what was packed so far; false when that is nothing.
    fn send_unit(&mut self) -> bool {
        if self.packer.is_empty() {
            return false;
        }
        let unit = self.packer.take(self.offered == Some(true));
        frame::split_unit(&unit).for_each(|frame| self.queue(frame));
        true
    }

    fn queue(&mut self, frame: Vec<u8>) {
        self.control_bytes += frame.len();
        self.control.push_back(frame);
    }

    fn end(&mut self, reason: &str) {
        self.finish(reason, false);
    }

    fn end_hostile(&mut self, reason: &str) {
        let until = (self.pulse.last() + crate::mesh::BAN).0 / 1_000;
        self.say(&Message::Notice(format!("banned: {reason}, until {until}")));
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

/// Whether a message is worth packing, alone or with its like.
fn is_bulky(message: &Message) -> bool {
    match message {
        Message::Req { filter, .. } => filter.ids.is_some() || filter.authors.is_some(),
        Message::Event { .. }
        | Message::Eose(_)
        | Message::NegOpen { .. }
        | Message::NegMsg { .. }
        | Message::NegClose(_)
        | Message::NegEnd { .. } => true,
        _ => false,
    }
}
