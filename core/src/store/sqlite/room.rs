//! Room: what takes it, what is dropped when there is too little, and giving it back.

use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use nostr::prelude::{Event, PublicKey};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::error::Context;
use super::people::ring;
use super::queries::{self, number, seconds, unsigned};
use super::tables::{Writer, size};
use super::{SqliteStore, place};
use crate::social::Ring;
use crate::store::{Changes, Cursor, MAX_REPORTED, StorageReport, StoreError, Usage};
use crate::time::Millis;

const CONTEXT: &str = "making room";
/// Events that one call drops at most: about 20 ms of work.
const MAX_DROPPED: usize = 500;
/// A ring over its budget is brought down to this part of it, so that not every new event makes work.
const BELOW: f64 = 0.95;
/// Pages that one call gives back at most: 4 MiB of 4 KiB pages.
const PAGES: i64 = 1_024;
/// Steps in which room is made, and events that each drops.
const MAX_ROOM_MADE: usize = 20;
const ROOM_EVENTS: usize = 50;
/// Bytes of what is remembered of strangers of whom nothing else is here.
const MAX_REMEMBERED: i64 = 8 * 1024 * 1024;
/// Bytes set aside for when the disk is full.
const RESERVE: i64 = 256 * 1024;
/// People who are looked at for events past their age, per call.
const PEOPLE_AT_ONCE: usize = 2_000;

/// A range of the key of `expiry`.
pub(super) const EXPIRED: &str = "SELECT seq FROM expiry WHERE at <= ?1 LIMIT ?2";
/// Somebody of whom there was too much, by the keys of both tables.
pub(super) const VANISHING: &str =
    "SELECT v.author, v.until FROM vanishing CROSS JOIN vanished v USING (author) LIMIT 1";
/// The end of a range of `person_by_use`.
pub(super) const HEAVIEST: &str = "SELECT no, bytes FROM person WHERE ring = ?1 AND no <> ?2 AND events > 0
    ORDER BY bytes DESC LIMIT ?3";
/// The start of ranges of `event_by_author`.
pub(super) const OLDEST: &str =
    "SELECT seq, kind IN (0, 3, 5, 62) FROM event WHERE author = ?1 AND class = ?2 ORDER BY seq LIMIT ?3";
/// The people table from a person on: most are strangers, whose age is what mostly matters.
pub(super) const MEMBERS: &str =
    "SELECT no FROM person WHERE +ring = ?1 AND no > ?2 AND events > 0 AND no <> ?4
    ORDER BY no LIMIT ?3";
/// Strangers of whom nothing is stored and nothing remembered, after a person: by the keys of the tables named.
pub(super) const UNUSED: &str =
    "SELECT no FROM person WHERE no > ?1 AND events = 0 AND +ring = 5 AND no <> ?2
    AND NOT EXISTS (SELECT 1 FROM follow WHERE followed = no)
    AND NOT EXISTS (SELECT 1 FROM latest WHERE author = no)
    AND NOT EXISTS (SELECT 1 FROM forgotten WHERE author = no)
    AND NOT EXISTS (SELECT 1 FROM vanished WHERE author = no)
    AND NOT EXISTS (SELECT 1 FROM tombstone WHERE author = no)
    AND NOT EXISTS (SELECT 1 FROM notification WHERE who = no AND cause >= 5)
    ORDER BY no LIMIT ?3";
/// What is remembered of strangers of whom nothing is stored any more.
pub(super) const REMEMBERED: &str =
    "SELECT no, memory FROM person WHERE events = 0 AND ring = 5 AND memory > 0 AND no <> ?1";
/// Each by the key of its table.
const FORGET_STRANGER: [&str; 6] = [
    "DELETE FROM latest WHERE author = ?1",
    "DELETE FROM forgotten WHERE author = ?1",
    "DELETE FROM vanished WHERE author = ?1",
    "DELETE FROM vanishing WHERE author = ?1",
    "DELETE FROM tombstone WHERE author = ?1",
    "UPDATE person SET memory = 0 WHERE no = ?1",
];
pub(super) const BY_KIND: &str =
    "SELECT kind, events, bytes FROM kind_use WHERE events > 0 ORDER BY bytes DESC";
/// The ends of the ranges of `person_by_use`, ring by ring.
pub(super) const BY_PERSON: &str =
    "SELECT key, name, events, bytes FROM person WHERE ring = ?1 AND events > 0
    ORDER BY bytes DESC LIMIT ?2";

/// The end of a range of `person_by_use`.
pub(super) const IN_RING: &str = "SELECT key FROM person WHERE ring = ?1 ORDER BY bytes DESC LIMIT ?2";
/// A range of `follow_by_followed`.
pub(super) const FOLLOWERS: &str =
    "SELECT p.key FROM follow f CROSS JOIN person p ON p.no = f.follower WHERE f.followed = ?1
    ORDER BY f.follower LIMIT ?2";
/// A range of `follow_by_followed` (covering).
pub(super) const COUNT_FOLLOWERS: &str = "SELECT count(*) FROM follow WHERE followed = ?1";
/// A range of `event`.
pub(super) const AFTER: &str = "SELECT seq FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";

impl SqliteStore {
    pub(super) fn tidy_up(&mut self, now: Millis) -> Result<bool, StoreError> {
        self.people.refresh_rings(&self.connection).context(CONTEXT)?;
        self.fill_reserve()?;
        let expired = self.expired(now)?;
        let mut more = expired.len() >= MAX_DROPPED;
        self.drop_events(&expired)?;
        more = more || self.go_on_vanishing()?;
        for ring in Ring::ALL {
            if ring != Ring::Me && !more {
                let old = self.drop_old(ring, now)?;
                more = self.drop_heaviest(ring)? || old;
            }
        }
        self.drop_unused_people()?;
        self.forget_strangers()?;
        Ok(more)
    }

    fn expired(&self, now: Millis) -> Result<Vec<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached(EXPIRED).context(CONTEXT)?;
        let params = params![seconds(now.0 / 1000), number(MAX_DROPPED)];
        let rows = statement.query_map(params, |row| row.get(0));
        rows.and_then(Iterator::collect).context(CONTEXT)
    }

    /// Goes on removing what somebody has who vanished; true when there is more, of them or of others.
    fn go_on_vanishing(&mut self) -> Result<bool, StoreError> {
        let found = {
            let mut statement = self.connection.prepare_cached(VANISHING).context(CONTEXT)?;
            let row = statement.query_row([], |row| Ok((row.get(0)?, unsigned(row, 1)?)));
            row.optional().context(CONTEXT)?
        };
        let Some((person, until)) = found else {
            return Ok(false);
        };
        self.write(|writer| writer.vanish_some(person, until))?;
        Ok(true)
    }

    /// Drops what is past the ring's age, of some people at a time; true when there are more.
    fn drop_old(&mut self, ring: Ring, now: Millis) -> Result<bool, StoreError> {
        let Some(age) = self.people.budget(&self.connection, ring).context(CONTEXT)?.age else {
            return Ok(false);
        };
        let end = place::first_of((now.0 / 1000).saturating_sub(age));
        let after = self.tidied[ring as usize];
        let people: Vec<i64> = {
            let mut statement = self.connection.prepare_cached(MEMBERS).context(CONTEXT)?;
            let params = params![ring as u8, after, number(PEOPLE_AT_ONCE), self.people.my_number()];
            let rows = statement.query_map(params, |row| row.get(0));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        let (mut old, mut reached) = (Vec::new(), after);
        for person in &people {
            for class in 0..3 {
                let oldest = oldest(&self.connection, *person, class, MAX_DROPPED).context(CONTEXT)?;
                // Names, follow lists and what was asked to be forgotten do not grow old.
                let past = oldest.into_iter().take_while(|(seq, _)| *seq < end);
                old.extend(past.filter(|(_, lasting)| !lasting).map(|(seq, _)| seq));
            }
            if old.len() >= MAX_DROPPED {
                break;
            }
            reached = *person;
        }
        let more = people.len() >= PEOPLE_AT_ONCE || old.len() >= MAX_DROPPED;
        self.tidied[ring as usize] = if more { reached } else { 0 };
        self.drop_events(&old)?;
        Ok(more)
    }

    /// While a ring is over its budget: who takes most loses the oldest, one event after the other.
    fn drop_heaviest(&mut self, ring: Ring) -> Result<bool, StoreError> {
        let budget = self.people.budget(&self.connection, ring).context(CONTEXT)?;
        let mut used = self.people.usage(&self.connection, ring).context(CONTEXT)?;
        let over = |used: u64, most: Option<u64>| most.is_some_and(|most| used > most);
        if !over(used.events, budget.events) && !over(used.bytes, budget.bytes) {
            return Ok(false);
        }
        let goal = |most: Option<u64>| most.map(|most| (most as f64 * BELOW) as u64);
        let (events, bytes) = (goal(budget.events), goal(budget.bytes));
        let mut heaviest: BinaryHeap<(u64, i64)> = self.heaviest(ring)?.into();
        let mut ahead: HashMap<i64, VecDeque<i64>> = HashMap::new();
        let mut victims = Vec::new();
        while victims.len() < MAX_DROPPED && (over(used.events, events) || over(used.bytes, bytes)) {
            let Some((weight, person)) = heaviest.pop() else {
                break;
            };
            let oldest = match ahead.entry(person) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(empty) => empty.insert(self.oldest_of(person, MAX_DROPPED)?.into()),
            };
            let Some(seq) = oldest.pop_front() else {
                continue;
            };
            let stored = queries::stored_at(&self.connection, seq).context(CONTEXT)?;
            let size = stored.map_or(0, |stored| size(&stored.event, stored.body_bytes)) as u64;
            victims.push(seq);
            used.events = used.events.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(size);
            heaviest.push((weight.saturating_sub(size), person));
        }
        self.drop_events(&victims)?;
        Ok(victims.len() >= MAX_DROPPED)
    }

    /// Those who take most of a ring, with what they take.
    fn heaviest(&self, ring: Ring) -> Result<Vec<(u64, i64)>, StoreError> {
        let mut statement = self.connection.prepare_cached(HEAVIEST).context(CONTEXT)?;
        let params = params![ring as u8, self.people.my_number(), number(MAX_DROPPED)];
        let rows = statement.query_map(params, |row| Ok((unsigned(row, 1)?, row.get(0)?)));
        rows.and_then(Iterator::collect).context(CONTEXT)
    }

    /// A person's oldest events; names, follow lists and what was asked to be forgotten come last.
    fn oldest_of(&self, person: i64, most: usize) -> Result<Vec<i64>, StoreError> {
        let mut all = Vec::new();
        for class in 0..3 {
            all.extend(oldest(&self.connection, person, class, most).context(CONTEXT)?);
        }
        all.sort_unstable_by_key(|(seq, lasting)| (*lasting, *seq));
        all.truncate(most);
        Ok(all.into_iter().map(|(seq, _)| seq).collect())
    }

    fn drop_events(&mut self, places: &[i64]) -> Result<(), StoreError> {
        if places.is_empty() {
            return Ok(());
        }
        self.write(|writer| {
            for place in places {
                if let Some(stored) = queries::stored_at(writer.db, *place).context(CONTEXT)? {
                    writer.remove(&stored)?;
                }
            }
            Ok(())
        })
    }

    /// Frees some room at once, for an own event that finds the disk full: with the reserve, events of those farthest
    /// from the person are dropped until there is as much again. False when there is nothing left to drop.
    pub(super) fn make_room(&mut self) -> Result<bool, StoreError> {
        // Not overwritten page by page, which would take the very space that is missing.
        self.connection
            .pragma_update(None, "secure_delete", "OFF")
            .context(CONTEXT)?;
        let freed = self
            .connection
            .execute("DELETE FROM reserve", [])
            .context(CONTEXT);
        self.connection
            .pragma_update(None, "secure_delete", "ON")
            .context(CONTEXT)?;
        let mut freed = freed? > 0;
        for _ in 0..MAX_ROOM_MADE {
            if self.free_bytes()? >= RESERVE * 2 {
                break;
            }
            let Some(person) = self.farthest()? else {
                break;
            };
            let victims = self.oldest_of(person, ROOM_EVENTS)?;
            self.drop_events(&victims)?;
            freed |= !victims.is_empty();
        }
        Ok(freed)
    }

    /// Who takes most of the farthest ring that has anything.
    fn farthest(&self) -> Result<Option<i64>, StoreError> {
        for ring in Ring::ALL.into_iter().rev().filter(|ring| *ring != Ring::Me) {
            if let Some((_, person)) = self.heaviest(ring)?.first() {
                return Ok(Some(*person));
            }
        }
        Ok(None)
    }

    fn free_bytes(&self) -> Result<i64, StoreError> {
        let value = |name| {
            let value = self
                .connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.context(CONTEXT)
        };
        Ok(value("freelist_count")? * value("page_size")?)
    }

    pub(super) fn unused_space(&self) -> Result<u64, StoreError> {
        self.free_bytes().map(i64::unsigned_abs)
    }

    /// After an own event found the disk full and was stored: what is free by now is set aside again.
    pub(super) fn refill_reserve(&self) -> Result<(), StoreError> {
        if self.free_bytes()? > RESERVE {
            self.set_aside()?;
        }
        Ok(())
    }

    /// Sets space aside while there is some.
    fn fill_reserve(&self) -> Result<(), StoreError> {
        if self.full_since.is_some() {
            return Ok(());
        }
        match self.set_aside() {
            Err(error) if !error.full => Err(error),
            _ => Ok(()),
        }
    }

    fn set_aside(&self) -> Result<(), StoreError> {
        const SET_ASIDE: &str = "INSERT INTO reserve (data) SELECT zeroblob(?1)
            WHERE NOT EXISTS (SELECT 1 FROM reserve)";
        self.connection
            .execute(SET_ASIDE, [RESERVE])
            .context(CONTEXT)
            .map(drop)
    }

    pub(super) fn give_back(&mut self) -> Result<bool, StoreError> {
        const CONTEXT: &str = "giving space back";
        {
            // One page for each step of the statement.
            let vacuum = format!("PRAGMA incremental_vacuum({PAGES})");
            let mut statement = self.connection.prepare(&vacuum).context(CONTEXT)?;
            let mut rows = statement.query([]).context(CONTEXT)?;
            while rows.next().context(CONTEXT)?.is_some() {}
        }
        let free: i64 = self
            .connection
            .pragma_query_value(None, "freelist_count", |row| row.get(0))
            .context(CONTEXT)?;
        Ok(free > 0)
    }

    /// Those of whom nothing is kept any more.
    fn drop_unused_people(&mut self) -> Result<(), StoreError> {
        let after = self.tidied[Ring::Me as usize];
        let unused: Vec<i64> = {
            let mut statement = self.connection.prepare_cached(UNUSED).context(CONTEXT)?;
            let rows = statement.query_map([after, self.people.my_number(), number(MAX_DROPPED)], |row| {
                row.get(0)
            });
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        self.tidied[Ring::Me as usize] = unused
            .last()
            .copied()
            .filter(|_| unused.len() >= MAX_DROPPED)
            .unwrap_or(0);
        if unused.is_empty() {
            return Ok(());
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .context(CONTEXT)?;
        for person in unused {
            super::tables::execute(&transaction, "DELETE FROM person WHERE no = ?1", [person])
                .context(CONTEXT)?;
        }
        transaction.commit().context(CONTEXT)?;
        self.people.forget_numbers();
        Ok(())
    }

    /// What is remembered of strangers of whom nothing else is here gives way when there is too much of it: keys cost
    /// nothing, and each could leave some.
    fn forget_strangers(&mut self) -> Result<(), StoreError> {
        let remembered: Vec<(i64, i64)> = {
            let mut statement = self.connection.prepare_cached(REMEMBERED).context(CONTEXT)?;
            let rows = statement.query_map([self.people.my_number()], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        if remembered.iter().map(|(_, bytes)| bytes).sum::<i64>() <= MAX_REMEMBERED {
            return Ok(());
        }
        self.write(|writer| {
            for (person, _) in remembered.iter().take(MAX_DROPPED) {
                for sql in FORGET_STRANGER {
                    super::tables::execute(writer.db, sql, [person]).context(CONTEXT)?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn storage(&self) -> Result<StorageReport, StoreError> {
        const CONTEXT: &str = "measuring storage";
        let db = &self.connection;
        self.people.refresh_rings(db).context(CONTEXT)?;
        let pragma = |name: &str| -> Result<u64, StoreError> {
            let value: i64 = db
                .pragma_query_value(None, name, |row| row.get(0))
                .context(CONTEXT)?;
            Ok(value.unsigned_abs())
        };
        let page = pragma("page_size")?;
        let (file, free) = (pragma("page_count")? * page, pragma("freelist_count")? * page);
        let mut report = StorageReport {
            file,
            free,
            full: self.full_since.is_some(),
            ..StorageReport::default()
        };
        for ring in Ring::ALL {
            let used = self.people.usage(db, ring).context(CONTEXT)?;
            report.rings.push((ring, used));
            report.events.events += used.events;
            report.events.bytes += used.bytes;
            let mut statement = db.prepare_cached(BY_PERSON).context(CONTEXT)?;
            let people = statement.query_map(params![ring as u8, number(MAX_REPORTED)], |row| {
                let usage = Usage {
                    events: unsigned(row, 2)?,
                    bytes: unsigned(row, 3)?,
                };
                Ok((queries::key(row, 0)?, row.get(1)?, usage))
            });
            for person in people.context(CONTEXT)? {
                report.people.push(person.context(CONTEXT)?);
            }
        }
        report
            .people
            .sort_by_key(|(key, _, usage)| (std::cmp::Reverse(usage.bytes), *key));
        report.people.truncate(MAX_REPORTED);
        let mut statement = db.prepare_cached(BY_KIND).context(CONTEXT)?;
        let kinds = statement.query_map([], |row| {
            let usage = Usage {
                events: unsigned(row, 1)?,
                bytes: unsigned(row, 2)?,
            };
            Ok((row.get(0)?, usage))
        });
        for kind in kinds.context(CONTEXT)? {
            report.kinds.push(kind.context(CONTEXT)?);
        }
        report.index = file.saturating_sub(free).saturating_sub(report.events.bytes);
        Ok(report)
    }

    pub(super) fn ring_of(&self, key: &PublicKey) -> Result<Ring, StoreError> {
        const CONTEXT: &str = "looking up a person";
        if self.people.is_me(key) {
            return Ok(Ring::Me);
        }
        self.people.refresh_rings(&self.connection).context(CONTEXT)?;
        match self.number_of(key)? {
            Some(no) => Ok(ring(queries::person(&self.connection, no).context(CONTEXT)?.2)),
            None => Ok(Ring::Stranger),
        }
    }

    /// The people of a ring, those of whom most is stored first.
    pub(super) fn members(&self, ring: Ring, limit: usize) -> Result<Vec<PublicKey>, StoreError> {
        const CONTEXT: &str = "listing people";
        self.people.refresh_rings(&self.connection).context(CONTEXT)?;
        let mut statement = self.connection.prepare_cached(IN_RING).context(CONTEXT)?;
        let rows = statement.query_map(params![ring as u8, number(limit)], |row| queries::key(row, 0));
        rows.and_then(Iterator::collect).context(CONTEXT)
    }

    /// Those who follow a person, and how many they are.
    pub(super) fn followers_of(
        &self,
        person: &PublicKey,
        limit: usize,
    ) -> Result<(Vec<PublicKey>, u64), StoreError> {
        const CONTEXT: &str = "listing followers";
        let Some(no) = self.number_of(person)? else {
            return Ok((Vec::new(), 0));
        };
        let mut statement = self.connection.prepare_cached(FOLLOWERS).context(CONTEXT)?;
        let rows = statement.query_map(params![no, number(limit)], |row| queries::key(row, 0));
        let keys = rows.and_then(Iterator::collect).context(CONTEXT)?;
        let mut statement = self.connection.prepare_cached(COUNT_FOLLOWERS).context(CONTEXT)?;
        let count = statement
            .query_row([no], |row| unsigned(row, 0))
            .context(CONTEXT)?;
        Ok((keys, count))
    }

    /// Events in the order of time, oldest first.
    pub(super) fn some_events(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError> {
        const CONTEXT: &str = "reading events";
        let after = match after {
            Some(cursor) => self.place_of(cursor)?,
            None => -1,
        };
        let places: Vec<i64> = {
            let mut statement = self.connection.prepare_cached(AFTER).context(CONTEXT)?;
            let rows = statement.query_map(params![after, number(limit)], |row| row.get(0));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        let events = places.into_iter().filter_map(|place| {
            let stored = queries::stored_at(&self.connection, place).transpose()?;
            Some(stored.map(|stored| stored.event))
        });
        events.collect::<rusqlite::Result<_>>().context(CONTEXT)
    }

    /// Runs writes in one transaction; nothing of them stays after an error.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        const CONTEXT: &str = "storing events";
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .context(CONTEXT)?;
        let mut writer = Writer::new(&transaction, &mut self.people);
        writer.tags = self.tags;
        let answer = work(&mut writer);
        let done = answer.and_then(|answer| Ok((answer, writer.finish()?)));
        let done = done.and_then(|done| transaction.commit().context(CONTEXT).map(|()| done));
        match done {
            Ok((answer, changes)) => {
                let Changes {
                    mut added,
                    mut removed,
                    mut queries,
                } = changes;
                self.changes.added.append(&mut added);
                self.changes.removed.append(&mut removed);
                self.changes.queries.append(&mut queries);
                Ok(answer)
            }
            Err(error) => {
                self.people.forget();
                Err(error)
            }
        }
    }
}

/// The places of a person's oldest events of a class, and whether each is of a kind that is kept longest.
fn oldest(db: &Connection, person: i64, class: i64, most: usize) -> rusqlite::Result<Vec<(i64, bool)>> {
    db.prepare_cached(OLDEST)?
        .query_map(params![person, class, number(most)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect()
}
