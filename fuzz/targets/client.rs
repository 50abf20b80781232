//! A hostile client that speaks plain Nostr to this peer and says whatever it likes.
#![no_main]

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nostr::prelude::{ClientMessage, Filter, Kind, RelayMessage, SubscriptionId, Timestamp};
use sazanami_core::relay::{Client, Host, Request};
use sazanami_core::store::{MemoryStore, Put, Store};
use sazanami_core::sync::{Env, ReconcileSets};
use sazanami_core::time::Millis;
use sazanami_fuzz::{START, event_pool, person};

/// Steps of one script.
const STEPS: usize = 96;
/// What may be on its way: the window and the largest message.
const MOST_UNREAD: usize = 512 * 1024;
/// What a client may have waiting when it reads at last: answers, new events, and everything of the pool in each
/// subscription.
const MOST_LEFT: usize = 64 * 1024 * 1024;

#[derive(arbitrary::Arbitrary, Debug)]
struct Script {
    held: u8,
    steps: Vec<Step>,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Say(Said),
    /// The same thing many times.
    Repeat(Said, u8),
    /// Something new is stored.
    Write(u8),
    Wait(u16),
    Read,
    Stop,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Said {
    Text(String),
    Labelled(u8, String),
    Publish(u8, bool),
    Req(u8, Vec<Which>),
    Close(u8),
    Open(u8, Which, Vec<u8>),
    /// A reconciliation of somebody who has nothing.
    OpenEmpty(u8, Which),
    Message(u8, Vec<u8>),
    Finish(u8),
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Which {
    ids: Vec<u8>,
    authors: Vec<u8>,
    kinds: Vec<u16>,
    since: Option<u8>,
    until: Option<u8>,
    limit: Option<u16>,
    event: Option<u8>,
    search: bool,
}

impl Which {
    fn filter(&self) -> Filter {
        let pool = event_pool();
        let id = |n: &u8| pool[usize::from(*n) % pool.len()].id;
        let second = |back: u8| Timestamp::from(START.0 / 1_000 - u64::from(back));
        let mut filter = Filter::new();
        if !self.ids.is_empty() {
            filter = filter.ids(self.ids.iter().map(id));
        }
        if !self.authors.is_empty() {
            filter = filter.authors(self.authors.iter().map(|n| person(*n).public_key()));
        }
        if !self.kinds.is_empty() {
            filter = filter.kinds(self.kinds.iter().map(|kind| Kind::from(*kind % 16)));
        }
        if let Some(event) = &self.event {
            filter = filter.event(id(event));
        }
        filter.since = self.since.map(second);
        filter.until = self.until.map(second);
        filter.limit = self.limit.map(usize::from);
        filter.search = self.search.then(|| "x".to_owned());
        filter
    }
}

fn name(n: u8) -> SubscriptionId {
    SubscriptionId::new((n % 40).to_string())
}

impl Said {
    fn text(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Text(text) => text.clone(),
            Self::Labelled(label, rest) => {
                let labels = [
                    "EVENT",
                    "REQ",
                    "CLOSE",
                    "NEG-OPEN",
                    "NEG-MSG",
                    "NEG-CLOSE",
                    "AUTH",
                    "COUNT",
                ];
                format!(r#"["{}",{rest}]"#, labels[usize::from(*label) % labels.len()])
            }
            Self::Publish(n, forged) => {
                let mut event = event_pool()[usize::from(*n) % event_pool().len()].clone();
                if *forged {
                    event.content.push('!');
                }
                ClientMessage::event(event).as_json()
            }
            Self::Req(id, filters) => {
                let filters: Vec<Filter> = filters.iter().map(Which::filter).collect();
                ClientMessage::req(name(*id), filters).as_json()
            }
            Self::Close(id) => ClientMessage::close(name(*id)).as_json(),
            Self::Open(id, which, message) => {
                ClientMessage::neg_open(name(*id), which.filter(), hex(message)).as_json()
            }
            Self::OpenEmpty(id, which) => {
                ClientMessage::neg_open(name(*id), which.filter(), "6100000200".to_owned()).as_json()
            }
            Self::Message(id, message) => format!(r#"["NEG-MSG","{}","{}"]"#, name(*id), hex(message)),
            Self::Finish(id) => format!(r#"["NEG-CLOSE","{}"]"#, name(*id)),
        }
    }
}

/// A store with a part of the pool; made once, since every event in it costs a verification.
fn held(part: u8) -> MemoryStore {
    static PARTS: OnceLock<Vec<MemoryStore>> = OnceLock::new();
    let parts = PARTS.get_or_init(|| {
        let parts: [fn(usize) -> bool; 3] = [|_| false, |_| true, |n| n % 2 == 0];
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

struct Attacked {
    client: Client,
    host: Host,
    store: MemoryStore,
    sets: ReconcileSets,
    now: Millis,
    asked: BTreeSet<String>,
    unread: usize,
    reads: bool,
}

impl Attacked {
    fn say(&mut self, text: &str) {
        let over = self.client.end_reason().is_some();
        let request = Request::parse(text);
        // For good: what was under way when a subscription is closed may still come.
        if let Ok(Request::Subscribe { id, .. }) = &request {
            self.asked.insert(id.clone());
        }
        let mut env = Env {
            store: &mut self.store,
            sets: &mut self.sets,
            now: self.now,
        };
        let published = self
            .client
            .take(request, &mut self.host, &mut env)
            .expect("memory does not fail");
        if let Some(event) = published {
            assert!(!over, "something is taken after the end");
            let outcome = self.put(&event);
            self.client
                .stored(std::slice::from_ref(&event), &[outcome], &mut self.host, self.now);
        }
        self.settle();
    }

    fn put(&mut self, event: &nostr::prelude::Event) -> Put {
        let outcomes = self.store.put(std::slice::from_ref(event), self.now);
        let outcome = outcomes.expect("memory does not fail").remove(0);
        self.sets.apply(&self.store.take_changes());
        if outcome == Put::Stored {
            assert!(event.verify().is_ok(), "stored a forgery");
            if self.client.wants(event) {
                self.client.forward(event, &event.as_json().into());
            }
        }
        outcome
    }

    /// What a node does after each input.
    fn settle(&mut self) {
        let mut bytes = 0;
        loop {
            let texts = self
                .client
                .poll(&mut self.host, &self.store, self.now)
                .expect("memory does not fail");
            if texts.is_empty() {
                return;
            }
            for text in texts {
                self.unread += text.len();
                bytes += text.len();
                self.heard(&text);
            }
            assert!(self.unread <= MOST_UNREAD, "the window is passed");
            assert!(bytes <= MOST_LEFT, "too much for one step");
            if self.reads {
                self.client.drained(std::mem::take(&mut self.unread));
            }
        }
    }

    fn heard(&self, text: &str) {
        match RelayMessage::from_json(text).expect("every answer is a message") {
            RelayMessage::Event {
                subscription_id,
                event,
            } => {
                assert!(
                    self.asked.contains(&subscription_id.to_string()),
                    "an event for nothing that was asked"
                );
                assert!(event.verify().is_ok(), "a forgery is passed on");
            }
            RelayMessage::Ok { event_id, status, .. } if status => {
                let known = self.store.known(&event_id).expect("memory does not fail");
                assert!(known != sazanami_core::store::Known::No, "accepted and not kept");
            }
            _ => {}
        }
    }
}

fuzz_target!(|script: Script| {
    let mut attacked = Attacked {
        client: Client::new(START),
        host: Host::default(),
        store: held(script.held),
        sets: ReconcileSets::default(),
        now: START,
        asked: BTreeSet::new(),
        unread: 0,
        reads: true,
    };
    for step in script.steps.iter().take(STEPS) {
        match step {
            Step::Say(said) => attacked.say(&said.text()),
            Step::Repeat(said, times) => {
                let text = said.text();
                (0..*times).for_each(|_| attacked.say(&text));
            }
            Step::Write(n) => {
                let event = event_pool()[usize::from(*n) % event_pool().len()].clone();
                attacked.put(&event);
                attacked.settle();
            }
            Step::Wait(millis) => {
                attacked.now = attacked.now + Duration::from_millis(u64::from(*millis));
                attacked.client.tick(attacked.now);
                attacked.settle();
            }
            Step::Read => {
                attacked.reads = true;
                attacked.client.drained(std::mem::take(&mut attacked.unread));
                attacked.settle();
            }
            Step::Stop => attacked.reads = false,
        }
    }
    attacked.reads = true;
    attacked.client.drained(std::mem::take(&mut attacked.unread));
    attacked.settle();
});
