//! [`SqliteStore`]: one schema and one set of queries for a file natively and OPFS in the browser. The platforms
//! differ only in the VFS that opens the file.
//!
//! The schema is made by numbered scripts in `migrations/`; queries stand in `queries.rs`, writes in `tables.rs`.

use std::path::Path;
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::{
    Act, Budget, Cause, Changes, Counts, Cursor, FoundPerson, Item, Known, Note, Notifications, Page, Put,
    Query, Reactors, RequestKey, Scope, StorageReport, Store, StoreError, Thread, rules,
};
use crate::social::{Mutes, Profile, Ring, read_profile};
use crate::time::Millis;
use error::Context;
use people::People;
use tags::Tags;

pub use recover::Bytes;

mod codec;
mod error;
mod find;
pub mod mend;
mod migrations;
mod notices;
mod pages;
mod people;
mod place;
mod plans;
mod queries;
mod recover;
mod room;
mod search;
mod tables;
mod tags;
mod threads;

/// How long to wait for another process that reads the same file (a backup, a debugging shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are statements.
const CACHED_STATEMENTS: usize = 128;

/// Natively a write-ahead log. The browser's `sahpool` VFS has no shared memory for one, so a rollback journal: it is
/// truncated at each commit instead of deleted, since deleting and creating it again rewrites and flushes the pool's
/// slot headers every time, and not kept full (PERSIST), since the pool refuses to export a database with a nonempty
/// journal. The journal holds one slot of the pool for good.
const JOURNAL_MODE: &str = if cfg!(target_arch = "wasm32") {
    "TRUNCATE"
} else {
    "WAL"
};
/// The pool admits one connection anyway: an exclusive one need not look for others' changes at each read.
const LOCKING_MODE: &str = if cfg!(target_arch = "wasm32") {
    "EXCLUSIVE"
} else {
    "NORMAL"
};
/// Bounds what a large batch leaves of the log on the disk, in bytes.
const JOURNAL_SIZE_LIMIT: i64 = 16 * 1024 * 1024;
/// Pages of the log after which they are moved into the file: as many as that. A batch of 500 events touches some
/// thousand, mostly those of the batch before: the longer it waits, the fewer times each is moved and synced.
const LOG_PAGES: i64 = 4_096;

/// Of pages in memory, in KiB: the inner pages of the indices of a million events. The browser's build has its own.
const CACHE_KIB: i64 = 32 * 1024;
/// After the disk was full, others' events are refused for so long before it is tried again.
const FULL_FOR: Duration = Duration::from_secs(30);

/// Events in a SQLite database.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    people: People,
    tags: Tags,
    changes: Changes,
    /// How far tidying has come, per ring: the last person looked at.
    tidied: [i64; 6],
    full_since: Option<Millis>,
}

impl SqliteStore {
    /// Takes an open connection, makes it durable and brings its schema up to date.
    ///
    /// # Errors
    /// When the database cannot be used, or was written by a newer version of the program.
    pub fn new(mut connection: Connection) -> Result<Self, StoreError> {
        const CONTEXT: &str = "preparing the database";
        configure(&connection).context(CONTEXT)?;
        migrations::run(&mut connection)?;
        vacuum_incrementally(&connection).context(CONTEXT)?;
        let people = People::load(&connection).context(CONTEXT)?;
        let tags = Tags::load(&connection).context(CONTEXT)?;
        Ok(Self {
            connection,
            people,
            tags,
            changes: Changes::default(),
            tidied: [0; 6],
            full_since: None,
        })
    }

    /// Opens or creates a database at a path of the default VFS.
    ///
    /// # Errors
    /// As [`SqliteStore::new`], and when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::new(Connection::open(path).context("opening the database")?)
    }

    /// An empty database that is gone when it is dropped.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::new(Connection::open_in_memory().context("opening a database in memory")?)
    }

    fn admit(&mut self, events: &[Event], verified: bool, now: Millis) -> Result<Vec<Put>, StoreError> {
        self.admit_for(None, events, verified, now)
    }

    /// `request` is noted when its event, the only one, is stored.
    fn admit_for(
        &mut self,
        request: Option<RequestKey>,
        events: &[Event],
        verified: bool,
        now: Millis,
    ) -> Result<Vec<Put>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let own = events.iter().any(|event| self.people.is_me(&event.pubkey));
        if !own && self.full_since.is_some_and(|since| now.since(since) < FULL_FOR) {
            return Ok(vec![Put::NoRoom; events.len()]);
        }
        let mut made_room = false;
        loop {
            let stored = self.write(|writer| {
                let admitted = events
                    .iter()
                    .map(|event| rules::admit(writer, event, verified, now));
                let outcomes = admitted.collect::<Result<Vec<_>, _>>()?;
                if let (Some(request), [event], [Put::Stored]) = (request, events, outcomes.as_slice()) {
                    tables::note_request(writer.db, request, event.id, now).context("noting a request")?;
                }
                Ok(outcomes)
            });
            match stored {
                Ok(outcomes) if made_room => {
                    // For the next one; the event itself is stored, whatever comes of it.
                    let _ = self.refill_reserve();
                    return Ok(outcomes);
                }
                Ok(outcomes) => {
                    if self.full_since.take().is_some() {
                        self.changes.queries.insert(Query::Storage);
                    }
                    return Ok(outcomes);
                }
                Err(error) if error.full => {
                    if self.full_since.replace(now).is_none() {
                        self.changes.queries.insert(Query::Storage);
                    }
                    if !own {
                        return Ok(vec![Put::NoRoom; events.len()]);
                    }
                    if let Some(others) = self.only_own(events, verified, now)? {
                        return Ok(others);
                    }
                    // Others' events give way to the own; what is freed is used again without growing the file.
                    if made_room || !self.make_room().unwrap_or(false) {
                        return Err(error);
                    }
                    made_room = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl SqliteStore {
    /// Of a batch for which there is no room, the own events alone; `None` when all are own.
    fn only_own(
        &mut self,
        events: &[Event],
        verified: bool,
        now: Millis,
    ) -> Result<Option<Vec<Put>>, StoreError> {
        let is_own = |event: &Event| self.people.is_me(&event.pubkey);
        if events.iter().all(is_own) {
            return Ok(None);
        }
        let own: Vec<Event> = events.iter().filter(|event| is_own(event)).cloned().collect();
        let whose: Vec<bool> = events.iter().map(is_own).collect();
        let mut stored = self.admit(&own, verified, now)?.into_iter();
        let outcomes = whose.into_iter().map(|own| {
            let outcome = if own { stored.next() } else { None };
            outcome.unwrap_or(Put::NoRoom)
        });
        Ok(Some(outcomes.collect()))
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A plan is made once. Without it each bound id would make a new one, since an index is on a part of the id.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Before anything is written: space is given back page by page, without rewriting the file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "locking_mode", LOCKING_MODE)?;
    // A database in memory stays in mode "memory".
    connection.pragma_update(None, "journal_mode", JOURNAL_MODE)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // Synced at every commit: what `put` reported survives the process and the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    if !cfg!(target_arch = "wasm32") {
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    }
    // What a person deletes is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", "ON")
}

/// A database of version 1 was made without it: rewritten once, whole or not at all.
fn vacuum_incrementally(connection: &Connection) -> rusqlite::Result<()> {
    const INCREMENTAL: i64 = 2;
    let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if mode == INCREMENTAL {
        return Ok(());
    }
    match connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM") {
        // It takes the file's size once more: tried again at the next start.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => Ok(()),
        done => done,
    }
}

impl Store for SqliteStore {
    fn put(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        self.admit(events, false, now)
    }

    fn put_verified(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        self.admit(events, true, now)
    }

    fn put_for(&mut self, request: RequestKey, event: &Event, now: Millis) -> Result<Put, StoreError> {
        let events = std::slice::from_ref(event);
        let outcomes = self.admit_for(Some(request), events, false, now)?;
        Ok(outcomes.into_iter().next().unwrap_or(Put::NoRoom))
    }

    fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        queries::known(&self.connection, id).context("looking up an event")
    }

    fn known_of(&self, ids: &[EventId]) -> Result<Vec<Known>, StoreError> {
        const CONTEXT: &str = "looking up events";
        let reading = self.connection.unchecked_transaction().context(CONTEXT)?;
        let known = ids.iter().map(|id| queries::known(&reading, id));
        known.collect::<rusqlite::Result<Vec<_>>>().context(CONTEXT)
    }

    fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        queries::event(&self.connection, id).context("reading an event")
    }

    fn events_of(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        const CONTEXT: &str = "reading events";
        let reading = self.connection.unchecked_transaction().context(CONTEXT)?;
        let events = ids
            .iter()
            .filter_map(|id| queries::event(&reading, id).transpose());
        events.collect::<rusqlite::Result<Vec<_>>>().context(CONTEXT)
    }

    fn notes_of(&self, ids: &[EventId]) -> Result<Vec<Note>, StoreError> {
        let _reading = self.connection.unchecked_transaction().context("reading notes")?;
        ids.iter()
            .filter_map(|id| self.note_by_id(id).transpose())
            .collect()
    }

    fn note(&self, id: &EventId) -> Result<Option<Note>, StoreError> {
        self.note_by_id(id)
    }

    fn timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        match scope {
            Scope::Everyone => self.everyone(before, limit),
            Scope::FollowedBy(person) => self.home(&person, before, limit),
            Scope::Author(author) => self.of_author(&author, &[1, 2], before, limit),
            Scope::Posts(author) => self.of_author(&author, &[1], before, limit),
            Scope::Replies(author) => self.of_author(&author, &[2], before, limit),
            Scope::Media(author) => self.media_of(&author, before, limit),
        }
    }

    fn note_count(&self, author: &PublicKey) -> Result<u64, StoreError> {
        const CONTEXT: &str = "counting notes";
        match self.number_of(author)? {
            Some(no) => Ok(queries::name_and_notes(&self.connection, no).context(CONTEXT)?.1),
            None => Ok(0),
        }
    }

    fn profile(&self, person: &PublicKey) -> Result<Option<Profile>, StoreError> {
        Ok(self
            .addressable(person, Kind::Metadata, "")?
            .as_ref()
            .map(read_profile))
    }

    fn replaceable(&self, person: &PublicKey, kind: Kind) -> Result<Option<Event>, StoreError> {
        self.addressable(person, kind, "")
    }

    fn follows(&self, person: &PublicKey) -> Result<Vec<PublicKey>, StoreError> {
        const CONTEXT: &str = "reading a follow list";
        let Some(no) = self.number_of(person)? else {
            return Ok(Vec::new());
        };
        let people = queries::follows(&self.connection, no).context(CONTEXT)?;
        let keys = people
            .into_iter()
            .map(|no| queries::person(&self.connection, no).map(|(key, ..)| key));
        keys.collect::<rusqlite::Result<_>>().context(CONTEXT)
    }

    fn items(&self, filter: &Filter) -> Result<Vec<Item>, StoreError> {
        let wanted = rules::Wanted::new(filter);
        let authors = match &wanted.authors {
            None => None,
            Some(keys) => {
                let mut authors = Vec::with_capacity(keys.len());
                for key in keys {
                    authors.extend(self.number_of(key)?);
                }
                Some(authors)
            }
        };
        queries::items(&self.connection, &wanted, authors.as_deref()).context("listing events to reconcile")
    }

    fn find(&self, filter: &Filter, limit: usize, effort: &mut usize) -> Result<Vec<Item>, StoreError> {
        self.find_any(filter, limit, effort)
    }

    fn set_me(&mut self, me: Option<PublicKey>) -> Result<(), StoreError> {
        self.become_me(me)
    }

    fn set_private_mutes(&mut self, mutes: Mutes) -> Result<(), StoreError> {
        self.people.set_private_mutes(mutes);
        self.changes.queries.insert(Query::Mutes);
        Ok(())
    }

    fn ring(&self, person: &PublicKey) -> Result<Ring, StoreError> {
        self.ring_of(person)
    }

    fn people_of(&self, ring: Ring, limit: usize) -> Result<Vec<PublicKey>, StoreError> {
        self.members(ring, limit)
    }

    fn followers(&self, person: &PublicKey, limit: usize) -> Result<(Vec<PublicKey>, u64), StoreError> {
        self.followers_of(person, limit)
    }

    fn hashtag(&self, tag: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.tagged(tag, before, limit)
    }

    fn list(
        &self,
        owner: &PublicKey,
        name: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.of_list(owner, name, before, limit)
    }

    fn thread(&self, id: &EventId, after: Option<Cursor>, limit: usize) -> Result<Thread, StoreError> {
        self.read_thread(id, after, limit)
    }

    fn counts(&self, id: &EventId) -> Result<Counts, StoreError> {
        queries::counts(&self.connection, id).context("counting reactions")
    }

    fn reactors(
        &self,
        id: &EventId,
        act: Act,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Result<Reactors, StoreError> {
        self.read_reactors(id, act, after, limit)
    }

    fn notifications(
        &self,
        causes: &[Cause],
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Notifications, StoreError> {
        self.read_notifications(causes, before, limit)
    }

    fn set_read_until(&mut self, place: Cursor) -> Result<(), StoreError> {
        self.keep_read_until(place)
    }

    fn search_notes(&self, text: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.find_notes(text, before, limit)
    }

    fn search_people(&self, text: &str, limit: usize) -> Result<Vec<FoundPerson>, StoreError> {
        self.find_people(text, limit)
    }

    fn set_budget(&mut self, ring: Ring, budget: Budget) -> Result<(), StoreError> {
        people::set_budget(&self.connection, ring, budget).context("keeping a budget")?;
        self.people.budgets_changed();
        // What there was no room for may be wanted now.
        self.write(|writer| writer.forget_gone())
    }

    fn budget(&self, ring: Ring) -> Result<Budget, StoreError> {
        self.people
            .budget(&self.connection, ring)
            .context("reading a budget")
    }

    fn tidy(&mut self, now: Millis) -> Result<bool, StoreError> {
        self.tidy_up(now)
    }

    fn compact(&mut self) -> Result<bool, StoreError> {
        self.give_back()
    }

    fn free_space(&self) -> Result<u64, StoreError> {
        self.unused_space()
    }

    fn report(&self) -> Result<StorageReport, StoreError> {
        self.storage()
    }

    fn events_after(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.some_events(after, limit)
    }

    fn written_for(&self, request: RequestKey) -> Result<Option<EventId>, StoreError> {
        queries::written_for(&self.connection, request).context("looking up a request")
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        queries::setting(&self.connection, name).context("reading a setting")
    }

    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        tables::set_setting(&self.connection, name, value).context("keeping a setting")
    }
}
