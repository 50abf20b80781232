//! What a hostile peer says on a link once it has proven to be somebody.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use nostr::prelude::{Event, EventId, Filter, Kind, Timestamp};
use sazanami_core::identity;
use sazanami_core::store::Item;
use sazanami_core::sync::message::MAX_HAVE;
use sazanami_core::sync::pack::{MAX_UNIT, Packer};
use sazanami_core::sync::{ItemSet, Message, reconcile};
use sazanami_core::time::Millis;

use crate::{PEOPLE, START, Written, event_pool, person, session};

/// One thing said.
#[derive(Arbitrary, Clone, Debug)]
pub enum Said {
    Req(Name, Wanted),
    Close(Name),
    Event(Name, Shown),
    /// The whole answer to the last pull, with its end: what an honest peer does.
    Deliver,
    Eose(Name),
    Closed(Name),
    NegOpen(Name, Wanted, Neg),
    NegMsg(Name, Neg),
    NegErr(Name),
    NegClose(Name),
    Notice(String),
    Ping(u64),
    Pong(u64),
    /// The number of the last ping.
    PongLast,
    Challenge(String),
    Auth(u8),
    Unknown,
    Text(String),
    Hello(bool, bool),
    /// Announces events of the pool and such as nobody has.
    Have(Vec<u8>, u8),
    NegEnd(Name, Vec<u8>, u16, bool),
}

/// A subscription: one of its own or one that the attacked side has named.
#[derive(Arbitrary, Clone, Debug)]
pub enum Name {
    Own(u8),
    Theirs(u8),
    Last,
    Any(String),
}

/// A filter.
#[derive(Arbitrary, Clone, Debug)]
pub struct Wanted {
    ids: Option<Vec<u8>>,
    many_ids: Option<u16>,
    authors: Option<Vec<u8>>,
    kinds: Option<Vec<u16>>,
    since: Option<u64>,
    until: Option<u64>,
    limit: Option<u8>,
    search: Option<String>,
    tag: Option<(u8, String)>,
}

/// An event: one of the pool, so that it may be one that was asked for, or any other.
#[derive(Arbitrary, Clone, Debug)]
pub enum Shown {
    Pool(u8),
    Wanted(u8),
    Written(Box<Written>),
}

/// A reconciliation message.
#[derive(Arbitrary, Clone, Debug)]
pub enum Neg {
    Raw(Vec<u8>),
    First,
    Answer,
    Bent(u16, u8),
    /// Ids that nobody has.
    Promised(u16),
}

/// The hostile side of a link: what it has heard, and so what it can answer.
pub struct Speaker {
    who: u8,
    names: Vec<String>,
    wanted: Vec<EventId>,
    pull: String,
    heard: Vec<u8>,
    challenge: String,
    pinged: u64,
    set: ItemSet,
}

impl Speaker {
    /// The person `who`, behind the session of the same number; it holds the whole pool.
    pub fn new(who: u8) -> Self {
        let items = event_pool().iter().map(|event| Item {
            created_at: event.created_at.as_secs(),
            id: event.id,
        });
        let set = ItemSet::new(items.collect());
        Self {
            who: who % PEOPLE,
            names: Vec::new(),
            wanted: Vec::new(),
            pull: String::new(),
            heard: Vec::new(),
            challenge: String::new(),
            pinged: 0,
            set,
        }
    }

    /// Remembers what the attacked side said.
    pub fn hear(&mut self, message: &Message) {
        match message {
            Message::Challenge(challenge) => self.challenge.clone_from(challenge),
            Message::Ping(number) => self.pinged = *number,
            Message::Req { id, filter } => {
                if let Some(ids) = &filter.ids {
                    self.wanted = ids.iter().copied().collect();
                    self.pull.clone_from(id);
                }
                self.names.push(id.clone());
            }
            Message::NegOpen { id, message, .. } | Message::NegMsg { id, message } => {
                self.heard.clone_from(message);
                self.names.push(id.clone());
            }
            _ => {}
        }
    }

    /// The proof that makes the attacked session `to` listen.
    pub fn proof(&self, to: u8, now: Millis) -> Message {
        let proof = identity::prove(
            &person(self.who),
            session(self.who),
            session(to),
            &self.challenge,
            now,
        );
        Message::Auth(Box::new(proof))
    }

    /// The messages, as text, of something said to the session `to`.
    pub fn say(&self, said: &Said, to: u8, now: Millis) -> Vec<String> {
        match said {
            Said::Text(text) => vec![text.clone()],
            said => self
                .messages(said, to, now)
                .iter()
                .map(Message::to_json)
                .collect(),
        }
    }

    /// A unit of several things said together, several times.
    pub fn pack(&self, said: &[Said], times: usize, deflate: bool, to: u8, now: Millis) -> Vec<u8> {
        let mut packer = Packer::default();
        let messages: Vec<Message> = said
            .iter()
            .flat_map(|said| self.messages(said, to, now))
            .collect();
        for _ in 0..times {
            // Past what a unit may have nothing is read any more.
            if packer.len() > MAX_UNIT {
                break;
            }
            messages.iter().for_each(|message| packer.add(message));
        }
        packer.take(deflate)
    }

    fn messages(&self, said: &Said, to: u8, now: Millis) -> Vec<Message> {
        let message = match said {
            Said::Req(id, filter) => Message::Req {
                id: self.name(id),
                filter: Box::new(filter.filter()),
            },
            Said::Close(id) => Message::Close(self.name(id)),
            Said::Event(id, shown) => Message::Event {
                id: self.name(id),
                event: Box::new(self.shown(shown)),
            },
            Said::Deliver => return self.deliver(),
            Said::Eose(id) => Message::Eose(self.name(id)),
            Said::Closed(id) => Message::Closed {
                id: self.name(id),
                reason: "error: no".to_owned(),
            },
            Said::NegOpen(id, filter, neg) => Message::NegOpen {
                id: self.name(id),
                filter: Box::new(filter.filter()),
                message: self.neg(neg),
            },
            Said::NegMsg(id, neg) => Message::NegMsg {
                id: self.name(id),
                message: self.neg(neg),
            },
            Said::NegErr(id) => Message::NegErr {
                id: self.name(id),
                reason: "blocked: no".to_owned(),
            },
            Said::NegClose(id) => Message::NegClose(self.name(id)),
            Said::Notice(text) => Message::Notice(text.clone()),
            Said::Ping(number) => Message::Ping(*number),
            Said::Pong(number) => Message::Pong(*number),
            Said::PongLast => Message::Pong(self.pinged),
            Said::Challenge(challenge) => Message::Challenge(challenge.clone()),
            Said::Auth(_) => self.proof(to, now),
            Said::Unknown => Message::Unknown,
            Said::Text(text) => Message::Notice(text.clone()),
            Said::Hello(pack, deflate) => Message::Hello {
                pack: *pack,
                deflate: *deflate,
            },
            Said::Have(pool, strange) => {
                let ids = pool_ids(pool).chain(nobodys_ids((*strange).into()));
                Message::Have(ids.take(MAX_HAVE).collect())
            }
            Said::NegEnd(id, pool, strange, all) => Message::NegEnd {
                id: self.name(id),
                have: pool_ids(pool).chain(nobodys_ids(*strange)).collect(),
                all: *all,
            },
        };
        vec![message]
    }

    fn deliver(&self) -> Vec<Message> {
        let asked: BTreeSet<_> = self.wanted.iter().collect();
        let found = event_pool().iter().filter(|event| asked.contains(&event.id));
        found
            .map(|event| Message::Event {
                id: self.pull.clone(),
                event: Box::new(event.clone()),
            })
            .chain([Message::Eose(self.pull.clone())])
            .collect()
    }

    fn name(&self, name: &Name) -> String {
        match name {
            Name::Own(n) => format!("own-{n}"),
            Name::Theirs(n) if !self.names.is_empty() => {
                self.names[usize::from(*n) % self.names.len()].clone()
            }
            Name::Last | Name::Theirs(_) => self.names.last().cloned().unwrap_or_default(),
            Name::Any(name) => name.clone(),
        }
    }

    fn shown(&self, shown: &Shown) -> Event {
        let pool = event_pool();
        match shown {
            Shown::Pool(n) => pool[usize::from(*n) % pool.len()].clone(),
            Shown::Wanted(n) => {
                let wanted = self.wanted.get(usize::from(*n) % self.wanted.len().max(1));
                let found = wanted.and_then(|id| pool.iter().find(|event| event.id == *id));
                found.unwrap_or(&pool[0]).clone()
            }
            Shown::Written(written) => written.event(),
        }
    }

    fn neg(&self, neg: &Neg) -> Vec<u8> {
        let honest = || {
            reconcile::respond(&self.set, &self.heard, reconcile::MAX_MESSAGE).unwrap_or_else(|_| vec![0x61])
        };
        match neg {
            Neg::Raw(bytes) => bytes.clone(),
            Neg::First => reconcile::initiate(&self.set),
            Neg::Answer => honest(),
            Neg::Bent(at, byte) => {
                let mut bytes = honest();
                let at = usize::from(*at) % bytes.len();
                bytes[at] ^= byte;
                bytes
            }
            Neg::Promised(count) => {
                let count = count % 1_024;
                // Version, upper bound "infinity", mode 2 (id list), number in base 128.
                let mut bytes = vec![0x61, 0, 0, 2, 0x80 | (count >> 7) as u8, (count & 0x7F) as u8];
                for n in 0..count {
                    bytes.extend([0xEE; 30]);
                    bytes.extend(n.to_be_bytes());
                }
                bytes
            }
        }
    }
}

impl Wanted {
    fn filter(&self) -> Filter {
        let pool = event_pool();
        let mut filter = Filter::new();
        if let Some(ids) = &self.ids {
            filter = filter.ids(ids.iter().map(|n| pool[usize::from(*n) % pool.len()].id));
        }
        if let Some(count) = self.many_ids {
            filter = filter.ids(nobodys_ids(count % 1_024));
        }
        if let Some(authors) = &self.authors {
            filter = filter.authors(authors.iter().map(|n| person(*n).public_key()));
        }
        if let Some(kinds) = &self.kinds {
            filter = filter.kinds(kinds.iter().map(|kind| Kind::from(*kind)));
        }
        let near = |secs: u64| if secs < 1_000 { START.0 / 1000 - secs } else { secs };
        filter.since = self.since.map(|secs| Timestamp::from(near(secs)));
        filter.until = self.until.map(|secs| Timestamp::from(near(secs)));
        filter.limit = self.limit.map(usize::from);
        filter.search.clone_from(&self.search);
        if let Some((letter, value)) = &self.tag
            && let Ok(letter) = nostr::prelude::SingleLetterTag::from_char(char::from(b'a' + letter % 26))
        {
            filter = filter.custom_tag(letter, value.clone());
        }
        filter
    }
}

fn pool_ids(chosen: &[u8]) -> impl Iterator<Item = EventId> {
    let pool = event_pool();
    chosen.iter().map(|n| pool[usize::from(*n) % pool.len()].id)
}

/// Ids of events that nobody has.
fn nobodys_ids(count: u16) -> impl Iterator<Item = EventId> {
    (0..count % 4_096).map(|n| {
        let mut id = [0xDD; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        EventId::from_byte_array(id)
    })
}
