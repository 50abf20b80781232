//! Whatever arrives and whatever the budgets: own events stay, each ring keeps within its budget, and what is dropped
//! is dropped of those who are over it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nostr::prelude::{Event, EventId, Kind, PublicKey};
use proptest::prelude::*;
use sazanami_core::social::Ring;
use sazanami_core::store::conformance::fixtures::{NOW, follows, note, person};
use sazanami_core::store::{Budget, MemoryStore, SqliteStore, Store};

/// Me, a friend, somebody followed, a friend of a friend, two strangers.
const PEOPLE: u8 = 6;

#[derive(Debug)]
struct Case {
    events: Vec<Event>,
    budgets: Vec<(Ring, Budget)>,
    at_once: usize,
}

fn circle() -> Vec<Event> {
    let [me, friend, followed, their_friend] = [1, 2, 3, 4].map(person);
    vec![
        follows(&me, &[&friend, &followed], 1),
        follows(&friend, &[&me, &their_friend], 1),
        follows(&their_friend, &[&friend], 1),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let note = (1..=PEOPLE, 0..400u64, 0..200usize)
        .prop_map(|(who, second, long)| note(&person(who), &"波".repeat(long + 1), second));
    let rings = [Ring::Friend, Ring::Followed, Ring::FriendOfFriend, Ring::Stranger];
    let limit = |most: u64| prop::option::of(0..most);
    let budget = (limit(20), limit(8_000), prop::option::of(1..5_000u64))
        .prop_map(|(events, bytes, age)| Budget { events, bytes, age });
    (
        prop::collection::vec(note, 1..80),
        prop::collection::vec(budget, rings.len()),
        1..20usize,
    )
        .prop_map(move |(events, budgets, at_once)| Case {
            events,
            budgets: rings.into_iter().zip(budgets).collect(),
            at_once,
        })
}

fn here(store: &impl Store) -> BTreeMap<EventId, Event> {
    let all = store.events_after(None, usize::MAX).unwrap();
    all.into_iter().map(|event| (event.id, event)).collect()
}

fn ring(store: &impl Store, person: &PublicKey) -> Ring {
    store.ring(person).unwrap()
}

fn tidy(store: &mut impl Store) {
    for _ in 0..1_000 {
        if !store.tidy(NOW).unwrap() {
            return;
        }
    }
    panic!("tidying does not end");
}

fn budgets_hold<S: Store>(case: &Case, mut store: S) -> Result<(), TestCaseError> {
    let me = person(1).public_key();
    store.set_me(Some(me)).unwrap();
    store.put(&circle(), NOW).unwrap();
    for events in case.events.chunks(case.at_once) {
        store.put(events, NOW).unwrap();
    }
    let rings = |store: &S| -> BTreeMap<_, _> {
        let people = (1..=PEOPLE).map(|n| person(n).public_key());
        people.map(|key| (key, ring(store, &key))).collect()
    };
    let (before, rings_before) = (here(&store), rings(&store));
    for (ring, budget) in &case.budgets {
        store.set_budget(*ring, *budget).unwrap();
    }
    tidy(&mut store);
    // Who is further away since a friend's follow list went is looked at in the next round.
    tidy(&mut store);

    // Who loses a follow list at last is further away.
    let (after, rings) = (here(&store), rings(&store));
    let report = store.report().unwrap();
    prop_assert_eq!(report.events.events, after.len() as u64);
    for event in before.values() {
        let of = [rings_before[&event.pubkey], rings[&event.pubkey]];
        let mut limited = case
            .budgets
            .iter()
            .filter(|(_, budget)| *budget != Budget::UNLIMITED);
        if !limited.any(|(ring, _)| of.contains(ring)) {
            prop_assert!(after.contains_key(&event.id), "dropped of {of:?}");
        }
    }
    for (ring, budget) in &case.budgets {
        let mut used = report.rings.iter().filter(|(of, _)| of == ring);
        let used = used.next().map(|(_, used)| *used).unwrap_or_default();
        let counted = after.values().filter(|event| rings[&event.pubkey] == *ring);
        prop_assert_eq!(used.events, counted.clone().count() as u64, "{:?}", ring);
        prop_assert!(budget.events.is_none_or(|most| used.events <= most), "{ring:?}");
        prop_assert!(budget.bytes.is_none_or(|most| used.bytes <= most), "{ring:?}");
        let oldest = budget.age.map_or(0, |age| NOW.0 / 1000 - age);
        // Follow lists do not grow old.
        for event in counted.filter(|event| event.kind == Kind::TextNote) {
            prop_assert!(event.created_at.as_secs() >= oldest, "too old for {ring:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(case in cases()) {
        budgets_hold(&case, MemoryStore::new())?;
    }

    #[test]
    fn in_sqlite(case in cases()) {
        budgets_hold(&case, SqliteStore::in_memory().unwrap())?;
    }
}
