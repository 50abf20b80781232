//! The reference that the targets name: a plain SQLite schema with full-text search, durable, in transactions of
//! 500, nothing verified and no rule applied.

use std::path::Path;

use nostr::prelude::Event;
use rusqlite::{Connection, params};

/// Events in a transaction.
pub const BATCH: usize = 500;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        pubkey BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        tags TEXT NOT NULL,
        content TEXT NOT NULL,
        sig BLOB NOT NULL
    ) STRICT;
    CREATE INDEX event_author ON event (pubkey, kind, created_at DESC);
    CREATE INDEX event_kind ON event (kind, created_at DESC);
    CREATE TABLE tag (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (name, value, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE VIRTUAL TABLE search USING fts5 (content, content = '', tokenize = 'trigram');
";

/// The reference database.
pub struct Plain(Connection);

impl Plain {
    /// An empty one.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// Stores events in one transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put(&mut self, events: &[Event]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut event_row = transaction.prepare_cached(
                "INSERT OR IGNORE INTO event (id, pubkey, created_at, kind, tags, content, sig)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            let mut tag_row = transaction
                .prepare_cached("INSERT OR IGNORE INTO tag (name, value, seq) VALUES (?, ?, ?)")?;
            let mut text_row =
                transaction.prepare_cached("INSERT INTO search (rowid, content) VALUES (?, ?)")?;
            for event in events {
                let tags = serde_json::to_string(&event.tags)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                let stored = event_row.execute(params![
                    event.id.as_bytes(),
                    event.pubkey.as_bytes(),
                    event.created_at.as_secs().cast_signed(),
                    event.kind.as_u16(),
                    tags,
                    event.content,
                    event.sig.as_bytes(),
                ])?;
                if stored == 0 {
                    continue;
                }
                let seq = transaction.last_insert_rowid();
                for tag in event.tags.iter() {
                    if tag.kind().len() == 1
                        && let Some(value) = tag.content()
                    {
                        tag_row.execute(params![tag.kind(), value, seq])?;
                    }
                }
                if event.kind.as_u16() <= 1 {
                    text_row.execute(params![seq, event.content])?;
                }
            }
        }
        transaction.commit()
    }
}
