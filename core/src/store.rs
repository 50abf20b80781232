//! What a peer keeps: the [`Store`] trait in domain terms, and what it answers with.
//!
//! [`SqliteStore`] is the one real implementation (a file natively, OPFS in the browser: the platforms differ only in
//! how they open the connection); [`MemoryStore`] serves the simulation and sessions without storage. Both run one
//! conformance suite (`conformance`, feature `conformance`).

use nostr::prelude::{Event, EventId, Filter, PublicKey};
use serde::{Deserialize, Serialize};

use crate::social::Profile;
use crate::time::Millis;

mod boxed;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::{EventPool, MemoryStore};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// What became of an event that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// New, verified, stored; on disk once [`Store::put`] has returned.
    Stored,
    /// Already there.
    Duplicate,
    /// A newer profile or follow list of the same person is there (NIP-01, replaceable events).
    Superseded,
    /// Its author has asked to forget it (NIP-09).
    Deleted,
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
}

/// Whose notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Everybody's.
    Everyone,
    /// Those of the people this person follows, and their own.
    FollowedBy(PublicKey),
    /// One person's.
    Author(PublicKey),
}

/// A place in a timeline: strictly before this note. Stable while new notes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Seconds since the epoch.
    pub created_at: u64,
    /// Tells notes of one second apart.
    pub id: EventId,
}

impl Note {
    /// The cursor that continues after this note.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            created_at: self.created_at,
            id: self.id,
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
}

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

    /// What is known of an id.
    ///
    /// # Errors
    /// When the database fails; so for every call below.
    fn known(&self, id: &EventId) -> Result<Known, StoreError>;

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

    /// A small value of this device that is no event: the draft, the language, the theme.
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Sets or, with `None`, forgets a setting.
    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError>;
}
