//! Two sessions over a link in memory, under virtual time.

use std::time::Duration;

use nostr::prelude::{Event, EventBuilder, EventId, Filter, FinalizeEvent, Keys, Kind, Tag};

use super::frame::{Joiner, UnitJoiner, is_packed, split};
use super::session::MAX_PULL;
use super::*;
use crate::identity;
use crate::signaling::SessionId;
use crate::social::{KINDS, deletion_event, note_event};
use crate::store::{MemoryStore, Put, Scope, Store};
use crate::time::Millis;

mod greeting;
mod wanting;
mod wire;

const START: Millis = Millis(1_700_000_000_000);

struct End {
    keys: Keys,
    store: MemoryStore,
    sets: ReconcileSets,
    session: Session,
    ended: Option<(String, bool)>,
    proven: bool,
    live: usize,
    arrived: usize,
    /// Takes events unverified, for sets that would take long to sign.
    trusting: bool,
}

impl End {
    fn new(id: SessionId, peer: SessionId, events: &[Event]) -> Self {
        let keys = Keys::generate();
        let mut store = MemoryStore::default();
        store.put(events, START).unwrap();
        store.take_changes();
        Self {
            session: Session::new(keys.clone(), id, peer, "challenge".into(), START),
            keys,
            store,
            sets: ReconcileSets::default(),
            ended: None,
            proven: false,
            live: 0,
            arrived: 0,
            trusting: false,
        }
    }

    fn env<'a>(store: &'a mut MemoryStore, sets: &'a mut ReconcileSets, now: Millis) -> Env<'a> {
        Env { store, sets, now }
    }

    fn hear(&mut self, frame: &[u8], now: Millis) {
        self.session
            .frame(frame, &mut Self::env(&mut self.store, &mut self.sets, now))
            .unwrap();
        self.work(now);
    }

    fn tick(&mut self, now: Millis) {
        self.session
            .tick(&mut Self::env(&mut self.store, &mut self.sets, now))
            .unwrap();
        self.work(now);
    }

    fn work(&mut self, now: Millis) {
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    SessionEvent::Proven(_) => self.proven = true,
                    SessionEvent::Arrived { events, live } => {
                        self.arrived += events.len();
                        let outcomes = if self.trusting {
                            self.store.put_verified(&events, now).unwrap()
                        } else {
                            self.store.put(&events, now).unwrap()
                        };
                        self.sets.apply(&self.store.take_changes());
                        self.session.stored(&events, &outcomes, live);
                    }
                    SessionEvent::Live => self.live += 1,
                    SessionEvent::Announced(ids) => self.session.ask(ids),
                    SessionEvent::RoundTrip(_) | SessionEvent::Withheld(_) | SessionEvent::Suspect => {}
                    SessionEvent::Ended { reason, hostile } => self.ended = Some((reason, hostile)),
                }
            }
            self.session
                .advance(&mut Self::env(&mut self.store, &mut self.sets, now))
                .unwrap();
            match self.session.poll_event() {
                Some(SessionEvent::Live) => self.live += 1,
                Some(SessionEvent::Ended { reason, hostile }) => self.ended = Some((reason, hostile)),
                _ => return,
            }
        }
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.session.poll_frame(&self.store).unwrap() {
            frames.push(frame);
        }
        frames
    }

    fn notes(&self) -> usize {
        self.store
            .timeline(Scope::Everyone, None, 100_000)
            .unwrap()
            .notes
            .len()
    }

    fn write(&mut self, event: &Event, now: Millis) {
        assert_eq!(
            self.store.put(std::slice::from_ref(event), now).unwrap(),
            [Put::Stored]
        );
        self.sets.apply(&self.store.take_changes());
        self.session.forward(event);
    }
}

/// Reads what passes on a link.
#[derive(Default)]
struct Tap {
    joiner: Joiner,
    units: UnitJoiner,
    bytes: usize,
    messages: Vec<Message>,
}

impl Tap {
    /// Takes a frame; answers the messages that end with it.
    fn read(&mut self, frame: &[u8]) -> Vec<Message> {
        self.bytes += frame.len();
        let mut messages = Vec::new();
        if !is_packed(frame) {
            let text = self.joiner.push(frame).unwrap();
            messages.extend(text.map(|text| Message::parse(&text).unwrap()));
        } else if let Some(unit) = self.units.push(frame).unwrap() {
            let records = pack::open(unit).unwrap();
            messages.extend(records.map(|record| record.unwrap().0));
        }
        self.messages.extend(messages.clone());
        messages
    }
}

struct Pair {
    a: End,
    b: End,
    now: Millis,
    from_a: Tap,
    from_b: Tap,
}

impl Pair {
    fn new(for_a: &[Event], for_b: &[Event]) -> Self {
        let (a, b) = (
            SessionId(Keys::generate().public_key()),
            SessionId(Keys::generate().public_key()),
        );
        Self {
            a: End::new(a, b, for_a),
            b: End::new(b, a, for_b),
            now: START,
            from_a: Tap::default(),
            from_b: Tap::default(),
        }
    }

    /// Passes frames to and fro until both are quiet.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let (from_a, from_b) = (self.a.frames(), self.b.frames());
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            self.now = self.now + Duration::from_millis(1);
            for frame in &from_a {
                self.a.session.drained(frame.len());
                self.from_a.read(frame);
                self.b.hear(frame, self.now);
            }
            for frame in &from_b {
                self.b.session.drained(frame.len());
                self.from_b.read(frame);
                self.a.hear(frame, self.now);
            }
        }
        panic!("the sessions never become quiet");
    }
}

fn notes(count: usize) -> Vec<Event> {
    let keys = Keys::generate();
    (0..count)
        .map(|n| note_event(&keys, format!("note {n}"), Millis(START.0 - n as u64 * 1000)))
        .collect()
}

#[test]
fn both_sides_end_with_everything() {
    let all = notes(1_000);
    let mut pair = Pair::new(&all[..300], &all[200..]);
    pair.settle();
    assert_eq!((pair.a.notes(), pair.b.notes()), (1_000, 1_000));
    assert!(pair.a.proven && pair.b.proven && pair.a.live == 1 && pair.b.live == 1);
    assert_eq!(
        (pair.a.arrived, pair.b.arrived),
        (700, 200),
        "nothing was fetched twice"
    );
    let most = |tap: &Tap| {
        let ids = |message: &Message| match message {
            Message::Req { filter, .. } => filter.ids.as_ref().map_or(0, |ids| ids.len()),
            _ => 0,
        };
        tap.messages.iter().map(ids).max().unwrap_or(0)
    };
    assert!(
        (64..=MAX_PULL).contains(&most(&pair.from_a)),
        "{}",
        most(&pair.from_a)
    );
    assert_eq!(pair.a.ended, None);
}

#[test]
fn new_events_follow_at_once_and_only_once() {
    let mut pair = Pair::new(&[], &[]);
    pair.settle();
    let note = note_event(&pair.a.keys, "さざなみ".into(), pair.now);
    pair.a.write(&note, pair.now);
    pair.settle();
    assert_eq!(pair.b.notes(), 1);
    pair.a.session.forward(&note);
    pair.settle();
    assert_eq!(pair.b.arrived, 1, "a duplicate is dropped before it is verified");
}

#[test]
fn what_its_author_deleted_is_not_fetched_again() {
    let author = Keys::generate();
    let note = note_event(&author, "oops".into(), START);
    let deletion = deletion_event(&author, &[note.id], START);
    let mut pair = Pair::new(std::slice::from_ref(&note), &[note.clone(), deletion]);
    pair.settle();
    assert_eq!((pair.a.notes(), pair.b.notes()), (0, 0));
    assert_eq!((pair.a.arrived, pair.b.arrived), (1, 0));
    assert_eq!(pair.b.live, 1);
}

#[test]
fn a_silent_peer_ends_the_session() {
    let mut pair = Pair::new(&[], &[]);
    pair.settle();
    for _ in 0..30 {
        pair.now = pair.now + Duration::from_secs(1);
        pair.a.tick(pair.now);
    }
    assert_eq!(pair.a.ended, Some(("the peer has gone silent".into(), false)));
}

#[test]
fn a_peer_that_withholds_what_it_promised_is_left() {
    let all = notes(10);
    let mut pair = Pair::new(&[], &all);
    // B's answers to pulls are lost; everything else passes.
    for _ in 0..200 {
        pair.now = pair.now + Duration::from_millis(500);
        for frame in pair.a.frames() {
            pair.b.hear(&frame, pair.now);
        }
        for frame in pair.b.frames() {
            let withheld = |message: &Message| matches!(message, Message::Event { .. } | Message::Eose(_));
            if !pair.from_b.read(&frame).iter().any(withheld) {
                pair.a.hear(&frame, pair.now);
            }
        }
        pair.a.tick(pair.now);
        pair.b.tick(pair.now);
    }
    assert_eq!(pair.a.ended, Some(("the peer did not answer".into(), false)));
}

#[test]
fn a_peer_that_does_not_read_costs_bounded_memory() {
    let mut pair = Pair::new(&[], &[]);
    pair.settle();
    for n in 0..200_000 {
        for frame in split(&Message::Ping(n).to_json()) {
            pair.a.hear(&frame, pair.now);
        }
    }
    assert!(pair.a.ended.is_some());
}

#[test]
fn a_peer_too_slow_for_live_events_reconciles_instead() {
    let mut pair = Pair::new(&[], &[]);
    pair.settle();
    let keys = pair.a.keys.clone();
    for n in 0..6_000 {
        let note = note_event(&keys, format!("{n}"), pair.now);
        pair.a.write(&note, pair.now);
    }
    pair.settle();
    pair.now = pair.now + Duration::from_secs(1);
    pair.b.tick(pair.now);
    pair.settle();
    assert_eq!(pair.b.notes(), 6_000);
    let note = note_event(&keys, "after".into(), pair.now);
    pair.a.write(&note, pair.now);
    pair.settle();
    assert_eq!(pair.b.notes(), 6_001, "subscribed anew");
}

/// Lets B's end be played by hand after both have proven who they are.
fn attacked() -> (Pair, Keys) {
    let mut pair = Pair::new(&notes(5), &[]);
    pair.settle();
    (pair, Keys::generate())
}

fn say(pair: &mut Pair, text: &str) {
    for frame in split(text) {
        pair.a.hear(&frame, pair.now);
    }
}

#[test]
fn forgeries_are_not_stored_and_end_the_session() {
    let forged: [fn(&mut Event); 4] = [
        |event| event.content = "changed".into(),
        |event| event.pubkey = Keys::generate().public_key(),
        |event| event.id = EventId::from_byte_array([7; 32]),
        |event| event.sig = note_event(&Keys::generate(), "x".into(), START).sig,
    ];
    for forge in forged {
        let (mut pair, attacker) = attacked();
        let mut event = note_event(&attacker, "hello".into(), pair.now);
        forge(&mut event);
        let live = pair.a.session.live_id().expect("it has subscribed").to_owned();
        say(
            &mut pair,
            &Message::Event {
                id: live,
                event: Box::new(event),
            }
            .to_json(),
        );
        assert_eq!(pair.a.ended, Some(("an event is forged".into(), true)));
        assert_eq!(pair.a.notes(), 5);
    }
}

#[test]
fn nonsense_ends_the_session_and_stores_nothing() {
    let negentropy = |bytes: &[u8]| {
        Message::NegOpen {
            id: "x".into(),
            filter: Box::new(Filter::new().kinds(KINDS)),
            message: bytes.to_vec(),
        }
        .to_json()
    };
    let too_many = Filter::new().ids((0..600u16).map(|n| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        EventId::from_byte_array(id)
    }));
    for text in [
        "{".to_owned(),
        "[]".to_owned(),
        r#"["EVENT"]"#.to_owned(),
        r#"["EVENT","x",{"id":1}]"#.to_owned(),
        format!(r#"["NOTICE","{}"]"#, "a".repeat(300_000)),
        format!(r#"["REQ","{}",{{}}]"#, "i".repeat(65)),
        Message::Req {
            id: "x".into(),
            filter: Box::new(too_many),
        }
        .to_json(),
        negentropy(&[]),
        negentropy(&[0x61, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    ] {
        let (mut pair, _) = attacked();
        say(&mut pair, &text);
        let (reason, hostile) = pair
            .a
            .ended
            .clone()
            .unwrap_or_else(|| panic!("not ended by {text:.60}"));
        assert!(hostile, "{reason}");
        assert_eq!(pair.a.notes(), 5);
    }
}

#[test]
fn a_truncated_reconciliation_never_stores_or_panics() {
    let (mut pair, _) = attacked();
    let set = pair
        .a
        .sets
        .get(&Filter::new().kinds(KINDS), &pair.a.store)
        .unwrap();
    let whole = reconcile::initiate(set);
    for length in 0..whole.len() {
        let (mut pair, _) = attacked();
        let filter = Box::new(Filter::new().kinds(KINDS));
        say(
            &mut pair,
            &Message::NegOpen {
                id: "x".into(),
                filter,
                message: whole[..length].to_vec(),
            }
            .to_json(),
        );
        assert_eq!(pair.a.notes(), 5);
    }
}

#[test]
fn only_what_was_asked_for_is_taken() {
    let (mut pair, attacker) = attacked();
    let unasked = note_event(&attacker, "buy".into(), pair.now);
    say(
        &mut pair,
        &Message::Event {
            id: "made-up".into(),
            event: Box::new(unasked),
        }
        .to_json(),
    );
    assert_eq!(pair.a.notes(), 5);
    assert_eq!(pair.a.arrived, 0);
}

#[test]
fn who_does_not_prove_who_it_is_gets_nothing() {
    let all = notes(5);
    let (a, b) = (
        SessionId(Keys::generate().public_key()),
        SessionId(Keys::generate().public_key()),
    );
    let mut end = End::new(a, b, &all);
    for frame in split(
        &Message::Req {
            id: "x".into(),
            filter: Box::new(Filter::new().limit(0)),
        }
        .to_json(),
    ) {
        end.hear(&frame, START);
    }
    assert!(matches!(end.ended, Some((_, true))));

    let mut end = End::new(a, b, &all);
    let mallory = SessionId(Keys::generate().public_key());
    let stolen = identity::prove(&Keys::generate(), mallory, a, "challenge", START);
    for frame in split(&Message::Auth(Box::new(stolen)).to_json()) {
        end.hear(&frame, START);
    }
    assert!(matches!(end.ended, Some((_, true))) && !end.proven);
}

#[test]
fn filters_that_would_cost_a_scan_are_refused_in_words() {
    let (mut pair, _) = attacked();
    pair.a.frames();
    for text in [
        Message::Req {
            id: "x".into(),
            filter: Box::new(Filter::new().kind(Kind::TextNote)),
        }
        .to_json(),
        Message::NegOpen {
            id: "x".into(),
            filter: Box::new(Filter::new().search("a")),
            message: vec![0x61],
        }
        .to_json(),
    ] {
        say(&mut pair, &text);
        let answers: Vec<Message> = pair
            .a
            .frames()
            .iter()
            .flat_map(|frame| pair.from_a.read(frame))
            .collect();
        assert!(
            answers
                .iter()
                .any(|answer| matches!(answer, Message::Closed { .. } | Message::NegErr { .. })),
            "{answers:?}"
        );
        assert_eq!(pair.a.ended, None);
    }
}

#[test]
fn an_event_past_the_limit_ends_the_session_unread() {
    let (mut pair, attacker) = attacked();
    let tags = std::iter::repeat_n(Tag::custom("x", [""]), 10_000);
    let huge = EventBuilder::new(Kind::TextNote, "")
        .tags(tags)
        .custom_created_at(START.timestamp())
        .finalize(&attacker)
        .unwrap();
    let live = pair.a.session.live_id().expect("it has subscribed").to_owned();
    say(
        &mut pair,
        &Message::Event {
            id: live,
            event: Box::new(huge),
        }
        .to_json(),
    );
    assert_eq!(pair.a.ended, Some(("an event is too large".into(), true)));
    assert_eq!(pair.a.arrived, 0);
}

#[test]
fn questions_that_cost_more_than_they_are_worth_are_rationed() {
    let (mut pair, _) = attacked();
    pair.a.frames();
    for since in 0..30u64 {
        let filter = Box::new(
            Filter::new()
                .kinds(KINDS)
                .since(nostr::prelude::Timestamp::from(since)),
        );
        let open = Message::NegOpen {
            id: "x".into(),
            filter,
            message: vec![0x61],
        };
        say(&mut pair, &open.to_json());
        say(&mut pair, &Message::NegClose("x".into()).to_json());
    }
    let answers = String::from_utf8_lossy(&pair.a.frames().concat()).into_owned();
    assert!(answers.contains("NEG-ERR") && pair.a.ended.is_none());
    say(&mut pair, &Message::Challenge("again".into()).to_json());
    assert!(matches!(pair.a.ended, Some((_, true))));
}

#[test]
fn who_talks_without_end_is_left_and_not_heard_any_more() {
    let (mut pair, _) = attacked();
    let end = &mut pair.a;
    let mut announced = 0u32;
    while end.ended.is_none() {
        announced += 1;
        assert!(announced < 10_000, "it listens for ever");
        let mut id = [0xDD; 32];
        id[..4].copy_from_slice(&announced.to_be_bytes());
        let text = Message::Have(vec![EventId::from_byte_array(id)]).to_json();
        for frame in frame::split(&text) {
            let mut env = End::env(&mut end.store, &mut end.sets, pair.now);
            end.session.frame(&frame, &mut env).unwrap();
        }
        while let Some(event) = end.session.poll_event() {
            assert_eq!(end.ended, None, "{event:?} after the end");
            if let SessionEvent::Ended { reason, hostile } = event {
                end.ended = Some((reason, hostile));
            }
        }
    }
}

#[test]
fn what_a_later_version_says_is_ignored() {
    let (mut pair, _) = attacked();
    say(&mut pair, r#"["LATER","x",{}]"#);
    assert_eq!(pair.a.ended, None);
}

#[test]
fn what_is_announced_is_fetched_once_and_not_announced_back() {
    let mut pair = Pair::new(&[], &[]);
    pair.settle();
    let note = note_event(&pair.a.keys, "さざなみ".into(), pair.now);
    pair.a.store.put(std::slice::from_ref(&note), pair.now).unwrap();
    pair.a.session.announce(&note);
    pair.a.session.announce(&note);
    pair.settle();
    assert_eq!((pair.b.notes(), pair.b.arrived), (1, 1));
    assert!(!pair.b.session.wants(&note) && !pair.a.session.wants(&note));
    pair.b.session.announce(&note);
    assert_eq!(
        pair.b.frames(),
        Vec::<Vec<u8>>::new(),
        "each knows that the other has it"
    );
}

#[test]
fn who_announces_what_it_does_not_have_is_left_and_not_believed() {
    let mut pair = Pair::new(&[], &[]);
    pair.settle();
    for note in notes(100) {
        pair.a.session.announce(&note);
    }
    pair.settle();
    assert_eq!(pair.b.notes(), 0);
    let (reason, hostile) = pair.b.ended.expect("it is left");
    assert!(reason.contains("announces") && !hostile, "{reason}");
}
