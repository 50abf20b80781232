//! Images and files over links with hostile peers: messages, what one side serves, and what it fetches from several.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sazanami_core::media::{BlobId, BlobStore, Keep, MemoryBlobs};
use sazanami_core::sync::blobs::{
    Action, BLOB_FRAME, BlobMessage, BlobSession, CHUNK, FetchEvent, Fetcher, Refusal, Urgency, Want,
};
use sazanami_core::time::Millis;
use sazanami_core::transport::MAX_FRAME;
use sazanami_fuzz::{START, session};

const PEERS: u8 = 3;
/// Steps of one script.
const STEPS: usize = 96;
/// What others' blobs may take here: less than all that is wanted.
const BUDGET: u64 = 512 * 1024;
/// Bytes that one peer may fetch, so that the limit is reached.
const SERVED: u64 = 1024 * 1024;
/// Sizes of the blobs that can be wanted: empty, small, about one and two chunks, several requests.
const SIZES: [usize; 6] = [0, 1, CHUNK, 2 * CHUNK + 1, 130 * 1024, 400 * 1024];

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Say(u8, Said),
    Repeat(u8, Said, u8),
    Want(u8, Option<u32>, bool),
    Forget(u8),
    /// The peer does what an honest one does with the oldest of what it was asked.
    Honest(u8, u8),
    Wait(u16),
    Leave(u8),
    Join(u8),
    Read(u8),
    Budget(u32),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Said {
    Frame(Vec<u8>),
    Ask(u32, Vec<u8>),
    Have(Number, Vec<Option<u64>>),
    Get(u32, u8, u64, u32),
    Chunk(Number, At, u16, u8),
    Refuse(Number, u8),
    Cancel(u32),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Number {
    Heard(u8),
    Any(u32),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum At {
    Next,
    Any(u64),
}

/// The other end of a link: what it was asked.
#[derive(Default)]
struct Peer {
    session: BlobSession,
    questions: Vec<(u32, Vec<BlobId>)>,
    requests: Vec<(u32, BlobId, u64, u64)>,
}

struct World {
    store: MemoryBlobs,
    fetcher: Fetcher,
    peers: BTreeMap<u8, Peer>,
    now: Millis,
}

fn content(n: u8) -> Vec<u8> {
    let size = SIZES[usize::from(n) % SIZES.len()];
    (0..size).map(|at| (at as u8).wrapping_mul(31) ^ n).collect()
}

fn id(n: u8) -> BlobId {
    use std::sync::OnceLock;
    static IDS: OnceLock<Vec<BlobId>> = OnceLock::new();
    IDS.get_or_init(|| (0..=u8::MAX).map(|n| BlobId::of(&content(n % 8))).collect())[usize::from(n)]
}

/// Which of the known blobs this is.
fn known(of: &BlobId) -> Option<u8> {
    (0..8).find(|n| id(*n) == *of)
}

impl World {
    fn new() -> Self {
        let mut store = MemoryBlobs::in_memory(BUDGET);
        for n in 0..3 {
            store.put(&content(n), Keep::Own, START).expect("there is room");
        }
        let mut world = Self {
            store,
            fetcher: Fetcher::default(),
            peers: BTreeMap::new(),
            now: START,
        };
        (0..PEERS).for_each(|n| world.join(n));
        world
    }

    fn join(&mut self, n: u8) {
        self.leave(n);
        let mut peer = Peer::default();
        peer.session.set_byte_limit(SERVED);
        self.peers.insert(n % PEERS, peer);
        self.fetcher.joined(session(n % PEERS), self.now);
        self.drive();
    }

    fn leave(&mut self, n: u8) {
        if self.peers.remove(&(n % PEERS)).is_some() {
            self.fetcher.left(session(n % PEERS), &mut self.store, self.now);
            self.drive();
        }
    }

    /// As a node does: carries between sessions and fetcher what each has to say.
    fn drive(&mut self) {
        loop {
            let mut quiet = true;
            for (n, peer) in &mut self.peers {
                while let Some(event) = peer.session.poll_event() {
                    quiet = false;
                    self.fetcher.event(session(*n), event, &mut self.store, self.now);
                }
            }
            while let Some((to, action)) = self.fetcher.poll_action() {
                quiet = false;
                let Some((_, peer)) = self.peers.iter_mut().find(|(n, _)| session(**n) == to) else {
                    continue;
                };
                match action {
                    Action::Ask(ids) => peer.session.ask(&ids, self.now),
                    Action::Get { id, offset, length } => peer.session.get(id, offset, length, self.now),
                    Action::Cancel(id) => peer.session.cancel(&id),
                }
            }
            while let Some(event) = self.fetcher.poll_event() {
                quiet = false;
                match event {
                    FetchEvent::Hostile(who) => {
                        let liar = (0..PEERS).find(|n| session(*n) == who);
                        self.peers.remove(&liar.expect("a peer that was there"));
                        self.fetcher.left(who, &mut self.store, self.now);
                    }
                    FetchEvent::Fetched(id) => self.fetched(&id),
                    FetchEvent::Failed { .. } | FetchEvent::NoRoom(_) => {}
                }
            }
            if quiet {
                break;
            }
        }
        let usage = self.store.usage();
        // Own blobs may take more than the budget; others' take what they leave of it.
        let left = usage.budget.saturating_sub(usage.own);
        assert!(
            usage.cached + usage.partial <= left,
            "more than it may: {usage:?}"
        );
    }

    fn fetched(&mut self, id: &BlobId) {
        // Another one may have driven it out at once.
        if let Some(info) = self.store.info(id).filter(|info| info.whole) {
            let size = usize::try_from(info.size).expect("it is small");
            let bytes = self.store.read(id, 0, size).expect("memory does not fail");
            assert_eq!(bytes.map(|bytes| BlobId::of(&bytes)), Some(*id), "other bytes");
        }
    }

    fn read(&mut self, n: u8) {
        let Some(peer) = self.peers.get_mut(&(n % PEERS)) else {
            return;
        };
        while let Some(frame) = peer.session.poll_frame(&self.store) {
            assert!(frame.len() <= MAX_FRAME, "a frame of {} bytes", frame.len());
            match BlobMessage::parse(&frame).expect("own messages are read") {
                BlobMessage::Ask { number, ids } => peer.questions.push((number, ids)),
                BlobMessage::Get {
                    number,
                    id,
                    offset,
                    length,
                } => peer
                    .requests
                    .push((number, id, offset, offset + u64::from(length))),
                // What is cancelled may be sent or refused; this peer goes on as it likes.
                BlobMessage::Cancel { .. } | BlobMessage::Have { .. } | BlobMessage::Refuse { .. } => {}
                BlobMessage::Chunk { bytes, .. } => assert!(!bytes.is_empty()),
                BlobMessage::Unknown => panic!("it says what nobody understands"),
            }
        }
    }

    fn frame(&mut self, n: u8, frame: &[u8]) {
        let Some(peer) = self.peers.get_mut(&(n % PEERS)) else {
            return;
        };
        if peer.session.frame(frame, &self.store, self.now).is_err() {
            self.leave(n);
        } else {
            self.drive();
        }
    }

    fn say(&mut self, n: u8, said: &Said) {
        let Some(peer) = self.peers.get_mut(&(n % PEERS)) else {
            return;
        };
        let heard = |number: &Number| match number {
            Number::Heard(n) if !peer.questions.is_empty() => {
                peer.questions[usize::from(*n) % peer.questions.len()].0
            }
            Number::Heard(n) => u32::from(*n),
            Number::Any(number) => *number,
        };
        let asked = |number: &Number| match number {
            Number::Heard(n) if !peer.requests.is_empty() => {
                let request = &peer.requests[usize::from(*n) % peer.requests.len()];
                (request.0, request.2)
            }
            number => (heard(number), 0),
        };
        let message = match said {
            Said::Frame(rest) => return self.frame(n, &[&[BLOB_FRAME], rest.as_slice()].concat()),
            Said::Ask(number, ids) => BlobMessage::Ask {
                number: *number,
                ids: ids.iter().map(|n| id(*n)).collect(),
            },
            Said::Have(number, sizes) => BlobMessage::Have {
                number: heard(number),
                sizes: sizes.clone(),
            },
            Said::Get(number, n, offset, length) => BlobMessage::Get {
                number: *number,
                id: id(*n),
                offset: *offset,
                length: *length,
            },
            Said::Chunk(number, at, length, byte) => {
                let (number, next) = asked(number);
                BlobMessage::Chunk {
                    number,
                    offset: match at {
                        At::Next => next,
                        At::Any(at) => *at,
                    },
                    bytes: vec![*byte; usize::from(*length) % (CHUNK + 2)],
                }
            }
            Said::Refuse(number, reason) => BlobMessage::Refuse {
                number: asked(number).0,
                reason: match reason % 3 {
                    0 => Refusal::Gone,
                    1 => Refusal::Busy,
                    _ => Refusal::Cancelled,
                },
            },
            Said::Cancel(number) => BlobMessage::Cancel { number: *number },
        };
        self.frame(n, &message.to_frame());
    }

    fn honest(&mut self, n: u8, times: u8) {
        for _ in 0..=times {
            self.read(n);
            let Some(peer) = self.peers.get_mut(&(n % PEERS)) else {
                return;
            };
            let message = if !peer.questions.is_empty() {
                let (number, ids) = peer.questions.remove(0);
                let size = |id: &BlobId| Some(content(known(id)?).len() as u64);
                BlobMessage::Have {
                    number,
                    sizes: ids.iter().map(size).collect(),
                }
            } else if let Some((number, id, next, end)) = peer.requests.first_mut() {
                let bytes = known(id).map(content).unwrap_or_default();
                let upto = (*next + CHUNK as u64).min(*end);
                let range = usize::try_from(*next).unwrap_or(0)..usize::try_from(upto).unwrap_or(0);
                let message = match bytes.get(range) {
                    Some(part) if !part.is_empty() => BlobMessage::Chunk {
                        number: *number,
                        offset: *next,
                        bytes: part.to_vec(),
                    },
                    _ => BlobMessage::Refuse {
                        number: *number,
                        reason: Refusal::Gone,
                    },
                };
                *next = upto;
                if *next == *end || matches!(message, BlobMessage::Refuse { .. }) {
                    peer.requests.remove(0);
                }
                message
            } else {
                return;
            };
            self.frame(n, &message.to_frame());
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    for step in steps.iter().take(STEPS) {
        match step {
            Step::Say(n, said) => world.say(*n, said),
            Step::Repeat(n, said, times) => (0..*times).for_each(|_| world.say(*n, said)),
            Step::Want(n, size, now) => {
                let want = Want {
                    id: id(*n),
                    size: size.map(u64::from),
                    keep: Keep::Cached,
                    urgency: if *now { Urgency::Now } else { Urgency::Later },
                };
                world.fetcher.want(want, &mut world.store, world.now);
                world.drive();
            }
            Step::Forget(n) => {
                world.fetcher.forget(&id(*n), &mut world.store, world.now);
                world.drive();
            }
            Step::Honest(n, times) => world.honest(*n, *times),
            Step::Wait(millis) => {
                world.now = world.now + Duration::from_millis(u64::from(*millis));
                for peer in world.peers.values_mut() {
                    peer.session.tick(world.now);
                }
                world.fetcher.tick(&mut world.store, world.now);
                world.drive();
            }
            Step::Leave(n) => world.leave(*n),
            Step::Join(n) => world.join(*n),
            Step::Read(n) => world.read(*n),
            Step::Budget(bytes) => {
                let budget = u64::from(*bytes) % (4 * BUDGET);
                world.store.set_budget(budget).expect("memory does not fail");
                world.drive();
            }
        }
    }
});
