//! Peers that use several signal servers stay together when any of them dies.

mod crowd;

use std::time::Duration;

use crowd::seeded;
use sazanami_core::sim::{Conditions, PeerOptions, Sim};

const LIMIT: Duration = Duration::from_secs(60);

fn using(servers: &'static [usize]) -> PeerOptions {
    PeerOptions {
        servers,
        ..PeerOptions::default()
    }
}

#[test]
fn who_shares_any_server_meets_and_its_death_parts_nobody() {
    seeded(41, |seed| {
        let mut sim = Sim::new(seed, Conditions::default());
        for n in 0..30 {
            sim.add_with(&format!("peer {n}"), using([&[0, 1], &[1, 2], &[2, 0]][n % 3]));
        }
        let all: Vec<usize> = (0..30).collect();
        let note = sim.post(0, "一つ目");
        assert!(
            sim.run_until_holds(LIMIT, |sim| all.iter().all(|&peer| sim.has(peer, &note))),
            "peers of three servers are one network"
        );
        sim.kill_server(1);
        let connects = sim.connects();
        let note = sim.post(1, "二つ目");
        assert!(
            sim.run_until_holds(Duration::from_secs(5), |sim| all
                .iter()
                .all(|&peer| sim.has(peer, &note))),
            "links do not need the server"
        );
        assert!(sim.connects() - connects < 6, "and are kept");
        // Those who used it still let newcomers in, by the other one.
        let newcomer = sim.add_with("newcomer", using(&[1, 2]));
        assert!(
            sim.run_until_holds(LIMIT, |sim| sim.has(newcomer, &note)),
            "a newcomer who knows the dead one comes in by the other"
        );
        sim.kill_server(0);
        sim.kill_server(2);
        sim.revive_server(1);
        let late = sim.add_with("late", using(&[0, 1]));
        assert!(
            sim.run_until_holds(LIMIT, |sim| sim.has(late, &note)),
            "and by one that comes back, which its peers try again"
        );
    });
}
