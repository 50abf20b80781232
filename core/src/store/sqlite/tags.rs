//! The index of tags (NIP-01: `#e`, `#p`, …), which only a peer that answers plain Nostr needs: made when it is first
//! asked for, kept up to date from then on.

use nostr::prelude::{Event, SingleLetterTag};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::error::Context;
use super::queries::{self, number};
use super::{SqliteStore, room, tables};
use crate::store::StoreError;

const CONTEXT: &str = "indexing tags";
/// Events that are indexed in one transaction.
const BATCH: usize = 5_000;
/// How far an interrupted indexing has come.
const DONE_UNTIL: &str = "store.tags";

/// A tag is known by 64 bits of its hash: the event itself tells for sure.
const CREATE: &str = "CREATE TABLE tag (
    hash INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (hash, seq)
) STRICT, WITHOUT ROWID";
const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'tag')";
pub(super) const INSERT_TAG: &str = "INSERT OR IGNORE INTO tag (hash, seq) VALUES (?1, ?2)";
pub(super) const DELETE_TAG: &str = "DELETE FROM tag WHERE hash = ?1 AND seq = ?2";

/// Whether tags are indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tags {
    /// There is no index.
    No,
    /// Of some events only: it is kept up to date, and not asked.
    Partly,
    /// Of all events.
    All,
}

impl Tags {
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let exists: bool = db.query_row(EXISTS, [], |row| row.get(0))?;
        Ok(match exists {
            false => Self::No,
            true if queries::setting(db, DONE_UNTIL)?.is_some() => Self::Partly,
            true => Self::All,
        })
    }
}

/// What a tag is indexed by. The salt is this database's own: nobody can make tags that collide.
pub(super) fn hash(salt: u64, letter: SingleLetterTag, value: &str) -> i64 {
    let mut hash = Sha256::new();
    hash.update(salt.to_be_bytes());
    hash.update([letter.as_byte()]);
    hash.update(value.as_bytes());
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    i64::from_be_bytes(short)
}

/// Writes or removes the entries of an event.
pub(super) fn run(db: &Connection, sql: &str, salt: u64, event: &Event, seq: i64) -> Result<(), StoreError> {
    let tags = event.tags.iter();
    let mut hashes: Vec<i64> = tags
        .filter_map(|tag| Some(hash(salt, tag.single_letter_tag()?, tag.content()?)))
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    let mut statement = db.prepare_cached(sql).context(CONTEXT)?;
    for hash in hashes {
        statement.execute([hash, seq]).context(CONTEXT)?;
    }
    Ok(())
}

impl SqliteStore {
    /// Indexes the tags of all events, unless that was done: some ten seconds for a million, in steps that are kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn index_tags(&mut self) -> Result<(), StoreError> {
        if self.tags == Tags::No {
            let create = self.connection.transaction().context(CONTEXT)?;
            create.execute_batch(CREATE).context(CONTEXT)?;
            tables::set_setting(&create, DONE_UNTIL, Some("0")).context(CONTEXT)?;
            create.commit().context(CONTEXT)?;
            self.tags = Tags::Partly;
        }
        while let Some(done) = queries::setting(&self.connection, DONE_UNTIL).context(CONTEXT)? {
            self.index_some(done.parse().unwrap_or(0))?;
        }
        self.tags = Tags::All;
        Ok(())
    }

    /// The next events after a place.
    fn index_some(&mut self, after: i64) -> Result<(), StoreError> {
        let salt = self.people.salt;
        let write = self.connection.transaction().context(CONTEXT)?;
        let places: Vec<i64> = {
            let mut statement = write.prepare_cached(room::AFTER).context(CONTEXT)?;
            let rows = statement.query_map(params![after, number(BATCH)], |row| row.get(0));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        for seq in &places {
            if let Some(stored) = queries::stored_at(&write, *seq).context(CONTEXT)? {
                run(&write, INSERT_TAG, salt, &stored.event, *seq)?;
            }
        }
        let last = places.last().map(i64::to_string);
        tables::set_setting(&write, DONE_UNTIL, last.as_deref()).context(CONTEXT)?;
        write.commit().context(CONTEXT)
    }
}

#[cfg(test)]
mod tests {
    use nostr::prelude::{Filter, Keys};

    use super::*;
    use crate::social::{deletion_event, note_event, reply_event};
    use crate::store::Store;
    use crate::time::Millis;

    const NOW: Millis = Millis(1_700_000_000_000);

    /// How many events the index has for a reply's tag.
    fn entries(store: &SqliteStore, root: &Event) -> i64 {
        let letter = SingleLetterTag::from_char('e').unwrap();
        let hash = hash(store.people.salt, letter, &root.id.to_hex());
        let count = "SELECT count(*) FROM tag WHERE hash = ?1";
        store
            .connection
            .query_row(count, [hash], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn what_is_stored_already_is_indexed_in_steps_and_what_goes_is_forgotten() {
        let author = Keys::generate();
        let root = note_event(&author, "root".into(), NOW);
        let replies: Vec<Event> = (0..30)
            .map(|n| reply_event(&author, &root, format!("{n}"), Millis(NOW.0 - n * 1_000)))
            .collect();
        let mut store = SqliteStore::in_memory().unwrap();
        store.put(&replies[..20], NOW).unwrap();
        assert_eq!(store.tags, Tags::No);
        // Interrupted after a step; what comes in between is indexed at once, and not twice.
        store.connection.execute_batch(CREATE).unwrap();
        tables::set_setting(&store.connection, DONE_UNTIL, Some("0")).unwrap();
        store.tags = Tags::load(&store.connection).unwrap();
        assert_eq!(store.tags, Tags::Partly);
        store.put(&replies[20..], NOW).unwrap();
        let find = |store: &SqliteStore| {
            let mut effort = 1_000;
            let found = store
                .find(&Filter::new().event(root.id), 100, &mut effort)
                .unwrap();
            (found.len(), 1_000 - effort)
        };
        assert_eq!(find(&store).0, 30, "found without the index as well");
        store.index_tags().unwrap();
        assert_eq!(Tags::load(&store.connection).unwrap(), Tags::All);
        let (found, effort) = find(&store);
        assert!(found == 30 && effort < 40, "{found} found by {effort} rows");
        assert_eq!(entries(&store, &root), 30);
        let deletion = deletion_event(&author, &[replies[0].id, replies[25].id], NOW);
        store.put(&[deletion], NOW).unwrap();
        assert_eq!(find(&store).0, 28);
        assert_eq!(entries(&store, &root), 28);
    }
}
