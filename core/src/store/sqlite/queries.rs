//! What is read: each query once, with the index that serves it.

use nostr::prelude::{Event, EventId, Kind, PublicKey, Signature, Tags, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::rules::{Version, Wanted};
use crate::store::{Cursor, Item, Known, Note};

/// By the unique index on `event.id`, and the key of `gone`.
const KNOWN: &str = "SELECT CASE WHEN EXISTS (SELECT 1 FROM event WHERE id = ?1) THEN 1
    WHEN EXISTS (SELECT 1 FROM gone WHERE id = ?1) THEN 2 ELSE 0 END";
/// By the key of `tombstone`.
const IS_TOMBSTONED: &str = "SELECT EXISTS (SELECT 1 FROM tombstone WHERE target = ?1 AND author = ?2)";
/// By the key of `latest`.
const LATEST: &str = "SELECT created_at, id FROM latest WHERE author = ?1 AND kind = ?2";
/// By the unique index on `event.id`.
const EVENT: &str = "SELECT id, author, created_at, kind, tags, content, sig FROM event WHERE id = ?1";
/// By the key of `latest`, then the unique index on `event.id`.
const REPLACEABLE: &str = "SELECT e.id, e.author, e.created_at, e.kind, e.tags, e.content, e.sig
    FROM latest l CROSS JOIN event e ON e.id = l.id WHERE l.author = ?1 AND l.kind = ?2";
/// By the unique index on `event.id`.
const NOTE: &str = "SELECT e.id, e.author, p.name, e.created_at, e.content
    FROM event e LEFT JOIN profile_name p ON p.author = e.author WHERE e.id = ?1 AND e.kind = 1";
/// A range of `event_by_kind`.
const NOTES: &str = "SELECT e.id, e.author, p.name, e.created_at, e.content
    FROM event e LEFT JOIN profile_name p ON p.author = e.author
    WHERE e.kind = 1 AND (e.rank, e.id) > (?1, ?2) ORDER BY e.rank, e.id LIMIT ?3";
/// A range of `event_by_author`.
const NOTES_OF: &str = "SELECT e.id, e.author, p.name, e.created_at, e.content
    FROM event e LEFT JOIN profile_name p ON p.author = e.author
    WHERE e.author = ?4 AND e.kind = 1 AND (e.rank, e.id) > (?1, ?2) ORDER BY e.rank, e.id LIMIT ?3";
/// The start of a range of `event_by_author` (covering).
const PLACE_OF: &str = "SELECT rank, id FROM event
    WHERE author = ?3 AND kind = 1 AND (rank, id) > (?1, ?2) ORDER BY rank, id LIMIT 1";
/// A range of `event_by_author` (covering).
const NOTE_COUNT: &str = "SELECT count(*) FROM event WHERE author = ?1 AND kind = 1";
/// By the key of `follow`.
const FOLLOWS: &str = "SELECT followed FROM follow WHERE follower = ?1 ORDER BY position";
/// A range of `event_by_kind` (covering).
const ITEMS: &str = "SELECT rank, id FROM event WHERE kind = ?1 AND rank BETWEEN ?2 AND ?3";
/// A range of `event_by_author` (covering).
const ITEMS_OF: &str =
    "SELECT rank, id FROM event WHERE author = ?4 AND kind = ?1 AND rank BETWEEN ?2 AND ?3";
/// By the key of `setting`.
const SETTING: &str = "SELECT value FROM setting WHERE name = ?1";

pub(super) fn known(db: &Connection, id: &EventId) -> rusqlite::Result<Known> {
    let state: i64 = db
        .prepare_cached(KNOWN)?
        .query_row([id.as_bytes()], |row| row.get(0))?;
    Ok(match state {
        1 => Known::Stored,
        2 => Known::Gone,
        _ => Known::No,
    })
}

pub(super) fn is_tombstoned(db: &Connection, id: &EventId, author: &PublicKey) -> rusqlite::Result<bool> {
    db.prepare_cached(IS_TOMBSTONED)?
        .query_row(params![id.as_bytes(), author.as_bytes()], |row| row.get(0))
}

pub(super) fn latest(db: &Connection, author: &PublicKey, kind: Kind) -> rusqlite::Result<Option<Version>> {
    let mut statement = db.prepare_cached(LATEST)?;
    let version = |row: &Row<'_>| Ok(Version::new(unsigned(row, 0)?, id(row, 1)?));
    statement
        .query_row(params![author.as_bytes(), kind.as_u16()], version)
        .optional()
}

pub(super) fn event(db: &Connection, id: &EventId) -> rusqlite::Result<Option<Event>> {
    db.prepare_cached(EVENT)?
        .query_row([id.as_bytes()], to_event)
        .optional()
}

pub(super) fn replaceable(
    db: &Connection,
    author: &PublicKey,
    kind: Kind,
) -> rusqlite::Result<Option<Event>> {
    let mut statement = db.prepare_cached(REPLACEABLE)?;
    statement
        .query_row(params![author.as_bytes(), kind.as_u16()], to_event)
        .optional()
}

pub(super) fn note(db: &Connection, id: &EventId) -> rusqlite::Result<Option<Note>> {
    db.prepare_cached(NOTE)?
        .query_row([id.as_bytes()], to_note)
        .optional()
}

pub(super) fn notes(db: &Connection, before: Option<Cursor>, limit: usize) -> rusqlite::Result<Vec<Note>> {
    let (rank, id) = place(before.as_ref());
    db.prepare_cached(NOTES)?
        .query_map(params![rank, id, number(limit)], to_note)?
        .collect()
}

pub(super) fn notes_of(
    db: &Connection,
    author: &PublicKey,
    before: Option<Cursor>,
    limit: usize,
) -> rusqlite::Result<Vec<Note>> {
    let (rank, id) = place(before.as_ref());
    let mut statement = db.prepare_cached(NOTES_OF)?;
    statement
        .query_map(params![rank, id, number(limit), author.as_bytes()], to_note)?
        .collect()
}

/// Where the author's newest note before a place stands.
pub(super) fn place_of(
    db: &Connection,
    author: &PublicKey,
    before: Option<Cursor>,
) -> rusqlite::Result<Option<Cursor>> {
    let (rank, id) = place(before.as_ref());
    let found = |row: &Row<'_>| to_item(row).map(|Item { created_at, id }| Cursor { created_at, id });
    db.prepare_cached(PLACE_OF)?
        .query_row(params![rank, id, author.as_bytes()], found)
        .optional()
}

pub(super) fn note_count(db: &Connection, author: &PublicKey) -> rusqlite::Result<u64> {
    db.prepare_cached(NOTE_COUNT)?
        .query_row([author.as_bytes()], |row| unsigned(row, 0))
}

pub(super) fn follows(db: &Connection, person: &PublicKey) -> rusqlite::Result<Vec<PublicKey>> {
    db.prepare_cached(FOLLOWS)?
        .query_map([person.as_bytes()], |row| key(row, 0))?
        .collect()
}

/// In ascending order. One range scan per kind and author; sorted here, since the ranges come one after another.
pub(super) fn items(db: &Connection, wanted: &Wanted) -> rusqlite::Result<Vec<Item>> {
    let (from, to) = (-seconds(wanted.until), -seconds(wanted.since));
    let mut items = Vec::new();
    let (mut of_all, mut of_author) = (db.prepare_cached(ITEMS)?, db.prepare_cached(ITEMS_OF)?);
    for kind in &wanted.kinds {
        let kind = kind.as_u16();
        match &wanted.authors {
            None => {
                for item in of_all.query_map(params![kind, from, to], to_item)? {
                    items.push(item?);
                }
            }
            Some(authors) => {
                for author in authors {
                    for item in of_author.query_map(params![kind, from, to, author.as_bytes()], to_item)? {
                        items.push(item?);
                    }
                }
            }
        }
    }
    items.sort_unstable();
    Ok(items)
}

pub(super) fn setting(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(SETTING)?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Seconds as SQLite's signed number. No stored event lies beyond its range: the clock's limit is far below.
pub(super) fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Rank and id to continue after; without a cursor, what lies before every event.
fn place(before: Option<&Cursor>) -> (i64, &[u8]) {
    before.map_or((i64::MIN, &[]), |cursor| {
        (-seconds(cursor.created_at), cursor.id.as_bytes())
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<EventId> {
    row.get(column).map(EventId::from_byte_array)
}

fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<PublicKey> {
    row.get(column).map(PublicKey::from_byte_array)
}

fn to_item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let rank: i64 = row.get(0)?;
    Ok(Item {
        created_at: rank.unsigned_abs(),
        id: id(row, 1)?,
    })
}

fn to_note(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: id(row, 0)?,
        author: key(row, 1)?,
        author_name: row.get(2)?,
        created_at: unsigned(row, 3)?,
        content: row.get(4)?,
        references: crate::social::References::default(),
        counts: crate::store::Counts::default(),
        repost: None,
    })
}

fn to_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let tags: Tags = serde_json::from_str(row.get_ref(4)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, error.into()))?;
    let content: String = row.get(5)?;
    Ok(Event::new(
        id(row, 0)?,
        key(row, 1)?,
        Timestamp::from_secs(unsigned(row, 2)?),
        Kind::from(row.get::<_, u16>(3)?),
        tags,
        content,
        Signature::from_byte_array(row.get(6)?),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::SqliteStore;

    /// The steps of EXPLAIN QUERY PLAN, with parameters unset.
    pub(in crate::store::sqlite) fn plan(db: &Connection, sql: &str) -> Vec<String> {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement
            .raw_query()
            .mapped(|row| row.get(3))
            .collect::<Result<_, _>>();
        steps.unwrap()
    }

    #[test]
    fn every_query_is_a_search_by_index_in_its_order() {
        let store = SqliteStore::in_memory().unwrap();
        let all = [
            KNOWN,
            IS_TOMBSTONED,
            LATEST,
            EVENT,
            REPLACEABLE,
            NOTE,
            NOTES,
            NOTES_OF,
            PLACE_OF,
            NOTE_COUNT,
            FOLLOWS,
            ITEMS,
            ITEMS_OF,
            SETTING,
        ];
        for sql in all {
            let plan = plan(&store.connection, sql);
            assert!(
                plan.iter().any(|step| step.starts_with("SEARCH")),
                "{sql}\n{plan:#?}"
            );
            for step in &plan {
                let whole_table = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
                assert!(!whole_table && !step.contains("TEMP B-TREE"), "{sql}\n{plan:#?}");
            }
        }
    }

    #[test]
    fn pages_and_items_use_the_index_meant_for_them() {
        let store = SqliteStore::in_memory().unwrap();
        for (sql, index) in [
            (NOTES, "USING INDEX event_by_kind (kind=? AND (rank,id)>(?,?))"),
            (
                NOTES_OF,
                "USING INDEX event_by_author (author=? AND kind=? AND (rank,id)>(?,?))",
            ),
            (
                PLACE_OF,
                "USING COVERING INDEX event_by_author (author=? AND kind=? AND (rank,id)>(?,?))",
            ),
            (
                NOTE_COUNT,
                "USING COVERING INDEX event_by_author (author=? AND kind=?)",
            ),
            (
                ITEMS,
                "USING COVERING INDEX event_by_kind (kind=? AND rank>? AND rank<?)",
            ),
            (
                ITEMS_OF,
                "USING COVERING INDEX event_by_author (author=? AND kind=? AND rank>? AND rank<?)",
            ),
        ] {
            let plan = plan(&store.connection, sql);
            assert!(plan.iter().any(|step| step.ends_with(index)), "{sql}\n{plan:#?}");
        }
    }
}
