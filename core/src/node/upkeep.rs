//! Keeping the store within its budgets, a little at a time, and telling the interface what changed in it.

use std::time::Duration;

use super::api::Change;
use super::{Node, TICK};
use crate::store::Store;
use crate::time::Millis;

/// Between two looks at what is past its time or over its budget.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);
/// Free space below which nothing is given back: new events take it.
const KEPT_FREE: u64 = 4 * 1024 * 1024;

/// When the store is tidied next.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    next: Millis,
    compacting: bool,
}

impl Upkeep {
    /// Budgets changed.
    pub(super) fn now(&mut self) {
        self.next = Millis::default();
    }
}

impl<S: Store> Node<S> {
    /// One step; the next one follows with the next tick, so that nobody waits for long.
    pub(super) fn tend_store(&mut self, now: Millis) {
        if now < self.upkeep.next {
            return;
        }
        let more = match self.store.tidy(now) {
            Ok(false) => self.give_back(),
            Ok(true) => true,
            Err(error) => {
                self.store_failed(&error);
                false
            }
        };
        self.upkeep.next = now + if more { TICK } else { TIDY_INTERVAL };
        self.tell_changes();
    }

    fn give_back(&mut self) -> bool {
        let step = self.store.free_space().and_then(|free| {
            self.upkeep.compacting = free > if self.upkeep.compacting { 0 } else { KEPT_FREE };
            if self.upkeep.compacting {
                self.store.compact()
            } else {
                Ok(false)
            }
        });
        step.unwrap_or_else(|error| {
            self.store_failed(&error);
            false
        })
    }

    /// Passes on what changed in the store: to the sets that reconciliation works on, and to the interface. Whether
    /// there are new events.
    pub(super) fn tell_changes(&mut self) -> bool {
        let changes = self.store.take_changes();
        self.sets.apply(&changes);
        self.clients.sets.apply(&changes);
        let me = self.me.as_ref().map(|me| me.public_key());
        self.wanted.changed(&changes, me);
        if !changes.queries.is_empty() {
            self.change(Change::Queries(changes.queries.into_iter().collect()));
        }
        !changes.added.is_empty()
    }
}
