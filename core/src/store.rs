//! What a peer keeps: the [`Store`] trait in domain terms, and what it answers with.
//!
//! [`SqliteStore`] is the one real implementation (a file natively, OPFS in the browser: the platforms differ only in
//! how they open the connection); [`MemoryStore`] serves the simulation and sessions without storage. Both run one
//! conformance suite (`conformance`, feature `conformance`).

use std::collections::BTreeSet;
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};
use serde::{Deserialize, Serialize};

use crate::social::{Mutes, Profile, References, Ring};
use crate::time::Millis;

mod boxed;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod recovery;
mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;
// Without a database nothing is indexed.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub mod transfer;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
mod words;

pub use memory::{EventPool, MemoryStore};
pub use recovery::{OWNER, RECOVERED, Recovered};
#[cfg(feature = "sqlite")]
pub use sqlite::{Bytes, SqliteStore, mend};

/// What became of an event that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// New, verified, stored; on disk once [`Store::put`] has returned.
    Stored,
    /// Already there.
    Duplicate,
    /// A newer profile or follow list of the same person is there (NIP-01, replaceable events).
    Superseded,
    /// Its author has asked to forget it (NIP-09), or everything of theirs (NIP-62).
    Deleted,
    /// Past its time (NIP-40).
    Expired,
    /// A valid event of somebody else for which there is no room: the budget of its author's ring is used up, or the
    /// disk is full.
    NoRoom,
    /// Refused.
    Invalid(Invalid),
}

/// Why an event was refused. Only a hostile or broken peer sends such events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The id is not the hash of the content.
    #[error("the id is wrong")]
    Id,
    /// The signature does not hold.
    #[error("the signature is wrong")]
    Signature,
    /// Not one of [`crate::social::KINDS`].
    #[error("the kind is not one that is kept here")]
    Kind,
    /// Over [`crate::social::MAX_EVENT_BYTES`].
    #[error("the event is too large")]
    TooLarge,
    /// Over [`crate::social::MAX_FUTURE_SECS`] ahead of the clock.
    #[error("the event lies in the future")]
    Future,
}

/// A stored event as far as reconciliation sets look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where it stands in a set.
    pub item: Item,
    /// Who wrote it.
    pub author: PublicKey,
    /// Its kind.
    pub kind: Kind,
}

impl Entry {
    /// Of an event.
    pub fn of(event: &Event) -> Self {
        Self {
            item: Item {
                created_at: event.created_at.as_secs(),
                id: event.id,
            },
            author: event.pubkey,
            kind: event.kind,
        }
    }
}

/// What the transactions since the last look have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Stored since then.
    pub added: Vec<Entry>,
    /// No longer stored: deleted, superseded, expired, dropped for space.
    pub removed: Vec<Entry>,
    /// Queries whose answer is another one now.
    pub queries: BTreeSet<Query>,
}

/// A query whose answer changed: a screen that shows it asks again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Query {
    /// Notes and reposts of one person: their own page, and every timeline that they are part of.
    Notes(PublicKey),
    /// The replies below a note (its thread's root), or the note itself.
    Thread(EventId),
    /// What is counted of a note: replies, reposts, reactions.
    Counts(EventId),
    /// A hashtag, in lower case.
    Hashtag(String),
    /// A person's profile.
    Profile(PublicKey),
    /// Whom a person follows.
    Follows(PublicKey),
    /// What concerns the person of this device.
    Notifications,
    /// Whom the person of this device has muted: every list of notes.
    Mutes,
    /// A list (NIP-51) of a person.
    Lists(PublicKey),
    /// Whether the disk is full ([`StorageReport::full`]).
    Storage,
    /// So much at once that any answer may be another one, but for notifications, mutes and the storage: these are
    /// told by themselves.
    Everything,
}

/// What is known of an id, answered without reading the event: the check before any verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Never seen.
    No,
    /// Stored.
    Stored,
    /// Stored once and deleted by its author, or superseded: not wanted again.
    Gone,
}

/// A note as a timeline shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its id.
    pub id: EventId,
    /// Who wrote it.
    pub author: PublicKey,
    /// The author's name, where a profile is known.
    pub author_name: Option<String>,
    /// Seconds since the epoch, by the author's clock.
    pub created_at: u64,
    /// Plain text; never markup.
    pub content: String,
    /// What its tags and text refer to.
    #[serde(default)]
    pub references: References,
    /// How many people did what with it, as far as known here.
    #[serde(default)]
    pub counts: Counts,
    /// Set when it stands in a timeline because somebody reposted it (NIP-18).
    #[serde(default)]
    pub repost: Option<Repost>,
}

/// How many did what with a note, as far as known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Replies directly to it.
    pub replies: u32,
    /// People who reposted it.
    pub reposts: u32,
    /// People who quoted it.
    pub quotes: u32,
    /// People who reacted to it (NIP-25).
    pub reactions: u32,
    /// Everything below it, when it is a thread's root.
    pub thread: u32,
}

/// Who brought a note into a timeline, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repost {
    /// The repost itself.
    pub id: EventId,
    /// Who reposted.
    pub by: PublicKey,
    /// Their name, where a profile is known.
    pub by_name: Option<String>,
    /// Seconds since the epoch.
    pub at: u64,
}

/// A note with what stands above and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// From the root down to the note's parent; at most [`MAX_ANCESTORS`], the nearest ones.
    pub ancestors: Vec<Ancestor>,
    /// The note itself; `None` when it is not here.
    pub note: Option<Note>,
    /// Below a root: everything of the thread; below another note: the replies to it. Oldest first.
    pub replies: Page,
}

/// What stands above a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ancestor {
    /// A note.
    Note(Box<Note>),
    /// Not stored here: to be asked of peers.
    Missing(EventId),
}

/// Ancestors that a thread shows at most.
pub const MAX_ANCESTORS: usize = 32;

/// Why something is a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// A reply to an own note.
    Reply,
    /// The own name in a note.
    Mention,
    /// A note that quotes an own one.
    Quote,
    /// A reaction to an own note.
    Reaction,
    /// A repost of an own note.
    Repost,
    /// Somebody follows.
    Follow,
}

/// Something that somebody else did and that concerns the person of this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The event.
    pub id: EventId,
    /// Seconds since the epoch.
    pub created_at: u64,
    /// Who.
    pub by: PublicKey,
    /// Their name, where a profile is known.
    pub by_name: Option<String>,
    /// What they did.
    pub cause: Cause,
    /// For a reaction its content ("+" or an emoji), for notes their text.
    pub content: String,
    /// The own note that it is about.
    pub target: Option<EventId>,
}

/// A page of notifications, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// The notifications.
    pub list: Vec<Notification>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
    /// Those after the last [`Store::set_read_until`], of all causes; counted up to [`MAX_UNREAD`].
    pub unread: u32,
}

/// Unread notifications are counted up to here.
pub const MAX_UNREAD: u32 = 1_000;

/// Somebody who reacted to a note, or reposted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactor {
    /// Who.
    pub key: PublicKey,
    /// Their name, where a profile is known.
    pub name: Option<String>,
    /// "+" or an emoji; empty for a repost.
    pub content: String,
}

/// Which acts on a note are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Reactions (NIP-25).
    Reaction,
    /// Reposts (NIP-18).
    Repost,
}

/// A page of people who acted on a note: each person once, in the order of their keys' first arrival here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactors {
    /// The people.
    pub people: Vec<Reactor>,
    /// The person to continue after; `None` at the end.
    pub next: Option<PublicKey>,
}

/// A person that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPerson {
    /// Who.
    pub key: PublicKey,
    /// Their name.
    pub name: Option<String>,
    /// How near they are.
    pub ring: Ring,
}

/// How much of others' data is kept, per trust ring. Own data is never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Most events; `None` is unlimited. So for the others.
    pub events: Option<u64>,
    /// Most bytes, by [`Usage::bytes`].
    pub bytes: Option<u64>,
    /// Oldest age in seconds.
    pub age: Option<u64>,
}

const MIB: u64 = 1024 * 1024;
const DAY: u64 = 24 * 60 * 60;

impl Budget {
    /// No limits.
    pub const UNLIMITED: Self = Self {
        events: None,
        bytes: None,
        age: None,
    };

    /// What is kept of a ring unless the person chooses otherwise: near people for good within a bound that a phone
    /// bears, strangers for a while.
    pub const fn default_of(ring: Ring) -> Self {
        let (bytes, age) = match ring {
            Ring::Me => return Self::UNLIMITED,
            Ring::Friend | Ring::Followed => (512 * MIB, None),
            Ring::RoomMember => (256 * MIB, None),
            Ring::FriendOfFriend => (128 * MIB, Some(180 * DAY)),
            Ring::Stranger => (64 * MIB, Some(60 * DAY)),
        };
        Self {
            events: None,
            bytes: Some(bytes),
            age,
        }
    }
}

/// What something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Events.
    pub events: u64,
    /// Bytes of the events as stored, indices apart.
    pub bytes: u64,
}

/// What takes the space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// Bytes of the database file.
    pub file: u64,
    /// Whether the disk or the quota was full at the last try: others' events are refused until there is room.
    pub full: bool,
    /// Bytes in it that hold nothing; [`Store::compact`] gives them back.
    pub free: u64,
    /// All events.
    pub events: Usage,
    /// Bytes of indices and the search index: what is neither events nor free.
    pub index: u64,
    /// Per ring.
    pub rings: Vec<(Ring, Usage)>,
    /// Per kind, the largest first.
    pub kinds: Vec<(u16, Usage)>,
    /// The people who take most, the largest first; at most [`MAX_REPORTED`].
    pub people: Vec<(PublicKey, Option<String>, Usage)>,
}

/// People in a [`StorageReport`].
pub const MAX_REPORTED: usize = 50;

/// Whose notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Everybody's.
    Everyone,
    /// Those of the people this person follows, and their own.
    FollowedBy(PublicKey),
    /// One person's.
    Author(PublicKey),
    /// One person's notes that are no replies, and their reposts.
    Posts(PublicKey),
    /// One person's replies.
    Replies(PublicKey),
    /// One person's notes with media (NIP-92).
    Media(PublicKey),
}

/// A place in a timeline: strictly before this note. Stable while new notes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Seconds since the epoch.
    pub created_at: u64,
    /// Tells notes of one second apart.
    pub id: EventId,
}

impl Cursor {
    /// The place of an event.
    pub fn of(event: &Event) -> Self {
        Self {
            created_at: event.created_at.as_secs(),
            id: event.id,
        }
    }
}

impl Note {
    /// The cursor that continues after this note.
    pub fn cursor(&self) -> Cursor {
        match &self.repost {
            Some(repost) => Cursor {
                created_at: repost.at,
                id: repost.id,
            },
            None => Cursor {
                created_at: self.created_at,
                id: self.id,
            },
        }
    }
}

/// A page of a timeline, newest first (of one second: the smaller id first).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The notes.
    pub notes: Vec<Note>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// A reconciliation item (NIP-77): what negentropy orders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Seconds since the epoch.
    pub created_at: u64,
    /// The id.
    pub id: EventId,
}

/// Whether an event is what it says it is: its size, its id (NIP-01) and its signature (BIP 340). The costly part of
/// taking an event in; it needs no store and runs on any thread.
///
/// # Errors
/// Which of them is wrong.
pub fn verify(event: &Event) -> Result<(), Invalid> {
    rules::verify(event)
}

/// The store failed: the disk is full, the file is damaged, the database is locked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{context}: {reason}")]
pub struct StoreError {
    /// What was being done.
    pub context: &'static str,
    /// In the database's words.
    pub reason: String,
    /// Whether the disk or the quota is full.
    pub full: bool,
    /// Whether what is on the disk cannot be read as what was written: the file wants recovery.
    pub damaged: bool,
}

/// Names a request of the interface for good, so that it is known when it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestKey(pub [u8; 16]);

/// How long it is known what a request has written: who asks again does so within a minute.
pub const REQUESTS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Events, durably. All calls block: they run off the UI thread.
pub trait Store {
    /// Verifies, deduplicates, stores and indexes events in one transaction: all of them or, on an error, none.
    /// The answers stand in the order of the events. Any order of arrival leads to the same visible state:
    /// a replaceable event gives way to a newer one (of one second: to the smaller id), a deletion removes its
    /// author's events and keeps them away even when it comes first.
    ///
    /// # Errors
    /// When the database fails; nothing is stored then.
    fn put(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError>;

    /// As [`Store::put`], for events whose id and signature were found to hold ([`verify`]): nothing is verified again.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn put_verified(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError>;

    /// As [`Store::put`], for an event that a request wants written, which may be asked again of a successor on this
    /// store: in the same transaction it is noted that the request has been carried out. An event that is not stored
    /// notes nothing.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn put_for(&mut self, request: RequestKey, event: &Event, now: Millis) -> Result<Put, StoreError>;

    /// What has changed since the last call.
    fn take_changes(&mut self) -> Changes;

    /// What is known of an id.
    ///
    /// # Errors
    /// When the database fails; so for every call below.
    fn known(&self, id: &EventId) -> Result<Known, StoreError>;

    /// As [`Store::known`] for several, at the cost of one look.
    fn known_of(&self, ids: &[EventId]) -> Result<Vec<Known>, StoreError> {
        ids.iter().map(|id| self.known(id)).collect()
    }

    /// Those of these events that are here, in this order.
    fn events_of(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        ids.iter().filter_map(|id| self.event(id).transpose()).collect()
    }

    /// Those of these notes that are here.
    fn notes_of(&self, ids: &[EventId]) -> Result<Vec<Note>, StoreError> {
        ids.iter().filter_map(|id| self.note(id).transpose()).collect()
    }

    /// One event, as it was signed.
    fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError>;

    /// One note.
    fn note(&self, id: &EventId) -> Result<Option<Note>, StoreError>;

    /// A page of at most `limit` notes that lie before `before`.
    fn timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// How many notes a person has here.
    fn note_count(&self, author: &PublicKey) -> Result<u64, StoreError>;

    /// A person's profile, where one is known.
    fn profile(&self, person: &PublicKey) -> Result<Option<Profile>, StoreError>;

    /// The newest event of a replaceable kind of a person.
    fn replaceable(
        &self,
        person: &PublicKey,
        kind: nostr::prelude::Kind,
    ) -> Result<Option<Event>, StoreError>;

    /// Whom a person follows, as far as known here.
    fn follows(&self, person: &PublicKey) -> Result<Vec<PublicKey>, StoreError>;

    /// The stored events that match a filter's kinds, authors, since and until, as reconciliation items in
    /// ascending order. Other fields of the filter are not allowed here.
    fn items(&self, filter: &Filter) -> Result<Vec<Item>, StoreError>;

    /// The newest stored events, at most `limit`, that match a filter of any fields but `search`, newest first. `effort`
    /// is how many rows may be looked at, and what is left of them afterwards: at zero, some that match may be missing.
    fn find(&self, filter: &Filter, limit: usize, effort: &mut usize) -> Result<Vec<Item>, StoreError>;

    // Whose device this is

    /// Tells whose device this is: whose data is never dropped, whose notifications, mutes and follows count.
    fn set_me(&mut self, me: Option<PublicKey>) -> Result<(), StoreError>;

    /// The part of the own mute list that the store cannot read itself: it is encrypted to its author.
    fn set_private_mutes(&mut self, mutes: Mutes) -> Result<(), StoreError>;

    /// How near a person is to the person of this device.
    fn ring(&self, person: &PublicKey) -> Result<Ring, StoreError>;

    /// The people of a ring, at most `limit`.
    fn people_of(&self, ring: Ring, limit: usize) -> Result<Vec<PublicKey>, StoreError>;

    /// Who follows a person, as far as known here, at most `limit`; and how many there are.
    fn followers(&self, person: &PublicKey, limit: usize) -> Result<(Vec<PublicKey>, u64), StoreError>;

    // What the interface shows. Muted people, words and threads (NIP-51) are left out everywhere but on a person's
    // own page.

    /// A page of notes with a hashtag (in any case), newest first.
    fn hashtag(&self, tag: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// A page of a list's people's notes: an addressable follow set (NIP-51, kind 30000).
    fn list(
        &self,
        owner: &PublicKey,
        name: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// A note with its ancestors and a page of what is below it, after `after`.
    fn thread(&self, id: &EventId, after: Option<Cursor>, limit: usize) -> Result<Thread, StoreError>;

    /// What is counted of a note.
    fn counts(&self, id: &EventId) -> Result<Counts, StoreError>;

    /// Who reacted to or reposted a note.
    fn reactors(
        &self,
        id: &EventId,
        act: Act,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Result<Reactors, StoreError>;

    /// A page of what concerns the person of this device; `causes` empty means all.
    fn notifications(
        &self,
        causes: &[Cause],
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Notifications, StoreError>;

    /// Everything up to this place has been read.
    fn set_read_until(&mut self, place: Cursor) -> Result<(), StoreError>;

    /// A page of notes that contain every word of `text` (words of any script from one character on; Latin words by
    /// their beginning; `#tag`), newest first.
    fn search_notes(&self, text: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// People whose name or key (npub) begins with or contains `text`, nearest rings first.
    fn search_people(&self, text: &str, limit: usize) -> Result<Vec<FoundPerson>, StoreError>;

    // Room

    /// Sets how much of others' data is kept.
    fn set_budget(&mut self, ring: Ring, budget: Budget) -> Result<(), StoreError>;

    /// How much of others' data is kept.
    fn budget(&self, ring: Ring) -> Result<Budget, StoreError> {
        Ok(Budget::default_of(ring))
    }

    /// Drops what is past its time (NIP-40) or over the budgets, a bounded amount per call; true when there is more to do.
    /// Of a ring over its budget, the people who take most lose their oldest first.
    fn tidy(&mut self, now: Millis) -> Result<bool, StoreError>;

    /// Gives free space back to the disk, a bounded amount per call; true when there is more to do.
    fn compact(&mut self) -> Result<bool, StoreError>;

    /// Bytes that [`Store::compact`] would give back.
    fn free_space(&self) -> Result<u64, StoreError>;

    /// What takes the space.
    fn report(&self) -> Result<StorageReport, StoreError>;

    /// Stored events in a stable order, at most `limit`, after `after`: for an export.
    fn events_after(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The event that a request has written; known for [`REQUESTS_KEPT`].
    fn written_for(&self, request: RequestKey) -> Result<Option<EventId>, StoreError>;

    /// A small value of this device that is no event: the draft, the language, the theme.
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Sets or, with `None`, forgets a setting.
    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError>;
}
