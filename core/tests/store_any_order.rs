//! The same events in any order and any batches show the same in every store, whatever is asked.
#![allow(clippy::unwrap_used)]

use nostr::prelude::Event;
use proptest::prelude::*;
use sazanami_core::store::conformance::same_state;
use sazanami_core::store::conformance::world::World;
use sazanami_core::store::{MemoryStore, SqliteStore};

/// A part of a world's events in the order in which they came about, the same shuffled, and how they are batched.
fn orders() -> impl Strategy<Value = (World, Vec<Event>, Vec<Event>, u64)> {
    any::<u64>().prop_flat_map(|seed| {
        let events = World::new(seed).events;
        let count = events.len();
        (proptest::sample::subsequence(events, 1..=count), any::<u64>()).prop_flat_map(
            move |(some, batches)| {
                let shuffled = Just(some.clone()).prop_shuffle();
                (Just(seed), Just(some), shuffled, Just(batches))
                    .prop_map(|(seed, some, shuffled, batches)| (World::new(seed), some, shuffled, batches))
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_memory((world, events, shuffled, batches) in orders()) {
        let (mut one, mut other) = (MemoryStore::new(), MemoryStore::new());
        same_state(&world, (&events, &mut one), (&shuffled, &mut other), batches);
    }

    #[test]
    fn in_sqlite_as_in_memory((world, events, shuffled, batches) in orders()) {
        let (mut one, mut other) = (SqliteStore::in_memory().unwrap(), MemoryStore::new());
        same_state(&world, (&shuffled, &mut one), (&events, &mut other), batches);
    }
}
