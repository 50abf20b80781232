//! Databases of every age: an empty one is filled, a current one is left alone, one from the future is refused.
#![allow(clippy::unwrap_used)]

use rusqlite::Connection;
use sazanami_core::store::conformance::fixtures::{NOW, note, person};
use sazanami_core::store::{Put, Scope, SqliteStore, Store};

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
