//! What is written: the rules' tables in SQL, within a transaction.

use nostr::prelude::{Event, EventId, Kind, PublicKey};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::Context;
use super::queries::{self, number, seconds};
use crate::social::read_follows;
use crate::store::rules::{Address, Tables, Version, shown_name};
use crate::store::{Changes, Entry, Item, Known, StoreError};

const CONTEXT: &str = "storing an event";

const INSERT_EVENT: &str = "INSERT INTO event (id, author, created_at, rank, kind, tags, content, sig)
    VALUES (?1, ?2, ?3, -?3, ?4, ?5, ?6, ?7)";
/// By the unique index on `id`.
const DELETE_EVENT: &str =
    "DELETE FROM event WHERE id = ?1 AND author = ?2 AND kind <> ?3 RETURNING kind, created_at";
const INSERT_GONE: &str = "INSERT OR IGNORE INTO gone (id) VALUES (?1)";
const INSERT_TOMBSTONE: &str = "INSERT OR IGNORE INTO tombstone (target, author) VALUES (?1, ?2)";
const SET_LATEST: &str = "INSERT INTO latest (author, kind, created_at, id) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (author, kind) DO UPDATE SET created_at = excluded.created_at, id = excluded.id";
const SET_NAME: &str = "INSERT INTO profile_name (author, name) VALUES (?1, ?2)
    ON CONFLICT (author) DO UPDATE SET name = excluded.name";
const DELETE_NAME: &str = "DELETE FROM profile_name WHERE author = ?1";
const INSERT_FOLLOW: &str = "INSERT INTO follow (follower, position, followed) VALUES (?1, ?2, ?3)";
const DELETE_FOLLOWS: &str = "DELETE FROM follow WHERE follower = ?1";
const SET_SETTING: &str = "INSERT INTO setting (name, value) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const DELETE_SETTING: &str = "DELETE FROM setting WHERE name = ?1";

/// A connection inside a transaction that the caller commits.
pub(super) struct Writer<'a> {
    pub(super) db: &'a Connection,
    pub(super) changes: &'a mut Changes,
}

impl Writer<'_> {
    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, StoreError> {
        execute(self.db, sql, params).context(CONTEXT)
    }
}

impl Tables for Writer<'_> {
    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        queries::known(self.db, id).context(CONTEXT)
    }

    fn is_tombstoned(&self, id: &EventId, author: &PublicKey) -> Result<bool, StoreError> {
        queries::is_tombstoned(self.db, id, author).context(CONTEXT)
    }

    fn tombstone(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        self.run(INSERT_TOMBSTONE, params![id.as_bytes(), author.as_bytes()])
            .map(drop)
    }

    fn forgotten_until(&self, _address: &Address) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn forget_until(&mut self, _address: &Address, _until: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn vanished_until(&self, _author: &PublicKey) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn vanish_until(&mut self, _author: &PublicKey, _until: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn has_room(&self, _event: &Event) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn latest(&self, address: &Address) -> Result<Option<Version>, StoreError> {
        queries::latest(self.db, &address.author, address.kind).context(CONTEXT)
    }

    fn set_latest(&mut self, address: &Address, version: Version) -> Result<(), StoreError> {
        let Version { created_at, id } = version;
        let params = params![
            address.author.as_bytes(),
            address.kind.as_u16(),
            seconds(created_at),
            id.0.as_bytes()
        ];
        self.run(SET_LATEST, params).map(drop)
    }

    fn insert(&mut self, event: &Event) -> Result<(), StoreError> {
        let author = event.pubkey.as_bytes();
        self.changes.added.push(Entry::of(event));
        let tags = serde_json::to_string(&event.tags).expect("lists of strings always have a JSON form");
        self.run(
            INSERT_EVENT,
            params![
                event.id.as_bytes(),
                author,
                seconds(event.created_at.as_secs()),
                event.kind.as_u16(),
                tags,
                event.content,
                event.sig.as_bytes(),
            ],
        )?;
        if event.kind == Kind::Metadata {
            if let Some(name) = shown_name(event) {
                self.run(SET_NAME, params![author, name])?;
            }
        } else if event.kind == Kind::ContactList {
            for (position, followed) in read_follows(event).iter().enumerate() {
                self.run(
                    INSERT_FOLLOW,
                    params![author, number(position), followed.as_bytes()],
                )?;
            }
        }
        Ok(())
    }

    fn retire(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        let mut delete = self.db.prepare_cached(DELETE_EVENT).context(CONTEXT)?;
        let params = params![id.as_bytes(), author.as_bytes(), Kind::EventDeletion.as_u16()];
        let found = delete
            .query_row(params, |row| Ok((row.get::<_, u16>(0)?, row.get::<_, i64>(1)?)))
            .optional()
            .context(CONTEXT)?;
        let Some((kind, created_at)) = found.map(|(kind, at)| (Kind::from(kind), at.unsigned_abs())) else {
            return Ok(());
        };
        drop(delete);
        let item = Item { created_at, id: *id };
        self.changes.removed.push(Entry {
            item,
            author: *author,
            kind,
        });
        if kind == Kind::Metadata {
            self.run(DELETE_NAME, params![author.as_bytes()])?;
        } else if kind == Kind::ContactList {
            self.run(DELETE_FOLLOWS, params![author.as_bytes()])?;
        }
        self.set_gone(id)
    }

    fn set_gone(&mut self, id: &EventId) -> Result<(), StoreError> {
        self.run(INSERT_GONE, params![id.as_bytes()]).map(drop)
    }
}

pub(super) fn set_setting(db: &Connection, name: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => execute(db, SET_SETTING, params![name, value]),
        None => execute(db, DELETE_SETTING, params![name]),
    }
    .map(drop)
}

fn execute(db: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{SqliteStore, queries::tests::plan};

    #[test]
    fn no_write_looks_through_a_table() {
        let store = SqliteStore::in_memory().unwrap();
        for sql in [DELETE_EVENT, DELETE_NAME, DELETE_FOLLOWS, DELETE_SETTING] {
            let plan = plan(&store.connection, sql);
            assert!(
                plan.iter().all(|step| step.starts_with("SEARCH")),
                "{sql}\n{plan:#?}"
            );
        }
    }
}
