//! Every store that runs natively passes the conformance suite; the browser's runs in `platform-web`.
#![allow(clippy::unwrap_used)]

use sazanami_core::store::conformance::{durable, suite};
use sazanami_core::store::{EventPool, MemoryStore, SqliteStore, Store};

#[test]
fn memory() {
    suite(MemoryStore::new);
}

#[test]
fn memory_with_shared_events() {
    let pool = EventPool::default();
    suite(|| MemoryStore::with_pool(&pool));
}

#[test]
fn sqlite_in_memory() {
    suite(|| SqliteStore::in_memory().unwrap());
}

#[test]
fn sqlite_with_tags_indexed() {
    suite(|| {
        let mut store = SqliteStore::in_memory().unwrap();
        store.index_tags().unwrap();
        store
    });
}

#[test]
fn sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    suite(|| {
        count += 1;
        SqliteStore::open(folder.path().join(format!("{count}.db"))).unwrap()
    });
}

#[test]
fn boxed() {
    suite(|| -> Box<dyn Store + Send> { Box::new(MemoryStore::new()) });
}

#[test]
fn sqlite_file_reopened() {
    let folder = tempfile::tempdir().unwrap();
    durable(|| SqliteStore::open(folder.path().join("sazanami.db")).unwrap());
}
