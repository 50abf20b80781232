//! Reconciliations (NIP-77): the client finds out what differs, and asks for it or publishes it.

use std::borrow::Cow;

use nostr::prelude::{Filter, RelayMessage, SubscriptionId};

use super::{Client, Host};
use crate::relay::request::neg_err;
use crate::store::StoreError;
use crate::sync::limits::Offence;
use crate::sync::reconcile::{self, MAX_MESSAGE};
use crate::sync::{Env, ItemSet};

/// Reconciliations that a client may have under way.
const MAX_RECONCILIATIONS: usize = 4;
/// Items of a set that is made for one client; 40 bytes each.
const MAX_ITEMS: usize = 20_000;
/// Rows that are looked at to make it.
const MAX_EFFORT: usize = 100_000;
/// Authors in the filter of a set.
const MAX_AUTHORS: usize = 2_000;

/// What is reconciled.
#[derive(Debug)]
pub(super) enum Reconciled {
    /// The set of a filter of kinds, authors and times, which all clients share and which changes with the store.
    Shared(Filter),
    /// That of any other filter, as it was when the reconciliation began.
    Own(Box<ItemSet>),
}

impl Client {
    pub(super) fn refuse_to_reconcile(&mut self, id: &str, reason: &str) {
        self.reconciliations.remove(id);
        self.say(neg_err(id, reason));
    }

    pub(super) fn reconcile(
        &mut self,
        id: String,
        filter: Filter,
        message: &[u8],
        host: &mut Host,
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        // Opened again, it begins again.
        self.reconciliations.remove(&id);
        let refusal = if self.reconciliations.len() >= MAX_RECONCILIATIONS {
            Some("blocked: too many reconciliations at once")
        } else if filter.search.is_some() {
            Some("blocked: nothing is searched for here (NIP-50)")
        } else if super::serve::values(&filter) > MAX_AUTHORS {
            Some("blocked: this query is too big")
        } else if !host.opens(env.now) || !host.looks(env.now) {
            Some("rate-limited: too many reconciliations")
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.refuse_to_reconcile(&id, reason);
            return Ok(());
        }
        let plain = plain(&filter);
        let reconciled = if same_set(&plain, &filter) {
            let reads = env.sets.reads();
            let items = env.sets.get(&plain, env.store)?.len();
            if env.sets.reads() > reads {
                host.looked(items, env.now);
            }
            Reconciled::Shared(plain)
        } else {
            let mut effort = MAX_EFFORT;
            let limit = filter.limit.unwrap_or(usize::MAX).min(MAX_ITEMS + 1);
            let items = env.store.find(&filter, limit, &mut effort)?;
            host.looked(MAX_EFFORT - effort, env.now);
            if effort == 0 || items.len() > MAX_ITEMS {
                self.refuse_to_reconcile(&id, "blocked: this query is too big");
                return Ok(());
            }
            Reconciled::Own(Box::new(ItemSet::new(items)))
        };
        self.reconciliations.insert(id.clone(), reconciled);
        self.respond(&id, message, host, env)
    }

    pub(super) fn respond(
        &mut self,
        id: &str,
        message: &[u8],
        host: &mut Host,
        env: &mut Env<'_>,
    ) -> Result<(), StoreError> {
        let Some(reconciled) = self.reconciliations.get(id) else {
            self.refuse_to_reconcile(id, "closed: there is no such reconciliation");
            return Ok(());
        };
        if !host.reconciles(message.len(), env.now) {
            self.refuse_to_reconcile(id, "rate-limited: too many messages");
            return Ok(());
        }
        let set = match reconciled {
            Reconciled::Shared(filter) => env.sets.get(filter, env.store)?,
            Reconciled::Own(set) => set,
        };
        match reconcile::respond(set, message, MAX_MESSAGE) {
            Ok(answer) => self.say(
                RelayMessage::NegMsg {
                    subscription_id: Cow::Owned(SubscriptionId::new(id)),
                    message: Cow::Owned(hex::encode(answer)),
                }
                .as_json(),
            ),
            Err(error) => {
                host.offend(Offence::Nonsense, env.now);
                self.refuse_to_reconcile(id, &format!("invalid: {error}"));
                self.judge(host, env.now);
            }
        }
        Ok(())
    }
}

/// The part of a filter by which sets are kept; an empty list is no restriction.
fn plain(filter: &Filter) -> Filter {
    Filter {
        kinds: filter.kinds.clone().filter(|kinds| !kinds.is_empty()),
        authors: filter.authors.clone().filter(|authors| !authors.is_empty()),
        since: filter.since,
        until: filter.until,
        ..Filter::new()
    }
}

fn same_set(plain: &Filter, filter: &Filter) -> bool {
    let no_ids = filter.ids.as_ref().is_none_or(|ids| ids.is_empty());
    no_ids && filter.limit.is_none() && filter.generic_tags.is_empty() && plain.search == filter.search
}
