//! A new post crosses a partial mesh live, hop by hop, without waiting for a reconciliation.

use std::time::Duration;

use sazanami_core::mesh::MAX_LINKS;
use sazanami_core::sim::{Conditions, Sim};

const PEERS: usize = 40;

#[test]
fn everybody_has_it_within_two_seconds_over_a_partial_mesh() {
    let mut sim = Sim::new(5, Conditions::default());
    let peers: Vec<_> = (0..PEERS).map(|n| sim.add(&format!("peer {n}"))).collect();
    sim.run_for(Duration::from_secs(60));
    let most = peers
        .iter()
        .map(|&peer| sim.network(peer).peers.len())
        .max()
        .unwrap_or(0);
    assert!(most <= MAX_LINKS && MAX_LINKS < PEERS - 1, "{most} links");
    sim.post(0, "さざなみ");
    assert!(
        sim.run_until_holds(Duration::from_secs(2), |sim| peers
            .iter()
            .all(|&peer| sim.notes(peer).len() == 1)),
        "reached {} of {PEERS}",
        peers.iter().filter(|&&peer| sim.notes(peer).len() == 1).count()
    );
}

#[test]
fn a_newcomer_is_connected_within_seconds_even_when_everybody_is_full() {
    let mut sim = Sim::new(6, Conditions::default());
    for n in 0..=MAX_LINKS {
        sim.add(&format!("peer {n}"));
    }
    sim.run_for(Duration::from_secs(60));
    sim.post(0, "old");
    sim.run_for(Duration::from_secs(5));
    let newcomer = sim.add("newcomer");
    assert!(sim.run_until_holds(Duration::from_secs(10), |sim| sim.notes(newcomer) == ["old"]));
}
