//! How posts spread among many peers: `cargo run --release -p sazanami-core --features sim --example simulate -- 1000`
//! prints a table. A second number is the seed.

use std::time::{Duration, Instant};

use rand::RngExt;
use sazanami_core::mesh::LinkBudget;
use sazanami_core::sim::{Conditions, Nat, PeerOptions, Row, Sim, table};

/// Peers that come in each virtual second.
const ARRIVALS: usize = 100;
/// Posts that are followed, each by another author.
const POSTS: usize = 10;

/// What homes and phones are like: a fifth of the peers behind symmetric translation, a fifth with few links, on lines
/// of 10 Mbit/s up and 50 Mbit/s down.
fn lifelike(sim: &mut Sim, place: usize) -> PeerOptions {
    let nat = match place % 5 {
        0 => Nat::Symmetric,
        1 | 2 => Nat::Restricted,
        _ => Nat::Open,
    };
    let budget = if sim.rng().random_bool(0.2) {
        LinkBudget::Phone
    } else {
        LinkBudget::Full
    };
    PeerOptions {
        nat,
        budget,
        ..PeerOptions::default()
    }
}

fn run(scenario: &str, peers: usize, seed: u64, is_lifelike: bool) -> Vec<Row> {
    let started = Instant::now();
    let conditions = Conditions {
        bandwidth: is_lifelike.then_some((1_250_000, 6_250_000)),
        loss: if is_lifelike { 0.01 } else { 0.0 },
        ..Conditions::default()
    };
    let mut sim = Sim::new(seed, conditions);
    for place in 0..peers {
        let options = if is_lifelike {
            lifelike(&mut sim, place)
        } else {
            PeerOptions::default()
        };
        sim.add_with(&format!("peer {place}"), options);
        if place % ARRIVALS == ARRIVALS - 1 {
            sim.run_for(Duration::from_secs(1));
        }
    }
    sim.run_for(Duration::from_secs(60));
    let links: Vec<usize> = (0..peers).map(|peer| sim.network(peer).peers.len()).collect();
    eprintln!(
        "{scenario}: {peers} peers have {:.1} links, at most {}, after {:.0?}",
        links.iter().sum::<usize>() as f64 / peers as f64,
        links.iter().max().unwrap_or(&0),
        started.elapsed()
    );
    let mut rows = Vec::new();
    for post in 0..POSTS {
        let author = sim.rng().random_range(0..peers);
        let before = sim.traffic();
        let note = sim.post_tracked(author, &format!("さざなみ {post}"));
        sim.run_for(Duration::from_secs(10));
        rows.push(Row::of(scenario, &sim, sim.tracked(&note), before));
    }
    eprintln!("{scenario}: done after {:.0?}", started.elapsed());
    vec![Row::sum(&rows)]
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let peers = numbers.next().and_then(Result::ok).unwrap_or(1_000);
    let seed = numbers.next().and_then(Result::ok).unwrap_or(1) as u64;
    let mut rows = run("all online", peers, seed, false);
    rows.extend(run("homes and phones", peers, seed, true));
    println!("seed {seed}\n{}", table(&rows));
}
