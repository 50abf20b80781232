//! A picture is fetched from its author, and after the author has gone from whoever has seen it.

use std::time::Duration;

use sazanami_core::media::{BlobId, conformance};
use sazanami_core::node::api::{Blob, Command, Reply};
use sazanami_core::sim::{Conditions, PeerId, Sim};

const LIMIT: Duration = Duration::from_secs(600);

/// Asks as a screen does that shows the picture.
fn see(sim: &mut Sim, peer: PeerId, id: BlobId) -> Option<Vec<u8>> {
    match sim.request(peer, Command::Blob { id, size: None }) {
        Ok(Reply::Blob(Blob::Here(bytes))) => Some(bytes),
        Ok(Reply::Blob(Blob::Coming { .. })) => None,
        other => panic!("peer {peer}: {other:?}"),
    }
}

fn keep(sim: &mut Sim, peer: PeerId, bytes: &[u8]) -> BlobId {
    let bytes = bytes.to_vec();
    match sim.request(peer, Command::KeepBlob { bytes }) {
        Ok(Reply::BlobKept(id)) => id,
        other => panic!("peer {peer}: {other:?}"),
    }
}

#[test]
fn a_picture_outlives_its_authors_presence() {
    let seed = 3;
    println!("seed {seed}");
    let mut sim = Sim::new(seed, Conditions::default());
    let picture = conformance::bytes(1_500_000, seed);
    let author = sim.add("author");
    let id = keep(&mut sim, author, &picture);
    let friend = sim.add("friend");
    assert_eq!(see(&mut sim, friend, id), None, "it is elsewhere");
    assert!(
        sim.run_until_holds(LIMIT, |sim| see(sim, friend, id).as_ref() == Some(&picture)),
        "the author gives it"
    );
    sim.stop(author);
    let stranger = sim.add("stranger");
    assert!(
        sim.run_until_holds(LIMIT, |sim| see(sim, stranger, id).as_ref() == Some(&picture)),
        "the friend passes it on"
    );
}

#[test]
fn links_that_break_delay_it_only() {
    let seed = 4;
    println!("seed {seed}");
    let conditions = Conditions {
        breaks: 0.002,
        loss: 0.01,
        ..Conditions::default()
    };
    let mut sim = Sim::new(seed, conditions);
    let peers: Vec<_> = (0..4).map(|n| sim.add(&format!("peer {n}"))).collect();
    let pictures: Vec<_> = (0..6).map(|n| conformance::bytes(300_000, n)).collect();
    let ids: Vec<_> = pictures
        .iter()
        .enumerate()
        .map(|(n, picture)| keep(&mut sim, peers[n % 2], picture))
        .collect();
    let post = sim.post(peers[0], "and a note beside them");
    let all = |sim: &mut Sim| {
        peers.iter().all(|peer| {
            let seen = ids.iter().map(|id| see(sim, *peer, *id)).collect::<Vec<_>>();
            seen.iter()
                .zip(&pictures)
                .all(|(seen, picture)| seen.as_ref() == Some(picture))
        })
    };
    assert!(sim.run_until_holds(6 * LIMIT, all), "every picture everywhere");
    for peer in peers {
        let note = sim.request(peer, Command::Note(post));
        assert!(matches!(note, Ok(Reply::Note(Some(_)))), "and the note");
    }
}
