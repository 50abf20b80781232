//! Whole stories, told with any number of peers: the tests tell them with two hundred, the example `simulate` with
//! thousands. Each says how notes spread in it, and panics where something else goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use nostr::prelude::{Event, EventId, Keys};
use rand::RngExt;
use rand::seq::IteratorRandom;

use super::{Conditions, Nat, PeerId, PeerOptions, Role, Row, Sim};
use crate::mesh::LinkBudget;
use crate::node::api::PeerState;
use crate::signaling::SessionId;
use crate::social;
use crate::time::Millis;

const DAY: i64 = 24 * 3_600 * 1_000;
/// More peers than this have no profiles, of which everybody would get everybody's.
const MOST_NAMED: usize = 1_000;
/// Notes that are followed, each by another author.
const POSTS: usize = 10;

/// A story, by the name of its row.
pub struct Scenario {
    /// What happens.
    pub name: &'static str,
    /// Tells it with a seed and a number of peers.
    pub run: fn(&str, u64, usize) -> Row,
}

/// All of them.
pub const ALL: [Scenario; 8] = [
    scenario("all online", all_online),
    scenario("homes and phones", homes_and_phones),
    scenario("30 % leave each minute", leaving),
    scenario("split for an hour", split),
    scenario("never online together", never_together),
    scenario("newcomer with 50,000 events", newcomer),
    scenario("20 % liars", liars),
    scenario("clocks days wrong", wrong_clocks),
];

const fn scenario(name: &'static str, run: fn(&str, u64, usize) -> Row) -> Scenario {
    Scenario { name, run }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Peers that came in over a few seconds and have made their links.
pub fn crowd(
    seed: u64,
    count: usize,
    conditions: Conditions,
    mut options: impl FnMut(PeerId) -> PeerOptions,
) -> (Sim, Vec<PeerId>) {
    let mut sim = Sim::new(seed, conditions);
    let at_once = (count / 10).max(25);
    for peer in 0..count {
        let name = if count > MOST_NAMED {
            String::new()
        } else {
            format!("peer {peer}")
        };
        sim.add_with(&name, options(peer));
        if peer % at_once == at_once - 1 {
            sim.run_for(secs(1));
        }
    }
    sim.run_for(secs(25));
    (sim, (0..count).collect())
}

/// Whether all of these peers have all of these notes.
fn all_have(sim: &Sim, peers: &[PeerId], notes: &[EventId]) -> bool {
    peers
        .iter()
        .all(|&peer| notes.iter().all(|note| sim.has(peer, note)))
}

/// Whom a peer's links lead to, over any number of others; the peer first.
fn reached(sim: &mut Sim, from: PeerId) -> Vec<PeerId> {
    let sessions: BTreeMap<SessionId, PeerId> = (0..sim.peers.len())
        .filter_map(|peer| Some((sim.peers[peer].node.as_ref()?.session_id(), peer)))
        .collect();
    let mut reached = vec![from];
    let mut at = 0;
    while let Some(&peer) = reached.get(at) {
        at += 1;
        for link in sim.network(peer).peers {
            let other = sessions.get(&link.session).copied();
            if link.state == PeerState::Live
                && let Some(other) = other
                && !reached.contains(&other)
            {
                reached.push(other);
            }
        }
    }
    reached
}

fn running(sim: &Sim, peers: &[PeerId]) -> Vec<PeerId> {
    let running = peers.iter().filter(|&&peer| sim.is_running(peer));
    running.copied().collect()
}

fn posts(name: &str, sim: &mut Sim, peers: &[PeerId]) -> Row {
    let mark = sim.mark();
    let mut notes = Vec::new();
    for post in 0..POSTS {
        let author = sim.rng().random_range(0..peers.len());
        notes.push(sim.post_tracked(peers[author], &format!("さざなみ {post}")));
        sim.run_for(secs(5));
    }
    for &peer in peers {
        let (links, most) = (
            sim.network(peer).peers.len(),
            sim.peers[peer].options.budget.most(),
        );
        assert!(links <= most, "peer {peer} has {links} links of {most}");
    }
    // What was held up on its way comes with a reconciliation.
    sim.run_until_holds(secs(60), |sim| all_have(sim, peers, &notes));
    Row::of(name, sim, peers, &notes, mark)
}

/// Everybody is there, and some write.
pub fn all_online(name: &str, seed: u64, peers: usize) -> Row {
    let (mut sim, peers) = crowd(seed, peers, Conditions::default(), |_| PeerOptions::default());
    posts(name, &mut sim, &peers)
}

/// The same with a fifth of the peers behind symmetric translation and a fifth with few links, on lines of 10 Mbit/s up
/// and 50 Mbit/s down that lose a frame in a hundred.
pub fn homes_and_phones(name: &str, seed: u64, peers: usize) -> Row {
    let conditions = Conditions {
        bandwidth: Some((1_250_000, 6_250_000)),
        loss: 0.01,
        ..Conditions::default()
    };
    let (mut sim, peers) = crowd(seed, peers, conditions, |peer| PeerOptions {
        nat: [
            Nat::Symmetric,
            Nat::Restricted,
            Nat::Restricted,
            Nat::Open,
            Nat::Open,
        ][peer % 5],
        budget: if peer / 5 % 5 == 0 {
            LinkBudget::Phone
        } else {
            LinkBudget::Full
        },
        ..PeerOptions::default()
    });
    posts(name, &mut sim, &peers)
}

/// Of those who are there, three in ten are gone a minute later, and each comes back within another.
pub fn leaving(name: &str, seed: u64, peers: usize) -> Row {
    let (mut sim, peers) = crowd(seed, peers, Conditions::default(), |_| PeerOptions::default());
    let leaves_in_a_second = 1.0 - 0.7_f64.powf(1.0 / 60.0);
    let mark = sim.mark();
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
            let author = running(&sim, &peers).into_iter().choose(sim.rng());
            notes.push(sim.post_tracked(author.expect("some are online"), &format!("note {second}")));
        }
        sim.run_for(secs(1));
    }
    assert!(left > peers.len() * 2 / 5, "only {left} have left");
    // What those hold who are there now is with all of them soon, whoever wrote it.
    let online = running(&sim, &peers);
    let held: Vec<EventId> = notes
        .iter()
        .filter(|note| online.iter().any(|&peer| sim.has(peer, note)))
        .copied()
        .collect();
    assert!(
        sim.run_until_holds(secs(60), |sim| all_have(sim, &online, &held)),
        "of what is held some is not with all who are online"
    );
    for (_, peer) in away {
        sim.start(peer);
    }
    sim.run_until_holds(secs(60), |sim| all_have(sim, &peers, &notes));
    Row::of(name, &sim, &peers, &notes, mark)
}

/// Two halves, of which one reaches the server, write for an hour and meet again.
pub fn split(name: &str, seed: u64, peers: usize) -> Row {
    let (mut sim, peers) = crowd(seed, peers, Conditions::default(), |_| PeerOptions::default());
    sim.divide(|peer| peer % 2, Some(&[0]));
    let mut notes = [Vec::new(), Vec::new()];
    for round in 0..6 {
        for (half, notes) in notes.iter_mut().enumerate() {
            let author = 2 * round + half;
            notes.push(sim.post_tracked(author, &format!("{round} by {author}")));
        }
        sim.run_for(secs(600));
    }
    for half in 0..2 {
        let own: Vec<PeerId> = peers.iter().copied().filter(|peer| peer % 2 == half).collect();
        for (round, note) in notes[half].iter().enumerate() {
            // Who lost all links at the cut finds others only with the server's help.
            let joined = if half == 0 {
                own.clone()
            } else {
                reached(&mut sim, 2 * round + half)
            };
            assert!(all_have(&sim, &joined, &[*note]), "half {half} has its own");
        }
        let crossed = |note: &EventId| own.iter().any(|&peer| sim.has(peer, note));
        assert!(!notes[1 - half].iter().any(crossed), "nothing crosses the cut");
    }
    sim.heal();
    let (healed, notes) = (sim.mark(), notes.concat());
    sim.run_until_holds(secs(120), |sim| all_have(sim, &peers, &notes));
    Row::of(name, &sim, &peers, &notes, healed)
}

/// A reader follows somebody who is never there at the same time; they have one friend in common.
pub fn never_together(name: &str, seed: u64, peers: usize) -> Row {
    let (mut sim, others) = crowd(seed, peers, Conditions::default(), |_| PeerOptions::default());
    let (author, friend, reader) = (sim.add("author"), sim.add("friend"), sim.add("reader"));
    for (a, b) in [
        (reader, author),
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
    let note = sim.post_tracked(author, "誰かいる？");
    assert!(
        sim.run_until_holds(secs(60), |sim| sim.has(friend, &note)),
        "the friend has it"
    );
    sim.stop(author);
    sim.run_for(secs(600));
    let mark = sim.mark();
    sim.start(reader);
    assert!(
        sim.run_until_holds(secs(60), |sim| sim.has(reader, &note)),
        "the reader has it"
    );
    others.iter().for_each(|&peer| sim.start(peer));
    sim.run_until_holds(secs(60), |sim| all_have(sim, &others, &[note]));
    Row::of(name, &sim, &[others, vec![reader]].concat(), &[note], mark)
}

/// Somebody new among a few who hold fifty thousand events.
pub fn newcomer(name: &str, seed: u64, _peers: usize) -> Row {
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
    ids.iter().for_each(|id| sim.track(*id));
    let mark = sim.mark();
    let newcomer = sim.add("newcomer");
    sim.run_until_holds(secs(600), |sim| all_have(sim, &[newcomer], &ids));
    let row = Row::of(name, &sim, &[newcomer], &ids, mark);
    let note = sim.post(peers[0], "new");
    assert!(
        sim.run_until_holds(secs(5), |sim| sim.has(newcomer, &note)),
        "and it is live"
    );
    row
}

/// A fifth sends noise, forges, withholds, or takes without giving, and somebody says more than anybody reads.
pub fn liars(name: &str, seed: u64, peers: usize) -> Row {
    let role = |peer: usize| match peer % 20 {
        0 => Role::Garbage,
        5 => Role::Forger,
        10 => Role::Withholder,
        15 => Role::FreeRider,
        _ => Role::Honest,
    };
    let (mut sim, peers) = crowd(seed, peers, Conditions::default(), |peer| PeerOptions {
        role: role(peer),
        ..PeerOptions::default()
    });
    let is_honest = |peer: &PeerId| role(*peer) == Role::Honest;
    let honest: Vec<_> = peers.into_iter().filter(is_honest).collect();
    let mark = sim.mark();
    let mut notes = Vec::new();
    for round in 0..5 {
        for word in 0..10 {
            notes.push(sim.post_tracked(2, &format!("flood {round} {word}")));
        }
        let author = honest[sim.rng().random_range(0..honest.len())];
        notes.push(sim.post_tracked(author, &format!("honest {round}")));
        sim.run_for(secs(2));
    }
    sim.run_until_holds(secs(60), |sim| all_have(sim, &honest, &notes));
    Row::of(name, &sim, &honest, &notes, mark)
}

/// A quarter is two days ahead, and a quarter three days behind.
pub fn wrong_clocks(name: &str, seed: u64, peers: usize) -> Row {
    let clock = |peer: PeerId| match peer % 4 {
        0 => 2 * DAY,
        1 => -3 * DAY,
        _ => 0,
    };
    let (mut sim, peers) = crowd(seed, peers, Conditions::default(), |peer| PeerOptions {
        clock: clock(peer),
        ..PeerOptions::default()
    });
    for &peer in &peers {
        let links = sim.network(peer).peers.len();
        assert!(links >= 3, "peer {peer} has {links} links");
    }
    let mark = sim.mark();
    let right = sim.post_tracked(2, "by the right clock");
    let slow = sim.post_tracked(1, "by a clock that is behind");
    let fast = sim.post(0, "by a clock that is ahead");
    sim.run_until_holds(secs(20), |sim| all_have(sim, &peers, &[right, slow]));
    let row = Row::of(name, &sim, &peers, &[right, slow], mark);
    sim.run_for(secs(400));
    let ahead = peers.iter().filter(|&&peer| sim.has(peer, &fast)).count();
    assert!(
        ahead <= peers.len() / 4,
        "what lies days ahead waits: {ahead} have it"
    );
    // Two days go by in which nobody is online.
    peers.iter().for_each(|&peer| sim.stop(peer));
    sim.skip(Duration::from_millis(2 * DAY.unsigned_abs()));
    peers.iter().for_each(|&peer| sim.start(peer));
    assert!(
        sim.run_until_holds(secs(60), |sim| all_have(sim, &peers, &[right, slow, fast])),
        "and arrives when its time has come"
    );
    row
}
