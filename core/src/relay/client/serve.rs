//! Subscriptions: what is stored, within bounds, then what comes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use nostr::prelude::{EventId, Filter, MatchEventOptions, RelayMessage, SubscriptionId};

use super::{Client, Host};
use crate::relay::request::closed;
use crate::social;
use crate::store::{Store, StoreError};
use crate::sync::Env;
use crate::time::Millis;

/// Subscriptions of a client.
pub const MAX_SUBSCRIPTIONS: usize = 32;
/// Filters of a subscription.
pub const MAX_FILTERS: usize = 16;
/// Stored events that a filter finds at most.
pub const MAX_LIMIT: usize = 1_000;
/// The same for a filter that says nothing about it.
pub const DEFAULT_LIMIT: usize = 500;
/// Ids, authors and values of tags in one subscription.
const MAX_VALUES: usize = 4_000;
/// Rows that are looked at for one subscription: some tens of milliseconds.
const MAX_EFFORT: usize = 50_000;
/// Stored events that wait to be sent to a client, in all of its subscriptions.
const MAX_WAITING: usize = 10_000;

/// Stored events that a subscription found: what is still to be sent.
#[derive(Debug)]
pub(super) struct Served {
    id: String,
    ids: VecDeque<EventId>,
    /// Everything that matches was looked at.
    complete: bool,
}

impl Client {
    pub(super) fn unsubscribe(&mut self, id: &str) {
        self.subscriptions.remove(id);
        self.served.retain(|served| served.id != id);
        self.live.retain(|(of, _)| of != id);
        self.live_bytes = self.live.iter().map(|(_, json)| json.len()).sum();
    }

    pub(super) fn subscribe(
        &mut self,
        id: String,
        filters: Vec<Filter>,
        host: &mut Host,
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        self.unsubscribe(&id);
        let waiting: usize = self.served.iter().map(|served| served.ids.len()).sum();
        let refusal = if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            Some("rate-limited: too many subscriptions")
        } else if filters.len() > MAX_FILTERS || filters.iter().map(values).sum::<usize>() > MAX_VALUES {
            Some("blocked: too many filters, or too much in them")
        } else if filters.iter().any(|filter| filter.search.is_some()) {
            Some("unsupported: nothing is searched for here (NIP-50)")
        } else if waiting > MAX_WAITING {
            Some("rate-limited: read what was asked for first")
        } else if !host.looks(env.now) {
            Some("rate-limited: too much was looked for")
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.say(closed(&id, reason));
            return Ok(());
        }
        let mut effort = MAX_EFFORT;
        let mut found = BTreeSet::new();
        for filter in &filters {
            let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
            let items = env.store.find(filter, limit, &mut effort)?;
            found.extend(items.into_iter().map(|item| (Reverse(item.created_at), item.id)));
        }
        host.looked(MAX_EFFORT - effort, env.now);
        self.served.push_back(Served {
            id: id.clone(),
            ids: found.into_iter().map(|(_, id)| id).collect(),
            complete: effort > 0,
        });
        self.subscriptions.insert(id, filters);
        Ok(())
    }

    /// The next stored event, or that those were all.
    pub(super) fn serve_next(
        &mut self,
        host: &mut Host,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Option<String>, StoreError> {
        while let Some(served) = self.served.front_mut() {
            let name = SubscriptionId::new(&served.id);
            let Some(id) = served.ids.front() else {
                let (id, complete) = (served.id.clone(), served.complete);
                self.served.pop_front();
                if complete {
                    return Ok(Some(RelayMessage::eose(name).as_json()));
                }
                self.unsubscribe(&id);
                let reason =
                    "error: too much to look through: ask by author, tag or id, or of a shorter time";
                return Ok(Some(closed(&id, reason)));
            };
            let Some(event) = store.event(id)? else {
                served.ids.pop_front();
                continue;
            };
            let filters = self.subscriptions.get(&served.id).into_iter().flatten();
            let matches = filters
                .into_iter()
                .any(|filter| filter.match_event(&event, MatchEventOptions::new()));
            let expired = social::expiration(&event).is_some_and(|at| at <= now.0 / 1000);
            if matches && !expired {
                if !host.hears(&event, now) {
                    return Ok(None);
                }
                served.ids.pop_front();
                let message = RelayMessage::Event {
                    subscription_id: std::borrow::Cow::Owned(name),
                    event: std::borrow::Cow::Borrowed(&event),
                };
                return Ok(Some(message.as_json()));
            }
            served.ids.pop_front();
        }
        Ok(None)
    }
}

/// How much there is to look for.
pub(super) fn values(filter: &Filter) -> usize {
    let ids = filter.ids.as_ref().map_or(0, BTreeSet::len);
    let authors = filter.authors.as_ref().map_or(0, BTreeSet::len);
    ids + authors + filter.generic_tags.values().map(BTreeSet::len).sum::<usize>()
}
