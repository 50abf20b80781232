//! Who is linked to whom: few links, friends first, one network, newcomers at once, fewer links where they cost more.

mod crowd;

use std::collections::BTreeSet;
use std::time::Duration;

use crowd::{PEERS, all_have, seeded};
use sazanami_core::mesh::{LinkBudget, MAX_LINKS, MIN_LINKS};
use sazanami_core::node::Input;
use sazanami_core::node::api::PeerState;
use sazanami_core::sim::scenarios::crowd;
use sazanami_core::sim::{Conditions, PeerId, PeerOptions, Sim};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The people at the other ends of a peer's links on which something can be sent.
fn linked(sim: &mut Sim, peer: PeerId) -> BTreeSet<sazanami_core::PublicKey> {
    let peers = sim.network(peer).peers.into_iter();
    peers
        .filter(|peer| matches!(peer.state, PeerState::Live | PeerState::Syncing))
        .filter_map(|peer| peer.person)
        .collect()
}

#[test]
fn friends_find_each_other_among_many() {
    seeded(41, |seed| {
        let (mut sim, peers) = crowd(seed, PEERS, Conditions::default(), |_| PeerOptions::default());
        for (a, b) in [(1, 101), (101, 1), (2, 102), (102, 2), (3, 103)] {
            sim.follow(a, b);
        }
        let both = |sim: &mut Sim, a: PeerId, b: PeerId| {
            let (one, two) = (sim.key(a), sim.key(b));
            linked(sim, a).contains(&two) && linked(sim, b).contains(&one)
        };
        assert!(
            sim.run_until_holds(secs(60), |sim| both(sim, 1, 101) && both(sim, 2, 102)),
            "friends are linked"
        );
        // Also after a friend comes back under another session.
        sim.stop(101);
        sim.run_for(secs(60));
        sim.start(101);
        assert!(
            sim.run_until_holds(secs(10), |sim| both(sim, 1, 101)),
            "and again within seconds"
        );
        let most = peers.iter().map(|&peer| sim.network(peer).peers.len()).max();
        assert!(most.is_some_and(|most| most <= MAX_LINKS), "{most:?}");
    });
}

#[test]
fn circles_of_friends_stay_one_network() {
    seeded(42, |seed| {
        const CIRCLE: usize = 10;
        let (mut sim, peers) = crowd(seed, 4 * CIRCLE, Conditions::default(), |_| {
            PeerOptions::default()
        });
        for &a in &peers {
            for b in peers
                .iter()
                .copied()
                .filter(|&b| b != a && b / CIRCLE == a / CIRCLE)
            {
                sim.follow(a, b);
            }
        }
        sim.run_for(secs(60));
        let mut near = 0;
        for &peer in &peers {
            let links = linked(&mut sim, peer);
            assert!(links.len() <= MAX_LINKS);
            let circle = (0..CIRCLE).map(|place| sim.key(peer / CIRCLE * CIRCLE + place));
            near += circle.filter(|person| links.contains(person)).count();
        }
        let near = near as f64 / peers.len() as f64;
        println!(
            "{near:.1} friends linked on average, at most {} topics",
            sim.most_topics()
        );
        assert!(near > 5.0, "friends come first: {near:.1}");
        let note = sim.post(0, "さざなみ");
        sim.run_for(secs(5));
        all_have(&sim, &peers, &[note]);
    });
}

#[test]
fn newcomers_are_well_connected_within_seconds_where_all_are_full() {
    seeded(43, |seed| {
        let (mut sim, _) = crowd(seed, PEERS / 2, Conditions::default(), |_| PeerOptions::default());
        for place in 0..5 {
            let newcomer = sim.add(&format!("newcomer {place}"));
            assert!(
                sim.run_until_holds(secs(10), |sim| linked(sim, newcomer).len() >= MIN_LINKS),
                "newcomer {place} has {} links",
                linked(&mut sim, newcomer).len()
            );
        }
    });
}

#[test]
fn lost_links_are_replaced() {
    seeded(44, |seed| {
        let (mut sim, peers) = crowd(seed, 60, Conditions::default(), |_| PeerOptions::default());
        peers[..30].iter().for_each(|&peer| sim.stop(peer));
        sim.run_for(secs(60));
        for &peer in &peers[30..] {
            let links = linked(&mut sim, peer).len();
            assert!(links >= MIN_LINKS, "peer {peer} has {links} links");
        }
        let note = sim.post(40, "still here");
        sim.run_for(secs(5));
        all_have(&sim, &peers[30..], &[note]);
    });
}

#[test]
fn a_background_tab_gives_links_back_and_hears_everything() {
    seeded(45, |seed| {
        let (mut sim, peers) = crowd(seed, 60, Conditions::default(), |_| PeerOptions::default());
        let tabs = &peers[..20];
        tabs.iter()
            .for_each(|&tab| sim.input(tab, Input::Budget(LinkBudget::Background)));
        for round in 0..3 {
            sim.run_for(secs(20));
            for &tab in tabs {
                let links = sim.network(tab).peers.len();
                assert!(
                    links <= LinkBudget::Background.most(),
                    "tab {tab} has {links} links"
                );
            }
            let note = sim.post(tabs[round], "from the background");
            sim.run_for(secs(5));
            all_have(&sim, &peers, &[note]);
        }
        sim.input(0, Input::Budget(LinkBudget::Full));
        assert!(sim.run_until_holds(secs(30), |sim| linked(sim, 0).len()
            > LinkBudget::Background.most()));
    });
}
