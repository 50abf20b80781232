//! How much is kept.

use std::collections::BTreeMap;

use nostr::prelude::{Event, EventId, Kind, PublicKey};

use super::{MemoryStore, place};
use crate::social::{self, Ring};
use crate::store::{Budget, MAX_REPORTED, StorageReport, StoreError, Usage};
use crate::time::Millis;

/// What an event takes besides its tags and its text.
pub(super) const FRAME_BYTES: usize = 200;
/// Events that one call drops at most.
const BATCH: usize = 1_000;
/// A ring may go over its budget by the part of one in this before more is refused: tidying brings it back.
const SLACK: u64 = 4;

impl MemoryStore {
    pub(super) fn fits(&self, event: &Event) -> bool {
        if self.budgets.is_empty() || self.me == Some(event.pubkey) {
            return true;
        }
        let ring = self.ring_of(&event.pubkey);
        let Some(budget) = self.budgets.get(&ring) else {
            return true;
        };
        let used = self.used_by(ring);
        let within = |used: u64, most: Option<u64>| most.is_none_or(|most| used < most + most / SLACK);
        within(used.events, budget.events) && within(used.bytes, budget.bytes)
    }

    fn used_by(&self, ring: Ring) -> Usage {
        let people = self
            .usage
            .iter()
            .filter(|(person, _)| self.ring_of(person) == ring);
        people.fold(Usage::default(), |sum, (_, own)| Usage {
            events: sum.events + own.events,
            bytes: sum.bytes + own.bytes,
        })
    }

    pub(super) fn drop_some(&mut self, now: Millis) -> Result<bool, StoreError> {
        let now = now.0 / 1000;
        let expired = self
            .events
            .values()
            .filter(|held| social::expiration(&held.event).is_some_and(|at| at <= now));
        let mut dropped: Vec<EventId> = expired.map(|held| held.event.id).take(BATCH).collect();
        if dropped.is_empty() {
            for (ring, budget) in self.budgets.clone() {
                if ring != Ring::Me && dropped.len() < BATCH {
                    dropped.extend(self.too_old(ring, budget, now));
                }
            }
            dropped.truncate(BATCH);
        }
        for id in &dropped {
            self.remove(id);
        }
        let mut more = !dropped.is_empty();
        for (ring, budget) in self.budgets.clone() {
            if ring != Ring::Me && !more {
                more |= self.shrink(ring, budget);
            }
        }
        Ok(more)
    }

    fn too_old(&self, ring: Ring, budget: Budget, now: u64) -> Vec<EventId> {
        let Some(age) = budget.age else {
            return Vec::new();
        };
        let old = self.events.values().filter(|held| {
            held.event.created_at.as_secs().saturating_add(age) < now
                && !is_kept(held.event.kind)
                && self.ring_of(&held.event.pubkey) == ring
        });
        old.map(|held| held.event.id).collect()
    }

    /// Takes the oldest from whom takes most, until the ring is within its budget; true when it is not yet.
    fn shrink(&mut self, ring: Ring, budget: Budget) -> bool {
        for _ in 0..BATCH {
            let used = self.used_by(ring);
            let many = budget.events.is_some_and(|most| used.events > most);
            let large = budget.bytes.is_some_and(|most| used.bytes > most);
            if !many && !large {
                return false;
            }
            let of_ring = self
                .usage
                .iter()
                .filter(|(person, _)| self.ring_of(person) == ring);
            let heaviest = of_ring.max_by_key(|(_, own)| if large { own.bytes } else { own.events });
            let oldest = heaviest.and_then(|(person, _)| self.oldest_of(person));
            match oldest {
                Some(id) => self.remove(&id),
                None => return false,
            }
        }
        true
    }

    fn oldest_of(&self, person: &PublicKey) -> Option<EventId> {
        let own = self.events.values().filter(|held| held.event.pubkey == *person);
        own.max_by_key(|held| (!is_kept(held.event.kind), place(&held.event)))
            .map(|held| held.event.id)
    }

    pub(super) fn usage_report(&self) -> StorageReport {
        let (mut events, mut kinds) = (Usage::default(), BTreeMap::<u16, Usage>::new());
        for held in self.events.values() {
            for sum in [&mut events, kinds.entry(held.event.kind.as_u16()).or_default()] {
                sum.events += 1;
                sum.bytes += held.bytes;
            }
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, used)| (std::cmp::Reverse(used.bytes), *kind));
        let mut people: Vec<_> = self.usage.iter().filter(|(_, used)| used.events > 0).collect();
        people.sort_by_key(|(key, used)| (std::cmp::Reverse(used.bytes), **key));
        let people = people.into_iter().take(MAX_REPORTED);
        StorageReport {
            file: events.bytes,
            events,
            rings: Ring::ALL.map(|ring| (ring, self.used_by(ring))).into(),
            kinds,
            people: people
                .map(|(key, used)| (*key, self.names.get(key).cloned(), *used))
                .collect(),
            ..StorageReport::default()
        }
    }
}

/// Names, follow lists and what was asked to be forgotten: they do not grow old, and go last.
fn is_kept(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Metadata | Kind::ContactList | Kind::EventDeletion | Kind::RequestToVanish
    )
}
