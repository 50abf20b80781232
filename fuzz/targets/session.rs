//! A whole session with a hostile peer that has proven who it is and says whatever it likes.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nostr::prelude::{Filter, Timestamp};
use sazanami_core::media::{BlobStore, Keep, MemoryBlobs};
use sazanami_core::store::{MemoryStore, Put, Store};
use sazanami_core::sync::blobs::BLOB_FRAME;
use sazanami_core::sync::frame::{split, split_unit};
use sazanami_core::sync::{Env, Message, ReconcileSets, Session, SessionEvent, Wants};
use sazanami_core::time::Millis;
use sazanami_core::transport::{MAX_FRAME, SEND_BUFFER};
use sazanami_fuzz::{START, Said, Speaker, Unjoined, event_pool, is_of_pool, person, session};

const ME: u8 = 0;
const PEER: u8 = 1;
/// Steps of one script: enough for every limit that is counted, few enough for thousands of scripts a second.
const STEPS: usize = 96;
/// The same thing in one unit; a few such units are more than a peer may say.
const MOST_REPEATED: usize = 2_048;
/// What a session may still send after its end or at rest: the answers that it holds, and the events of all pulls that
/// a peer may have under way.
const MOST_LEFT: usize = 8 * 1024 * 1024;

#[derive(arbitrary::Arbitrary, Debug)]
struct Script {
    proves: bool,
    /// Asks for a proof, which a session waits for before it asks for anything itself.
    asks: bool,
    /// Takes packed messages, and perhaps compressed ones.
    packs: Option<bool>,
    wants: u8,
    held: u8,
    steps: Vec<Step>,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Say(Said),
    /// The same thing many times.
    Repeat(Said, u8),
    /// Several things in one unit.
    Pack(Vec<Said>, bool),
    /// One thing many times in one unit, which deflates to next to nothing.
    PackRepeated(Said, u16),
    Frame(Vec<u8>),
    Blob(Vec<u8>),
    Wait(u16),
    Read,
    Stop,
    Write(u8, bool),
    Want(u8),
    Ask(Vec<u8>),
    Hint,
}

/// A store with a part of the pool; made once, since every event in it costs a verification.
fn held(part: u8) -> MemoryStore {
    static PARTS: OnceLock<Vec<MemoryStore>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| {
        let parts: [fn(usize) -> bool; 5] = [|_| false, |_| true, |n| n % 2 == 0, |n| n % 3 == 0, |n| n > 20];
        let store = |keep: &fn(usize) -> bool| {
            let events = event_pool().iter().enumerate().filter(|(n, _)| keep(*n));
            let events: Vec<_> = events.map(|(_, event)| event.clone()).collect();
            let mut store = MemoryStore::new();
            store.put(&events, START).expect("memory does not fail");
            store
        };
        parts.iter().map(store).collect()
    });
    parts[usize::from(part) % parts.len()].clone()
}

/// What the attacked side wants of its peers.
fn wants(which: u8) -> Wants {
    let near = Filter::new().author(person(1).public_key());
    let recent = Filter::new().since(Timestamp::from(START.0 / 1000 - 8));
    match which % 4 {
        0 => Wants::everything(),
        1 => Wants {
            live: vec![recent.clone(), near.clone()],
            history: vec![recent, near],
        },
        2 => Wants {
            live: Vec::new(),
            history: Vec::new(),
        },
        _ => Wants {
            live: vec![near.clone()],
            history: vec![near],
        },
    }
}

struct Attacked {
    session: Session,
    store: MemoryStore,
    blobs: MemoryBlobs,
    sets: ReconcileSets,
    now: Millis,
    peer: Speaker,
    wire: Unjoined,
    unread: usize,
    reads: bool,
    ended: bool,
}

impl Attacked {
    fn new(script: &Script) -> Self {
        let attacked = Session::new(
            person(ME),
            session(ME),
            session(PEER),
            "challenge".to_owned(),
            START,
        );
        let mut blobs = MemoryBlobs::default();
        blobs
            .put(b"a picture", Keep::Own, START)
            .expect("memory does not fail");
        Self {
            session: attacked.wanting(wants(script.wants)),
            store: held(script.held),
            blobs,
            sets: ReconcileSets::default(),
            now: START,
            peer: Speaker::new(PEER),
            wire: Unjoined::default(),
            unread: 0,
            reads: true,
            ended: false,
        }
    }

    fn with(&mut self, work: impl FnOnce(&mut Session, &mut Env<'_>)) {
        let mut env = Env {
            store: &mut self.store,
            sets: &mut self.sets,
            now: self.now,
        };
        work(&mut self.session, &mut env);
        self.settle();
    }

    /// What a node does after each input.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.session.poll_event() {
                assert!(!self.ended, "{event:?} after the end");
                match event {
                    SessionEvent::Arrived { events, live } => {
                        // The pool's were verified when it was made, as a node verifies each event once.
                        let outcomes = if events.iter().all(is_of_pool) {
                            self.store.put_verified(&events, self.now)
                        } else {
                            self.store.put(&events, self.now)
                        };
                        let outcomes = outcomes.expect("memory does not fail");
                        for (event, outcome) in events.iter().zip(&outcomes) {
                            assert!(
                                *outcome != Put::Stored || is_of_pool(event) || event.verify().is_ok(),
                                "stored a forgery"
                            );
                        }
                        self.sets.apply(&self.store.take_changes());
                        self.session.stored(&events, &outcomes, live);
                    }
                    SessionEvent::Announced(ids) => self.session.ask(ids),
                    SessionEvent::Ended { .. } => self.ended = true,
                    SessionEvent::Proven(who) => assert_eq!(who, person(PEER).public_key()),
                    SessionEvent::Live
                    | SessionEvent::RoundTrip(_)
                    | SessionEvent::Withheld(_)
                    | SessionEvent::Suspect => {}
                }
            }
            let mut env = Env {
                store: &mut self.store,
                sets: &mut self.sets,
                now: self.now,
            };
            self.session.advance(&mut env).expect("memory does not fail");
            let Some(event) = self.session.poll_event() else {
                break;
            };
            assert!(!self.ended, "{event:?} after the end");
            match event {
                SessionEvent::Ended { .. } => self.ended = true,
                SessionEvent::Live => {}
                other => panic!("{other:?} out of nothing"),
            }
        }
        if self.reads {
            self.read(MOST_LEFT);
        } else {
            self.fill();
        }
    }

    /// The peer takes everything that comes.
    fn read(&mut self, most: usize) {
        let mut bytes = 0;
        loop {
            self.session.drained(std::mem::take(&mut self.unread));
            let before = bytes;
            bytes += self.fill();
            assert!(bytes <= most, "more than {most} bytes for one step");
            if bytes == before {
                return;
            }
        }
    }

    /// Frames within the send window.
    fn fill(&mut self) -> usize {
        let before = self.unread;
        loop {
            let frame = self
                .session
                .poll_frame(&self.store)
                .expect("memory does not fail");
            let Some(frame) = frame.or_else(|| self.session.poll_blob_frame(&self.blobs)) else {
                break;
            };
            self.unread += frame.len();
            assert!(
                self.unread <= SEND_BUFFER / 2 + MAX_FRAME,
                "the send window is passed"
            );
            for message in self.wire.read(&frame) {
                self.peer.hear(&message);
            }
        }
        self.unread - before
    }

    fn frame(&mut self, frame: &[u8]) {
        if frame.first() == Some(&BLOB_FRAME) {
            self.session.blob_frame(frame, &self.blobs, self.now);
            self.settle();
        } else {
            self.with(|session, env| session.frame(frame, env).expect("memory does not fail"));
        }
    }

    fn text(&mut self, text: &str) {
        split(text).for_each(|frame| self.frame(&frame));
    }

    fn pack(&mut self, said: &[Said], times: usize, deflate: bool) {
        let unit = self.peer.pack(said, times, deflate, ME, self.now);
        split_unit(&unit).for_each(|frame| self.frame(&frame));
    }

    fn say(&mut self, said: &Said) {
        for text in self.peer.say(said, ME, self.now) {
            self.text(&text);
        }
    }
}

fuzz_target!(|script: Script| {
    let mut attacked = Attacked::new(&script);
    attacked.settle();
    if script.proves {
        // It is asked for a proof once it is heard.
        attacked.text(&Message::Ping(1).to_json());
        let proof = attacked.peer.proof(ME, START).to_json();
        attacked.text(&proof);
        assert!(attacked.session.is_proven());
    }
    if let Some(deflate) = script.packs {
        attacked.text(&Message::Hello { pack: true, deflate }.to_json());
    }
    if script.asks {
        attacked.text(&Message::Challenge("theirs".to_owned()).to_json());
    }
    for step in script.steps.iter().take(STEPS) {
        match step {
            Step::Say(said) => attacked.say(said),
            Step::Repeat(said, times) => (0..*times).for_each(|_| attacked.say(said)),
            Step::Pack(said, deflate) => attacked.pack(said, 1, *deflate),
            Step::PackRepeated(said, times) => {
                let times = usize::from(*times) % MOST_REPEATED;
                attacked.pack(std::slice::from_ref(said), times, true);
            }
            Step::Frame(frame) => attacked.frame(frame),
            Step::Blob(rest) => attacked.frame(&[&[BLOB_FRAME], rest.as_slice()].concat()),
            Step::Wait(millis) => {
                attacked.now = attacked.now + Duration::from_millis(u64::from(*millis));
                attacked.with(|session, env| session.tick(env).expect("memory does not fail"));
            }
            Step::Read => {
                attacked.reads = true;
                attacked.settle();
            }
            Step::Stop => attacked.reads = false,
            Step::Want(which) => {
                attacked.with(|session, env| {
                    session.want(wants(*which), env).expect("memory does not fail");
                });
            }
            Step::Ask(ids) => {
                let pool = event_pool();
                let ids = ids.iter().map(|n| pool[usize::from(*n) % pool.len()].id);
                attacked.session.ask(ids);
                attacked.settle();
            }
            Step::Hint => {
                attacked.session.hint();
                attacked.settle();
            }
            Step::Write(n, whole) => {
                let pool = event_pool();
                let event = &pool[usize::from(*n) % pool.len()];
                let outcomes = attacked.store.put(std::slice::from_ref(event), attacked.now);
                if outcomes.expect("memory does not fail") == [Put::Stored] {
                    let changes = attacked.store.take_changes();
                    attacked.sets.apply(&changes);
                    if *whole {
                        attacked.session.forward(event);
                    } else {
                        attacked.session.announce(event);
                    }
                    attacked.settle();
                }
            }
        }
    }
    attacked.read(MOST_LEFT);
    // A peer that falls silent is let go, whatever it has said before.
    for _ in 0..16 {
        attacked.now = attacked.now + Duration::from_secs(1);
        attacked.with(|session, env| session.tick(env).expect("memory does not fail"));
    }
    assert!(attacked.ended, "a silent peer is kept");
});
