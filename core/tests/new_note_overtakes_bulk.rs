//! On a link that is busy with 50 MB of history or of files for a while, a new note passes what waits.

use std::time::Duration;

use nostr::prelude::{Event, EventBuilder, FinalizeEvent, Keys, Kind, Timestamp};
use sazanami_core::media::{BlobId, conformance};
use sazanami_core::node::api::{Blob, Command, Reply};
use sazanami_core::sim::{Conditions, PeerId, START, Sim};
use sazanami_core::transport::{MAX_FRAME, SEND_BUFFER};

const LIMIT: Duration = Duration::from_secs(600);
/// Notes during the transfer.
const NOTES: usize = 20;
/// Frames that may come before a new note: those on their way when it was written, the rest of what was packed before
/// it, and its own.
const FRAMES: u64 = (SEND_BUFFER / 2 / MAX_FRAME) as u64 + 6;

/// Two peers on lines of 1 MB a second, one with much and one with nothing.
fn pair(seed: u64, history: &[Event]) -> (Sim, PeerId, PeerId) {
    println!("seed {seed}");
    let conditions = Conditions {
        latency: (Duration::from_millis(10), Duration::from_millis(10)),
        bandwidth: Some((1_000_000, 1_000_000)),
        ..Conditions::default()
    };
    let mut sim = Sim::new(seed, conditions);
    let full = sim.add("full");
    sim.stop(full);
    sim.stock(full, history);
    sim.start(full);
    let new = sim.add("new");
    (sim, full, new)
}

/// Bytes that one peer has sent to the other, and that have come from there.
fn bytes(sim: &mut Sim, peer: PeerId) -> (u64, u64) {
    let peers = sim.network(peer).peers;
    let [link] = peers.as_slice() else {
        panic!("peer {peer} has {} links", peers.len());
    };
    (link.sent, link.received)
}

/// Lets one peer write notes while the other is busy fetching, and counts what comes before each.
fn overtakes(sim: &mut Sim, full: PeerId, new: PeerId) {
    for number in 0..NOTES {
        sim.run_for(Duration::from_millis(500));
        let (sent, _) = bytes(sim, full);
        let (_, before) = bytes(sim, new);
        // Whatever the other side's pace is, no more than a window is on its way.
        assert!(
            sent - before <= SEND_BUFFER as u64,
            "{} bytes under way",
            sent - before
        );
        let note = sim.post(full, &format!("new {number}"));
        let mut busy = 0;
        while !sim.has(new, &note) {
            sim.run_for(Duration::from_millis(1));
            let (_, now) = bytes(sim, new);
            busy = now - before;
            assert!(
                busy <= FRAMES * MAX_FRAME as u64,
                "note {number} waits behind {busy} bytes"
            );
        }
        assert!(
            busy > 2 * MAX_FRAME as u64,
            "the link idles: {busy} bytes came beside note {number}"
        );
    }
}

#[test]
fn history() {
    let author = Keys::generate();
    // Digits of hashes: compressed to about half.
    let history: Vec<Event> = (0..2_000)
        .map(|number| {
            let text = hex::encode(conformance::bytes(25_000, number));
            EventBuilder::new(Kind::TextNote, text)
                .custom_created_at(Timestamp::from(START.0 / 1_000 - 5_000 + number))
                .finalize(&author)
                .expect("keys can sign")
        })
        .collect();
    let (mut sim, full, new) = pair(31, &history);
    let started = sim.run_until_holds(LIMIT, |sim| sim.notes(new).len() > 10);
    assert!(started, "history comes");
    overtakes(&mut sim, full, new);
    let all = |sim: &mut Sim| sim.notes(new).len() == history.len() + NOTES;
    assert!(!all(&mut sim), "it is still coming");
    assert!(sim.run_until_holds(LIMIT, all), "and all of it comes");
}

#[test]
fn files() {
    let (mut sim, full, new) = pair(32, &[]);
    let files: Vec<Vec<u8>> = (0..5)
        .map(|number| conformance::bytes(10_000_000, number))
        .collect();
    let ids: Vec<BlobId> = files
        .iter()
        .map(|bytes| {
            let bytes = bytes.clone();
            match sim.request(full, Command::KeepBlob { bytes }) {
                Ok(Reply::BlobKept(id)) => id,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let here = |sim: &mut Sim| {
        let ask = |id: &BlobId| sim.request(new, Command::Blob { id: *id, size: None });
        let answers: Vec<_> = ids.iter().map(ask).collect();
        let is_here = |answer: &&Result<Reply, _>| matches!(answer, Ok(Reply::Blob(Blob::Here(_))));
        answers.iter().filter(is_here).count()
    };
    assert!(
        sim.run_until_holds(LIMIT, |sim| sim.network(new).peers.len() == 1 && {
            here(sim);
            bytes(sim, new).1 > 1_000_000
        }),
        "the files come"
    );
    overtakes(&mut sim, full, new);
    assert!(here(&mut sim) < files.len(), "they are still coming");
    assert!(
        sim.run_until_holds(LIMIT, |sim| here(sim) == files.len()),
        "and all of them come"
    );
}
