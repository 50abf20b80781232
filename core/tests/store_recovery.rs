//! A damaged database: every event that can still be read comes back, and nothing else.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use nostr::prelude::{Event, EventId, Kind};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use sazanami_core::social::Ring;
use sazanami_core::store::conformance::fixtures::{NOW, deletion, follows, note, person, profile, signed};
use sazanami_core::store::{Budget, Bytes, Cursor, Put, RECOVERED, Recovered, Scope, SqliteStore, Store};

struct Memory(Vec<u8>);

impl Bytes for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> usize {
        let from = (offset as usize).min(self.0.len());
        let part = &self.0[from..(from + buffer.len()).min(self.0.len())];
        buffer[..part.len()].copy_from_slice(part);
        part.len()
    }
}

const NOTES: u64 = 600;

/// Notes of two people, some deleted, one longer than several pages; with settings and a budget.
fn events() -> Vec<Event> {
    let (me, other) = (person(1), person(2));
    let mut events: Vec<Event> = (0..NOTES)
        .map(|n| note(if n % 3 == 0 { &me } else { &other }, &format!("note {n} 波"), n))
        .collect();
    events.push(note(&me, &"long ".repeat(6_000), 700));
    events.push(profile(&me, "Kai", 701));
    events.push(profile(&other, "Umi", 702));
    events.push(follows(&me, &[&other], 703));
    events.push(signed(&other, Kind::Reaction, "+", 704));
    let deleted = deletion(&other, &[&events[1], &events[2]], 705);
    events.push(deleted);
    events
}

const BUDGET: Budget = Budget {
    events: Some(1000),
    bytes: None,
    age: Some(99),
};

/// File and log of a database that holds them, as a crash leaves it, and what it holds.
fn database(checkpointed: bool) -> (Vec<u8>, Vec<u8>, BTreeSet<EventId>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("posts.db");
    let mut store = SqliteStore::open(&path).unwrap();
    store.set_me(Some(person(1).public_key())).unwrap();
    store.set_setting("language", Some("ja")).unwrap();
    store.set_budget(Ring::Stranger, BUDGET).unwrap();
    for batch in events().chunks(100) {
        assert!(
            store
                .put(batch, NOW)
                .unwrap()
                .iter()
                .all(|put| *put == Put::Stored)
        );
    }
    let read = Cursor {
        created_at: 1_700_000_500,
        id: EventId::from_byte_array([0; 32]),
    };
    store.set_read_until(read).unwrap();
    let held = ids(&store);
    assert_eq!(held.len(), events().len() - 2);
    if checkpointed {
        drop(store);
        return (std::fs::read(&path).unwrap(), Vec::new(), held);
    }
    let log = std::fs::read(folder.path().join("posts.db-wal")).unwrap();
    (std::fs::read(&path).unwrap(), log, held)
}

fn ids(store: &SqliteStore) -> BTreeSet<EventId> {
    let all = store.events_after(None, usize::MAX).unwrap();
    assert!(
        all.iter()
            .all(|event| event.verify_id() && event.verify_signature())
    );
    all.iter().map(|event| event.id).collect()
}

fn recover(file: Vec<u8>, log: Vec<u8>) -> (SqliteStore, Recovered) {
    let mut store = SqliteStore::in_memory().unwrap();
    let recovered = store
        .recover_from(&mut Memory(file), Some(&mut Memory(log)), NOW)
        .unwrap();
    (store, recovered)
}

#[test]
fn a_whole_file_comes_back_whole() {
    for checkpointed in [true, false] {
        let (file, log, held) = database(checkpointed);
        let (store, recovered) = recover(file, log);
        assert_eq!(ids(&store), held);
        assert_eq!((recovered.events, recovered.lost), (held.len() as u64, 0));
        let told: Recovered = serde_json::from_str(&store.setting(RECOVERED).unwrap().unwrap()).unwrap();
        assert_eq!(told, recovered);
        assert_eq!(store.setting("language"), Ok(Some("ja".to_owned())));
        // Whose device it is came back: a note of the followed person concerns nobody, rings are as before.
        assert_eq!(store.ring(&person(2).public_key()), Ok(Ring::Followed));
        assert_eq!(
            store.search_notes("波", None, 1000).unwrap().notes.len(),
            NOTES as usize - 2
        );
        assert_eq!(store.note_count(&person(1).public_key()), Ok(NOTES / 3 + 1));
    }
}

#[test]
fn choices_come_back() {
    let (file, log, _) = database(false);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let mut store = SqliteStore::open(&path).unwrap();
    store
        .recover_from(&mut Memory(file), Some(&mut Memory(log)), NOW)
        .unwrap();
    drop(store);
    let db = Connection::open(&path).unwrap();
    let budgets: Vec<[Option<i64>; 4]> = db
        .prepare("SELECT ring, events, bytes, age FROM budget")
        .unwrap()
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        budgets,
        [[Some(Ring::Stranger as i64), Some(1000), None, Some(99)]]
    );
    let read: i64 = db
        .query_row(
            "SELECT count(*) FROM setting WHERE name = 'store.read-until'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(read, 1);
}

#[test]
fn without_its_first_page_nothing_but_that_is_missing() {
    let (mut file, _, held) = database(true);
    file[..4096].fill(0xa5);
    assert!(SqliteStore::new(open_bytes(&file)).unwrap_err().damaged);
    let (store, _) = recover(file, Vec::new());
    assert_eq!(ids(&store), held);
}

/// Each page in turn is lost: what stood on it is missing, everything else is there, and nothing is made up.
#[test]
fn any_page_may_be_lost() {
    let (file, _, held) = database(true);
    let pages = file.len() / 4096;
    // The first ones hold the schema; of the others a sample.
    for page in (0..4).chain((4..pages).step_by(1 + pages / 16)) {
        let mut damaged = file.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0);
        let (store, recovered) = recover(damaged, Vec::new());
        let found = ids(&store);
        // Notes that were deleted come back when the page that says so is lost: they are as genuine as the rest.
        let made_up = found
            .difference(&held)
            .filter(|id| !events().iter().any(|event| event.id == **id))
            .count();
        assert_eq!(made_up, 0);
        // A page of rows holds about 60 events, one of people all of one page.
        let missing = held.difference(&found).count();
        assert!(
            missing <= 120 || recovered.lost as usize >= missing,
            "page {page} of {pages}: {missing} missing, {} known of",
            recovered.lost
        );
    }
}

#[test]
fn scattered_damage_makes_nothing_up() {
    let (file, log, _) = database(false);
    let known: BTreeSet<EventId> = events().iter().map(|event| event.id).collect();
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..10 {
        let (mut file, mut log) = (file.clone(), log.clone());
        for _ in 0..200 {
            let at = random.random_range(0..file.len() + log.len());
            let byte = random.random();
            match at.checked_sub(file.len()) {
                Some(at) => log[at] = byte,
                None => file[at] = byte,
            }
        }
        let (store, _) = recover(file, log);
        assert!(ids(&store).is_subset(&known));
    }
}

#[test]
fn a_recovered_store_is_used_like_any_other() {
    let (file, log, held) = database(false);
    let (mut store, _) = recover(file, log);
    // What was deleted stays deleted, what is there is known.
    let outcomes = store.put(&events(), NOW).unwrap();
    assert_eq!(
        outcomes.iter().filter(|put| **put == Put::Duplicate).count(),
        held.len()
    );
    assert_eq!(outcomes.iter().filter(|put| **put == Put::Deleted).count(), 2);
    let new = note(&person(1), "after the damage", 900);
    assert_eq!(store.put(&[new], NOW), Ok(vec![Put::Stored]));
    let page = store
        .timeline(Scope::FollowedBy(person(1).public_key()), None, 1)
        .unwrap();
    assert_eq!(page.notes[0].content, "after the damage");
}

/// A connection to a file with these bytes, which lives as long as the process needs it.
fn open_bytes(bytes: &[u8]) -> Connection {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let (_, path) = file.keep().unwrap();
    let connection = Connection::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    connection
}

/// The browser's databases have a rollback journal: what a transaction that was cut off had overwritten is in there.
#[test]
fn what_a_rollback_journal_holds_comes_back() {
    let (file, _, held) = database(true);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("posts.db");
    std::fs::write(&path, file).unwrap();
    let db = Connection::open(&path).unwrap();
    // Hardly any memory for pages: they are written before the transaction ends.
    db.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE; PRAGMA cache_size = 5;
         BEGIN; UPDATE body SET data = zeroblob(length(data));",
    )
    .unwrap();
    let file = std::fs::read(&path).unwrap();
    let journal = std::fs::read(folder.path().join("posts.db-journal")).unwrap();
    let (store, _) = recover(file.clone(), Vec::new());
    assert!(ids(&store).len() < held.len() / 2, "the file alone is not enough");
    let (store, recovered) = recover(file, journal);
    assert_eq!(ids(&store), held);
    assert_eq!(recovered.lost, 0);
}
