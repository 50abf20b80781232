//! What is read by id: each query once, with the index that serves it. Pages are in `pages.rs`, threads in
//! `threads.rs`, notifications in `notices.rs`, the search in `search.rs`.

use nostr::prelude::{Event, EventId, Kind, PublicKey, Timestamp};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::{codec, place};
use crate::social::{Address, References};
use crate::store::rules::{Version, Wanted};
use crate::store::{Counts, Item, Known, Note, RequestKey};

/// By `event_by_id`, and the key of `gone`.
pub(super) const KNOWN: &str =
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM event WHERE substr(id, 1, 8) = ?1 AND id = ?2) THEN 1
    WHEN EXISTS (SELECT 1 FROM gone WHERE id = ?1) THEN 2 ELSE 0 END";
/// By `event_by_id`.
pub(super) const SEQ: &str = "SELECT seq FROM event WHERE substr(id, 1, 8) = ?1 AND id = ?2";
/// By the key of `tombstone`.
pub(super) const IS_TOMBSTONED: &str =
    "SELECT EXISTS (SELECT 1 FROM tombstone WHERE target = ?1 AND author = ?2)";
/// By the key of `latest`.
pub(super) const LATEST: &str =
    "SELECT created_at, id FROM latest WHERE author = ?1 AND kind = ?2 AND identifier = ?3";
/// By the key of `forgotten`.
pub(super) const FORGOTTEN: &str =
    "SELECT until FROM forgotten WHERE author = ?1 AND kind = ?2 AND identifier = ?3";
/// By the keys of `event`, `body` and `person`.
pub(super) const ENTRY: &str = "SELECT e.seq, e.id, e.author, p.key, e.moved, e.kind, b.data, p.name,
    e.replies, e.thread, e.reposts, e.quotes, e.reactions
    FROM event e CROSS JOIN body b ON b.seq = e.seq CROSS JOIN person p ON p.no = e.author WHERE e.seq = ?1";
/// By `event_by_id` and the keys of `body` and `person`.
pub(super) const EVENT: &str = "SELECT e.seq, e.id, e.author, p.key, e.moved, e.kind, b.data
    FROM event e CROSS JOIN body b ON b.seq = e.seq CROSS JOIN person p ON p.no = e.author
    WHERE substr(e.id, 1, 8) = ?1 AND e.id = ?2";
/// By `event_by_id`, or the key of `tally`.
pub(super) const COUNTS: &str =
    "SELECT replies, thread, reposts, quotes, reactions FROM event WHERE substr(id, 1, 8) = ?1
    UNION ALL SELECT replies, thread, reposts, quotes, reactions FROM tally WHERE target = ?1 LIMIT 1";
/// By the key of `person`.
pub(super) const PERSON: &str = "SELECT key, name, ring FROM person WHERE no = ?1";
/// By the key of `person`.
pub(super) const NAME_AND_NOTES: &str = "SELECT name, notes FROM person WHERE no = ?1";
/// By the key of `follow`.
pub(super) const FOLLOWS: &str = "SELECT followed FROM follow WHERE follower = ?1 ORDER BY position";
/// A range of `event`.
pub(super) const ITEMS: &str = "SELECT seq, id, moved, kind FROM event WHERE seq >= ?1 AND seq < ?2";
/// Ranges of `event_by_author`.
pub(super) const ITEMS_OF: &str = "SELECT seq, id, moved, kind FROM event
    WHERE author = ?3 AND class IN (0, 1, 2) AND seq >= ?1 AND seq < ?2";
/// By the key of `setting`.
pub(super) const SETTING: &str = "SELECT value FROM setting WHERE name = ?1";

/// By the key of `request`.
pub(super) const WRITTEN_FOR: &str = "SELECT event FROM request WHERE key = ?1";

/// The part of an id by which it is indexed.
pub(super) fn short(id: &EventId) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&id.as_bytes()[..8]);
    short
}

/// A stored event and where it stands.
pub(super) struct Stored {
    pub(super) seq: i64,
    pub(super) author: i64,
    pub(super) body_bytes: usize,
    pub(super) event: Event,
    name: Option<String>,
    counts: Counts,
}

impl Stored {
    /// As a timeline shows it.
    pub(super) fn into_note(self) -> Note {
        Note {
            references: References::of(&self.event),
            id: self.event.id,
            author: self.event.pubkey,
            author_name: self.name,
            created_at: self.event.created_at.as_secs(),
            content: self.event.content,
            counts: self.counts,
            repost: None,
        }
    }

    pub(super) fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }
}

pub(super) fn known(db: &Connection, id: &EventId) -> rusqlite::Result<Known> {
    let state: i64 = db
        .prepare_cached(KNOWN)?
        .query_row(params![short(id), id.as_bytes()], |row| row.get(0))?;
    Ok(match state {
        1 => Known::Stored,
        2 => Known::Gone,
        _ => Known::No,
    })
}

pub(super) fn seq_of(db: &Connection, id: &EventId) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(SEQ)?
        .query_row(params![short(id), id.as_bytes()], |row| row.get(0))
        .optional()
}

pub(super) fn is_tombstoned(db: &Connection, id: &EventId, author: i64) -> rusqlite::Result<bool> {
    db.prepare_cached(IS_TOMBSTONED)?
        .query_row(params![id.as_bytes(), author], |row| row.get(0))
}

pub(super) fn latest(db: &Connection, author: i64, address: &Address) -> rusqlite::Result<Option<Version>> {
    let version = |row: &Row<'_>| Ok(Version::new(unsigned(row, 0)?, id(row, 1)?));
    db.prepare_cached(LATEST)?
        .query_row(
            params![author, address.kind.as_u16(), address.identifier],
            version,
        )
        .optional()
}

pub(super) fn forgotten_until(
    db: &Connection,
    author: i64,
    address: &Address,
) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached(FORGOTTEN)?
        .query_row(
            params![author, address.kind.as_u16(), address.identifier],
            |row| unsigned(row, 0),
        )
        .optional()
}

/// A stored event by its place.
pub(super) fn stored_at(db: &Connection, seq: i64) -> rusqlite::Result<Option<Stored>> {
    Entries::of(db)?.at(seq)
}

/// Reads stored events one after the other, without looking the statement up for each.
pub(super) struct Entries<'a>(CachedStatement<'a>);

impl<'a> Entries<'a> {
    pub(super) fn of(db: &'a Connection) -> rusqlite::Result<Self> {
        db.prepare_cached(ENTRY).map(Self)
    }

    pub(super) fn at(&mut self, seq: i64) -> rusqlite::Result<Option<Stored>> {
        undamaged(self.0.query_row([seq], to_stored))
    }
}

/// An event by its id, without what is known about it.
pub(super) fn event(db: &Connection, id: &EventId) -> rusqlite::Result<Option<Event>> {
    let params = params![short(id), id.as_bytes()];
    undamaged(
        db.prepare_cached(EVENT)?
            .query_row(params, |row| to_event(row, row.get(0)?)),
    )
}

/// What is there and can be read.
fn undamaged<T>(found: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match found.optional() {
        Err(error @ rusqlite::Error::FromSqlConversionFailure(..)) => {
            tracing::error!(%error, "a stored event is damaged");
            Ok(None)
        }
        found => found,
    }
}

/// A stored event by its id.
pub(super) fn stored(db: &Connection, id: &EventId) -> rusqlite::Result<Option<Stored>> {
    match seq_of(db, id)? {
        Some(seq) => stored_at(db, seq),
        None => Ok(None),
    }
}

pub(super) fn counts(db: &Connection, id: &EventId) -> rusqlite::Result<Counts> {
    let counts = db
        .prepare_cached(COUNTS)?
        .query_row([short(id)], |row| to_counts(row, 0))
        .optional()?;
    Ok(counts.unwrap_or_default())
}

/// Key, name and the number of the ring.
pub(super) fn person(db: &Connection, no: i64) -> rusqlite::Result<(PublicKey, Option<String>, u8)> {
    db.prepare_cached(PERSON)?
        .query_row([no], |row| Ok((key(row, 0)?, row.get(1)?, row.get(2)?)))
}

pub(super) fn name_and_notes(db: &Connection, no: i64) -> rusqlite::Result<(Option<String>, u64)> {
    db.prepare_cached(NAME_AND_NOTES)?
        .query_row([no], |row| Ok((row.get(0)?, unsigned(row, 1)?)))
}

/// The people whom a person follows, by their numbers.
pub(super) fn follows(db: &Connection, person: i64) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached(FOLLOWS)?
        .query_map([person], |row| row.get(0))?
        .collect()
}

/// In ascending order.
pub(super) fn items(
    db: &Connection,
    wanted: &Wanted,
    authors: Option<&[i64]>,
) -> rusqlite::Result<Vec<Item>> {
    let mut items = Vec::new();
    if wanted.since > wanted.until {
        return Ok(items);
    }
    // What was moved to an earlier place is found a little before its second.
    let from = place::first_of(wanted.since).saturating_sub(place::FARTHEST);
    let to = place::first_of(wanted.until.saturating_add(1)).saturating_add(1);
    let mut take = |row: &Row<'_>| -> rusqlite::Result<()> {
        let created_at = created_at(row.get(0)?, row.get(2)?);
        if (wanted.since..=wanted.until).contains(&created_at)
            && wanted.has_kind(Kind::from(row.get::<_, u16>(3)?))
        {
            items.push(Item {
                created_at,
                id: id(row, 1)?,
            });
        }
        Ok(())
    };
    match authors {
        None => {
            let mut statement = db.prepare_cached(ITEMS)?;
            let mut rows = statement.query(params![from, to])?;
            while let Some(row) = rows.next()? {
                take(row)?;
            }
        }
        Some(authors) => {
            let mut statement = db.prepare_cached(ITEMS_OF)?;
            for author in authors {
                let mut rows = statement.query(params![from, to, author])?;
                while let Some(row) = rows.next()? {
                    take(row)?;
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

pub(super) fn written_for(db: &Connection, request: RequestKey) -> rusqlite::Result<Option<EventId>> {
    let event: Option<[u8; 32]> = db
        .prepare_cached(WRITTEN_FOR)?
        .query_row([request.0], |row| row.get(0))
        .optional()?;
    Ok(event.map(EventId::from_byte_array))
}

/// Seconds as SQLite's signed number. No stored event lies beyond its range: the clock's limit is far below.
pub(super) fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The author's time of the event in a row: that of its place, or the one beside it.
pub(super) fn created_at(seq: i64, moved: Option<i64>) -> u64 {
    moved.map_or_else(|| place::second_of(seq), i64::unsigned_abs)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<EventId> {
    row.get(column).map(EventId::from_byte_array)
}

pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<PublicKey> {
    row.get(column).map(PublicKey::from_byte_array)
}

fn to_counts(row: &Row<'_>, first: usize) -> rusqlite::Result<Counts> {
    let count = |column: usize| -> rusqlite::Result<u32> {
        let count: i64 = row.get(first + column)?;
        Ok(u32::try_from(count.max(0)).unwrap_or(u32::MAX))
    };
    Ok(Counts {
        replies: count(0)?,
        thread: count(1)?,
        reposts: count(2)?,
        quotes: count(3)?,
        reactions: count(4)?,
    })
}

fn to_stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let seq = row.get(0)?;
    Ok(Stored {
        seq,
        author: row.get(2)?,
        body_bytes: row.get_ref(6)?.as_blob()?.len(),
        event: to_event(row, seq)?,
        name: row.get(7)?,
        counts: to_counts(row, 8)?,
    })
}

fn to_event(row: &Row<'_>, seq: i64) -> rusqlite::Result<Event> {
    let (signature, tags, content) = codec::decode(row.get_ref(6)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(6, Type::Blob, error.into()))?;
    Ok(Event::new(
        id(row, 1)?,
        key(row, 3)?,
        Timestamp::from_secs(created_at(seq, row.get(4)?)),
        Kind::from(row.get::<_, u16>(5)?),
        tags,
        content,
        signature,
    ))
}
