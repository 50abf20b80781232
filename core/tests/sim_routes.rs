//! Trust decides the route, in whole networks: strangers by a relay, friends directly, whatever the other side chose.

use std::time::Duration;

use sazanami_core::node::api::{Command, Peer, PeerState};
use sazanami_core::sim::{Conditions, PeerId, PeerOptions, Sim};
use sazanami_core::social::Ring;
use sazanami_core::transport::{PathKind, Route};

const LIMIT: Duration = Duration::from_secs(120);

fn cautious() -> PeerOptions {
    PeerOptions {
        by_ring: true,
        ..PeerOptions::default()
    }
}

/// The link from one peer to another, once posts travel on it.
fn link(sim: &mut Sim, from: PeerId, to: PeerId) -> Option<Peer> {
    let person = sim.key(to);
    let peers = sim.network(from).peers.into_iter();
    let is_it = |peer: &Peer| peer.person == Some(person) && peer.state == PeerState::Live;
    peers.into_iter().find(is_it)
}

fn path(sim: &mut Sim, from: PeerId, to: PeerId) -> Option<PathKind> {
    link(sim, from, to)?.path
}

fn choose(sim: &mut Sim, peer: PeerId, ring: Ring, route: Route) {
    sim.request(peer, Command::SetRoute { ring, route })
        .expect("it can be chosen");
}

#[test]
fn strangers_by_a_relay_and_friends_directly() {
    println!("seed 1");
    let mut sim = Sim::new(1, Conditions::default());
    let (a, b) = (sim.add_with("a", cautious()), sim.add_with("b", cautious()));
    assert!(sim.run_until_holds(LIMIT, |sim| path(sim, a, b) == Some(PathKind::Relayed)));
    sim.follow(a, b);
    sim.follow(b, a);
    let direct = |sim: &mut Sim| {
        path(sim, a, b) == Some(PathKind::Direct) && path(sim, b, a) == Some(PathKind::Direct)
    };
    assert!(
        sim.run_until_holds(LIMIT, direct),
        "at once, when they have become friends"
    );
    sim.stop(a);
    sim.run_for(Duration::from_secs(20));
    sim.start(a);
    assert!(sim.run_until_holds(LIMIT, direct), "and whenever they meet");
    let note = sim.post(a, "between friends");
    assert!(sim.run_until_holds(LIMIT, |sim| sim.has(b, &note)));
}

#[test]
fn one_side_that_asks_for_a_relay_is_enough() {
    println!("seed 2");
    let mut sim = Sim::new(2, Conditions::default());
    // Directly with everybody, as it was started.
    let open = sim.add("open");
    let careful = sim.add_with("careful", cautious());
    assert!(sim.run_until_holds(LIMIT, |sim| link(sim, open, careful).is_some()));
    for (from, to) in [(open, careful), (careful, open)] {
        assert_eq!(path(&mut sim, from, to), Some(PathKind::Relayed));
    }
    // The choice takes effect at once.
    choose(&mut sim, careful, Ring::Stranger, Route::Any);
    assert!(sim.run_until_holds(LIMIT, |sim| path(sim, open, careful) == Some(PathKind::Direct)));
    choose(&mut sim, careful, Ring::Stranger, Route::RelayOnly);
    assert!(sim.run_until_holds(LIMIT, |sim| path(sim, careful, open) == Some(PathKind::Relayed)));
}

#[test]
fn without_a_relay_strangers_stay_apart_until_they_choose() {
    println!("seed 3");
    let conditions = Conditions {
        relay: false,
        ..Conditions::default()
    };
    let mut sim = Sim::new(3, conditions);
    let (a, b) = (sim.add_with("a", cautious()), sim.add_with("b", cautious()));
    sim.run_for(LIMIT);
    for peer in [a, b] {
        let network = sim.network(peer);
        assert!(network.misses_relay && network.peers.is_empty(), "{network:?}");
        choose(&mut sim, peer, Ring::Stranger, Route::Any);
        assert!(!sim.network(peer).misses_relay);
    }
    assert!(sim.run_until_holds(LIMIT, |sim| path(sim, a, b) == Some(PathKind::Direct)));
}
