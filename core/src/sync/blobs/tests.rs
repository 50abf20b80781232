//! Peers with blobs under virtual time: links that break, sources that stall, lie and leave.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nostr::prelude::{Keys, SecretKey};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::media::conformance::bytes;
use crate::media::{
    BlobError, BlobId, BlobStore, Blobs, DEFAULT_BUDGET, Entry, Keep, Medium, MemoryBlobs, MemoryMedium,
};
use crate::signaling::SessionId;
use crate::time::Millis;

mod limits;

/// Bytes that a link carries in one step: 1.6 MB/s.
const STEP_BYTES: usize = 16 * 1024;
const STEP: Duration = Duration::from_millis(10);
const START: Millis = Millis(1_700_000_000_000);

/// Blobs whose bytes are false from some offset on, when they are read.
struct Twisted(MemoryMedium, u64);

impl Medium for Twisted {
    fn found(&mut self) -> Result<Vec<(BlobId, Entry)>, BlobError> {
        self.0.found()
    }
    fn create(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.0.create(id, entry)
    }
    fn append(&mut self, id: &BlobId, entry: &Entry, bytes: &[u8]) -> Result<(), BlobError> {
        self.0.append(id, entry, bytes)
    }
    fn read(&self, id: &BlobId, entry: &Entry, offset: u64, into: &mut [u8]) -> Result<(), BlobError> {
        self.0.read(id, entry, offset, into)?;
        for (place, byte) in (offset..).zip(into) {
            *byte ^= u8::from(place >= self.1);
        }
        Ok(())
    }
    fn commit(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.0.commit(id, entry)
    }
    fn rest(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.0.rest(id, entry)
    }
    fn touch(&mut self, id: &BlobId, entry: &Entry) {
        self.0.touch(id, entry);
    }
    fn set_keep(&mut self, id: &BlobId, entry: &Entry, keep: Keep) -> Result<(), BlobError> {
        self.0.set_keep(id, entry, keep)
    }
    fn remove(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.0.remove(id, entry)
    }
}

fn liar(from: u64) -> Box<dyn BlobStore> {
    Box::new(Blobs::open(Twisted(MemoryMedium::default(), from), DEFAULT_BUDGET).unwrap())
}

fn honest() -> Box<dyn BlobStore> {
    Box::new(MemoryBlobs::default())
}

fn session_id(number: usize) -> SessionId {
    let secret = [u8::try_from(number + 1).unwrap(); 32];
    SessionId(Keys::new(SecretKey::from_slice(&secret).unwrap()).public_key())
}

struct Peer {
    store: Box<dyn BlobStore>,
    fetcher: Fetcher,
    sessions: BTreeMap<usize, BlobSession>,
    /// Sends no bytes.
    mute: bool,
    events: Vec<FetchEvent>,
    received: usize,
}

/// Frames with the time of their arrival.
type Wire = VecDeque<(Millis, Vec<u8>)>;

struct Net {
    now: Millis,
    peers: Vec<Peer>,
    /// Frames on their way, by sender and receiver.
    wires: BTreeMap<(usize, usize), Wire>,
    rng: StdRng,
}

impl Net {
    fn new(stores: Vec<Box<dyn BlobStore>>, seed: u64) -> Self {
        println!("seed {seed}");
        let peer = |store| Peer {
            store,
            fetcher: Fetcher::default(),
            sessions: BTreeMap::new(),
            mute: false,
            events: Vec::new(),
            received: 0,
        };
        Self {
            now: START,
            peers: stores.into_iter().map(peer).collect(),
            wires: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let peer = &mut self.peers[from];
            peer.sessions.insert(to, BlobSession::default());
            peer.fetcher.joined(session_id(to), self.now);
            self.wires.insert((from, to), VecDeque::new());
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let peer = &mut self.peers[from];
            if peer.sessions.remove(&to).is_some() {
                peer.fetcher.left(session_id(to), &mut *peer.store, self.now);
            }
            self.wires.remove(&(from, to));
        }
    }

    fn give(&mut self, peer: usize, content: &[u8]) -> BlobId {
        self.peers[peer]
            .store
            .put(content, Keep::Cached, self.now)
            .unwrap()
    }

    fn want(&mut self, peer: usize, id: BlobId) -> Wanted {
        let want = Want {
            id,
            size: None,
            keep: Keep::Cached,
            urgency: Urgency::Now,
        };
        let peer = &mut self.peers[peer];
        peer.fetcher.want(want, &mut *peer.store, self.now)
    }

    fn has(&self, peer: usize, content: &[u8]) -> bool {
        let read = self.peers[peer]
            .store
            .read(&BlobId::of(content), 0, content.len() + 1);
        read.unwrap().is_some_and(|found| found == content)
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        for number in 0..self.peers.len() {
            let peer = &mut self.peers[number];
            if self.now.0.is_multiple_of(1_000) {
                peer.fetcher.tick(&mut *peer.store, self.now);
                peer.sessions
                    .values_mut()
                    .for_each(|session| session.tick(self.now));
            }
            self.settle(number);
            self.send(number);
            self.receive(number);
        }
    }

    /// What a node does: actions to sessions, their events to the fetcher.
    fn settle(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        loop {
            let mut quiet = true;
            for (other, session) in &mut peer.sessions {
                while let Some(event) = session.poll_event() {
                    peer.fetcher
                        .event(session_id(*other), event, &mut *peer.store, self.now);
                    quiet = false;
                }
            }
            while let Some((to, action)) = peer.fetcher.poll_action() {
                quiet = false;
                let session = peer
                    .sessions
                    .iter_mut()
                    .find(|(other, _)| session_id(**other) == to);
                let (_, session) = session.expect("actions are for peers that are there");
                match action {
                    Action::Ask(ids) => session.ask(&ids, self.now),
                    Action::Get { id, offset, length } => session.get(id, offset, length, self.now),
                    Action::Cancel(id) => session.cancel(&id),
                }
            }
            if quiet {
                break;
            }
        }
        let mut banned = Vec::new();
        while let Some(event) = peer.fetcher.poll_event() {
            if let FetchEvent::Hostile(who) = event {
                banned.extend(peer.sessions.keys().filter(|other| session_id(**other) == who));
            }
            peer.events.push(event);
        }
        for other in banned {
            self.disconnect(number, other);
        }
    }

    fn send(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        for (other, session) in &mut peer.sessions {
            let wire = self.wires.get_mut(&(number, *other)).unwrap();
            let mut sent = 0;
            while sent < STEP_BYTES
                && let Some(frame) = session.poll_frame(&*peer.store)
            {
                sent += frame.len();
                if peer.mute && frame[1] == b'C' {
                    continue;
                }
                let delay = Duration::from_millis(self.rng.random_range(5..60));
                let after = wire.back().map_or(Millis::default(), |(at, _)| *at);
                wire.push_back(((self.now + delay).max(after), frame));
            }
        }
    }

    fn receive(&mut self, number: usize) {
        let others: Vec<usize> = self.peers[number].sessions.keys().copied().collect();
        for other in others {
            let wire = self.wires.get_mut(&(other, number)).unwrap();
            let due = wire.iter().take_while(|(at, _)| *at <= self.now).count();
            let frames: Vec<_> = wire.drain(..due).map(|(_, frame)| frame).collect();
            for frame in frames {
                let peer = &mut self.peers[number];
                peer.received += frame.len();
                let Some(session) = peer.sessions.get_mut(&other) else {
                    break;
                };
                session
                    .frame(&frame, &*peer.store, self.now)
                    .expect("nobody breaks the protocol here");
                self.settle(number);
            }
        }
    }

    fn until(&mut self, limit: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !holds(self) {
            assert!(self.now < end, "{what} does not happen");
            self.step();
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    fn hostile(&self, peer: usize) -> Vec<SessionId> {
        let events = self.peers[peer].events.iter();
        events
            .filter_map(|event| match event {
                FetchEvent::Hostile(who) => Some(*who),
                _ => None,
            })
            .collect()
    }

    fn have(&self, peer: usize, id: &BlobId) -> u64 {
        self.peers[peer].store.info(id).map_or(0, |info| info.have)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn every_size_arrives() {
    for size in [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        16_383,
        16_384,
        16_385,
        131_072,
        5_000_000,
    ] {
        let mut net = Net::new(vec![honest(), honest()], size as u64);
        net.connect(0, 1);
        let content = bytes(size, 1);
        let id = net.give(1, &content);
        assert_eq!(net.want(0, id), Wanted::Coming);
        net.until(MINUTE, "the transfer", |net| net.has(0, &content));
        assert_eq!(net.peers[0].events, [FetchEvent::Fetched(id)]);
        assert_eq!(net.want(0, id), Wanted::Here);
        assert!(net.peers[0].fetcher.is_empty());
    }
}

#[test]
fn it_is_resumed_from_another_peer() {
    let mut net = Net::new(vec![honest(), honest(), honest()], 1);
    let content = bytes(4_000_000, 1);
    let id = net.give(1, &content);
    net.give(2, &content);
    net.connect(0, 1);
    net.want(0, id);
    net.until(MINUTE, "the first half", |net| net.have(0, &id) > 2_000_000);
    net.disconnect(0, 1);
    net.run_for(Duration::from_secs(5));
    let have = net.have(0, &id);
    assert!(have > 2_000_000, "a break loses nothing");
    let received = net.peers[0].received;
    net.connect(0, 2);
    net.until(MINUTE, "the second half", |net| net.has(0, &content));
    let second = net.peers[0].received - received;
    assert!(second < 2_000_000 + 20_000, "only what was missing: {second}");
    assert!(net.hostile(0).is_empty());
}

#[test]
fn it_is_resumed_after_a_restart() {
    let mut net = Net::new(vec![honest(), honest()], 1);
    let content = bytes(2_000_000, 1);
    let id = net.give(1, &content);
    net.connect(0, 1);
    net.want(0, id);
    net.until(MINUTE, "the first half", |net| net.have(0, &id) > 1_000_000);
    net.disconnect(0, 1);
    net.peers[0].store.pause(&id).unwrap();
    net.peers[0].fetcher = Fetcher::default();
    let received = net.peers[0].received;
    net.connect(0, 1);
    net.want(0, id);
    net.until(MINUTE, "the second half", |net| net.has(0, &content));
    assert!(net.peers[0].received - received < 1_020_000);
}

#[test]
fn a_source_that_stalls_is_replaced() {
    let mut net = Net::new(vec![honest(), honest(), honest()], 1);
    let content = bytes(1_000_000, 1);
    let id = net.give(1, &content);
    net.give(2, &content);
    net.connect(0, 1);
    net.want(0, id);
    net.until(MINUTE, "the beginning", |net| net.have(0, &id) > 100_000);
    net.peers[1].mute = true;
    net.connect(0, 2);
    net.until(MINUTE, "the change", |net| net.has(0, &content));
    assert!(net.hostile(0).is_empty(), "slow is not hostile");
}

#[test]
fn a_single_liar_is_found() {
    for from in [0, 500_000, 999_999] {
        let mut net = Net::new(vec![honest(), liar(from), honest()], from);
        let content = bytes(1_000_000, 1);
        let id = net.give(1, &content);
        net.connect(0, 1);
        net.want(0, id);
        net.until(MINUTE, "the discovery", |net| !net.hostile(0).is_empty());
        assert_eq!(net.hostile(0), [session_id(1)]);
        assert_eq!(net.have(0, &id), 0, "nothing of it is kept");
        net.give(2, &content);
        net.connect(0, 2);
        net.until(MINUTE, "the true blob", |net| net.has(0, &content));
        assert_eq!(net.hostile(0), [session_id(1)]);
    }
}

/// The honest first half is not held against its sender, whichever of two sources lies.
#[test]
fn a_liar_among_several_sources_is_found() {
    for lying in [1, 2] {
        let stores = (0..4).map(|number| if number == lying { liar(10) } else { honest() });
        let mut net = Net::new(stores.collect(), lying as u64);
        let content = bytes(2_000_000, 1);
        let id = net.give(1, &content);
        net.give(2, &content);
        net.connect(0, 1);
        net.want(0, id);
        net.until(MINUTE, "the first half", |net| net.have(0, &id) > 1_000_000);
        net.disconnect(0, 1);
        net.connect(0, 2);
        net.until(MINUTE, "the second half", |net| net.have(0, &id) == 0);
        assert!(net.hostile(0).is_empty(), "nobody is blamed on a suspicion");
        net.disconnect(0, 2);
        net.give(3, &content);
        net.connect(0, 3);
        net.until(MINUTE, "the true blob", |net| net.has(0, &content));
        assert_eq!(net.hostile(0), [session_id(lying)]);
    }
}

#[test]
fn a_false_size_is_a_lie() {
    let content = bytes(1_000, 1);
    let id = BlobId::of(&content);
    for (size, caught) in [(0, true), (999, false)] {
        let mut net = Net::new(vec![honest(), honest()], size);
        net.connect(0, 1);
        let peer = &mut net.peers[0];
        let want = Want {
            id,
            size: (size == 999).then_some(1_000),
            keep: Keep::Cached,
            urgency: Urgency::Now,
        };
        peer.fetcher.want(want, &mut *peer.store, START);
        peer.fetcher.event(
            session_id(1),
            BlobEvent::Has { id, size },
            &mut *peer.store,
            START,
        );
        // Without a word on the size it is tried, and caught; with one, not even tried.
        assert_eq!(peer.fetcher.poll_event().is_some(), caught);
        assert_eq!(peer.store.info(&id), None);
    }
}

#[test]
fn what_nobody_has_is_given_up() {
    let mut net = Net::new(vec![honest(), honest()], 1);
    net.connect(0, 1);
    let id = BlobId([7; 32]);
    net.want(0, id);
    net.run_for(Duration::from_secs(30));
    let state = net.peers[0].fetcher.state(&id).unwrap();
    assert_eq!((state.have, state.size, state.holders), (0, None, 0));
    net.now = net.now + Duration::from_secs(3_600);
    net.run_for(Duration::from_secs(2));
    let error = FetchError::Nowhere;
    assert_eq!(net.peers[0].events, [FetchEvent::Failed { id, error }]);
}

#[test]
fn it_is_found_when_a_peer_gets_it_later() {
    let mut net = Net::new(vec![honest(), honest()], 1);
    net.connect(0, 1);
    let content = bytes(10_000, 1);
    net.want(0, BlobId::of(&content));
    net.run_for(Duration::from_secs(20));
    net.give(1, &content);
    net.until(2 * MINUTE, "another question", |net| net.has(0, &content));
}

#[test]
fn without_room_it_waits() {
    let mut net = Net::new(vec![Box::new(MemoryBlobs::in_memory(100_000)), honest()], 1);
    net.connect(0, 1);
    let [large, small] = [bytes(200_000, 1), bytes(50_000, 2)];
    for content in [&large, &small] {
        let id = net.give(1, content);
        net.want(0, id);
    }
    net.until(MINUTE, "the small one", |net| net.has(0, &small));
    let full = FetchEvent::NoRoom(BlobId::of(&large));
    assert!(net.peers[0].events.contains(&full));
    net.peers[0].store.set_budget(1_000_000).unwrap();
    net.until(2 * MINUTE, "the large one", |net| net.has(0, &large));
}

#[test]
fn the_urgent_one_comes_first() {
    let mut net = Net::new(vec![honest(), honest()], 1);
    net.connect(0, 1);
    let contents: Vec<_> = (0..20).map(|seed| bytes(300_000, seed)).collect();
    for content in &contents {
        let id = net.give(1, content);
        let want = Want {
            id,
            size: None,
            keep: Keep::Cached,
            urgency: Urgency::Later,
        };
        let peer = &mut net.peers[0];
        peer.fetcher.want(want, &mut *peer.store, START);
    }
    net.run_for(Duration::from_secs(1));
    let urgent = bytes(300_000, 100);
    let id = net.give(1, &urgent);
    net.want(0, id);
    net.until(MINUTE, "the urgent one", |net| net.has(0, &urgent));
    let others = contents.iter().filter(|content| net.has(0, content)).count();
    assert!(others < 10, "{others} others came before it");
    net.until(MINUTE, "all others", |net| {
        contents.iter().all(|content| net.has(0, content))
    });
}

/// Honest peers get everything that honest connected peers hold, whatever links and liars do, and blame no honest one.
#[test]
fn all_arrives_through_breaks_and_lies() {
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut stores: Vec<_> = (0..6).map(|_| honest()).collect();
        stores.push(liar(rng.random_range(0..200_000)));
        stores.push(liar(0));
        let mut net = Net::new(stores, seed);
        let contents: Vec<_> = (0..12)
            .map(|n| bytes(rng.random_range(0..400_000), seed * 100 + n))
            .collect();
        for content in &contents {
            net.give(rng.random_range(1..6), content);
            for lying in [6, 7] {
                net.give(lying, content);
            }
        }
        net.peers[rng.random_range(1..6)].mute = rng.random_bool(0.3);
        for content in &contents {
            for peer in 0..6 {
                net.want(peer, BlobId::of(content));
            }
        }
        for _ in 0..60 {
            let (a, b) = (rng.random_range(0..8usize), rng.random_range(0..8usize));
            if a != b && net.peers[a].sessions.contains_key(&b) {
                net.disconnect(a, b);
            } else if a != b {
                net.connect(a, b);
            }
            net.run_for(Duration::from_millis(rng.random_range(100..1_500)));
        }
        for peer in &mut net.peers {
            peer.mute = false;
        }
        for a in 0..6 {
            for b in 0..a {
                net.disconnect(a, b);
                net.connect(a, b);
            }
        }
        net.until(30 * MINUTE, "everything everywhere", |net| {
            (0..6).all(|peer| contents.iter().all(|content| net.has(peer, content)))
        });
        for peer in 0..6 {
            for who in net.hostile(peer) {
                assert!(
                    [session_id(6), session_id(7)].contains(&who),
                    "an honest peer is blamed"
                );
            }
        }
    }
}
