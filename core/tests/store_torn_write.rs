//! The last write torn or garbled by a power cut: the store opens, with everything that was reported before it.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use nostr::prelude::EventId;
use sazanami_core::store::conformance::fixtures::{NOW, note, person, profile};
use sazanami_core::store::{Known, SqliteStore, Store};

#[path = "integrity/check.rs"]
mod integrity;

const WORD: &str = "波";
const FRAME: usize = 4096 + 24;

/// A log as a crash leaves it, where its last transaction begins, what was reported before and what by it.
fn log(folder: &Path) -> (Vec<u8>, usize, Vec<EventId>, EventId) {
    let path = folder.join("a.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let mut before = Vec::new();
    for n in 0..6 {
        let events = [
            note(&person(1), &format!("{n} {WORD}"), n),
            profile(&person(2), &format!("{n}"), n),
        ];
        store.put(&events, NOW).unwrap();
        before.push(events[0].id);
    }
    let length = || std::fs::metadata(folder.join("a.db-wal")).unwrap().len() as usize;
    let begins = length();
    let last = note(&person(1), &format!("last {WORD}"), 100);
    store.put(std::slice::from_ref(&last), NOW).unwrap();
    let log = std::fs::read(folder.join("a.db-wal")).unwrap();
    assert!(log.len() > begins, "the log grows by the last transaction");
    std::fs::copy(&path, folder.join("main")).unwrap();
    (log, begins, before, last.id)
}

fn opens_with_everything(folder: &Path, log: &[u8], before: &[EventId], last: EventId, when: &str) {
    let path = folder.join("b.db");
    std::fs::copy(folder.join("main"), &path).unwrap();
    let _ = std::fs::remove_file(folder.join("b.db-shm"));
    std::fs::write(folder.join("b.db-wal"), log).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    for id in before {
        assert_eq!(store.known(id), Ok(Known::Stored), "{when}");
    }
    // There or not: its put had not returned.
    let count = store.note_count(&person(1).public_key()).unwrap();
    let stored = store.known(&last).unwrap() == Known::Stored;
    assert_eq!(count, before.len() as u64 + u64::from(stored), "{when}");
    drop(store);
    integrity::check(&path, WORD, when);
}

#[test]
fn a_torn_last_write_loses_nothing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (log, begins, before, last) = log(folder.path());
    // At each border, a little before and behind it, and within.
    let borders = (begins..=log.len()).step_by(FRAME);
    let cuts = borders.flat_map(|at| [at.saturating_sub(1), at, at + 1, at + 24, at + 512, at + 2048]);
    for cut in cuts.filter(|cut| (begins..log.len()).contains(cut)) {
        opens_with_everything(
            folder.path(),
            &log[..cut],
            &before,
            last,
            &format!("cut at {cut}"),
        );
        // The file has its length, and what should be there never reached the disk.
        for garbage in [0, 0xa5] {
            let mut torn = log.clone();
            torn[cut..].fill(garbage);
            opens_with_everything(
                folder.path(),
                &torn,
                &before,
                last,
                &format!("{garbage} from {cut}"),
            );
        }
        // A sector in the middle never arrived, those behind it did.
        let mut torn = log.clone();
        let end = (cut + 512).min(torn.len());
        torn[cut..end].fill(0);
        opens_with_everything(folder.path(), &torn, &before, last, &format!("a hole at {cut}"));
    }
}
