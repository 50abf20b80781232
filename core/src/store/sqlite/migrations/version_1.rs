//! From version 1: every event is put again, in the form of the new tables.

use nostr::prelude::{Event, Kind, PublicKey, Signature, Tags, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::super::error::Context;
use super::super::people::People;
use super::super::queries::{id, key, unsigned};
use super::super::tables::Writer;
use crate::social::Address;
use crate::store::StoreError;
use crate::store::rules::{self, Tables, Version};
use crate::time::Millis;

const CONTEXT: &str = "updating the database";

const EVENTS: &str =
    "SELECT id, author, created_at, kind, tags, content, sig FROM event_1 ORDER BY created_at";
const LATEST: &str = "SELECT author, kind, created_at, id FROM latest_1";

pub(super) fn carry_over(db: &Connection) -> Result<(), StoreError> {
    if !db.table_exists(None, "event_1").context(CONTEXT)? {
        return Ok(());
    }
    let mut people = People::load(db).context(CONTEXT)?;
    let mut writer = Writer::new(db, &mut people);
    // They were verified when they came.
    let mut statement = db.prepare(EVENTS).context(CONTEXT)?;
    let mut rows = statement.query([]).context(CONTEXT)?;
    while let Some(row) = rows.next().context(CONTEXT)? {
        let event = to_event(row).context(CONTEXT)?;
        let now = Millis(event.created_at.as_secs().saturating_mul(1000));
        rules::admit(&mut writer, &event, true, now)?;
    }
    // Versions that were deleted still stand in the way of older ones.
    let mut statement = db.prepare(LATEST).context(CONTEXT)?;
    let mut rows = statement.query([]).context(CONTEXT)?;
    while let Some(row) = rows.next().context(CONTEXT)? {
        let (address, version) = to_version(row).context(CONTEXT)?;
        if writer.latest(&address)?.is_none_or(|known| known < version) {
            writer.set_latest(&address, version)?;
        }
    }
    writer.finish()?;
    db.execute_batch("DROP TABLE event_1; DROP TABLE latest_1; DROP TABLE tombstone_1;")
        .context(CONTEXT)
}

fn to_version(row: &Row<'_>) -> rusqlite::Result<(Address, Version)> {
    let author: PublicKey = key(row, 0)?;
    let address = Address {
        kind: Kind::from(row.get::<_, u16>(1)?),
        author,
        identifier: String::new(),
    };
    Ok((address, Version::new(unsigned(row, 2)?, id(row, 3)?)))
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
