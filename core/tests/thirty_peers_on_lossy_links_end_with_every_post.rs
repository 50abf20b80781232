//! Thirty peers come and go over links that lose and break; at the end every one has every post.

use std::time::Duration;

use sazanami_core::sim::{Conditions, Sim};

const PEERS: usize = 30;

fn run(seed: u64) -> (Sim, Vec<String>) {
    let conditions = Conditions {
        loss: 0.05,
        breaks: 0.002,
        lost_introductions: 0.1,
        ..Conditions::default()
    };
    let mut sim = Sim::new(seed, conditions);
    let mut written = Vec::new();
    let peers: Vec<_> = (0..PEERS).map(|n| sim.add(&format!("peer {n}"))).collect();
    for round in 0..5 {
        for &peer in &peers {
            let asleep = (peer + round) % 7 == 0;
            if asleep {
                sim.stop(peer);
                continue;
            }
            let text = format!("{round} {peer} さざなみ");
            sim.post(peer, &text);
            written.push(text);
            sim.run_for(Duration::from_millis(300));
        }
        sim.run_for(Duration::from_secs(20));
        for &peer in peers.iter().filter(|&&peer| (peer + round) % 7 == 0) {
            sim.start(peer);
        }
    }
    written.sort();
    (sim, written)
}

#[test]
fn every_peer_ends_with_every_post() {
    for seed in [1, 2, 3] {
        let (mut sim, written) = run(seed);
        let complete = sim.run_until_holds(Duration::from_secs(600), |sim| {
            (0..PEERS).all(|peer| sim.notes(peer) == written)
        });
        let missing: Vec<_> = (0..PEERS)
            .map(|peer| written.len() - sim.notes(peer).len())
            .collect();
        assert!(
            complete,
            "seed {seed}: missing by peer: {missing:?} of {}",
            written.len()
        );
        for peer in 0..PEERS {
            let links = sim.network(peer).peers.len();
            assert!(
                links <= sazanami_core::mesh::MAX_LINKS,
                "seed {seed}: peer {peer} has {links} links"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (mut a, _) = run(7);
    let (mut b, _) = run(7);
    for peer in 0..PEERS {
        assert_eq!(a.notes(peer), b.notes(peer));
        let network = |sim: &mut Sim| {
            let mut network = sim.network(peer);
            // Signatures differ from run to run, and with them how well a batch is compressed.
            for peer in &mut network.peers {
                (peer.sent, peer.received) = (0, 0);
            }
            network
        };
        assert_eq!(network(&mut a), network(&mut b));
    }
}
