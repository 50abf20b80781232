//! The reason to exist: a post reaches somebody who was never online together with its author.

use std::time::Duration;

use sazanami_core::sim::{Conditions, Sim};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn it_comes_from_whoever_is_online() {
    let mut sim = Sim::new(11, Conditions::default());
    let (author, friend, reader) = (sim.add("author"), sim.add("friend"), sim.add("reader"));
    sim.stop(reader);
    sim.post(author, "誰かいる？");
    assert!(
        sim.run_until_holds(LIMIT, |sim| sim.notes(friend).len() == 1),
        "the friend has it"
    );
    sim.stop(author);
    sim.run_for(Duration::from_secs(60));
    sim.start(reader);
    assert!(
        sim.run_until_holds(LIMIT, |sim| sim.notes(reader) == ["誰かいる？"]),
        "the reader has it"
    );
}

#[test]
fn both_come_back_to_what_they_missed() {
    let mut sim = Sim::new(12, Conditions::default());
    let (a, b, always_on) = (sim.add("a"), sim.add("b"), sim.add("always on"));
    sim.run_for(Duration::from_secs(10));
    for round in 0..5 {
        let (here, away) = if round % 2 == 0 { (a, b) } else { (b, a) };
        sim.stop(away);
        sim.post(here, &format!("round {round}"));
        assert!(
            sim.run_until_holds(LIMIT, |sim| sim.notes(always_on).len() == round + 1),
            "round {round}"
        );
        sim.stop(here);
        sim.start(away);
        assert!(
            sim.run_until_holds(LIMIT, |sim| sim.notes(away).len() == round + 1),
            "round {round}"
        );
        sim.start(here);
    }
}
