//! What we ask of a peer: new events as they come, and everything that is missing, at our own pace.

use std::collections::BTreeSet;
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter};

use super::{Env, Session, SessionEvent};
use crate::social::{KINDS, MAX_EVENT_BYTES};
use crate::store::{Known, StoreError};
use crate::sync::Message;
use crate::sync::reconcile;
use crate::time::Millis;

/// Events asked for at once. Two batches of the largest events are 4 MiB: what a browser's page takes in ahead of its
/// worker.
pub(in crate::sync) const PULL_BATCH: usize = 32;
/// Batches under way at once, so that the link is not idle for a round trip between them.
const PULLS_AT_ONCE: usize = 2;
/// Ids taken from one reconciliation; the rest comes in the next one.
const MAX_NEED: usize = 200_000;
/// Bytes of a batch that are kept before they are stored.
const MAX_BATCH_BYTES: usize = 4 * MAX_EVENT_BYTES;
/// What surrounds an event in its message, at most.
const ENVELOPE_BYTES: usize = 256;
/// How long an answer to a reconciliation or a pull may take without any progress.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Between two reconciliations of a session in which nothing seems to be missing: the delivery check.
const CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// Before reconciling again when a peer did not deliver what it said it has.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How far fetching what is missing is.
#[derive(Debug)]
pub(super) enum Pull {
    /// Waiting for the answer to `NEG-OPEN` or `NEG-MSG`.
    Reconciling {
        id: String,
        filter: Box<Filter>,
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
pub(super) struct Batch {
    wanted: BTreeSet<EventId>,
    arrived: Vec<Event>,
    bytes: usize,
}

impl Session {
    pub(super) fn is_late(&self, now: Millis) -> bool {
        let waiting_since = match &self.pull {
            Pull::Reconciling { since, .. } => Some(*since),
            _ => (!self.batches.is_empty()).then_some(self.progress),
        };
        waiting_since.is_some_and(|since| now.since(since) >= ANSWER_LIMIT)
    }

    /// Everything that is new to the peer from now on, however old it says it is: no `since` in the filter.
    pub(super) fn subscribe(&mut self) {
        let id = self.name("live");
        self.say(&Message::Req {
            id: id.clone(),
            filter: Box::new(Filter::new().kinds(KINDS).limit(0)),
        });
        self.live_id = Some(id);
    }

    pub(super) fn reconcile(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
        let filter = Box::new(Filter::new().kinds(KINDS));
        let message = reconcile::initiate(env.sets.get(&filter, env.store)?);
        let id = self.name("sync");
        self.say(&Message::NegOpen {
            id: id.clone(),
            filter: filter.clone(),
            message,
        });
        self.fetched = 0;
        self.pull = Pull::Reconciling {
            id,
            filter,
            need: Vec::new(),
            since: env.now,
        };
        Ok(())
    }

    pub(super) fn learn(&mut self, id: &str, message: &[u8], env: &mut Env<'_>) -> Result<(), StoreError> {
        let Pull::Reconciling {
            id: own,
            filter,
            need,
            since,
        } = &mut self.pull
        else {
            return Ok(());
        };
        if own != id {
            return Ok(());
        }
        let set = env.sets.get(filter, env.store)?;
        let learnt = match reconcile::learn(set, message, reconcile::MAX_MESSAGE) {
            Ok(learnt) => learnt,
            Err(error) => {
                self.end_hostile(&error.to_string());
                return Ok(());
            }
        };
        for id in learnt.need {
            if env.store.known(&id)? == Known::No && !self.refused.contains(&id) && need.len() < MAX_NEED {
                need.push(id);
            }
        }
        if let Some(message) = learnt.next.filter(|_| need.len() < MAX_NEED) {
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
    pub(super) fn fetch(&mut self, env: &mut Env<'_>) -> Result<(), StoreError> {
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
                    },
                );
                self.progress = env.now;
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

    pub(super) fn go_live(&mut self, next: Millis) {
        self.pull = Pull::Idle { next };
        self.events.push_back(SessionEvent::Live);
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
        self.progress = env.now;
        batch.bytes += size;
        batch.arrived.push(event);
        if batch.bytes > MAX_BATCH_BYTES {
            let arrived = std::mem::take(&mut batch.arrived);
            batch.bytes = 0;
            self.fetched += arrived.len();
            self.events.push_back(SessionEvent::Arrived(arrived));
        }
        Ok(())
    }

    pub(super) fn batch_done(&mut self, id: &str) {
        let Some(batch) = self.batches.remove(id) else {
            return;
        };
        if !batch.arrived.is_empty() {
            self.fetched += batch.arrived.len();
            self.events.push_back(SessionEvent::Arrived(batch.arrived));
        }
        self.fetch_due = true;
    }

    pub(super) fn refused_by_peer(&mut self, id: &str, env: &mut Env<'_>) {
        if self.live_id.as_deref() == Some(id) {
            // We fell behind: subscribe anew and reconcile what was missed, at the next tick and not sooner.
            self.fell_behind = true;
        } else if self.batches.remove(id).is_some()
            || matches!(&self.pull, Pull::Reconciling { id: own, .. } if own == id)
        {
            self.batches.clear();
            self.need.clear();
            self.go_live(env.now + RETRY_INTERVAL);
        }
    }
}
