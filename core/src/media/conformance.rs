//! The behaviour that every [`BlobStore`] shares, as plain synchronous code, so that it runs in a browser's worker.
//!
//! [`suite`] checks empty stores, [`durable`] one that is closed and opened again. A panic says what broke.

use super::{Begun, BlobError, BlobId, BlobStore, Finished, Keep, MAX_BLOB, Progress};
use crate::time::Millis;

/// The sizes at which something may break: nothing, a byte, around a chunk and a block, many of them.
const SIZES: [usize; 7] = [0, 1, 16_383, 16_384, 16_385, 100_000, 5_000_000];
/// Room for all of them.
const PLENTY: u64 = 64 * 1024 * 1024;
/// Room for a few of a few thousand bytes.
const LITTLE: u64 = 10_000;
const NOW: Millis = Millis(1_700_000_000_000);

/// Bytes that look like nothing else: the same for the same size and seed.
pub fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn at(seconds: u64) -> Millis {
    Millis(NOW.0 + seconds * 1000)
}

fn fresh(store: &mut dyn BlobStore, id: BlobId, size: usize) {
    let begun = store.begin(id, size as u64, Keep::Cached, NOW);
    assert_eq!(begun, Ok(partial(&[])), "a new partial");
}

fn partial(prefix: &[u8]) -> Begun {
    Begun::Partial(Progress {
        have: prefix.len() as u64,
        digest: BlobId::of(prefix).0,
    })
}

/// Runs every case. `make` gives an empty store with this budget; it is handed the one before, if any, to be closed.
///
/// # Panics
/// When the store breaks its contract.
pub fn suite<B: BlobStore>(mut make: impl FnMut(Option<B>, u64) -> B) {
    type Case = (fn(&mut dyn BlobStore), u64);
    let cases: [Case; 12] = [
        (keeps_what_it_is_given, PLENTY),
        (takes_parts, PLENTY),
        (refuses_other_bytes, PLENTY),
        (refuses_bytes_out_of_turn, PLENTY),
        (resumes, PLENTY),
        (knows_what_is_own, PLENTY),
        (forgets, PLENTY),
        (drops_the_least_recently_used, LITTLE),
        (own_blobs_stay, LITTLE),
        (a_smaller_budget_ends_what_is_under_way, LITTLE),
        (reserves_room, LITTLE),
        (interleaves, PLENTY),
    ];
    let mut store = None;
    for (case, budget) in cases {
        let mut next = make(store.take(), budget);
        case(&mut next);
        store = Some(next);
    }
}

fn keeps_what_it_is_given(store: &mut dyn BlobStore) {
    for (seed, size) in SIZES.into_iter().enumerate() {
        let content = bytes(size, seed as u64);
        let id = store.put(&content, Keep::Cached, NOW).expect("room");
        assert_eq!(id, BlobId::of(&content));
        assert_eq!(
            store.read(&id, 0, size + 1),
            Ok(Some(content.clone())),
            "{size} bytes"
        );
        assert_eq!(store.read_checked(&id, NOW), Ok(Some(content.clone())));
        assert_eq!(store.read(&id, size as u64 + 7, 10), Ok(Some(Vec::new())));
        let (from, to) = (size / 3, size - size / 5);
        let range = store.read(&id, from as u64, to - from);
        assert_eq!(
            range,
            Ok(Some(content[from..to].to_vec())),
            "a range of {size} bytes"
        );
        assert_eq!(store.put(&content, Keep::Cached, NOW), Ok(id), "twice is once");
    }
    assert_eq!(store.list().len(), SIZES.len());
    assert_eq!(store.usage().cached, SIZES.iter().sum::<usize>() as u64);
    assert_eq!(store.read(&BlobId([7; 32]), 0, 1), Ok(None));
    assert_eq!(store.read_checked(&BlobId([7; 32]), NOW), Ok(None));
    let large = store.begin(BlobId([7; 32]), MAX_BLOB + 1, Keep::Own, NOW);
    assert_eq!(large, Err(BlobError::TooLarge(MAX_BLOB + 1)));
}

fn takes_parts(store: &mut dyn BlobStore) {
    let content = bytes(70_001, 1);
    let id = BlobId::of(&content);
    fresh(store, id, content.len());
    for (number, part) in content.chunks(1_234).enumerate() {
        assert_eq!(store.read(&id, 0, 10), Ok(None), "a partial is not shown");
        store
            .append(&id, number as u64 * 1_234, part, NOW)
            .expect("in turn");
    }
    let info = store.info(&id).expect("it is here");
    assert_eq!((info.have, info.size, info.whole), (70_001, 70_001, false));
    assert_eq!(store.usage().partial, 70_001);
    assert_eq!(store.finish(&id, NOW), Ok(Finished::Verified));
    assert_eq!(store.read(&id, 0, 100_000), Ok(Some(content)));
    assert_eq!((store.usage().partial, store.usage().cached), (0, 70_001));
    assert_eq!(store.progress(&id), None, "whole");
}

fn refuses_other_bytes(store: &mut dyn BlobStore) {
    let content = bytes(20_000, 1);
    let id = BlobId::of(&content);
    let mut wrong = content.clone();
    wrong[19_999] ^= 1;
    fresh(store, id, wrong.len());
    store.append(&id, 0, &wrong, NOW).expect("in turn");
    assert_eq!(store.finish(&id, NOW), Ok(Finished::Wrong));
    assert_eq!((store.info(&id), store.usage().total()), (None, 0));
    assert_eq!(store.put(&content, Keep::Cached, NOW), Ok(id));
    assert_eq!(store.read(&id, 0, 20_000), Ok(Some(content)));
}

fn refuses_bytes_out_of_turn(store: &mut dyn BlobStore) {
    let content = bytes(5_000, 1);
    let id = BlobId::of(&content);
    let out_of_turn = |result: Result<(), BlobError>| matches!(result, Err(BlobError::OutOfTurn(_)));
    assert!(out_of_turn(store.append(&id, 0, &content, NOW)), "not begun");
    fresh(store, id, content.len());
    store.append(&id, 0, &content[..1_000], NOW).expect("in turn");
    assert!(out_of_turn(store.append(&id, 0, &content[..1_000], NOW)), "again");
    assert!(
        out_of_turn(store.append(&id, 1_001, &content[1_001..], NOW)),
        "a gap"
    );
    let mut long = content[1_000..].to_vec();
    long.push(0);
    assert!(out_of_turn(store.append(&id, 1_000, &long, NOW)), "too long");
    assert!(
        matches!(store.finish(&id, NOW), Err(BlobError::OutOfTurn(_))),
        "early"
    );
    store
        .append(&id, 1_000, &content[1_000..], NOW)
        .expect("unharmed");
    assert_eq!(store.finish(&id, NOW), Ok(Finished::Verified));
}

fn resumes(store: &mut dyn BlobStore) {
    let content = bytes(600_000, 1);
    let id = BlobId::of(&content);
    fresh(store, id, content.len());
    store.append(&id, 0, &content[..400_000], NOW).expect("in turn");
    let digest = store.progress(&id).map(|progress| progress.digest);
    assert_eq!(digest, Some(BlobId::of(&content[..400_000]).0));
    store.pause(&id).expect("paused");
    assert_eq!(store.progress(&id), None, "closed");
    assert!(
        store.append(&id, 400_000, &content[400_000..], NOW).is_err(),
        "closed"
    );
    let again = store.begin(id, 600_000, Keep::Cached, NOW);
    assert_eq!(again, Ok(partial(&content[..400_000])));
    store
        .append(&id, 400_000, &content[400_000..500_000], NOW)
        .expect("in turn");
    // Begun again while open: the same place.
    let again = store.begin(id, 600_000, Keep::Cached, NOW);
    assert_eq!(again, Ok(partial(&content[..500_000])));
    store
        .append(&id, 500_000, &content[500_000..], NOW)
        .expect("in turn");
    assert_eq!(store.finish(&id, NOW), Ok(Finished::Verified));
    assert_eq!(store.begin(id, 600_000, Keep::Cached, NOW), Ok(Begun::Whole));
    // Another size: whatever is here belongs to somebody's lie.
    let other = BlobId::of(&bytes(10, 2));
    fresh(store, other, 100);
    store.append(&other, 0, &[1; 50], NOW).expect("in turn");
    fresh(store, other, 10);
    store.append(&other, 0, &bytes(10, 2), NOW).expect("in turn");
    assert_eq!(store.finish(&other, NOW), Ok(Finished::Verified));
}

fn knows_what_is_own(store: &mut dyn BlobStore) {
    let keep = |store: &dyn BlobStore, id| store.info(id).map(|info| info.keep);
    let id = store.put(b"picture", Keep::Cached, NOW).expect("room");
    assert_eq!(keep(store, &id), Some(Keep::Cached));
    store.put(b"picture", Keep::Own, NOW).expect("room");
    assert_eq!(keep(store, &id), Some(Keep::Own));
    store.put(b"picture", Keep::Cached, NOW).expect("room");
    assert_eq!(
        keep(store, &id),
        Some(Keep::Own),
        "once own, own until told otherwise"
    );
    assert_eq!((store.usage().own, store.usage().cached), (7, 0));
    assert_eq!(store.set_keep(&id, Keep::Cached), Ok(true));
    assert_eq!((store.usage().own, store.usage().cached), (0, 7));
    assert_eq!(store.set_keep(&BlobId([7; 32]), Keep::Own), Ok(false));
}

fn forgets(store: &mut dyn BlobStore) {
    let id = store.put(&bytes(50_000, 1), Keep::Own, NOW).expect("room");
    assert_eq!(store.remove(&id), Ok(true));
    assert_eq!((store.remove(&id), store.info(&id)), (Ok(false), None));
    assert_eq!(store.read(&id, 0, 10), Ok(None));
    let open = BlobId([7; 32]);
    fresh(store, open, 40);
    store.append(&open, 0, &[1; 30], NOW).expect("in turn");
    assert_eq!(store.remove(&open), Ok(true));
    assert_eq!((store.list(), store.usage().total()), (Vec::new(), 0));
}

fn drops_the_least_recently_used(store: &mut dyn BlobStore) {
    let put = |store: &mut dyn BlobStore, seed, seconds| {
        store
            .put(&bytes(3_000, seed), Keep::Cached, at(seconds))
            .expect("room is made")
    };
    let [first, second, third] = [1, 2, 3].map(|seed| put(store, seed, seed));
    store.touch(&first, at(4));
    let fourth = put(store, 4, 5);
    assert_eq!(store.info(&second), None, "the one not used for longest");
    let left: Vec<_> = store.list().into_iter().map(|info| info.id).collect();
    assert_eq!(left, [third, first, fourth], "in the order of use");
    assert!(store.usage().total() <= store.usage().budget);
    store.set_budget(3_000).expect("dropped");
    assert_eq!(store.list().len(), 1);
    assert!(store.info(&fourth).is_some());
    assert_eq!(store.usage().budget, 3_000);
}

fn a_smaller_budget_ends_what_is_under_way(store: &mut dyn BlobStore) {
    let [cached, own] = [bytes(6_000, 1), bytes(3_000, 2)];
    let [id, kept] = [&cached, &own].map(|content| BlobId::of(content));
    fresh(store, id, 6_000);
    store.append(&id, 0, &cached[..5_000], at(1)).expect("room");
    store
        .begin(kept, 3_000, Keep::Own, at(2))
        .expect("own blobs always");
    store
        .append(&kept, 0, &own[..2_000], at(2))
        .expect("own blobs always");
    store.set_budget(4_000).expect("dropped");
    assert_eq!(store.usage().total(), 2_000, "the own transfer goes on");
    let gone = store.append(&id, 5_000, &cached[5_000..], at(3));
    assert!(matches!(gone, Err(BlobError::OutOfTurn(_))), "{gone:?}");
    store
        .append(&kept, 2_000, &own[2_000..], at(3))
        .expect("own blobs always");
}

fn own_blobs_stay(store: &mut dyn BlobStore) {
    let own = store.put(&bytes(6_000, 1), Keep::Own, at(1)).expect("room");
    let cached = store.put(&bytes(3_000, 2), Keep::Cached, at(2)).expect("room");
    let full = store
        .put(&bytes(4_001, 3), Keep::Cached, at(3))
        .expect_err("no room");
    assert!(full == BlobError::OverBudget && full.is_full());
    assert!(store.info(&cached).is_some(), "nothing was dropped in vain");
    let more = store
        .put(&bytes(8_000, 4), Keep::Own, at(4))
        .expect("own blobs always");
    assert_eq!(store.info(&cached), None);
    let full = store.put(&bytes(1, 5), Keep::Cached, at(5));
    assert_eq!(full, Err(BlobError::OverBudget));
    store.set_budget(0).expect("nothing to drop");
    assert!(store.info(&own).is_some() && store.info(&more).is_some());
}

fn reserves_room(store: &mut dyn BlobStore) {
    let cached = store.put(&bytes(5_000, 1), Keep::Cached, at(1)).expect("room");
    let [a, b] = [2, 3].map(|seed| bytes(5_000, seed));
    let [x, y] = [&a, &b].map(|content| BlobId::of(content));
    fresh(store, x, 5_000);
    fresh(store, y, 5_000);
    let third = store.begin(BlobId([7; 32]), 1, Keep::Cached, at(2));
    assert_eq!(third, Err(BlobError::OverBudget), "two under way take it all");
    for (id, content) in [(x, &a), (y, &b)] {
        store.append(&id, 0, &content[..4_000], at(3)).expect("reserved");
    }
    assert_eq!(store.info(&cached), None, "it gave way");
    store.pause(&y).expect("paused");
    // What is paused gives way too.
    store.put(&bytes(5_000, 4), Keep::Cached, at(4)).expect("room");
    assert_eq!(store.info(&y), None);
    store.append(&x, 4_000, &a[4_000..], at(5)).expect("reserved");
    assert_eq!(store.finish(&x, at(5)), Ok(Finished::Verified));
}

/// Many partials at once, some removed: every one ends with its own bytes.
fn interleaves(store: &mut dyn BlobStore) {
    let contents: Vec<_> = (0..12u64)
        .map(|seed| bytes(1 + usize::try_from(seed).unwrap_or(0) * 40_000, seed))
        .collect();
    for round in 0..3 {
        let mut offsets = vec![0; contents.len()];
        for content in &contents {
            fresh(store, BlobId::of(content), content.len());
        }
        while contents
            .iter()
            .zip(&offsets)
            .any(|(content, offset)| *offset < content.len())
        {
            for (number, content) in contents.iter().enumerate() {
                let offset = offsets[number];
                let end = (offset + 5_000 + 3_000 * (number % 4)).min(content.len());
                store
                    .append(&BlobId::of(content), offset as u64, &content[offset..end], NOW)
                    .expect("in turn");
                offsets[number] = end;
            }
        }
        for content in &contents {
            assert_eq!(store.finish(&BlobId::of(content), NOW), Ok(Finished::Verified));
        }
        for (number, content) in contents.iter().enumerate() {
            let id = BlobId::of(content);
            assert_eq!(
                store.read(&id, 0, content.len()).as_ref(),
                Ok(&Some(content.clone()))
            );
            if number % 2 == round % 2 {
                assert_eq!(store.remove(&id), Ok(true));
            }
        }
        for content in &contents {
            store.remove(&BlobId::of(content)).expect("removed");
        }
    }
}

/// Checks that a closed store is found again. `open` closes the store it is given and opens the same place again; at
/// the first call there is none, and the place is empty.
///
/// # Panics
/// With what was lost.
pub fn durable<B: BlobStore>(mut open: impl FnMut(Option<B>) -> B) {
    let mut store = open(None);
    assert_eq!(store.list(), Vec::new(), "an empty store");
    let mut kept = Vec::new();
    for (seed, size) in SIZES.into_iter().enumerate() {
        let content = bytes(size, seed as u64);
        let keep = if seed % 2 == 0 { Keep::Own } else { Keep::Cached };
        let id = store.put(&content, keep, at(seed as u64)).expect("room");
        kept.push((id, content, keep));
    }
    store.touch(&kept[1].0, at(50));
    assert_eq!(store.set_keep(&kept[3].0, Keep::Own), Ok(true));
    kept[3].2 = Keep::Own;
    let gone = store.put(&bytes(77_777, 70), Keep::Cached, at(7)).expect("room");
    store.remove(&gone).expect("removed");
    let content = bytes(3_000_000, 71);
    let (id, paused) = (BlobId::of(&content), 2_000_000);
    fresh(&mut store, id, content.len());
    store.append(&id, 0, &content[..paused], at(8)).expect("in turn");
    store.pause(&id).expect("paused");
    // One that is open when the process ends: what is found of it may be less.
    let cut = bytes(2_500_000, 72);
    let cut_id = BlobId::of(&cut);
    fresh(&mut store, cut_id, cut.len());
    for (number, part) in cut.chunks(16_000).enumerate().take(150) {
        store
            .append(&cut_id, number as u64 * 16_000, part, at(9))
            .expect("in turn");
    }

    let mut store = open(Some(store));
    assert_eq!(store.info(&gone), None);
    for (id, content, keep) in &kept {
        let info = store.info(id).expect("it is here");
        assert_eq!(
            (info.keep, info.whole, info.size),
            (*keep, true, content.len() as u64)
        );
        assert_eq!(
            store.read_checked(id, info.used).as_ref(),
            Ok(&Some(content.clone()))
        );
    }
    assert_eq!(store.info(&kept[1].0).map(|info| info.used), Some(at(50)));
    let usage = store.usage();
    let own: usize = kept
        .iter()
        .filter(|kept| kept.2 == Keep::Own)
        .map(|kept| kept.1.len())
        .sum();
    assert_eq!(usage.own, own as u64);
    assert_eq!(
        store.begin(id, 3_000_000, Keep::Cached, at(60)),
        Ok(partial(&content[..paused]))
    );
    store
        .append(&id, paused as u64, &content[paused..], at(60))
        .expect("in turn");
    assert_eq!(store.finish(&id, at(60)), Ok(Finished::Verified));
    let Ok(Begun::Partial(progress)) = store.begin(cut_id, 2_500_000, Keep::Cached, at(61)) else {
        panic!("the open partial is lost");
    };
    assert!(
        progress.have >= 1_000_000,
        "{} bytes of it are left",
        progress.have
    );
    let have = usize::try_from(progress.have).expect("a size");
    assert_eq!(progress.digest, BlobId::of(&cut[..have]).0);
    store
        .append(&cut_id, progress.have, &cut[have..], at(61))
        .expect("in turn");
    assert_eq!(store.finish(&cut_id, at(61)), Ok(Finished::Verified));

    let store = open(Some(store));
    for content in [&content, &cut] {
        let found = store.read(&BlobId::of(content), 0, content.len());
        assert_eq!(found.as_ref(), Ok(&Some(content.clone())));
    }
    assert_eq!(store.list().len(), kept.len() + 2);
}
