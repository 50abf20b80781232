//! Events between their arrival and the store: each is verified once, outside where the platform has verifiers, and
//! stored together with others.
//!
//! What one session or client handed over at once is a batch. Its events are looked up in the store, among those on their way
//! and among those verified lately; what is left is waiting, in two lanes: new events before history. [`Verifying`]
//! makes jobs of it, as many as the platform's verifiers can take. Batches of one source and lane are stored in the
//! order of their arrival; many small ones go into one transaction, at once when nothing else is to be waited for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use nostr::prelude::{Event, EventId, PublicKey};

use super::links::Link;
use super::{Node, Output};
use crate::relay::ClientId;
use crate::signaling::SessionId;
use crate::social::KINDS;
use crate::store::{Invalid, Known, Put, Store, StoreError};
use crate::time::Millis;
use crate::transport::LinkId;
use crate::verify::{Recent, Verifier};

/// Events in a job: some milliseconds natively, some tens in a browser; a new event waits for no more than that.
const JOB_EVENTS: usize = 64;
/// Their bytes, roughly: what a verifier without shared memory holds of a job.
const JOB_BYTES: usize = 256 * 1024;
/// Jobs that a verifier has: none stands still while the node stores [`STORE_EVENTS`].
const JOBS_PER_VERIFIER: usize = STORE_EVENTS / JOB_EVENTS;
/// After which a job counts as lost: a verifier was closed, or broke. Its events are verified here.
const JOB_LIMIT: Duration = Duration::from_secs(20);
/// Events for which storing waits while more are being verified: a transaction of some hundred costs the disk as
/// much as one of a single event.
const STORE_EVENTS: usize = 512;
/// Events between arrival and store, of all links; past it the node verifies itself instead of taking in more.
const MAX_EVENTS: usize = 16_384;
/// Their bytes, roughly.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Events that were verified lately and may not be stored: expired, superseded, no room. 200 bytes each.
const RECENT: usize = 8_192;
/// What an event takes beside its texts, roughly.
const EVENT_BYTES: usize = 512;

/// Events to verify outside, by [`Verifier::verify`] or [`crate::verify::encode`]; answered by
/// [`super::Input::Verified`].
#[derive(Clone, Debug, Default)]
pub struct Job {
    number: u64,
    urgent: bool,
    picks: Vec<(Arc<Vec<Event>>, usize)>,
}

impl Job {
    /// A job of its own events.
    pub fn new(number: u64, urgent: bool, events: Vec<Event>) -> Self {
        let events = Arc::new(events);
        let picks = (0..events.len()).map(|index| (events.clone(), index));
        Self {
            number,
            urgent,
            picks: picks.collect(),
        }
    }

    /// Names it in the answer.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether somebody waits for these new events; otherwise they are history.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// The events, in the order of the answers.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.picks.iter().map(|(events, index)| &events[*index])
    }
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Link(LinkId),
    Client(ClientId),
}

/// Who brought a batch.
#[derive(Clone, Copy, Debug)]
struct Origin {
    source: Source,
    /// The other end of a link.
    peer: Option<(SessionId, Option<PublicKey>)>,
}

/// What a session handed over at once.
struct Batch {
    origin: Origin,
    urgent: bool,
    events: Arc<Vec<Event>>,
    verdicts: Vec<Option<Verdict>>,
    open: usize,
    bytes: usize,
}

/// What was found out about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    /// The store knows this id: not verified, and so not to be stored as verified.
    Known,
    Invalid(Invalid),
}

impl From<Result<(), Invalid>> for Verdict {
    fn from(result: Result<(), Invalid>) -> Self {
        result.map_or_else(Self::Invalid, |()| Self::Holds)
    }
}

/// A batch of which everything is known, to be stored.
struct Verified {
    origin: Origin,
    urgent: bool,
    events: Vec<Event>,
    verdicts: Vec<Verdict>,
}

/// An event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    batch: u64,
    index: usize,
}

struct Given {
    places: Vec<Place>,
    urgent: bool,
    at: Millis,
}

/// Everything between arrival and store.
pub(super) struct Verifying {
    verifiers: usize,
    verifier: Verifier,
    next: u64,
    batches: BTreeMap<u64, Batch>,
    /// Batches of a source and lane in the order of their arrival.
    order: BTreeMap<(Source, bool), VecDeque<u64>>,
    urgent: VecDeque<Place>,
    history: VecDeque<Place>,
    jobs: BTreeMap<u64, Given>,
    /// The first copy of each event on its way, and the later ones, which share its verdict.
    first: BTreeMap<EventId, Place>,
    copies: BTreeMap<Place, Vec<Place>>,
    recent: Recent<EventId, [u8; 64]>,
    /// Numbers of batches that can be stored.
    done: VecDeque<u64>,
    done_events: usize,
    done_urgent: bool,
    events: usize,
    bytes: usize,
}

impl Verifying {
    pub(super) fn new(verifiers: usize) -> Self {
        Self {
            verifiers,
            verifier: Verifier::new(),
            next: 1,
            batches: BTreeMap::new(),
            order: BTreeMap::new(),
            urgent: VecDeque::new(),
            history: VecDeque::new(),
            jobs: BTreeMap::new(),
            first: BTreeMap::new(),
            copies: BTreeMap::new(),
            recent: Recent::new(RECENT),
            done: VecDeque::new(),
            done_events: 0,
            done_urgent: false,
            events: 0,
            bytes: 0,
        }
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Takes what a session handed over. `known` tells which events need no verdict.
    fn arrived(&mut self, origin: Origin, urgent: bool, events: Vec<Event>, known: &BTreeSet<EventId>) {
        if events.is_empty() {
            return;
        }
        let number = self.number();
        let bytes = events.iter().map(weight).sum();
        let count = events.len();
        self.events += count;
        self.bytes += bytes;
        let mut batch = Batch {
            origin,
            urgent,
            events: Arc::new(events),
            verdicts: vec![None; count],
            open: count,
            bytes,
        };
        let events = batch.events.clone();
        for (index, event) in events.iter().enumerate() {
            let place = Place { batch: number, index };
            let decided = if !KINDS.contains(&event.kind) {
                Some(Verdict::Invalid(Invalid::Kind))
            } else if known.contains(&event.id) {
                Some(Verdict::Known)
            } else if self.was_verified(event) {
                Some(Verdict::Holds)
            } else {
                None
            };
            if decided.is_some() {
                batch.verdicts[index] = decided;
                batch.open -= 1;
                continue;
            }
            let copy_of = self.first.get(&event.id).copied().filter(|first| {
                let same = if first.batch == number {
                    Some(&events)
                } else {
                    self.batches.get(&first.batch).map(|b| &b.events)
                };
                // An id proves nothing before it is verified: a forged copy must not speak for the true one.
                same.is_some_and(|same| same[first.index] == *event)
            });
            if let Some(first) = copy_of {
                self.copies.entry(first).or_default().push(place);
            } else {
                self.first.entry(event.id).or_insert(place);
                let lane = if urgent {
                    &mut self.urgent
                } else {
                    &mut self.history
                };
                lane.push_back(place);
            }
        }
        let lane = (origin.source, urgent);
        self.batches.insert(number, batch);
        self.order.entry(lane).or_default().push_back(number);
        self.collect(lane);
    }

    fn was_verified(&mut self, event: &Event) -> bool {
        // The signature was for this id; whether the id is this event's is quickly seen.
        self.recent.get(&event.id) == Some(event.sig.as_bytes()) && event.verify_id()
    }

    /// The next job, while verifiers are free.
    fn job(&mut self, now: Millis) -> Option<Job> {
        let room = self.verifiers * JOBS_PER_VERIFIER;
        let history = self.jobs.values().filter(|job| !job.urgent).count();
        let urgent = !self.urgent.is_empty();
        // New events have places of their own, lest they wait until history has moved on.
        let full = if urgent {
            self.jobs.len() - history >= room
        } else {
            self.jobs.len() >= room
        };
        if full {
            return None;
        }
        let lane = if urgent {
            &mut self.urgent
        } else {
            &mut self.history
        };
        let (mut places, mut picks, mut bytes) = (Vec::new(), Vec::new(), 0);
        while places.len() < JOB_EVENTS
            && bytes < JOB_BYTES
            && let Some(place) = lane.pop_front()
        {
            let Some(batch) = self.batches.get(&place.batch) else {
                continue;
            };
            bytes += weight(&batch.events[place.index]);
            picks.push((batch.events.clone(), place.index));
            places.push(place);
        }
        if places.is_empty() {
            return None;
        }
        let number = self.number();
        self.jobs.insert(
            number,
            Given {
                places,
                urgent,
                at: now,
            },
        );
        Some(Job {
            number,
            urgent,
            picks,
        })
    }

    /// Takes an answer; one that is late, or none of ours, is ignored.
    fn answered(&mut self, number: u64, holds: &[bool]) {
        let Some(job) = self.jobs.remove(&number) else {
            return;
        };
        for (n, place) in job.places.into_iter().enumerate() {
            // What does not hold is looked at again here: for the reason, and since nobody is banned by hearsay.
            if holds.get(n) == Some(&true) {
                self.decide(place, Verdict::Holds);
            } else {
                self.verify_here(place);
            }
        }
    }

    fn verify_here(&mut self, place: Place) {
        if let Some(batch) = self.batches.get(&place.batch) {
            let verdict = self.verifier.verify(&batch.events[place.index]);
            self.decide(place, verdict.into());
        }
    }

    fn decide(&mut self, place: Place, verdict: Verdict) {
        if let Some(batch) = self.batches.get(&place.batch) {
            let event = &batch.events[place.index];
            if self.first.get(&event.id) == Some(&place) {
                self.first.remove(&event.id);
            }
            if verdict == Verdict::Holds {
                self.recent.insert(event.id, *event.sig.as_bytes());
            }
        }
        let copies = self.copies.remove(&place).unwrap_or_default();
        for place in [place].into_iter().chain(copies) {
            let Some(batch) = self.batches.get_mut(&place.batch) else {
                continue;
            };
            if batch.verdicts[place.index].replace(verdict).is_none() {
                batch.open -= 1;
            }
            if batch.open == 0 {
                let lane = (batch.origin.source, batch.urgent);
                self.collect(lane);
            }
        }
    }

    /// Moves what is decided from the front of a lane to what can be stored.
    fn collect(&mut self, lane: (Source, bool)) {
        let Some(order) = self.order.get_mut(&lane) else {
            return;
        };
        while let Some(number) = order.front()
            && let Some(batch) = self.batches.get(number)
            && batch.open == 0
        {
            self.done_events += batch.events.len();
            self.done_urgent |= batch.urgent;
            self.done.push_back(*number);
            order.pop_front();
        }
        if order.is_empty() {
            self.order.remove(&lane);
        }
    }

    /// What to store now, in one transaction; empty while it pays to wait for more.
    fn ready(&mut self) -> Vec<Verified> {
        let idle = self.jobs.is_empty() && self.urgent.is_empty() && self.history.is_empty();
        if !idle && !self.done_urgent && !self.is_full() && self.done_events < STORE_EVENTS {
            return Vec::new();
        }
        let mut ready = Vec::new();
        let mut count = 0;
        while count < STORE_EVENTS
            && let Some(number) = self.done.pop_front()
        {
            let Some(batch) = self.batches.remove(&number) else {
                continue;
            };
            count += batch.events.len();
            self.bytes -= batch.bytes;
            let verdicts = batch.verdicts.into_iter();
            ready.push(Verified {
                origin: batch.origin,
                urgent: batch.urgent,
                // A verifier may hold on to a job a moment longer.
                events: Arc::try_unwrap(batch.events).unwrap_or_else(|shared| (*shared).clone()),
                verdicts: verdicts
                    .map(|verdict| verdict.expect("nothing of it is open"))
                    .collect(),
            });
        }
        self.events -= count;
        self.done_events -= count;
        self.done_urgent &= !self.done.is_empty();
        ready
    }

    fn is_full(&self) -> bool {
        self.events > MAX_EVENTS || self.bytes > MAX_BYTES
    }

    /// Verifies some of what waits, here; false when nothing does.
    fn work_off(&mut self) -> bool {
        for _ in 0..JOB_EVENTS {
            let Some(place) = self.urgent.pop_front().or_else(|| self.history.pop_front()) else {
                return false;
            };
            self.verify_here(place);
        }
        true
    }

    /// Takes back jobs that nobody answers.
    fn tick(&mut self, now: Millis) {
        let lost = |job: &Given| now.since(job.at) >= JOB_LIMIT;
        let lost: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, job)| lost(job))
            .map(|(number, _)| *number)
            .collect();
        for number in lost {
            tracing::warn!(number, "a verifier did not answer");
            self.answered(number, &[]);
        }
    }
}

fn weight(event: &Event) -> usize {
    let tags = event
        .tags
        .iter()
        .flat_map(|tag| tag.as_slice())
        .map(|value| value.len() + size_of::<String>());
    EVENT_BYTES + event.content.len() + tags.sum::<usize>()
}

impl<S: Store> Node<S> {
    /// Takes in what a session or client handed over: at once without verifiers, else on the way through them.
    pub(super) fn arrived(
        &mut self,
        source: Source,
        events: Vec<Event>,
        live: bool,
        now: Millis,
    ) -> Result<(), StoreError> {
        if self.config.verifiers == 0 {
            let outcomes = self.take_in(&events, Some(source), now)?;
            self.stored(source, &events, &outcomes, live, now);
            return Ok(());
        }
        let peer = match source {
            Source::Client(_) => None,
            Source::Link(link) => match self.links.get(&link) {
                Some(link) => Some((link.peer, link.person)),
                None => return Ok(()),
            },
        };
        let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
        let known = self.store.known_of(&ids)?.into_iter().zip(ids);
        let known: BTreeSet<EventId> = known
            .filter(|(known, _)| *known != Known::No)
            .map(|(_, id)| id)
            .collect();
        self.verifying
            .arrived(Origin { source, peer }, live, events, &known);
        Ok(())
    }

    pub(super) fn verified(&mut self, job: u64, holds: &[bool]) {
        self.verifying.answered(job, holds);
    }

    pub(super) fn tend_verifying(&mut self, now: Millis) {
        self.verifying.tick(now);
    }

    /// Stores what is verified and gives the verifiers what waits.
    pub(super) fn settle(&mut self, now: Millis) {
        loop {
            while let Some(job) = self.verifying.job(now) {
                self.outputs.push_back(Output::Verify(job));
            }
            let worked = self.verifying.is_full() && self.verifying.work_off();
            let ready = self.verifying.ready();
            if ready.is_empty() && !worked {
                return;
            }
            self.store_verified(ready, now);
        }
    }

    fn store_verified(&mut self, batches: Vec<Verified>, now: Millis) {
        if batches.is_empty() {
            return;
        }
        let mut events = Vec::new();
        let mut origins = Vec::new();
        let mut parts = Vec::new();
        for batch in batches {
            let begin = events.len();
            let (mut others, mut outcomes) = (Vec::new(), Vec::new());
            for (event, verdict) in batch.events.into_iter().zip(batch.verdicts) {
                let outcome = match verdict {
                    Verdict::Holds => {
                        events.push(event);
                        origins.push(batch.origin.source);
                        continue;
                    }
                    Verdict::Known => Put::Duplicate,
                    Verdict::Invalid(reason) => Put::Invalid(reason),
                };
                others.push(event);
                outcomes.push(outcome);
            }
            parts.push((batch.origin, batch.urgent, begin..events.len(), others, outcomes));
        }
        let stored = match self.take_in_verified(&events, &origins, now) {
            Ok(stored) => stored,
            Err(error) => {
                // The peers are not to blame; without a store there is nothing to sync.
                tracing::error!(%error, "the store failed");
                for (origin, _, range, others, _) in parts {
                    match origin.source {
                        Source::Link(link) => self.drop_link(link, now, true),
                        Source::Client(client) => {
                            self.client_failed(client, &events[range]);
                            self.client_failed(client, &others);
                        }
                    }
                }
                return;
            }
        };
        for (origin, live, range, others, outcomes) in parts {
            let is_forged = |put: &Put| matches!(put, Put::Invalid(Invalid::Id | Invalid::Signature));
            if let (Source::Link(link), Some((peer, person))) = (origin.source, origin.peer)
                && !self.links.contains_key(&link)
                && outcomes.iter().any(is_forged)
            {
                // Whoever brings a forged event and goes at once is remembered for it all the same.
                self.mesh.ban(peer, person, now);
            }
            self.stored(origin.source, &events[range.clone()], &stored[range], live, now);
            self.stored(origin.source, &others, &outcomes, live, now);
            if let Source::Link(link) = origin.source {
                self.with_session(link, now, |_, _| Ok(()));
            }
        }
    }

    fn stored(&mut self, source: Source, events: &[Event], outcomes: &[Put], live: bool, now: Millis) {
        match source {
            Source::Link(link) => {
                if let Some(session) = self.links.get_mut(&link).and_then(Link::session_mut) {
                    session.stored(events, outcomes, live);
                }
            }
            Source::Client(client) => self.client_stored(client, events, outcomes, now),
        }
    }
}

#[cfg(test)]
mod tests;
