//! Links that break, peers that vanish, networks that change, devices that sleep: what happens and how soon.

use std::time::Duration;

use sazanami_core::node::Input;
use sazanami_core::node::api::{Network, PeerState, SignalState};
use sazanami_core::sim::{Conditions, PeerId, Sim};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn live(network: &Network) -> usize {
    let live = |state| matches!(state, PeerState::Live | PeerState::Syncing);
    network.peers.iter().filter(|peer| live(peer.state)).count()
}

/// Two peers with a link between them that has held for a while.
fn linked(seed: u64) -> (Sim, PeerId, PeerId) {
    println!("seed {seed}");
    let mut sim = Sim::new(seed, Conditions::default());
    let (a, b) = (sim.add("a"), sim.add("b"));
    assert!(
        sim.run_until_holds(secs(30), |sim| live(&sim.network(a)) == 1
            && live(&sim.network(b)) == 1),
        "they meet"
    );
    sim.run_for(secs(35));
    (sim, a, b)
}

/// Bytes that a peer has sent over its link.
fn sent(sim: &mut Sim, peer: PeerId) -> u64 {
    let network = sim.network(peer);
    network.peers.first().map_or(0, |peer| peer.sent)
}

#[test]
fn a_peer_that_vanishes_is_noticed_within_ten_seconds() {
    for seed in 1..20 {
        let (mut sim, a, b) = linked(seed);
        // At any moment between two pings.
        sim.run_for(Duration::from_millis(seed * 173));
        sim.stop(b);
        sim.run_for(secs(10));
        assert_eq!(sim.network(a).peers, [], "seed {seed}");
    }
}

#[test]
fn idle_links_last() {
    let (mut sim, a, b) = linked(1);
    let (before, made) = (sent(&mut sim, a), sim.connects());
    sim.run_for(secs(3_600));
    let after = sent(&mut sim, a);
    assert_eq!(sim.connects(), made, "the same link");
    assert_eq!((live(&sim.network(a)), live(&sim.network(b))), (1, 1));
    assert!(
        after - before < 3_600 * 40,
        "{} bytes in an idle hour",
        after - before
    );
}

#[test]
fn a_broken_path_is_mended_and_nothing_is_lost() {
    // Whether or not the transports notice; whichever side gives way.
    for (seed, told) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
        let (mut sim, a, b) = linked(seed);
        let made = sim.connects();
        sim.break_path(a, b, told);
        let note = sim.post(a, "into the hole");
        assert!(
            sim.run_until_holds(secs(12), |sim| sim.has(b, &note)),
            "seed {seed}: mended"
        );
        assert_eq!(sim.connects(), made, "seed {seed}: by the same link");
    }
}

#[test]
fn a_path_that_does_not_come_back_is_given_up_and_made_anew() {
    let (mut sim, a, b) = linked(7);
    sim.divide(|peer| peer, None);
    sim.run_for(secs(25));
    assert_eq!((live(&sim.network(a)), live(&sim.network(b))), (0, 0));
    sim.heal();
    assert!(
        sim.run_until_holds(secs(180), |sim| live(&sim.network(a)) == 1
            && live(&sim.network(b)) == 1),
        "they find each other again"
    );
}

#[test]
fn a_change_of_network_is_mended_at_once() {
    for seed in 1..6 {
        let (mut sim, a, b) = linked(seed);
        let made = sim.connects();
        sim.break_path(a, b, false);
        sim.input(a, Input::NetworkChanged);
        let note = sim.post(b, "to where you are now");
        assert!(
            sim.run_until_holds(secs(3), |sim| sim.has(a, &note)),
            "seed {seed}: before anybody would have noticed"
        );
        assert_eq!(sim.connects(), made, "seed {seed}: by the same link");
    }
}

#[test]
fn without_a_network_nothing_is_tried_and_with_one_at_once() {
    let (mut sim, a, b) = linked(3);
    sim.divide(|peer| usize::from(peer == a), Some(&[0]));
    sim.input(a, Input::Offline);
    sim.run_for(secs(20));
    let mut connecting = 0;
    for _ in 0..300 {
        sim.run_for(secs(1));
        let network = sim.network(a);
        connecting += usize::from(network.signal != SignalState::Offline);
        assert_eq!(network.peers, []);
    }
    assert!(
        connecting <= 6,
        "the server is tried {connecting} times in 5 minutes"
    );
    sim.heal();
    sim.input(a, Input::Online);
    assert!(
        sim.run_until_holds(secs(5), |sim| live(&sim.network(a)) == 1
            && live(&sim.network(b)) == 1),
        "all is well within seconds"
    );
}

#[test]
fn a_device_that_wakes_looks_around_at_once() {
    for seed in 1..4 {
        let (mut sim, a, b) = linked(seed);
        sim.sleep(a);
        sim.run_for(secs(3_600));
        assert_eq!(live(&sim.network(b)), 0, "seed {seed}: the other side gave it up");
        sim.wake(a);
        assert!(
            sim.run_until_holds(secs(12), |sim| live(&sim.network(a)) == 1
                && live(&sim.network(b)) == 1),
            "seed {seed}: connected again"
        );
    }
}

#[test]
fn a_nap_costs_no_link() {
    let (mut sim, a, b) = linked(1);
    let made = sim.connects();
    // Shorter than what the other side bears, longer than what a peer may be silent.
    sim.sleep(a);
    sim.run_for(secs(6));
    sim.wake(a);
    sim.run_for(secs(30));
    assert_eq!((live(&sim.network(a)), live(&sim.network(b))), (1, 1));
    assert_eq!(sim.connects(), made, "the same link");
}

#[test]
fn a_tab_with_throttled_timers_keeps_its_links() {
    let (mut sim, a, b) = linked(5);
    let made = sim.connects();
    sim.throttle(a, secs(60));
    sim.run_for(secs(1_800));
    // And where both are in the background.
    sim.throttle(b, secs(60));
    sim.run_for(secs(1_800));
    let note = sim.post(a, "still here");
    assert!(sim.run_until_holds(secs(5), |sim| sim.has(b, &note)));
    assert_eq!(sim.connects(), made, "by the same link");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let (mut sim, a, b) = linked(2);
    sim.set_clock(a, -7_200_000);
    sim.run_for(secs(5));
    sim.stop(b);
    sim.run_for(secs(11));
    assert_eq!(sim.network(a).peers, [], "silence is noticed all the same");
    sim.start(b);
    assert!(
        sim.run_until_holds(secs(60), |sim| live(&sim.network(a)) == 1),
        "and others are found"
    );
}
