//! What a peer asks of us: subscriptions to new events, pulls, reconciliations.

use std::collections::VecDeque;

use nostr::prelude::{Event, EventId, Filter, MatchEventOptions};

use super::{Env, Session};
use crate::store::{Store, StoreError};
use crate::sync::Message;
use crate::sync::limits::{RECONCILE_BYTES, RECONCILE_MESSAGES, RECONCILIATIONS, SERVED_BYTES};
use crate::sync::reconcile;

/// Batches that a peer may have under way with us.
const MAX_SERVED_PULLS: usize = 8;
/// Ids in one pull.
const MAX_PULL_IDS: usize = super::pull::MAX_PULL;
/// Events read from the store at once: little enough to be kept, whatever their size.
const READ_AHEAD: usize = 16;
/// Subscriptions to new events that a peer may have with us.
const MAX_SUBSCRIPTIONS: usize = 4;
/// Reconciliations that a peer may have under way with us.
const MAX_RECONCILIATIONS: usize = 2;
/// Events waiting to be forwarded; past it the subscription is closed and the peer reconciles instead.
const MAX_LIVE_QUEUE: usize = 5_000;

/// A batch that the peer asked for: what is still to be sent.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) id: String,
    ids: VecDeque<EventId>,
    /// The next ones, already read.
    read: VecDeque<Event>,
}

impl Session {
    /// Forwards a new event if the peer wants such.
    pub fn forward(&mut self, event: &Event) {
        if !self.wants(event) {
            return;
        }
        if self.live.len() < MAX_LIVE_QUEUE {
            self.live.push_back(event.id);
        } else {
            // The peer cannot keep up: it reconciles when it is told so, and nothing is lost.
            self.live.clear();
            self.close_subscriptions("error: too far behind, reconcile");
        }
    }

    pub(super) fn close_subscriptions(&mut self, reason: &str) {
        for id in std::mem::take(&mut self.subscriptions).into_keys() {
            self.say(&Message::Closed {
                id,
                reason: reason.to_owned(),
            });
        }
    }

    pub(super) fn requested(&mut self, id: String, filter: Filter) {
        if let Some(ids) = filter.ids {
            let pull = Served {
                id,
                ids: ids.into_iter().collect(),
                read: VecDeque::new(),
            };
            if self.served.len() >= MAX_SERVED_PULLS || pull.ids.len() > MAX_PULL_IDS {
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

    pub(super) fn reconciliation_opened(
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
        if plain != *filter || full || !self.rates.opens.take(RECONCILIATIONS, 1, env.now) {
            self.say(&Message::NegErr {
                id,
                reason: "blocked: not this filter, or too many at once".to_owned(),
            });
            return Ok(());
        }
        self.reconciliations.insert(id.clone(), plain);
        self.respond(id, message, env)
    }

    pub(super) fn reconciliation_continued(
        &mut self,
        id: String,
        message: &[u8],
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        self.respond(id, message, env)
    }

    /// Answers from the set as it is now: a round says all that the next one needs to know.
    fn respond(&mut self, id: String, message: &[u8], env: &mut Env<'_>) -> Result<(), StoreError> {
        let rates = &mut self.rates;
        if !rates.reconcile.take(RECONCILE_MESSAGES, 1, env.now)
            || !rates
                .reconcile_bytes
                .take(RECONCILE_BYTES, message.len(), env.now)
        {
            self.reconciliations.remove(&id);
            self.say(&Message::NegErr {
                id,
                reason: "rate-limited: too many messages".to_owned(),
            });
            return Ok(());
        }
        let Some(filter) = self.reconciliations.get(&id) else {
            return Ok(());
        };
        let set = env.sets.get(filter, env.store)?;
        match reconcile::respond(set, message, self.reconcile_limit()) {
            Ok(message) => {
                let is_equal = reconcile::is_equal(&message);
                self.say(&Message::NegMsg {
                    id: id.clone(),
                    message,
                });
                self.asked_about(&id, is_equal, env)
            }
            Err(error) => {
                self.end_hostile(&error.to_string());
                Ok(())
            }
        }
    }

    pub(super) fn send_live(&mut self, id: &EventId, store: &dyn Store) -> Result<(), StoreError> {
        // The peer has told in the meantime that it has it.
        if self.gossip.is_theirs(id) {
            return Ok(());
        }
        // Deleted in the meantime: then the deletion is what follows.
        let Some(event) = store.event(id)? else {
            return Ok(());
        };
        let wanting = self
            .subscriptions
            .iter()
            .find(|(_, f)| f.match_event(&event, MatchEventOptions::new()));
        if let Some(name) = wanting.map(|(name, _)| name.clone()) {
            self.gossip.set_theirs(*id);
            self.say(&Message::Event {
                id: name,
                event: Box::new(event),
            });
        }
        Ok(())
    }

    /// Sends one event or the end of the oldest pull; false when there is none.
    pub(super) fn serve_next(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        let Some(served) = self.served.front_mut() else {
            return Ok(false);
        };
        if served.read.is_empty() {
            let most = served.ids.len().min(READ_AHEAD);
            let ids: Vec<EventId> = served.ids.drain(..most).collect();
            served.read = store.events_of(&ids)?.into();
        }
        if let Some(event) = served.read.front() {
            // Content and tags are what events differ by.
            let bytes = event.content.len() + event.tags.len() * 80 + 400;
            if !self.rates.served.take(SERVED_BYTES, bytes, self.pulse.last()) {
                return Ok(false);
            }
        }
        let id = served.id.clone();
        if let Some(event) = served.read.pop_front() {
            self.gossip.set_theirs(event.id);
            let event = Box::new(event);
            self.say(&Message::Event { id, event });
        } else if served.ids.is_empty() {
            self.served.pop_front();
            self.say(&Message::Eose(id));
        }
        Ok(true)
    }
}
