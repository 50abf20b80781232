//! A process killed at any moment loses nothing that `put` had reported, and no batch is found half stored.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use nostr::prelude::{Event, EventId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sazanami_core::store::conformance::fixtures::{NOW, deletion, note, person, profile};
use sazanami_core::store::{Known, Put, Scope, SqliteStore, Store};

const ROUNDS: u32 = 20;
const BATCH: usize = 3;
/// The child's database and the number of its round.
const DATABASE: &str = "SAZANAMI_TEST_KILL_DATABASE";
const ROUND: &str = "SAZANAMI_TEST_KILL_ROUND";
const LIMIT: Duration = Duration::from_secs(60);

/// Not a test by itself: run by the one below in a process of its own, until that is killed.
#[test]
fn writer() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let keys = person(1);
    let mut store = SqliteStore::open(PathBuf::from(path)).unwrap();
    let mut out = std::io::stdout();
    for batch in 0u64.. {
        let mut events: Vec<Event> = (0..BATCH)
            .map(|part| note(&keys, &format!("{round}/{batch} part {part}"), batch % 3600))
            .collect();
        let passing = note(&keys, &format!("{round}/{batch} passing"), 1);
        // Index rows and tombstones are part of what must hold together.
        events.extend([
            deletion(&keys, &[&passing], 2),
            passing,
            profile(&keys, &format!("{round}/{batch}"), 3),
        ]);
        let results = store.put(&events, NOW).unwrap();
        assert!(
            results[..BATCH].iter().all(|result| *result == Put::Stored),
            "{results:?}"
        );
        // One write call: a line is there whole or cut short without its end.
        let ids: Vec<String> = events[..BATCH].iter().map(|event| event.id.to_hex()).collect();
        out.write_all(format!("put {}\n", ids.join(" ")).as_bytes())
            .unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    // Every run tries other moments; SAZANAMI_TEST_SEED repeats one.
    let seed = std::env::var("SAZANAMI_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut reported = Vec::new();
    for round in 0..ROUNDS {
        let lines = random.random_range(1..40);
        let pause = Duration::from_micros(random.random_range(0..4000));
        let before = reported.len();
        write_and_kill(&path, round, lines, pause, &mut reported);
        assert!(reported.len() > before, "round {round}: the writer wrote");
        check(&path, round, &reported);
    }
    println!("{} notes reported in {ROUNDS} rounds", reported.len());
}

/// Lets a writer report `lines` batches, kills it a moment later and collects all that it reported.
fn write_and_kill(path: &Path, round: u32, lines: usize, pause: Duration, reported: &mut Vec<EventId>) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DATABASE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(writer.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        // A line without its end was cut by the kill: not reported.
        while stdout.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
            if let Some(at) = line.find("put ") {
                let ids = line[at + 4..]
                    .split_whitespace()
                    .map(|id| EventId::from_hex(id).unwrap());
                if sender.send(ids.collect::<Vec<_>>()).is_err() {
                    return;
                }
            }
            line.clear();
        }
    });
    for _ in 0..lines {
        match receiver.recv_timeout(LIMIT) {
            Ok(ids) => reported.extend(ids),
            Err(error) => {
                let _ = writer.kill();
                panic!("round {round}: the writer does not write: {error}");
            }
        }
    }
    // The moment of the kill, within the next batches, is what is random here; nothing waits for it.
    let kill_at = Instant::now() + pause;
    while Instant::now() < kill_at {
        std::hint::spin_loop();
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    reader.join().unwrap();
    reported.extend(receiver.try_iter().flatten());
}

fn check(path: &Path, round: u32, reported: &[EventId]) {
    let store = SqliteStore::open(path).unwrap();
    for id in reported {
        assert_eq!(
            store.known(id),
            Ok(Known::Stored),
            "round {round}: {id} was reported"
        );
        assert!(
            store.event(id).unwrap().is_some_and(|event| event.verify_id()),
            "round {round}: {id} reads back"
        );
    }
    let mut parts = BTreeMap::<String, usize>::new();
    for note in store.timeline(Scope::Everyone, None, usize::MAX).unwrap().notes {
        let (batch, part) = note.content.split_once(' ').unwrap();
        assert!(
            part.starts_with("part"),
            "round {round}: {batch} {part} was deleted in its own batch"
        );
        *parts.entry(batch.to_owned()).or_default() += 1;
    }
    assert!(
        parts.values().all(|count| *count == BATCH),
        "round {round}: a batch is half stored: {parts:?}"
    );
    assert_eq!(
        store.note_count(&person(1).public_key()),
        Ok((parts.len() * BATCH) as u64),
        "round {round}"
    );
    drop(store);
    let database = rusqlite::Connection::open(path).unwrap();
    let verdict: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok", "round {round}");
}
