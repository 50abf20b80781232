//! Somebody who wrote very much vanishes (NIP-62): no transaction removes all of it, and none of it is left in the end,
//! whenever the process was killed.
#![allow(clippy::unwrap_used)]

use sazanami_core::social;
use sazanami_core::store::conformance::fixtures::{NOW, at, follows, note, person};
use sazanami_core::store::{Cause, MemoryStore, Put, SqliteStore, Store};

#[path = "integrity/check.rs"]
mod integrity;

const NOTES: u64 = 2_500;
const WORD: &str = "波";

#[test]
fn vanishing_goes_on_after_a_restart_until_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sazanami.db");
    let (alice, bob) = (person(1), person(2));
    let written: Vec<_> = (0..NOTES)
        .map(|n| note(&alice, &format!("{n} {WORD}"), n / 3))
        .collect();
    let kept = [note(&alice, &format!("later {WORD}"), NOTES), note(&bob, WORD, 1)];
    let mut store = SqliteStore::open(&path).unwrap();
    store.put_verified(&written, NOW).unwrap();
    store.put(&kept, NOW).unwrap();
    let request = social::vanish_event(&alice, "", at(NOTES - 1));
    assert_eq!(store.put(&[request], NOW), Ok(vec![Put::Stored]));

    let mut left = Vec::new();
    loop {
        left.push(store.note_count(&alice.public_key()).unwrap());
        // What is left to do is on the disk, not in memory.
        drop(store);
        integrity::check(&path, WORD, &format!("with {left:?} left"));
        store = SqliteStore::open(&path).unwrap();
        if !store.tidy(NOW).unwrap() {
            break;
        }
        assert!(left.len() < 20, "it ends: {left:?}");
    }
    assert!(left[0] > 1_000, "not all at once: {left:?}");
    assert!(left.is_sorted_by(|before, after| before >= after), "{left:?}");
    assert_eq!(left.last(), Some(&1), "what came later stays: {left:?}");
    assert_eq!(store.note_count(&bob.public_key()), Ok(1));
    let again = store.put(&written[..3], NOW).unwrap();
    assert!(!again.contains(&Put::Stored), "{again:?}");
}

#[test]
fn since_when_somebody_follows_does_not_depend_on_when_their_request_came() {
    let (me, alice) = (person(2), person(1));
    let (before, after) = (follows(&alice, &[&me], 1), follows(&alice, &[&me], 3));
    let request = social::vanish_event(&alice, "", at(2));
    let since = |store: &mut dyn Store, events: [&nostr::prelude::Event; 3]| {
        store.set_me(Some(me.public_key())).unwrap();
        for event in events {
            store.put(std::slice::from_ref(event), NOW).unwrap();
        }
        let found = store.notifications(&[Cause::Follow], None, 9).unwrap();
        let times: Vec<u64> = found.list.iter().map(|one| one.created_at).collect();
        times
    };
    for order in [
        [&before, &request, &after],
        [&request, &before, &after],
        [&after, &request, &before],
    ] {
        for store in [
            &mut MemoryStore::new() as &mut dyn Store,
            &mut SqliteStore::in_memory().unwrap(),
        ] {
            assert_eq!(since(store, order), [before.created_at.as_secs()], "{order:?}");
        }
    }
}
