//! Any filter of a client (NIP-01), by the index that narrows it down most, with bounded effort.
//!
//! Each value of a filter (an author, a tag) is a range of an index, newest first. The ranges are read one after the
//! other; as soon as enough is found, the rest of each range need only be read down to the oldest of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use nostr::prelude::{EventId, Filter, Kind, MatchEventOptions, SingleLetterTag};
use rusqlite::{Row, ToSql};

use super::error::Context;
use super::queries::{self, Stored, created_at, id};
use super::tags::{self, Tags};
use super::{SqliteStore, place};
use crate::store::rules::Wanted;
use crate::store::{Item, StoreError};

const CONTEXT: &str = "looking for a client's events";
/// What reading a whole event costs, in rows.
const EVENT_EFFORT: usize = 8;

/// A range of `event`.
pub(super) const OF_TIME: &str = "SELECT seq, id, author, moved, kind FROM event
    WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC";
/// A range of `event_by_author`.
pub(super) const OF_AUTHOR: &str = "SELECT seq, id, author, moved, kind FROM event
    WHERE author = ?3 AND class = ?4 AND seq > ?1 AND seq < ?2 ORDER BY seq DESC";
/// A range of the key of `tag`, then the rows.
pub(super) const OF_TAG: &str = "SELECT e.seq, e.id, e.author, e.moved, e.kind
    FROM tag t CROSS JOIN event e ON e.seq = t.seq
    WHERE t.hash = ?3 AND t.seq > ?1 AND t.seq < ?2 ORDER BY t.seq DESC";
/// A range of the key of `latest`.
pub(super) const LATEST_OF: &str = "SELECT id FROM latest WHERE author = ?1 AND kind = ?2";

impl SqliteStore {
    pub(super) fn find_any(
        &self,
        filter: &Filter,
        limit: usize,
        effort: &mut usize,
    ) -> Result<Vec<Item>, StoreError> {
        let plain = Filter {
            ids: None,
            search: None,
            limit: None,
            generic_tags: BTreeMap::new(),
            ..filter.clone()
        };
        let wanted = Wanted::new(&plain);
        if limit == 0 || wanted.since > wanted.until || wanted.kinds.is_empty() {
            return Ok(Vec::new());
        }
        let mut search = Search {
            store: self,
            filter,
            // What was moved to an earlier place is found a little before its second.
            from: place::first_of(wanted.since).saturating_sub(place::FARTHEST),
            to: place::first_of(wanted.until.saturating_add(1)).saturating_add(1),
            wanted,
            authors: None,
            whole: !filter.generic_tags.is_empty(),
            limit,
            found: BTreeMap::new(),
            effort,
        };
        search.run().context(CONTEXT)?;
        let mut items: Vec<Item> = search.found.into_values().collect();
        items.sort_unstable_by_key(|item| (Reverse(item.created_at), item.id));
        Ok(items)
    }
}

struct Search<'a> {
    store: &'a SqliteStore,
    filter: &'a Filter,
    wanted: Wanted,
    /// The filter's authors, by their numbers.
    authors: Option<BTreeSet<i64>>,
    /// The event itself must be read to know whether it matches.
    whole: bool,
    /// Places lie above this.
    from: i64,
    /// And below this.
    to: i64,
    limit: usize,
    /// The newest so far, by their places.
    found: BTreeMap<i64, Item>,
    effort: &'a mut usize,
}

impl Search<'_> {
    fn run(&mut self) -> rusqlite::Result<()> {
        if let Some(ids) = self.filter.ids.as_ref().filter(|ids| !ids.is_empty()) {
            return ids.iter().try_for_each(|id| self.one(id));
        }
        if let Some(keys) = &self.wanted.authors {
            let (db, people) = (&self.store.connection, &self.store.people);
            let numbers = keys.iter().map(|key| people.find(db, key));
            self.authors = Some(numbers.filter_map(Result::transpose).collect::<Result<_, _>>()?);
        }
        let tags = self.filter.generic_tags.iter();
        match tags.min_by_key(|(_, values)| values.len()) {
            Some((letter, values)) if self.store.tags == Tags::All => self.of_tags(*letter, values),
            _ => match self.authors.clone() {
                Some(authors) => authors.into_iter().try_for_each(|author| self.of_author(author)),
                None => self.range(OF_TIME, &[]),
            },
        }
    }

    fn of_tags(&mut self, letter: SingleLetterTag, values: &BTreeSet<String>) -> rusqlite::Result<()> {
        // The index tells of this letter; of others, the event.
        self.whole = self.filter.generic_tags.len() > 1;
        for value in values {
            let hash = tags::hash(self.store.people.salt, letter, value);
            self.range(OF_TAG, &[&hash])?;
        }
        Ok(())
    }

    fn of_author(&mut self, author: i64) -> rusqlite::Result<()> {
        let kinds = self.wanted.kinds.clone();
        let (named, others): (Vec<Kind>, Vec<Kind>) = match &self.filter.kinds {
            // Of what has one version only, each is found by its name.
            Some(wanted) if !wanted.is_empty() => kinds
                .into_iter()
                .partition(|kind| kind.is_replaceable() || kind.is_addressable()),
            _ => (Vec::new(), kinds),
        };
        for kind in named {
            let ids: Vec<EventId> = {
                let mut statement = self.store.connection.prepare_cached(LATEST_OF)?;
                let rows = statement.query_map((author, kind.as_u16()), |row| id(row, 0))?;
                rows.take(*self.effort).collect::<Result<_, _>>()?
            };
            ids.iter().try_for_each(|id| self.one(id))?;
        }
        let classes = others.iter().flat_map(|kind| classes(*kind));
        for class in classes.collect::<BTreeSet<_>>() {
            self.range(OF_AUTHOR, &[&author, &class])?;
        }
        Ok(())
    }

    /// By its id.
    fn one(&mut self, id: &EventId) -> rusqlite::Result<()> {
        if self.spend(EVENT_EFFORT)
            && let Some(stored) = queries::stored(&self.store.connection, id)?
            && self.matches(&stored)
        {
            self.add(
                stored.seq,
                Item {
                    created_at: stored.event.created_at.as_secs(),
                    id: *id,
                },
            );
        }
        Ok(())
    }

    fn range(&mut self, sql: &str, which: &[&dyn ToSql]) -> rusqlite::Result<()> {
        if !self.spend(1) {
            return Ok(());
        }
        let from = self.lowest().unwrap_or(self.from);
        let to = self.to;
        let mut params: Vec<&dyn ToSql> = vec![&from, &to];
        params.extend(which);
        let store = self.store;
        let mut statement = store.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params.as_slice())?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            if self.lowest().is_some_and(|lowest| seq <= lowest) || !self.spend(1) {
                break;
            }
            self.look(seq, row)?;
        }
        Ok(())
    }

    fn look(&mut self, seq: i64, row: &Row<'_>) -> rusqlite::Result<()> {
        let created_at = created_at(seq, row.get(3)?);
        let author: i64 = row.get(2)?;
        if !(self.wanted.since..=self.wanted.until).contains(&created_at)
            || !self.wanted.has_kind(Kind::from(row.get::<_, u16>(4)?))
            || self
                .authors
                .as_ref()
                .is_some_and(|authors| !authors.contains(&author))
        {
            return Ok(());
        }
        if self.whole {
            let stored = match self.spend(EVENT_EFFORT) {
                true => queries::stored_at(&self.store.connection, seq)?,
                false => None,
            };
            if !stored.is_some_and(|stored| self.matches(&stored)) {
                return Ok(());
            }
        }
        let id = id(row, 1)?;
        self.add(seq, Item { created_at, id });
        Ok(())
    }

    fn matches(&self, stored: &Stored) -> bool {
        self.filter.match_event(&stored.event, MatchEventOptions::new())
    }

    fn add(&mut self, seq: i64, item: Item) {
        self.found.insert(seq, item);
        if self.found.len() > self.limit {
            self.found.pop_first();
        }
    }

    /// The place above which something must stand to be wanted still.
    fn lowest(&self) -> Option<i64> {
        let lowest = self.found.first_key_value().map(|(seq, _)| *seq);
        lowest.filter(|_| self.found.len() >= self.limit)
    }

    /// Takes some of the effort; false when it is used up.
    fn spend(&mut self, rows: usize) -> bool {
        *self.effort = self.effort.saturating_sub(rows);
        *self.effort > 0
    }
}

/// Where `event_by_author` has a kind.
fn classes(kind: Kind) -> &'static [i64] {
    match kind {
        Kind::TextNote => &[1, 2],
        Kind::Repost | Kind::GenericRepost => &[1],
        _ => &[0],
    }
}
