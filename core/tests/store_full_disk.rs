//! A full disk refuses the whole batch, says so, and leaves the store usable.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;
use sazanami_core::Event;
use sazanami_core::store::conformance::fixtures::{NOW, deletion, note, person};
use sazanami_core::store::{Known, Put, Scope, SqliteStore, Store};

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "max_page_count", pages + 60)
        .unwrap();
    let mut store = SqliteStore::new(connection).unwrap();

    let keys = person(1);
    let batch = |n: u64| -> Vec<Event> {
        (0..8)
            .map(|part| note(&keys, &format!("{n}/{part} {}", "波".repeat(500)), n))
            .collect()
    };
    let mut stored = Vec::new();
    let (refused, error) = loop {
        let events = batch(stored.len() as u64);
        match store.put(&events, NOW) {
            Ok(results) => assert_eq!(results, vec![Put::Stored; 8]),
            Err(error) => break (events, error),
        }
        stored.extend(events);
        assert!(stored.len() < 1000, "the limit is reached");
    };
    assert!(error.full, "{error}");
    assert!(!stored.is_empty());
    for event in &refused {
        assert_eq!(
            store.known(&event.id),
            Ok(Known::No),
            "nothing of the refused batch"
        );
    }
    assert_eq!(
        store.timeline(Scope::Everyone, None, 9999).unwrap().notes.len(),
        stored.len()
    );

    // Deleting makes room again.
    let half: Vec<&Event> = stored.iter().take(stored.len() / 2).collect();
    assert_eq!(
        store.put(&[deletion(&keys, &half[..8], 9)], NOW),
        Ok(vec![Put::Stored])
    );
    drop(store);
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(
        store.put(&refused, NOW),
        Ok(vec![Put::Stored; 8]),
        "with room, the same batch is stored"
    );
}
