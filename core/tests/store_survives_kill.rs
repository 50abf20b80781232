//! A process killed at any moment loses nothing that `put` had reported, and no batch is found half stored.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use nostr::prelude::{Event, EventBuilder, EventId, FinalizeEvent, Keys, Kind, Tag, Timestamp};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sazanami_core::social::Ring;
use sazanami_core::store::conformance::fixtures::{NOW, START, deletion, follows, note, person, profile};
use sazanami_core::store::{Budget, Known, Put, Scope, SqliteStore, Store};

#[path = "integrity/check.rs"]
mod integrity;

/// SAZANAMI_KILL_ROUNDS asks for more; 200 take about a minute of an idle machine.
const ROUNDS: u32 = 60;
const BATCH: usize = 3;
/// The child's database and the number of its round.
const DATABASE: &str = "SAZANAMI_TEST_KILL_DATABASE";
const ROUND: &str = "SAZANAMI_TEST_KILL_ROUND";
const LIMIT: Duration = Duration::from_secs(60);
/// In every note, so that the search has something to find.
const WORD: &str = "波";
/// What is kept of strangers: little enough that every few batches some is dropped.
const STRANGERS: Budget = Budget {
    events: Some(60),
    bytes: None,
    age: None,
};

/// Not a test by itself: run by the one below in a process of its own, until that is killed.
#[test]
fn writer() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let me = person(1);
    let mut store = SqliteStore::open(PathBuf::from(path)).unwrap();
    store.set_me(Some(me.public_key())).unwrap();
    store.set_budget(Ring::Stranger, STRANGERS).unwrap();
    let mut out = std::io::stdout();
    for batch in 0u64.. {
        let events = events_of(&me, &round, batch);
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
        if batch % 3 == 2 {
            store.tidy(NOW).unwrap();
        }
        if batch % 5 == 4 {
            store.compact().unwrap();
        }
    }
}

/// Own notes first, then everything else that is indexed and counted: part of what must hold together.
fn events_of(me: &Keys, round: &str, batch: u64) -> Vec<Event> {
    let other = person(2 + (batch % 5) as u8);
    let second = batch % 3600;
    let text = |what: &str| format!("{round}/{batch} {what} {WORD}");
    let mut events: Vec<Event> = (0..BATCH)
        .map(|part| note(me, &text(&format!("part{part}")), second))
        .collect();
    let first = events[0].id.to_hex();
    let root: &[&str] = &["e", &first, "", "root"];
    let passing = note(me, &text("passing"), 1);
    events.extend([
        deletion(me, &[&passing], 2),
        passing,
        profile(me, &format!("{round}/{batch}"), second),
        follows(me, &[&person(9), &other], second),
        profile(&other, &format!("{round}/{batch}"), second),
        tagged(
            &other,
            Kind::TextNote,
            &text("reply #kill"),
            &[root, &["t", "kill"]],
            second,
        ),
        tagged(&other, Kind::Reaction, "+", &[&["e", &first]], second),
        tagged(&other, Kind::Repost, "", &[&["e", &first]], second),
        tagged(
            &other,
            Kind::TextNote,
            &text("ends"),
            &[&["expiration", &(NOW.0 / 1000 + 1).to_string()]],
            second,
        ),
    ]);
    events
}

fn tagged(author: &Keys, kind: Kind, content: &str, tags: &[&[&str]], second: u64) -> Event {
    let tags = tags
        .iter()
        .map(|items| Tag::parse(items.iter().copied()).unwrap());
    EventBuilder::new(kind, content)
        .tags(tags)
        .custom_created_at(Timestamp::from(START + second))
        .finalize(author)
        .unwrap()
}

fn rounds() -> u32 {
    let asked = std::env::var("SAZANAMI_KILL_ROUNDS").ok();
    asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
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
    for round in 0..rounds() {
        let lines = random.random_range(1..20);
        let pause = Duration::from_micros(random.random_range(0..4000));
        let before = reported.len();
        write_and_kill(&path, round, lines, pause, &mut reported);
        assert!(reported.len() > before, "round {round}: the writer wrote");
        check(&path, round, &reported, &mut random);
    }
    println!("{} notes reported in {} rounds", reported.len(), rounds());
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

fn check(path: &Path, round: u32, reported: &[EventId], random: &mut StdRng) {
    let mut store = SqliteStore::open(path).unwrap();
    store.set_me(Some(person(1).public_key())).unwrap();
    for id in reported {
        assert_eq!(
            store.known(id),
            Ok(Known::Stored),
            "round {round}: {id} was reported"
        );
    }
    let newest = reported.iter().rev().take(20);
    for id in newest.chain(reported.sample(random, 20)) {
        assert!(
            store.event(id).unwrap().is_some_and(|event| event.verify_id()),
            "round {round}: {id} reads back"
        );
    }
    let me = person(1).public_key();
    let mut parts = BTreeMap::<String, usize>::new();
    let mut before = None;
    loop {
        let page = store.timeline(Scope::Author(me), before, 1_000).unwrap();
        for note in page.notes {
            let (batch, part) = note.content.split_once(' ').unwrap();
            assert!(
                part.starts_with("part"),
                "round {round}: {batch} {part} was deleted in its own batch"
            );
            *parts.entry(batch.to_owned()).or_default() += 1;
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert!(
        parts.values().all(|count| *count == BATCH),
        "round {round}: a batch is half stored: {parts:?}"
    );
    assert_eq!(
        store.note_count(&me),
        Ok((parts.len() * BATCH) as u64),
        "round {round}"
    );
    drop(store);
    integrity::check(path, WORD, &format!("round {round}"));
}
