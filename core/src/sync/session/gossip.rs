//! Announcements: ids of new events instead of the events themselves, and pulling what was announced.
//!
//! Sent whole to every link, each new event would reach everybody as often as they have links. So most links only
//! hear its id (`HAVE`), and ask for it when it has not come from elsewhere. The node chooses which links get what,
//! and whom to ask.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nostr::prelude::{Event, EventId, Filter, MatchEventOptions};

use super::pull::{ANSWER_LIMIT, Batch, MIN_PULL};
use super::{Env, Session, SessionEvent};
use crate::store::{Known, StoreError};
use crate::sync::Message;
use crate::sync::message::MAX_HAVE;
use crate::time::Millis;

/// Ids that are remembered as known to the peer: those of a busy minute.
const MAX_THEIRS: usize = 1_024;
/// Ids waiting to be announced; past it the peer is told to reconcile, which costs less than so many ids.
pub(crate) const MAX_ANNOUNCED: usize = 256;
/// Pulls of announced events under way at once; with those of a reconciliation they stay below what a peer serves.
const ASKS_AT_ONCE: usize = 2;
/// Announced ids waiting to be asked for: what is over comes with a reconciliation.
const MAX_TO_ASK: usize = 1_024;
/// Events that a peer may announce and not have when asked. An honest one deletes an event in between now and then.
const MAX_WITHHELD: usize = 64;

/// What was announced, in both directions.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    /// The peer has said `HAVE`: it understands it.
    understood: bool,
    to_announce: VecDeque<EventId>,
    theirs: Recent,
    to_ask: VecDeque<EventId>,
    asked: BTreeMap<String, Batch>,
    progress: Millis,
    withheld: usize,
}

/// The newest ids of many.
#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<EventId>,
    ids: BTreeSet<EventId>,
}

impl Recent {
    fn add(&mut self, id: EventId) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > MAX_THEIRS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

impl Gossip {
    pub(super) fn is_late(&self, now: Millis) -> bool {
        !self.asked.is_empty() && now.since(self.progress) >= ANSWER_LIMIT
    }

    pub(super) fn is_theirs(&self, id: &EventId) -> bool {
        self.theirs.ids.contains(id)
    }

    /// The peer has this event, or will when the link delivers what was sent.
    pub(super) fn set_theirs(&mut self, id: EventId) {
        self.theirs.add(id);
    }

    /// The batch of this subscription, if it was asked for after an announcement.
    pub(super) fn batch_mut(&mut self, id: &str, now: Millis) -> Option<&mut Batch> {
        let batch = self.asked.get_mut(id)?;
        self.progress = now;
        Some(batch)
    }
}

impl Session {
    /// Whether a new event is worth telling the peer: it wants such events, and is not known to have this one.
    pub fn wants(&self, event: &Event) -> bool {
        !self.ended
            && !self.gossip.is_theirs(&event.id)
            && self
                .subscriptions
                .values()
                .any(|filter| filter.match_event(event, MatchEventOptions::new()))
    }

    /// Tells the peer that a new event is here; sends it whole to one that does not know announcements.
    pub fn announce(&mut self, event: &Event) {
        if !self.gossip.understood {
            self.forward(event);
        } else if self.wants(event) {
            if self.gossip.to_announce.len() < MAX_ANNOUNCED {
                self.gossip.to_announce.push_back(event.id);
            } else {
                self.hint();
            }
        }
    }

    /// Makes the peer reconcile: there is more that is new than is worth announcing.
    pub fn hint(&mut self) {
        self.gossip.to_announce.clear();
        self.close_subscriptions("error: much is new, reconcile");
    }

    /// Asks the peer for events that it announced.
    pub fn ask(&mut self, ids: impl IntoIterator<Item = EventId>) {
        for id in ids {
            if self.gossip.to_ask.len() < MAX_TO_ASK {
                self.gossip.to_ask.push_back(id);
            }
        }
    }

    /// Says that announcements are understood.
    pub(super) fn offer_announcements(&mut self) {
        self.say(&Message::Have(Vec::new()));
    }

    /// The ids that wait to be announced; false when there are none.
    pub(super) fn send_announcements(&mut self) -> bool {
        let Gossip {
            to_announce, theirs, ..
        } = &mut self.gossip;
        let mut ids = Vec::new();
        while ids.len() < MAX_HAVE
            && let Some(id) = to_announce.pop_front()
        {
            // The peer may have announced it itself in the meantime.
            if !theirs.ids.contains(&id) {
                theirs.add(id);
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return false;
        }
        self.say(&Message::Have(ids));
        true
    }

    /// Asks for what was announced and has not come from elsewhere.
    pub(super) fn send_asks(&mut self, env: &Env<'_>) -> Result<(), StoreError> {
        while self.gossip.asked.len() < ASKS_AT_ONCE && !self.gossip.to_ask.is_empty() && !self.ended {
            let mut wanted = BTreeSet::new();
            while wanted.len() < MIN_PULL
                && let Some(id) = self.gossip.to_ask.pop_front()
            {
                if env.store.known(&id)? == Known::No {
                    wanted.insert(id);
                }
            }
            if !wanted.is_empty() {
                let id = self.name("have");
                let filter = Filter::new().ids(wanted.iter().copied());
                self.say(&Message::Req {
                    id: id.clone(),
                    filter: Box::new(filter),
                });
                self.gossip.asked.insert(id, Batch::new(wanted));
                self.gossip.progress = env.now;
            }
        }
        Ok(())
    }

    /// The peer announces events.
    pub(super) fn have(&mut self, ids: Vec<EventId>, env: &Env<'_>) -> Result<(), StoreError> {
        self.gossip.understood = true;
        let mut new = Vec::new();
        for id in ids {
            self.gossip.set_theirs(id);
            if env.store.known(&id)? == Known::No && !self.refused.contains(&id) {
                new.push(id);
            }
        }
        if !new.is_empty() {
            self.events.push_back(SessionEvent::Announced(new));
        }
        Ok(())
    }

    pub(super) fn push_live(&mut self, events: Vec<Event>) {
        self.events
            .push_back(SessionEvent::Arrived { events, live: true });
    }

    /// The end of a pull of announced events; false when it is not one.
    pub(super) fn asked_done(&mut self, id: &str) -> bool {
        let Some(batch) = self.gossip.asked.remove(id) else {
            return false;
        };
        if !batch.arrived.is_empty() {
            self.push_live(batch.arrived);
        }
        if !batch.wanted.is_empty() {
            self.gossip.withheld += batch.wanted.len();
            let missing = batch.wanted.into_iter().collect();
            self.events.push_back(SessionEvent::Withheld(missing));
            if self.gossip.withheld > MAX_WITHHELD {
                self.end("the peer announces what it does not have");
            }
        }
        true
    }
}
