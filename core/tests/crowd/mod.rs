//! What the scenarios have in common.
#![allow(dead_code, reason = "each scenario uses some of it")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sazanami_core::EventId;
use sazanami_core::sim::{PeerId, Row, Sim, headings};

pub(crate) const PEERS: usize = 200;

/// Runs a scenario, and names its seed when it fails.
pub(crate) fn seeded(seed: u64, scenario: impl FnOnce(u64)) {
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
        eprintln!("failed with seed {seed}");
        resume_unwind(failure);
    }
}

/// Tells a story with [`PEERS`], and fails unless everything arrived in it.
pub(crate) fn complete(seed: u64, scenario: fn(&str, u64, usize) -> Row, and: impl FnOnce(&Row)) {
    complete_with(PEERS, seed, scenario, and);
}

/// The same with so many peers.
pub(crate) fn complete_with(
    peers: usize,
    seed: u64,
    scenario: fn(&str, u64, usize) -> Row,
    and: impl FnOnce(&Row),
) {
    seeded(seed, |seed| {
        let row = scenario("", seed, peers);
        println!("{}\n{row}", headings());
        assert!(row.is_complete(), "not everything arrived: {row:?}");
        and(&row);
    });
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
