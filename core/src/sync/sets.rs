//! The sets that sessions reconcile, kept up to date with the store instead of read anew.

use nostr::prelude::Filter;

use super::item_set::ItemSet;
use crate::store::{Changes, Entry, Store, StoreError};

/// Sets that are kept: what this peer wants and what each of its links wants, twice each.
const MAX_SETS: usize = 26;
/// Items in all of them together, at 40 bytes each: 60 MB. A larger set is kept alone while it is used.
const MAX_ITEMS: usize = 1_500_000;

#[derive(Debug)]
struct Kept {
    filter: Filter,
    set: ItemSet,
    used: u64,
}

/// The sets of the present state of the store, one for each filter that is being reconciled.
#[derive(Debug, Default)]
pub struct ReconcileSets {
    kept: Vec<Kept>,
    uses: u64,
    reads: u64,
}

impl ReconcileSets {
    /// Takes in what the store says has changed ([`Store::take_changes`]).
    pub fn apply(&mut self, changes: &Changes) {
        for Kept { filter, set, .. } in &mut self.kept {
            for entry in changes.added.iter().filter(|entry| holds(filter, entry)) {
                set.insert(entry.item);
            }
            // Afterwards: one batch may bring an event and what replaces it, and nothing that is gone comes back.
            for entry in changes.removed.iter().filter(|entry| holds(filter, entry)) {
                set.remove(&entry.item);
            }
        }
    }

    /// The set of a filter, as it is now. It is read from the store once.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&mut self, filter: &Filter, store: &dyn Store) -> Result<&ItemSet, StoreError> {
        self.uses += 1;
        let at = match self.kept.iter().position(|kept| kept.filter == *filter) {
            Some(at) => at,
            None => {
                self.reads += 1;
                let set = ItemSet::new(store.items(filter)?);
                self.make_room(set.len());
                self.kept.push(Kept {
                    filter: filter.clone(),
                    set,
                    used: 0,
                });
                self.kept.len() - 1
            }
        };
        self.kept[at].used = self.uses;
        Ok(&self.kept[at].set)
    }

    /// How many sets were read from the store so far.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// The sets that were not used for longest go first.
    fn make_room(&mut self, more: usize) {
        let items = |kept: &[Kept]| kept.iter().map(|kept| kept.set.len()).sum::<usize>();
        while self.kept.len() >= MAX_SETS || !self.kept.is_empty() && items(&self.kept) + more > MAX_ITEMS {
            let oldest = (0..self.kept.len()).min_by_key(|at| self.kept[*at].used);
            oldest.map(|at| self.kept.swap_remove(at));
        }
    }
}

/// Whether a filter of kinds, authors and times takes an event.
fn holds(filter: &Filter, entry: &Entry) -> bool {
    let at = entry.item.created_at;
    filter
        .kinds
        .as_ref()
        .is_none_or(|kinds| kinds.contains(&entry.kind))
        && filter
            .authors
            .as_ref()
            .is_none_or(|authors| authors.contains(&entry.author))
        && filter.since.is_none_or(|since| at >= since.as_secs())
        && filter.until.is_none_or(|until| at <= until.as_secs())
}

#[cfg(test)]
mod tests {
    use nostr::prelude::{Event, EventBuilder, FinalizeEvent, Keys, Kind, Timestamp};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::social::{KINDS, deletion_event, note_event};
    use crate::store::{Item, MemoryStore};
    use crate::time::Millis;

    const NOW: Millis = Millis(1_700_000_000_000);

    /// Notes, profiles that supersede each other and deletions, by three people.
    fn events(rng: &mut StdRng, people: &[Keys]) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for n in 0..300u64 {
            let author = &people[rng.random_range(0..people.len())];
            let at = Millis(NOW.0 - rng.random_range(0..500) * 1000);
            events.push(match rng.random_range(0..4) {
                0 => EventBuilder::new(Kind::Metadata, format!("{{\"name\":\"{n}\"}}"))
                    .custom_created_at(at.timestamp())
                    .finalize(author)
                    .unwrap(),
                1 if !events.is_empty() => {
                    let target = events[rng.random_range(0..events.len())].id;
                    deletion_event(author, &[target], at)
                }
                _ => note_event(author, n.to_string(), at),
            });
        }
        events
    }

    #[test]
    fn kept_sets_are_what_reading_anew_would_give() {
        let seed = 11;
        let mut rng = StdRng::seed_from_u64(seed);
        let people: Vec<Keys> = (0..3).map(|_| Keys::generate()).collect();
        let middle = Timestamp::from(NOW.0 / 1000 - 250);
        let filters = [
            Filter::new().kinds(KINDS),
            Filter::new().kind(Kind::TextNote).since(middle),
            Filter::new().author(people[0].public_key()).until(middle),
        ];
        let (mut store, mut sets) = (MemoryStore::default(), ReconcileSets::default());
        for batch in events(&mut rng, &people).chunks(30) {
            store.put(batch, NOW).unwrap();
            sets.apply(&store.take_changes());
            for filter in &filters {
                let anew = ItemSet::new(store.items(filter).unwrap());
                let kept = sets.get(filter, &store).unwrap();
                let items = |set: &ItemSet| set.range(0, set.len()).copied().collect::<Vec<Item>>();
                assert_eq!(items(kept), items(&anew), "seed {seed}, {filter:?}");
                assert_eq!(kept.fingerprint(0, kept.len()), anew.fingerprint(0, anew.len()));
            }
        }
        assert_eq!(sets.reads(), 3, "read once each");
    }

    #[test]
    fn few_sets_are_kept_and_the_used_ones_longest() {
        let (store, mut sets) = (MemoryStore::default(), ReconcileSets::default());
        let mine = Filter::new().kinds(KINDS);
        for n in 0..100 {
            sets.get(&mine, &store).unwrap();
            sets.get(&Filter::new().since(Timestamp::from(n)), &store)
                .unwrap();
            assert!(sets.kept.len() <= MAX_SETS);
        }
        assert_eq!(sets.reads(), 101);
    }
}
