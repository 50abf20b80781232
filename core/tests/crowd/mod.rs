//! What the scenarios have in common.
#![allow(dead_code, reason = "each scenario uses some of it")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use sazanami_core::EventId;
use sazanami_core::sim::{Conditions, PeerId, PeerOptions, Sim};

/// Runs a scenario, and names its seed when it fails.
pub(crate) fn seeded(seed: u64, scenario: impl FnOnce(u64)) {
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
        eprintln!("failed with seed {seed}");
        resume_unwind(failure);
    }
}

/// Peers that came in over a few seconds and have made their links.
pub(crate) fn crowd(
    seed: u64,
    count: usize,
    conditions: Conditions,
    mut options: impl FnMut(PeerId) -> PeerOptions,
) -> (Sim, Vec<PeerId>) {
    let mut sim = Sim::new(seed, conditions);
    for peer in 0..count {
        sim.add_with(&format!("peer {peer}"), options(peer));
        if peer % 25 == 24 {
            sim.run_for(Duration::from_secs(1));
        }
    }
    sim.run_for(Duration::from_secs(25));
    (sim, (0..count).collect())
}

/// Fails unless each of these peers has each of these notes.
pub(crate) fn all_have(sim: &Sim, peers: &[PeerId], notes: &[EventId]) {
    let missing: Vec<(PeerId, usize)> = peers
        .iter()
        .map(|&peer| (peer, notes.iter().filter(|note| !sim.has(peer, note)).count()))
        .filter(|(_, missing)| *missing > 0)
        .collect();
    assert!(
        missing.is_empty(),
        "of {} notes these peers miss some: {missing:?}",
        notes.len()
    );
}
