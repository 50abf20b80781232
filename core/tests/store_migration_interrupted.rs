//! An update of the database that is killed or runs out of space leaves the old version whole, or the new one.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nostr::prelude::Event;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::{Connection, params};
use sazanami_core::store::conformance::fixtures::{NOW, deletion, follows, note, person, profile};
use sazanami_core::store::{Known, SqliteStore, Store};

#[path = "integrity/check.rs"]
mod integrity;

const DATABASE: &str = "SAZANAMI_TEST_MIGRATE_DATABASE";
const NOTES: u64 = 2_000;
const KILLS: u32 = 20;
/// The version of today.
const CURRENT: usize = 5;
const WORD: &str = "波";

/// Events as version 1 had stored them: one note deleted, the rest there.
fn events() -> (Vec<Event>, Event) {
    let people = [person(1), person(2), person(3)];
    let notes = (0..NOTES).map(|n| note(&people[n as usize % 3], &format!("{n} {WORD}"), n));
    let mut events: Vec<Event> = notes.collect();
    let deleted = events.remove(0);
    events.push(profile(&people[0], "Kai", 1));
    events.push(follows(&people[0], &[&people[1]], 2));
    events.push(deletion(&people[0], &[&deleted], 3));
    (events, deleted)
}

/// A database as the first release made it.
fn version_1(path: &Path, events: &[Event], deleted: &Event) {
    let mut db = Connection::open(path).unwrap();
    db.execute_batch(include_str!("../src/store/sqlite/migrations/001_init.sql"))
        .unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    let transaction = db.transaction().unwrap();
    for event in events {
        let at = event.created_at.as_secs() as i64;
        transaction
            .execute(
                "INSERT INTO event (id, author, created_at, rank, kind, tags, content, sig)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    event.id.as_bytes(),
                    event.pubkey.as_bytes(),
                    at,
                    -at,
                    event.kind.as_u16(),
                    serde_json::to_string(&event.tags).unwrap(),
                    event.content,
                    event.sig.as_bytes(),
                ],
            )
            .unwrap();
        if event.kind.is_replaceable() {
            transaction
                .execute(
                    "INSERT INTO latest VALUES (?1, ?2, ?3, ?4)",
                    params![
                        event.pubkey.as_bytes(),
                        event.kind.as_u16(),
                        at,
                        event.id.as_bytes()
                    ],
                )
                .unwrap();
        }
    }
    let (id, author) = (deleted.id.as_bytes(), deleted.pubkey.as_bytes());
    transaction
        .execute("INSERT INTO tombstone VALUES (?1, ?2)", params![id, author])
        .unwrap();
    transaction.execute("INSERT INTO gone VALUES (?1)", [id]).unwrap();
    transaction
        .execute("INSERT INTO setting VALUES ('language', 'ja')", [])
        .unwrap();
    transaction.pragma_update(None, "user_version", 1).unwrap();
    transaction.commit().unwrap();
}

fn version(path: &Path) -> i64 {
    let db = Connection::open(path).unwrap();
    let verdict: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    db.pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

fn is_whole(path: &Path, events: &[Event], deleted: &Event, when: &str) {
    let mut store = SqliteStore::open(path).unwrap();
    for event in events {
        assert_eq!(store.known(&event.id), Ok(Known::Stored), "{when}");
    }
    assert_eq!(
        store.events_after(None, 9_999).unwrap().len(),
        events.len(),
        "{when}"
    );
    assert_eq!(store.setting("language"), Ok(Some("ja".to_owned())), "{when}");
    store.put(std::slice::from_ref(deleted), NOW).unwrap();
    assert_ne!(
        store.known(&deleted.id),
        Ok(Known::Stored),
        "{when}: what was deleted stays away"
    );
    drop(store);
    integrity::check(path, WORD, when);
}

/// Not a test by itself: run by the one below in a process of its own, until that is killed.
#[test]
fn migrator() {
    if let Some(path) = std::env::var_os(DATABASE) {
        drop(SqliteStore::open(PathBuf::from(path)).unwrap());
    }
}

fn copy_of(original: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("copy.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("copy.db{suffix}")));
    }
    std::fs::copy(original, &path).unwrap();
    path
}

#[test]
fn a_killed_update_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.db");
    let (events, deleted) = events();
    version_1(&original, &events, &deleted);
    let seed = UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let run = |path: &Path| {
        Command::new(std::env::current_exe().unwrap())
            .args(["migrator", "--exact", "--test-threads=1"])
            .env(DATABASE, path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    // How long it takes when nothing disturbs it: the kills are spread over that.
    let path = copy_of(&original, folder.path());
    let begun = Instant::now();
    assert!(run(&path).wait().unwrap().success());
    let whole = begun.elapsed();
    is_whole(&path, &events, &deleted, "undisturbed");
    let mut versions = [0_u32; CURRENT];
    for kill in 0..KILLS {
        let path = copy_of(&original, folder.path());
        let mut child = run(&path);
        let at = Instant::now() + whole.mul_f64(random.random_range(0.0..1.0));
        while Instant::now() < at {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let found = usize::try_from(version(&path)).unwrap();
        assert!((1..=CURRENT).contains(&found), "kill {kill}: version {found}");
        versions[found - 1] += 1;
        is_whole(&path, &events, &deleted, &format!("kill {kill}"));
    }
    println!("kills that left each version: {versions:?}");
    // The long step is that which carries the events over.
    assert!(
        versions[..CURRENT - 1].iter().sum::<u32>() > 0,
        "some kills came in time"
    );
}

#[test]
fn an_update_without_room_leaves_the_old_version() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.db");
    let (events, deleted) = events();
    version_1(&original, &events, &deleted);
    let pages: i64 = Connection::open(&original)
        .unwrap()
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    let mut refused = 0;
    for more in [0, 1, 10, 25] {
        let path = copy_of(&original, folder.path());
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "max_page_count", pages + more).unwrap();
        match SqliteStore::new(db) {
            Ok(_) => assert_eq!(version(&path), CURRENT as i64, "{more} pages more"),
            Err(error) => {
                assert!(error.full && !error.damaged, "{more} pages more: {error}");
                assert!(version(&path) < CURRENT as i64, "{more} pages more");
                refused += 1;
            }
        }
        is_whole(&path, &events, &deleted, "with room again");
    }
    assert!(refused > 0, "some had too little");
}
