//! Nothing is lost for good: not when peers come and go, when the network is cut, when author and reader are never
//! online together, when a newcomer has years to catch up on, and when clocks are wrong.

mod crowd;

use std::time::Duration;

use crowd::{all_have, crowd, seeded};
use rand::RngExt;
use rand::seq::IteratorRandom;
use sazanami_core::sim::{Conditions, PeerId, PeerOptions, Sim};
use sazanami_core::time::Millis;
use sazanami_core::{Event, EventId, Keys, social};

const PEERS: usize = 200;
const DAY: i64 = 24 * 3_600 * 1_000;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the running ones of these peers hold, all together.
fn held(sim: &Sim, peers: &[PeerId], notes: &[EventId]) -> Vec<EventId> {
    let running = || peers.iter().filter(|&&peer| sim.is_running(peer));
    notes
        .iter()
        .filter(|note| running().any(|&peer| sim.has(peer, note)))
        .copied()
        .collect()
}

#[test]
fn a_third_of_the_peers_leaves_each_minute() {
    seeded(31, |seed| {
        let (mut sim, peers) = crowd(seed, PEERS, Conditions::default(), |_| PeerOptions::default());
        let leaves_in_a_second = 1.0 - 0.7_f64.powf(1.0 / 60.0);
        let mut away: Vec<(Millis, PeerId)> = Vec::new();
        let (mut notes, mut left) = (Vec::new(), 0);
        for second in 0..90 {
            for &peer in &peers {
                if sim.is_running(peer) && sim.rng().random_bool(leaves_in_a_second) {
                    sim.stop(peer);
                    left += 1;
                    away.push((sim.now() + secs(sim.rng().random_range(20..60)), peer));
                }
            }
            let now = sim.now();
            for (_, peer) in away.extract_if(.., |(until, _)| *until <= now) {
                sim.start(peer);
            }
            if second % 3 == 0 {
                let running: Vec<_> = peers
                    .iter()
                    .copied()
                    .filter(|&peer| sim.is_running(peer))
                    .collect();
                let author = running.into_iter().choose(sim.rng()).expect("some are online");
                notes.push(sim.post(author, &format!("note {second}")));
            }
            sim.run_for(secs(1));
        }
        assert!(left > PEERS * 2 / 5, "only {left} have left");
        let wanted = held(&sim, &peers, &notes);
        let online: Vec<_> = peers
            .iter()
            .copied()
            .filter(|&peer| sim.is_running(peer))
            .collect();
        let complete = sim.run_until_holds(secs(60), |sim| {
            online
                .iter()
                .all(|&peer| wanted.iter().all(|note| sim.has(peer, note)))
        });
        println!(
            "{left} peers left; {} of {} notes outlived their authors' leaving; {} peers online; complete: {complete}",
            wanted.len(),
            notes.len(),
            online.len()
        );
        all_have(&sim, &online, &wanted);
        for (_, peer) in away {
            sim.start(peer);
        }
        sim.run_until_holds(secs(60), |sim| {
            peers
                .iter()
                .all(|&peer| notes.iter().all(|note| sim.has(peer, note)))
        });
        all_have(&sim, &peers, &notes);
    });
}

#[test]
fn two_halves_that_were_apart_for_an_hour_become_one() {
    seeded(32, |seed| {
        // An hour of everybody's pings takes long to simulate; the halves are large enough to need several hops.
        let (mut sim, peers) = crowd(seed, 40, Conditions::default(), |_| PeerOptions::default());
        sim.divide(|peer| peer % 2, Some(&[0]));
        let mut notes = Vec::new();
        for round in 0..6 {
            for author in [2 * round, 2 * round + 1] {
                notes.push(sim.post(author, &format!("{round} by {author}")));
            }
            sim.run_for(secs(600));
        }
        for half in 0..2 {
            let (own, others): (Vec<_>, Vec<_>) = (0..notes.len()).partition(|place| place % 2 == half);
            let peers: Vec<_> = peers.iter().copied().filter(|peer| peer % 2 == half).collect();
            all_have(
                &sim,
                &peers,
                &own.iter().map(|&place| notes[place]).collect::<Vec<_>>(),
            );
            assert!(
                others.iter().all(|&place| !sim.has(peers[0], &notes[place])),
                "nothing crosses the cut"
            );
        }
        sim.heal();
        let healed = sim.now();
        let whole = sim.run_until_holds(secs(120), |sim| {
            peers
                .iter()
                .all(|&peer| notes.iter().all(|note| sim.has(peer, note)))
        });
        println!("whole again after {:.0?}: {whole}", sim.now().since(healed));
        all_have(&sim, &peers, &notes);
    });
}

#[test]
fn a_follower_never_online_with_the_author_has_everything_through_a_common_friend() {
    seeded(33, |seed| {
        let (mut sim, others) = crowd(seed, PEERS, Conditions::default(), |_| PeerOptions::default());
        let (author, friend, reader) = (sim.add("author"), sim.add("friend"), sim.add("reader"));
        sim.follow(reader, author);
        for (a, b) in [
            (author, friend),
            (friend, author),
            (friend, reader),
            (reader, friend),
        ] {
            sim.follow(a, b);
        }
        sim.run_for(secs(10));
        sim.stop(reader);
        // Only the friend is there when the author writes, and later when the reader comes.
        others.iter().for_each(|&peer| sim.stop(peer));
        let note = sim.post(author, "誰かいる？");
        assert!(sim.run_until_holds(secs(60), |sim| sim.has(friend, &note)));
        sim.stop(author);
        sim.run_for(secs(600));
        sim.start(reader);
        assert!(sim.run_until_holds(secs(60), |sim| sim.has(reader, &note)));
        others.iter().for_each(|&peer| sim.start(peer));
        sim.run_until_holds(secs(60), |sim| others.iter().all(|&peer| sim.has(peer, &note)));
        all_have(&sim, &others, &[note]);
    });
}

#[test]
fn a_newcomer_fetches_fifty_thousand_events_while_all_goes_on() {
    seeded(34, |seed| {
        let keys: Vec<Keys> = (0..50).map(|_| Keys::generate()).collect();
        let mut sim = Sim::new(seed, Conditions::default());
        let start = sim.now();
        let history: Vec<Event> = (0..50_000_u64)
            .map(|n| {
                let at = Millis(start.0 - 60_000 * (n + 60));
                social::note_event(&keys[n as usize % keys.len()], format!("note {n}"), at)
            })
            .collect();
        let ids: Vec<EventId> = history.iter().map(|event| event.id).collect();
        let peers = sim.crowd(6);
        for &peer in &peers {
            sim.stop(peer);
            sim.stock(peer, &history);
            sim.start(peer);
        }
        sim.run_for(secs(10));
        let before = sim.traffic();
        let newcomer = sim.add("newcomer");
        let joined = sim.now();
        let complete = sim.run_until_holds(secs(600), |sim| ids.iter().all(|id| sim.has(newcomer, id)));
        let (sent, bytes) = sim.traffic();
        println!(
            "{} events after {:.0?}, {:.2} copies of each, {} bytes for each",
            ids.len(),
            sim.now().since(joined),
            (sent - before.0) as f64 / ids.len() as f64,
            (bytes - before.1) / ids.len() as u64
        );
        all_have(&sim, &[newcomer], &ids);
        assert!(complete);
        let note = sim.post(peers[0], "new");
        assert!(
            sim.run_until_holds(secs(5), |sim| sim.has(newcomer, &note)),
            "and it is live"
        );
    });
}

#[test]
fn clocks_that_are_days_wrong_keep_nobody_apart() {
    seeded(35, |seed| {
        let clock = |peer: PeerId| match peer % 4 {
            0 => 2 * DAY,
            1 => -3 * DAY,
            _ => 0,
        };
        let (mut sim, peers) = crowd(seed, 40, Conditions::default(), |peer| PeerOptions {
            clock: clock(peer),
            ..PeerOptions::default()
        });
        for &peer in &peers {
            let links = sim.network(peer).peers.len();
            assert!(links >= 3, "peer {peer} has {links} links");
        }
        let right = sim.post(2, "by the right clock");
        let slow = sim.post(1, "by a clock that is behind");
        let fast = sim.post(0, "by a clock that is ahead");
        assert!(sim.run_until_holds(secs(20), |sim| {
            peers
                .iter()
                .all(|&peer| sim.has(peer, &right) && sim.has(peer, &slow))
        }));
        let has_fast = |sim: &Sim| peers.iter().filter(|&&peer| sim.has(peer, &fast)).count();
        sim.run_for(secs(400));
        assert!(
            has_fast(&sim) <= 10,
            "what lies days ahead waits: {} have it",
            has_fast(&sim)
        );
        // Two days go by in which nobody is online.
        peers.iter().for_each(|&peer| sim.stop(peer));
        sim.skip(Duration::from_millis(2 * DAY.unsigned_abs()));
        peers.iter().for_each(|&peer| sim.start(peer));
        assert!(
            sim.run_until_holds(secs(60), |sim| has_fast(sim) == peers.len()),
            "and arrives when its time has come: {} have it",
            has_fast(&sim)
        );
        all_have(&sim, &peers, &[right, slow, fast]);
    });
}
