//! Databases of every age: an empty one is filled, a current one is left alone, one from the future is refused.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;
use sazanami_core::store::conformance::fixtures::{NOW, note, person, reaction, reply, repost};
use sazanami_core::store::{Put, Scope, SqliteStore, Store};

#[path = "integrity/check.rs"]
mod integrity;

fn version(path: &std::path::Path) -> i64 {
    Connection::open(path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[test]
fn an_empty_database_gets_the_schema_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    drop(Connection::open(&path).unwrap());
    assert_eq!(version(&path), 0);
    let mut store = SqliteStore::open(&path).unwrap();
    let event = note(&person(1), "first", 1);
    assert_eq!(store.put(&[event], NOW), Ok(vec![Put::Stored]));
    drop(store);
    let current = version(&path);
    assert!(current > 0);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.timeline(Scope::Everyone, None, 9).unwrap().notes.len(), 1);
    drop(store);
    assert_eq!(version(&path), current);
}

#[test]
fn a_database_from_the_future_is_refused_and_left_alone() {
    for future in [1000, -1] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sazanami.db");
        drop(SqliteStore::open(&path).unwrap());
        let database = Connection::open(&path).unwrap();
        database.pragma_update(None, "user_version", future).unwrap();
        database
            .execute_batch("ALTER TABLE event ADD COLUMN later TEXT")
            .unwrap();
        drop(database);
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        assert!(!error.full);
        assert_eq!(version(&path), future);
    }
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    std::fs::write(
        &path,
        "not a database, but long enough to be looked at ".repeat(100),
    )
    .unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(!error.full && error.reason.contains("not a database"), "{error}");
    assert!(SqliteStore::open(folder.path().join("missing/sazanami.db")).is_err());
}

/// Takes the present schema back to version 3, in which counts stood apart from the events.
const BACK_TO_3: &str =
    "INSERT INTO tally SELECT substr(id, 1, 8), replies, thread, reposts, quotes, reactions
        FROM event WHERE replies OR thread OR reposts OR quotes OR reactions;
    DROP INDEX event_listed;
    CREATE INDEX event_listed ON event (class) WHERE class = 1;
    ALTER TABLE event DROP COLUMN replies;
    ALTER TABLE event DROP COLUMN thread;
    ALTER TABLE event DROP COLUMN reposts;
    ALTER TABLE event DROP COLUMN quotes;
    ALTER TABLE event DROP COLUMN reactions;
    DROP TABLE request;
    PRAGMA user_version = 3;";

#[test]
fn counts_of_version_3_move_to_their_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    let (here, missing) = (note(&person(1), "here", 1), note(&person(1), "not here", 2));
    let mut events = vec![here.clone()];
    for (n, target) in [&here, &missing].into_iter().enumerate() {
        let second = 10 * (n as u64 + 1);
        events.push(reply(&person(2), target, "here too", second));
        events.push(repost(&person(2), target, second + 1));
        events.push(reaction(&person(3), target, "+", second + 2));
    }
    let mut store = SqliteStore::open(&path).unwrap();
    store.put(&events, NOW).unwrap();
    let counts = |store: &SqliteStore| [&here, &missing].map(|note| store.counts(&note.id).unwrap());
    let before = counts(&store);
    assert!(before.iter().all(|counts| counts.reactions == 1));
    drop(store);
    Connection::open(&path).unwrap().execute_batch(BACK_TO_3).unwrap();

    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(counts(&store), before);
    store
        .put(&[missing.clone(), reaction(&person(2), &here, "+", 40)], NOW)
        .unwrap();
    assert_eq!(store.counts(&here.id).unwrap().reactions, 2);
    assert_eq!(counts(&store)[1], before[1], "the note has come since");
    drop(store);
    integrity::check(&path, "here", "after the update");
}
