//! A full disk refuses what others wrote and says so; the own is kept, and others' gives way to it.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;
use sazanami_core::Event;
use sazanami_core::store::conformance::fixtures::{NOW, deletion, note, person};
use sazanami_core::store::{Known, Put, Query, Scope, SqliteStore, Store};

/// Own notes after the disk is full: many times what is free then.
const OWN: u64 = 150;

/// A store on a disk with room for some 120 pages more than an empty one needs.
fn small(path: &std::path::Path) -> SqliteStore {
    drop(SqliteStore::open(path).unwrap());
    let connection = Connection::open(path).unwrap();
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "max_page_count", pages + 120)
        .unwrap();
    let mut store = SqliteStore::new(connection).unwrap();
    store.tidy(NOW).unwrap();
    store
}

fn batch(keys: &nostr::prelude::Keys, n: u64) -> Vec<Event> {
    (0..8)
        .map(|part| note(keys, &format!("{n}/{part} {}", "波".repeat(500)), n))
        .collect()
}

#[test]
fn a_full_disk_refuses_others_and_keeps_the_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    let mut store = small(&path);
    let (me, other) = (person(1), person(2));
    store.set_me(Some(me.public_key())).unwrap();

    let mut stored = Vec::new();
    let refused = loop {
        let events = batch(&other, stored.len() as u64);
        let outcomes = store.put(&events, NOW).unwrap();
        if outcomes == vec![Put::NoRoom; 8] {
            break events;
        }
        assert_eq!(outcomes, vec![Put::Stored; 8]);
        stored.extend(events);
        assert!(stored.len() < 1000, "the limit is reached");
    };
    assert!(!stored.is_empty());
    assert!(store.report().unwrap().full);
    assert!(
        store.take_changes().queries.contains(&Query::Storage),
        "and it says so"
    );
    for event in &refused {
        assert_eq!(
            store.known(&event.id),
            Ok(Known::No),
            "nothing of the refused batch"
        );
    }
    let kept = store.timeline(Scope::Everyone, None, 9999).unwrap().notes.len();
    assert_eq!(kept, stored.len());

    // Many own notes after that: each is kept, others' oldest give way.
    for n in 0..OWN {
        let own = note(&me, &format!("own {n} {}", "音".repeat(500)), n);
        assert_eq!(store.put(&[own], NOW), Ok(vec![Put::Stored]), "own note {n}");
    }
    drop(store);
    let mut store = SqliteStore::open(&path).unwrap();
    store.set_me(Some(me.public_key())).unwrap();
    assert_eq!(store.note_count(&me.public_key()), Ok(OWN));
    let left = store.note_count(&other.public_key()).unwrap();
    assert!(left < stored.len() as u64, "{left} of {}", stored.len());
    // With room, the same batch is stored.
    assert_eq!(store.put(&refused, NOW), Ok(vec![Put::Stored; 8]));
}

#[test]
fn a_disk_full_of_own_events_is_an_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    let mut store = small(&path);
    let me = person(1);
    store.set_me(Some(me.public_key())).unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let events = batch(&me, stored.len() as u64);
        match store.put(&events, NOW) {
            Ok(outcomes) => assert_eq!(outcomes, vec![Put::Stored; 8]),
            Err(error) => break error,
        }
        stored.extend(events);
        assert!(stored.len() < 1000, "the limit is reached");
    };
    assert!(error.full, "{error}");
    assert_eq!(store.note_count(&me.public_key()), Ok(stored.len() as u64));
    // Deleting makes room again.
    let half: Vec<&Event> = stored.iter().take(8).collect();
    assert_eq!(store.put(&[deletion(&me, &half, 9)], NOW), Ok(vec![Put::Stored]));
    assert_eq!(store.note_count(&me.public_key()), Ok(stored.len() as u64 - 8));
}
