//! Cursors hold while things arrive and go: whoever pages through a list sees what stays once, in order, and nothing
//! twice.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use nostr::prelude::{Event, EventId, Kind};
use proptest::prelude::*;
use sazanami_core::store::conformance::fixtures::NOW;
use sazanami_core::store::conformance::world::World;
use sazanami_core::store::{Cursor, MemoryStore, Note, Page, Scope, SqliteStore, Store};

/// What there is at first, what arrives after each page, and how many notes each page asks for.
#[derive(Debug)]
struct Walk {
    world: World,
    first: Vec<Event>,
    arrivals: Vec<Vec<Event>>,
    sizes: Vec<usize>,
}

fn walks() -> impl Strategy<Value = Walk> {
    let parts = (
        any::<u64>(),
        0..30usize,
        prop::collection::vec(1..6usize, 1..5),
        1..5usize,
    );
    parts.prop_flat_map(|(seed, first, sizes, at_once)| {
        Just(World::new(seed).events)
            .prop_shuffle()
            .prop_map(move |mut events| {
                let later = events.split_off(first);
                // What mutes and follows change comes and goes by itself.
                let lists = [Kind::MuteList, Kind::ContactList, Kind::FollowSet];
                let later: Vec<Event> = later
                    .into_iter()
                    .filter(|event| !lists.contains(&event.kind))
                    .collect();
                Walk {
                    world: World::new(seed),
                    first: events,
                    arrivals: later.chunks(at_once).map(<[Event]>::to_vec).collect(),
                    sizes: sizes.clone(),
                }
            })
    })
}

/// Where an entry stands; newest first, of one second the smaller id first.
fn place(note: &Note) -> (std::cmp::Reverse<u64>, EventId) {
    let Cursor { created_at, id } = note.cursor();
    (std::cmp::Reverse(created_at), id)
}

type List = fn(&dyn Store, &World, Option<Cursor>, usize) -> Page;

const LISTS: [(&str, List); 5] = [
    ("everyone", |store, _, before, limit| {
        store.timeline(Scope::Everyone, before, limit).unwrap()
    }),
    ("home", |store, world, before, limit| {
        store
            .timeline(Scope::FollowedBy(world.me()), before, limit)
            .unwrap()
    }),
    ("person", |store, world, before, limit| {
        let author = world.people[1].public_key();
        store.timeline(Scope::Author(author), before, limit).unwrap()
    }),
    ("hashtag", |store, _, before, limit| {
        store.hashtag("sea", before, limit).unwrap()
    }),
    ("search", |store, _, before, limit| {
        store.search_notes("波", before, limit).unwrap()
    }),
];

fn pages_hold<S: Store>(walk: &Walk, make: impl Fn() -> S) -> Result<(), TestCaseError> {
    for (name, list) in LISTS {
        let mut store = make();
        store.set_me(Some(walk.world.me())).unwrap();
        store.put(&walk.first, NOW).unwrap();
        let all = |store: &S| -> BTreeSet<_> {
            let page = list(store, &walk.world, None, 200);
            page.notes.iter().map(place).collect()
        };
        let there = all(&store);
        let (mut seen, mut before) = (Vec::new(), None);
        let mut arrivals = walk.arrivals.iter();
        for size in walk.sizes.iter().cycle() {
            let page = list(&store, &walk.world, before, *size);
            prop_assert!(page.notes.len() <= *size);
            seen.extend(page.notes.iter().map(place));
            before = page.next;
            if before.is_none() {
                break;
            }
            if let Some(events) = arrivals.next() {
                store.put(events, NOW).unwrap();
            }
        }
        prop_assert!(
            seen.is_sorted_by(|a, b| a < b),
            "{name}: in order and once: {seen:?}"
        );
        for stays in there.intersection(&all(&store)) {
            prop_assert!(seen.contains(stays), "{name}: {stays:?} was passed over");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(walk in walks()) {
        pages_hold(&walk, MemoryStore::new)?;
    }

    #[test]
    fn in_sqlite(walk in walks()) {
        pages_hold(&walk, || SqliteStore::in_memory().unwrap())?;
    }
}
