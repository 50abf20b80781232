//! [`SqliteStore`]: one schema and one set of queries for a file natively and OPFS in the browser. The platforms
//! differ only in the VFS that opens the file.
//!
//! The schema is made by numbered scripts in `migrations/`; queries stand in `queries.rs`, writes in `tables.rs`.

use std::path::Path;
use std::time::Duration;

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};
use rusqlite::{Connection, TransactionBehavior};

use super::{Changes, Cursor, Item, Known, Note, Page, Put, Scope, Store, StoreError, rules};
use crate::social::{Profile, read_profile};
use crate::time::Millis;
use error::Context;
use tables::Writer;

mod error;
mod migrations;
mod queries;
mod tables;

/// How long to wait for another process that reads the same file (a backup, a debugging shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are statements.
const CACHED_STATEMENTS: usize = 48;

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

/// Events in a SQLite database.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    changes: Changes,
}

impl SqliteStore {
    /// Takes an open connection, makes it durable and brings its schema up to date.
    ///
    /// # Errors
    /// When the database cannot be used, or was written by a newer version of the program.
    pub fn new(mut connection: Connection) -> Result<Self, StoreError> {
        configure(&connection).context("preparing the database")?;
        migrations::run(&mut connection)?;
        Ok(Self {
            connection,
            changes: Changes::default(),
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
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "locking_mode", LOCKING_MODE)?;
    // A database in memory stays in mode "memory".
    connection.pragma_update(None, "journal_mode", JOURNAL_MODE)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT)?;
    // Synced at every commit: what `put` reported survives the process and the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What a person deletes is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", "ON")
}

impl SqliteStore {
    fn admit(&mut self, events: &[Event], verified: bool, now: Millis) -> Result<Vec<Put>, StoreError> {
        const CONTEXT: &str = "storing events";
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .context(CONTEXT)?;
        let mut changes = Changes::default();
        let mut writer = Writer {
            db: &transaction,
            changes: &mut changes,
        };
        let results = events
            .iter()
            .map(|event| rules::admit(&mut writer, event, verified, now))
            .collect::<Result<_, _>>()?;
        transaction.commit().context(CONTEXT)?;
        self.changes.added.append(&mut changes.added);
        self.changes.removed.append(&mut changes.removed);
        Ok(results)
    }
}

impl Store for SqliteStore {
    fn put(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        self.admit(events, false, now)
    }

    fn put_verified(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        self.admit(events, true, now)
    }

    fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        queries::known(&self.connection, id).context("looking up an event")
    }

    fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        queries::event(&self.connection, id).context("reading an event")
    }

    fn note(&self, id: &EventId) -> Result<Option<Note>, StoreError> {
        queries::note(&self.connection, id).context("reading a note")
    }

    fn timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        const CONTEXT: &str = "reading a timeline";
        let (db, wanted) = (&self.connection, limit.saturating_add(1));
        let notes = match scope {
            Scope::Everyone => queries::notes(db, before, wanted).context(CONTEXT)?,
            Scope::Author(author) | Scope::Posts(author) | Scope::Replies(author) | Scope::Media(author) => {
                queries::notes_of(db, &author, before, wanted).context(CONTEXT)?
            }
            Scope::FollowedBy(person) => {
                let mut people = queries::follows(db, &person).context(CONTEXT)?;
                if !people.contains(&person) {
                    people.push(person);
                }
                let places = rules::merge(people, before, wanted, |one, before| {
                    queries::place_of(db, one, before).context(CONTEXT)
                })?;
                let notes = places
                    .iter()
                    .filter_map(|place| queries::note(db, &place.id).transpose());
                notes.collect::<rusqlite::Result<_>>().context(CONTEXT)?
            }
        };
        Ok(rules::page(notes, limit))
    }

    fn note_count(&self, author: &PublicKey) -> Result<u64, StoreError> {
        queries::note_count(&self.connection, author).context("counting notes")
    }

    fn profile(&self, person: &PublicKey) -> Result<Option<Profile>, StoreError> {
        Ok(self
            .replaceable(person, Kind::Metadata)?
            .as_ref()
            .map(read_profile))
    }

    fn replaceable(&self, person: &PublicKey, kind: Kind) -> Result<Option<Event>, StoreError> {
        queries::replaceable(&self.connection, person, kind).context("reading a replaceable event")
    }

    fn follows(&self, person: &PublicKey) -> Result<Vec<PublicKey>, StoreError> {
        queries::follows(&self.connection, person).context("reading a follow list")
    }

    fn items(&self, filter: &Filter) -> Result<Vec<Item>, StoreError> {
        let wanted = rules::Wanted::new(filter);
        queries::items(&self.connection, &wanted).context("listing events to reconcile")
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        queries::setting(&self.connection, name).context("reading a setting")
    }

    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        tables::set_setting(&self.connection, name, value).context("keeping a setting")
    }
}
