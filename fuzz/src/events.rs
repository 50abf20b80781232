//! Events of any kind, with any tags, signed or forged.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use nostr::prelude::{Event, EventBuilder, EventId, FinalizeEvent, Kind, Tag, Timestamp};

use crate::{PEOPLE, START, person};

/// Kinds that have a meaning here or nearby; any other number is one too.
const KINDS: [u16; 16] = [
    0, 1, 3, 5, 6, 7, 10_000, 13, 1059, 62, 9_734, 20_001, 22_242, 30_023, 30_078, 10_002,
];
/// Tag names that some reader looks at.
const TAGS: [&str; 14] = [
    "e",
    "p",
    "a",
    "k",
    "t",
    "q",
    "d",
    "imeta",
    "expiration",
    "content-warning",
    "relay",
    "challenge",
    "-",
    "nonce",
];

/// An event as somebody hostile writes it.
#[derive(Arbitrary, Clone, Debug)]
pub struct Written {
    author: u8,
    kind: AnyKind,
    at: At,
    content: Content,
    tags: Vec<Vec<Word>>,
    forged: Option<Forgery>,
    /// Signed once, however often it is said.
    #[arbitrary(default)]
    made: OnceCell<Event>,
}

#[derive(Arbitrary, Clone, Debug)]
enum AnyKind {
    Known(u8),
    Any(u16),
}

#[derive(Arbitrary, Clone, Debug)]
enum At {
    Near(u8),
    Behind(u32),
    Ahead(u32),
    Any(u64),
}

#[derive(Arbitrary, Clone, Debug)]
enum Content {
    Text(String),
    Named(String),
    Long(u16),
}

#[derive(Arbitrary, Clone, Debug)]
enum Word {
    Tag(u8),
    Person(u8),
    Event(u8),
    Address(u16, u8),
    Text(String),
    Bytes([u8; 3]),
    Repeated(u8, u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Forgery {
    Content,
    Author(u8),
    Id(u8),
    Signature,
    Time,
    Kind(u16),
}

impl Written {
    /// The event, signed by its author unless it is a forgery.
    pub fn event(&self) -> Event {
        self.made.get_or_init(|| self.make()).clone()
    }

    fn make(&self) -> Event {
        let secs = START.0 / 1000;
        let at = match self.at {
            At::Near(n) => secs - u64::from(n % 4),
            At::Behind(n) => secs - u64::from(n).min(secs),
            At::Ahead(n) => secs + u64::from(n),
            At::Any(at) => at,
        };
        let content = match &self.content {
            Content::Text(text) => text.clone(),
            Content::Named(name) => serde_json::json!({ "name": name, "about": 1 }).to_string(),
            Content::Long(length) => "波a\u{1}".repeat(usize::from(*length) % 16_000),
        };
        let kind = match self.kind {
            AnyKind::Known(n) => KINDS[usize::from(n) % KINDS.len()],
            AnyKind::Any(kind) => kind,
        };
        let tags = self.tags.iter().take(40).filter_map(|words| {
            let words: Vec<String> = words.iter().take(8).map(Word::text).collect();
            Tag::parse(words).ok()
        });
        let mut event = EventBuilder::new(Kind::from(kind), content)
            .tags(tags)
            .custom_created_at(Timestamp::from(at))
            .finalize(&person(self.author))
            .expect("a key pair signs what it is given");
        match self.forged {
            None => {}
            Some(Forgery::Content) => event.content.push('x'),
            Some(Forgery::Author(n)) => event.pubkey = person(n).public_key(),
            Some(Forgery::Id(n)) => event.id = EventId::from_byte_array([n; 32]),
            Some(Forgery::Signature) => event.sig = event_pool()[0].sig,
            Some(Forgery::Time) => event.created_at = Timestamp::from(at ^ 1),
            Some(Forgery::Kind(kind)) => event.kind = Kind::from(kind),
        }
        event
    }
}

impl Word {
    fn text(&self) -> String {
        let pool = event_pool();
        match self {
            Self::Tag(n) => TAGS[usize::from(*n) % TAGS.len()].to_owned(),
            Self::Person(n) => person(*n).public_key().to_hex(),
            Self::Event(n) => pool[usize::from(*n) % pool.len()].id.to_hex(),
            Self::Address(kind, n) => format!("{kind}:{}:x", person(*n).public_key().to_hex()),
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Repeated(byte, count) => char::from(*byte).to_string().repeat(usize::from(*count) % 2_000),
        }
    }
}

/// Honest events of all people: notes, profiles, follow lists, deletions; the same ids in every run.
pub fn event_pool() -> &'static [Event] {
    static POOL: OnceLock<Vec<Event>> = OnceLock::new();
    POOL.get_or_init(|| {
        let secs = START.0 / 1000;
        let mut events = Vec::new();
        let mut sign = |n: u8, kind: u16, content: String, tags: Vec<Tag>, age: u64| {
            let event = EventBuilder::new(Kind::from(kind), content)
                .tags(tags)
                .custom_created_at(Timestamp::from(secs - age))
                .finalize(&person(n))
                .expect("a key pair signs what it is given");
            let id = event.id;
            events.push(event);
            id
        };
        for n in 0..PEOPLE {
            let first = sign(n, 1, format!("note of {n} 波"), Vec::new(), 10 + u64::from(n));
            let second = sign(n, 1, format!("another of {n}"), vec![Tag::event(first)], 10);
            sign(n, 0, format!(r#"{{"name":"p{n}"}}"#), Vec::new(), 5);
            sign(n, 0, format!(r#"{{"name":"q{n}"}}"#), Vec::new(), 5);
            sign(
                n,
                3,
                String::new(),
                vec![Tag::public_key(person(n + 1).public_key())],
                7,
            );
            sign(n, 5, String::new(), vec![Tag::event(second)], 1);
        }
        events
    })
}

/// Whether this is one of the pool, to the last byte.
pub fn is_of_pool(event: &Event) -> bool {
    static BY_ID: OnceLock<BTreeMap<EventId, &Event>> = OnceLock::new();
    let by_id = BY_ID.get_or_init(|| event_pool().iter().map(|event| (event.id, event)).collect());
    by_id.get(&event.id).is_some_and(|honest| *honest == event)
}
