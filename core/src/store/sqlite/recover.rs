//! Putting a damaged database together again: every event that can still be read, into a fresh one.
//!
//! Nothing of the damaged file is trusted, neither its indices nor its tree of pages. An event proves itself by its
//! signature; all that is kept beside the events is made from them anew, but for the settings and budgets.

use std::collections::{BTreeMap, BTreeSet};

use nostr::prelude::{Event, EventId, Kind, PublicKey, Signature, Tags, Timestamp};

use super::error::Context;
use super::{SqliteStore, codec, people, queries};
use crate::social::Ring;
use crate::store::rules;
use crate::store::{Budget, OWNER, Put, RECOVERED, Recovered, Store, StoreError};
use crate::time::Millis;
use pages::{Pages, Place, Value};

pub use pages::Bytes;

mod pages;

const CONTEXT: &str = "recovering a damaged database";
/// Events that are stored in one transaction.
const BATCH: usize = 500;
/// Settings that are kept at most; the interface has a few dozen.
const MAX_SETTINGS: usize = 1_000;

/// What the tables tell of an event besides its body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    seq: i64,
    author: i64,
    kind: u16,
    moved: Option<i64>,
}

/// What the first pass over the pages finds.
#[derive(Default)]
struct Found {
    /// Sorted; a number or a place may have been given twice, one after the other.
    people: Vec<(i64, [u8; 32])>,
    rows: Vec<Row>,
    settings: BTreeMap<String, String>,
    budgets: Vec<(Ring, Budget)>,
}

impl SqliteStore {
    /// Fills this store, which must be new and empty, with what can still be read of a damaged database and of its
    /// write-ahead log: events that prove themselves, settings, budgets. What came of it also stands in the setting
    /// [`RECOVERED`]. Takes as long as verifying every event.
    ///
    /// # Errors
    /// When the new database fails, or has no room for everything: it is of no use then.
    pub fn recover_from<'a>(
        &mut self,
        file: &'a mut dyn Bytes,
        log: Option<&'a mut dyn Bytes>,
        now: Millis,
    ) -> Result<Recovered, StoreError> {
        let mut pages = Pages::new(file, log);
        // Nearness is known only when all is there: until then nothing is over its budget.
        for ring in Ring::ALL {
            self.set_budget(ring, Budget::UNLIMITED)?;
        }
        let mut intake = Intake {
            now,
            batch: Vec::with_capacity(BATCH),
            store: self,
        };
        let found = first_pass(&mut pages, &mut intake)?;
        let lost = second_pass(&mut pages, &found, &mut intake)?;
        intake.flush()?;
        self.keep_choices(&found)?;
        let events: i64 = self
            .connection
            .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
            .context(CONTEXT)?;
        let recovered = Recovered {
            events: events.unsigned_abs(),
            lost,
            at: now.0 / 1000,
        };
        let told = serde_json::to_string(&recovered).map_err(|error| StoreError {
            context: CONTEXT,
            reason: error.to_string(),
            full: false,
            damaged: false,
        })?;
        self.set_setting(RECOVERED, Some(&told))?;
        self.take_changes();
        Ok(recovered)
    }

    fn keep_choices(&mut self, found: &Found) -> Result<(), StoreError> {
        let owner = found
            .settings
            .get(OWNER)
            .and_then(|key| PublicKey::from_hex(key).ok());
        if owner.is_some() {
            // Makes the notifications, and forgets how far they were read: so before the settings.
            self.set_me(owner)?;
        }
        for (name, value) in &found.settings {
            self.set_setting(name, Some(value))?;
        }
        self.connection
            .execute("DELETE FROM budget", [])
            .context(CONTEXT)?;
        for (ring, budget) in &found.budgets {
            people::set_budget(&self.connection, *ring, *budget).context(CONTEXT)?;
        }
        self.people.budgets_changed();
        Ok(())
    }
}

/// Events on their way into the new store.
struct Intake<'a> {
    now: Millis,
    batch: Vec<Event>,
    store: &'a mut SqliteStore,
}

impl Intake<'_> {
    /// Takes an event that proves itself; whether it does.
    fn take(&mut self, event: Event) -> Result<bool, StoreError> {
        if rules::verify(&event).is_err() {
            return Ok(false);
        }
        self.batch.push(event);
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        // It was taken in once: a clock that was set back is no reason to lose it.
        let latest = self.batch.iter().map(|event| event.created_at.as_secs()).max();
        let now = Millis(latest.unwrap_or(0).saturating_mul(1000).max(self.now.0));
        let outcomes = self.store.put_verified(&self.batch, now)?;
        self.store.take_changes();
        self.batch.clear();
        if outcomes.contains(&Put::NoRoom) {
            return Err(StoreError {
                context: CONTEXT,
                reason: "there is no room for a second copy of the events".to_owned(),
                full: true,
                damaged: false,
            });
        }
        Ok(())
    }
}

/// People, rows, settings; events of version 1, which stand in one row each.
fn first_pass(pages: &mut Pages<'_>, intake: &mut Intake<'_>) -> Result<Found, StoreError> {
    let mut found = Found::default();
    pages.rows(|place, values| {
        match (place, values) {
            (
                Place::Table(seq),
                [
                    Value::Null,
                    Value::Blob(id),
                    Value::Integer(author),
                    Value::Integer(kind),
                    Value::Integer(_),
                    Value::Integer(_),
                    moved,
                    // Counts, unless it was written before they stood here.
                    ..,
                ],
            ) if id.len() == 32 && [7, 12].contains(&values.len()) => {
                if let Ok(kind) = u16::try_from(*kind) {
                    found.rows.push(Row {
                        seq,
                        author: *author,
                        kind,
                        moved: integer(moved),
                    });
                }
            }
            (
                Place::Table(number),
                [
                    Value::Null,
                    Value::Blob(key),
                    Value::Text(_) | Value::Null,
                    Value::Integer(_),
                    ..,
                ],
            ) if (7..=8).contains(&values.len()) => {
                if let Ok(key) = <[u8; 32]>::try_from(*key) {
                    found.people.push((number, key));
                }
            }
            (Place::Table(ring), [Value::Null, events, bytes, age]) => {
                let ring = usize::try_from(ring).ok().and_then(|ring| Ring::ALL.get(ring));
                if let Some(ring) = ring {
                    let limit = |value| integer(value).map(i64::unsigned_abs);
                    found.budgets.push((
                        *ring,
                        Budget {
                            events: limit(events),
                            bytes: limit(bytes),
                            age: limit(age),
                        },
                    ));
                }
            }
            // `setting` is the one table that pairs texts.
            (Place::Index, [Value::Text(name), Value::Text(value)])
                if found.settings.len() < MAX_SETTINGS =>
            {
                found.settings.insert((*name).to_owned(), (*value).to_owned());
            }
            (Place::Table(_), values) if values.len() == 9 => {
                if let Some(event) = event_of_version_1(values) {
                    intake.take(event)?;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    found.people.sort_unstable();
    found.people.dedup();
    found.rows.sort_unstable();
    found.rows.dedup();
    Ok(found)
}

/// Joins the bodies with their rows; how many rows stay without one that proves itself.
fn second_pass(pages: &mut Pages<'_>, found: &Found, intake: &mut Intake<'_>) -> Result<u64, StoreError> {
    let mut whole = BTreeSet::new();
    pages.rows(|place, values| {
        let (Place::Table(seq), [Value::Null, Value::Blob(data)]) = (place, values) else {
            return Ok(());
        };
        let Ok((signature, tags, content)) = codec::decode(data) else {
            return Ok(());
        };
        for row in of(&found.rows, |row| row.seq, seq) {
            for (_, key) in of(&found.people, |(number, _)| *number, row.author) {
                if intake.take(event(*row, *key, signature, tags.clone(), content.clone()))? {
                    whole.insert(seq);
                }
            }
        }
        Ok(())
    })?;
    let mut all: Vec<i64> = found.rows.iter().map(|row| row.seq).collect();
    all.dedup();
    Ok(all.iter().filter(|seq| !whole.contains(*seq)).count() as u64)
}

/// The entries of a sorted list that have this key.
fn of<T>(sorted: &[T], key: impl Fn(&T) -> i64, wanted: i64) -> &[T] {
    let from = sorted.partition_point(|entry| key(entry) < wanted);
    let rest = &sorted[from..];
    &rest[..rest.partition_point(|entry| key(entry) == wanted)]
}

fn event(row: Row, author: [u8; 32], signature: Signature, tags: Tags, content: String) -> Event {
    let author = PublicKey::from_byte_array(author);
    let created_at = Timestamp::from_secs(queries::created_at(row.seq, row.moved));
    let kind = Kind::from(row.kind);
    // The id is the hash of the rest: a signature that holds over it makes all of it right.
    let id = EventId::compute(&author, &created_at, &kind, &tags, &content);
    Event::new(id, author, created_at, kind, tags, content, signature)
}

fn event_of_version_1(values: &[Value<'_>]) -> Option<Event> {
    let &[
        Value::Null,
        Value::Blob(id),
        Value::Blob(author),
        Value::Integer(created_at),
        Value::Integer(_),
        Value::Integer(kind),
        Value::Text(tags),
        Value::Text(content),
        Value::Blob(signature),
    ] = values
    else {
        return None;
    };
    Some(Event::new(
        EventId::from_byte_array(id.try_into().ok()?),
        PublicKey::from_byte_array(author.try_into().ok()?),
        Timestamp::from_secs(u64::try_from(created_at).ok()?),
        Kind::from(u16::try_from(kind).ok()?),
        serde_json::from_str::<Tags>(tags).ok()?,
        content,
        Signature::from_byte_array(signature.try_into().ok()?),
    ))
}

fn integer(value: &Value<'_>) -> Option<i64> {
    if let Value::Integer(number) = value {
        Some(*number)
    } else {
        None
    }
}
