//! What we ask of a peer: new events as they come, and everything that is missing, at our own pace.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter};

use super::{Env, Session, SessionEvent};
use crate::social::MAX_EVENT_BYTES;
use crate::store::{Known, Put, StoreError};
use crate::sync::Message;
use crate::sync::limits::Offence;
use crate::sync::reconcile;
use crate::sync::wants::Wants;
use crate::time::Millis;

/// Events asked for in one batch, at most.
pub(in crate::sync) const MAX_PULL: usize = 512;
/// Events asked for in one batch, at least: even the largest ones, two batches of 32, are only 4 MiB.
pub(super) const MIN_PULL: usize = 32;
/// Bytes that a batch is meant to have, by the size of the events before it.
const PULL_BYTES: usize = 256 * 1024;
/// Batches under way at once: with 1 MiB on its way, a link of 100 ms carries 10 MB a second.
const PULLS_AT_ONCE: usize = 4;
/// Events handed to the node and not stored yet, at most: this side's disk sets the pace.
const MAX_UNSTORED: usize = 2_048;
/// Ids taken from one reconciliation; the rest comes in the next one.
const MAX_NEED: usize = 200_000;
/// Ids that the other side is told it lacks; when it lacks more it finds out itself.
const MAX_TOLD: usize = 4_000;
/// Bytes of a batch that are kept before they are stored.
const MAX_BATCH_BYTES: usize = 4 * MAX_EVENT_BYTES;
/// What surrounds an event in its message, at most.
const ENVELOPE_BYTES: usize = 256;
/// How long an answer to a reconciliation or a pull may take without any progress.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long one side leaves it to the other to begin, when both would ask the same.
const LEAD: Duration = Duration::from_secs(3);
/// Between two reconciliations of a session in which nothing seems to be missing: the delivery check.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// Before reconciling again when a peer did not deliver what it said it has.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How far fetching what is missing is.
#[derive(Debug)]
pub(super) enum Pull {
    /// One side reconciles for both and tells the outcome; without it this side begins itself at `until`.
    Led { by: Option<String>, until: Millis },
    /// Waiting for the answer to `NEG-OPEN` or `NEG-MSG`.
    Reconciling {
        id: String,
        filter: Box<Filter>,
        since: Millis,
    },
    /// Fetching.
    Fetching,
    /// Nothing known to be missing; reconcile again at `next`.
    Idle { next: Millis },
}

impl Pull {
    pub(super) fn is_due(&self, now: Millis) -> bool {
        match self {
            Self::Led { until, .. } => now >= *until,
            Self::Idle { next } => now >= *next,
            _ => false,
        }
    }
}

/// What is missing, and on its way.
#[derive(Debug, Default)]
pub(super) struct Fetching {
    /// Sets that are still to be reconciled, the next one last.
    sets: Vec<Filter>,
    /// What the other side lacks of the set that is being reconciled.
    have: Vec<EventId>,
    need: Vec<EventId>,
    batches: BTreeMap<String, Batch>,
    /// Pulled events that the node has and has not stored yet.
    unstored: usize,
    /// Those that came since the last reconciliation and were kept.
    gained: usize,
    progress: Millis,
    /// Of the events of the last batch, in bytes.
    mean_size: usize,
    /// The other side was told what it lacks, fetches it, and reconciles after that.
    told: bool,
}

/// A batch that was asked for.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) wanted: BTreeSet<EventId>,
    pub(super) arrived: Vec<Event>,
    bytes: usize,
    count: usize,
    total: usize,
}

impl Batch {
    pub(super) fn new(wanted: BTreeSet<EventId>) -> Self {
        Self {
            wanted,
            arrived: Vec::new(),
            bytes: 0,
            count: 0,
            total: 0,
        }
    }

    /// Takes an event; false when it is none of the batch.
    fn take(&mut self, event: Event, size: usize) -> bool {
        let wanted = self.wanted.remove(&event.id);
        if wanted {
            self.bytes += size;
            self.total += size;
            self.count += 1;
            self.arrived.push(event);
        }
        wanted
    }
}

impl Session {
    pub(super) fn is_late(&self, now: Millis) -> bool {
        let waiting_since = match &self.pull {
            Pull::Reconciling { since, .. } => Some(*since),
            _ => (!self.fetching.batches.is_empty()).then_some(self.fetching.progress),
        };
        waiting_since.is_some_and(|since| now.since(since) >= ANSWER_LIMIT)
    }

    pub(super) fn reconcile_limit(&self) -> usize {
        if self.packs() {
            reconcile::MAX_PACKED_MESSAGE
        } else {
            reconcile::MAX_MESSAGE
        }
    }

    /// Sets what this side wants; a session that has begun is told and reconciles anew.
    ///
    /// # Errors
    /// When the store fails.
    pub fn want(&mut self, wants: Wants, env: &mut Env<'_>) -> Result<(), StoreError> {
        if wants == self.wants {
            return Ok(());
        }
        self.wants = wants;
        if !self.is_proven() || !self.answered || self.ended {
            return Ok(());
        }
        for id in std::mem::take(&mut self.live_ids) {
            self.say(&Message::Close(id));
        }
        self.subscribe();
        match self.pull {
            Pull::Idle { .. } | Pull::Led { .. } => self.reconcile(env),
            // What is under way goes on; the check after it asks for what is wanted now.
            Pull::Reconciling { .. } | Pull::Fetching => {
                self.fetching.gained += 1;
                Ok(())
            }
        }
    }

    /// Everything wanted that is new to the peer from now on.
    pub(super) fn subscribe(&mut self) {
        self.live_ids.clear();
        for filter in self.wants.live.clone() {
            let id = self.name("live");
            self.live_ids.push(id.clone());
            self.say(&Message::Req {
                id,
                filter: Box::new(filter.limit(0)),
            });
        }
    }

    /// The first reconciliation: by one side for both, when that may do.
    pub(super) fn begin(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        if !self.packs() {
            return self.reconcile(env);
        }
        self.pull = Pull::Led {
            by: None,
            until: env.now + LEAD,
        };
        self.lead(env)
    }

    /// Begins for both sides, once the peer has subscribed: what is new here after that is forwarded.
    pub(super) fn lead(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        let leads = self.own < self.peer && !self.subscriptions.is_empty();
        if leads && matches!(self.pull, Pull::Led { by: None, .. }) && self.fetching.gained == 0 {
            return self.reconcile(env);
        }
        Ok(())
    }

    /// The peer has reconciled a set of this side, and nothing differed, or something.
    pub(super) fn asked_about(
        &mut self,
        id: &str,
        is_equal: bool,
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        let asked = self.reconciliations.get(id);
        let same = asked.is_some() && self.wants.history.first() == asked;
        match &mut self.pull {
            Pull::Led { .. } if same && is_equal => {
                self.fetching.gained = 0;
                return self.reconcile_own(env);
            }
            Pull::Led { by, until } if same => {
                *by = Some(id.to_owned());
                *until = env.now + ANSWER_LIMIT;
            }
            Pull::Led { .. } => return self.reconcile(env),
            Pull::Idle { next } if same && is_equal && self.wants.history.len() == 1 => {
                *next = env.now + CHECK_INTERVAL;
            }
            _ => {}
        }
        Ok(())
    }

    /// The peer has ended a reconciliation; `have` is all that this side lacks of the set, if it said so.
    pub(super) fn led(
        &mut self,
        id: &str,
        have: Option<Vec<EventId>>,
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        if !matches!(&self.pull, Pull::Led { by: Some(by), .. } if by == id) {
            return Ok(());
        }
        let Some(have) = have else {
            return self.reconcile(env);
        };
        self.fetching.gained = 0;
        self.needs(have, env)?;
        self.reconcile_own(env)
    }

    /// What is left when the set that both sides want has been reconciled.
    fn reconcile_own(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        self.fetching.sets = self.wants.history.iter().skip(1).rev().cloned().collect();
        self.reconcile_next(env)
    }

    pub(super) fn reconcile(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        self.fetching.gained = 0;
        self.fetching.told = false;
        self.fetching.need.clear();
        self.fetching.sets = self.wants.history.iter().rev().cloned().collect();
        self.reconcile_next(env)
    }

    fn reconcile_next(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        let Some(filter) = self.fetching.sets.pop() else {
            return self.start_fetching(env);
        };
        let filter = Box::new(filter);
        let message = reconcile::initiate(env.sets.get(&filter, env.store)?);
        let id = self.name("sync");
        self.say(&Message::NegOpen {
            id: id.clone(),
            filter: filter.clone(),
            message,
        });
        self.fetching.have.clear();
        self.pull = Pull::Reconciling {
            id,
            filter,
            since: env.now,
        };
        Ok(())
    }

    pub(super) fn learn(&mut self, id: &str, message: &[u8], env: &mut Env<'_>) -> Result<(), StoreError> {
        let limit = self.reconcile_limit();
        let Pull::Reconciling {
            id: own,
            filter,
            since,
        } = &mut self.pull
        else {
            return Ok(());
        };
        if own != id {
            return Ok(());
        }
        let set = env.sets.get(filter, env.store)?;
        let learnt = match reconcile::learn(set, message, limit) {
            Ok(learnt) => learnt,
            Err(error) => {
                self.end_hostile(&error.to_string());
                return Ok(());
            }
        };
        *since = env.now;
        let have = &mut self.fetching.have;
        have.extend(learnt.have.iter().take(MAX_TOLD.saturating_sub(have.len()) + 1));
        self.needs(learnt.need, env)?;
        if let Some(message) = learnt.next.filter(|_| self.fetching.need.len() < MAX_NEED) {
            self.say(&Message::NegMsg {
                id: id.to_owned(),
                message,
            });
            return Ok(());
        }
        let mut have = std::mem::take(&mut self.fetching.have);
        let all = have.len() <= MAX_TOLD && self.fetching.need.len() < MAX_NEED;
        if self.packs() {
            if !all {
                have.clear();
            }
            self.fetching.told = !have.is_empty();
            self.say(&Message::NegEnd {
                id: id.to_owned(),
                have,
                all,
            });
        } else {
            self.say(&Message::NegClose(id.to_owned()));
        }
        self.reconcile_next(env)
    }

    fn needs(&mut self, ids: Vec<EventId>, env: &Env<'_>) -> Result<(), StoreError> {
        let room = MAX_NEED.saturating_sub(self.fetching.need.len());
        let known = env.store.known_of(&ids)?;
        let ids = ids.into_iter().zip(known);
        let missing = ids.filter(|(id, known)| *known == Known::No && !self.refused.contains(id));
        self.fetching.need.extend(missing.map(|(id, _)| id).take(room));
        Ok(())
    }

    fn start_fetching(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        // Reconciliation goes from old to new; the newest is what a person wants to see first: taken from the end.
        let mut seen = HashSet::new();
        self.fetching.need.retain(|id| seen.insert(*id));
        self.pull = Pull::Fetching;
        self.fetch(env)
    }

    /// Asks for the next batches; when nothing is left, checks again or goes live.
    pub(super) fn fetch(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        let size = match self.fetching.mean_size {
            // Nothing is known of the peer's events yet.
            0 => MIN_PULL * 2,
            mean => (PULL_BYTES / mean).clamp(MIN_PULL, MAX_PULL),
        };
        while self.fetching.batches.len() < PULLS_AT_ONCE
            && self.fetching.unstored < MAX_UNSTORED
            && !self.fetching.need.is_empty()
        {
            let mut wanted = BTreeSet::new();
            while wanted.len() < size && !self.fetching.need.is_empty() {
                let need = &mut self.fetching.need;
                let next = need.split_off(need.len().saturating_sub(size - wanted.len()));
                // It may have come from somebody else in the meantime.
                let known = env.store.known_of(&next)?.into_iter();
                let unknown = next
                    .into_iter()
                    .zip(known)
                    .filter(|(_, known)| *known == Known::No);
                wanted.extend(unknown.map(|(id, _)| id));
            }
            if !wanted.is_empty() {
                let id = self.name("pull");
                let filter = Filter::new().ids(wanted.iter().copied());
                self.say(&Message::Req {
                    id: id.clone(),
                    filter: Box::new(filter),
                });
                self.fetching.batches.insert(id, Batch::new(wanted));
                self.fetching.progress = env.now;
            }
        }
        let done = self.fetching.batches.is_empty() && self.fetching.need.is_empty();
        if !done || self.fetching.unstored > 0 || !matches!(self.pull, Pull::Fetching) {
            return Ok(());
        }
        if self.fetching.gained > 0 {
            // The delivery check: only a reconciliation that finds nothing proves that everything came. One does for
            // both sides, when it comes after both have fetched.
            if std::mem::take(&mut self.fetching.told) {
                self.pull = Pull::Led {
                    by: None,
                    until: env.now + LEAD,
                };
                return Ok(());
            }
            return self.reconcile(env);
        }
        self.go_live(env.now + CHECK_INTERVAL);
        Ok(())
    }

    pub(super) fn go_live(&mut self, next: Millis) {
        self.pull = Pull::Idle { next };
        self.events.push_back(SessionEvent::Live);
    }

    fn pulled(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            self.fetching.unstored += events.len();
            self.events
                .push_back(SessionEvent::Arrived { events, live: false });
        }
    }

    /// The node has done with pulled events that were handed to it.
    pub(super) fn taken_in(&mut self, outcomes: &[Put]) {
        let useless = outcomes
            .iter()
            .filter(|put| !matches!(put, Put::Stored | Put::Duplicate))
            .count();
        self.fetching.unstored = self.fetching.unstored.saturating_sub(outcomes.len());
        self.fetching.gained = self.fetching.gained.saturating_sub(useless);
        self.fetch_due |= matches!(self.pull, Pull::Fetching);
    }

    /// Takes an event that came in a message of `size` bytes.
    pub(super) fn event(
        &mut self,
        id: &str,
        event: Event,
        size: usize,
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        if size > MAX_EVENT_BYTES + ENVELOPE_BYTES {
            self.end_hostile("an event is too large");
            return Ok(());
        }
        self.gossip.set_theirs(event.id);
        if self.live_ids.iter().any(|live| live == id) {
            // Deduplicated before anybody spends time on its signature.
            if env.store.known(&event.id)? == Known::No
                && !self.refused.contains(&event.id)
                && self.takes_live(size, env.now)
            {
                self.live_in.push(event);
            }
            return Ok(());
        }
        let asked = self.gossip.batch_mut(id, env.now);
        let announced = asked.is_some();
        let Some(batch) = asked.or_else(|| self.fetching.batches.get_mut(id)) else {
            // The end of a batch and a late event may cross.
            return Ok(());
        };
        if !batch.take(event, size) {
            self.end_hostile("the peer sent an event that nobody asked for");
            return Ok(());
        }
        if !announced {
            self.fetching.progress = env.now;
        }
        if batch.bytes > MAX_BATCH_BYTES {
            batch.bytes = 0;
            let arrived = std::mem::take(&mut batch.arrived);
            if announced {
                self.push_live(arrived);
            } else {
                self.pulled(arrived);
            }
        }
        Ok(())
    }

    pub(super) fn batch_done(&mut self, id: &str, now: Millis) {
        if self.asked_done(id) {
            return;
        }
        let Some(batch) = self.fetching.batches.remove(id) else {
            return;
        };
        if let Some(mean) = batch.total.checked_div(batch.count) {
            self.fetching.mean_size = mean;
            self.fetching.gained += batch.count;
        }
        // Before the session may end by what did not come.
        self.pulled(batch.arrived);
        if !batch.wanted.is_empty() {
            self.offend(Offence::Withheld, batch.wanted.len(), now);
        }
        self.fetch_due = true;
    }

    pub(super) fn refused_by_peer(&mut self, id: &str, env: &mut Env<'_>) {
        if self.live_ids.iter().any(|live| live == id) {
            // We fell behind: subscribe anew and reconcile what was missed, at the next tick and not sooner.
            self.fell_behind = true;
        } else if self.asked_done(id) {
            // What was withheld is asked of somebody else.
        } else if self.fetching.batches.remove(id).is_some()
            || matches!(&self.pull, Pull::Reconciling { id: own, .. } if own == id)
        {
            self.fetching.batches.clear();
            self.fetching.need.clear();
            self.go_live(env.now + RETRY_INTERVAL);
        }
    }
}
