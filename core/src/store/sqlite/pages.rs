//! Pages of notes: timelines, one person's notes, hashtags, lists. Each reads a range of an index, newest first.

use std::collections::{BinaryHeap, HashSet};

use nostr::prelude::{Event, EventId, Kind, PublicKey};
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::error::Context;
use super::place;
use super::queries::{self, Entries, Stored, number};
use crate::social::{self, References, read_follows, read_mutes};
use crate::store::{Cursor, Note, Page, Repost, StoreError};

/// Rows that are looked at for one page at most; muted people may have written all of them.
pub(super) const MAX_LOOKED_AT: usize = 5_000;
/// Rows of everybody's timeline that are looked at, per followed person, before each one's own notes are gone through:
/// cheap where they write much of what there is, in vain where they write little.
const SCAN_PER_PERSON: usize = 4;
/// At least so many.
const MIN_SCAN: usize = 256;
/// Followed people whose notes a home timeline merges.
const MAX_PEOPLE: usize = 20_000;

/// A range of `event_listed`.
pub(super) const LISTED: &str = "SELECT seq FROM event INDEXED BY event_listed
    WHERE class = 1 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
/// A range of `event_listed`.
pub(super) const LISTED_AUTHORS: &str = "SELECT seq, author FROM event INDEXED BY event_listed
    WHERE class = 1 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
/// A range of `event_by_author`.
pub(super) const OF_CLASS: &str =
    "SELECT seq FROM event WHERE author = ?3 AND class = ?4 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
/// A range of `event_media`.
pub(super) const MEDIA: &str =
    "SELECT seq FROM event WHERE author = ?3 AND media = 1 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
/// A range of the key of `hashtag`.
pub(super) const TAGGED: &str =
    "SELECT seq FROM hashtag WHERE tag = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";

/// Whether muted people, words and threads are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Muting {
    LeftOut,
    Shown,
}

/// How a page is put together.
pub(super) struct Walk {
    /// The place to go on from.
    pub(super) from: i64,
    /// Notes on the page.
    pub(super) limit: usize,
    /// Places asked for at once, at least: more than a page where many are not what is wanted.
    pub(super) at_once: usize,
    /// Places that are looked at, at most; the page then ends early, and the next one goes on from there.
    pub(super) most: usize,
    pub(super) muting: Muting,
}

impl SqliteStore {
    pub(super) fn everyone(&self, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.page(before, limit, Muting::LeftOut, |before, many| {
            places(&self.connection, LISTED, params![before, number(many)])
        })
    }

    pub(super) fn of_author(
        &self,
        author: &PublicKey,
        classes: &[i64],
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let Some(author) = self.number_of(author)? else {
            return Ok(Page::default());
        };
        self.page(before, limit, Muting::Shown, |before, many| {
            let mut found = Vec::new();
            for class in classes {
                found.extend(places(
                    &self.connection,
                    OF_CLASS,
                    params![before, number(many), author, class],
                )?);
            }
            found.sort_unstable_by(|a, b| b.cmp(a));
            found.truncate(many);
            Ok(found)
        })
    }

    pub(super) fn media_of(
        &self,
        author: &PublicKey,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let Some(author) = self.number_of(author)? else {
            return Ok(Page::default());
        };
        self.page(before, limit, Muting::Shown, |before, many| {
            places(&self.connection, MEDIA, params![before, number(many), author])
        })
    }

    pub(super) fn tagged(&self, tag: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let Some(tag) = social::fold_hashtag(tag.trim_start_matches(['#', '＃'])) else {
            return Ok(Page::default());
        };
        self.page(before, limit, Muting::LeftOut, |before, many| {
            places(&self.connection, TAGGED, params![before, number(many), tag])
        })
    }

    /// The notes of the people whom a person follows, and their own.
    pub(super) fn home(
        &self,
        person: &PublicKey,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let Some(person) = self.number_of(person)? else {
            return Ok(Page::default());
        };
        let mut people = queries::follows(&self.connection, person).context(CONTEXT)?;
        people.push(person);
        self.of_people(people, before, limit)
    }

    /// The notes of a follow set's people.
    pub(super) fn of_list(
        &self,
        owner: &PublicKey,
        name: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let Some(list) = self.addressable(owner, Kind::FollowSet, name)? else {
            return Ok(Page::default());
        };
        let mut people = Vec::new();
        for key in read_follows(&list) {
            people.extend(self.number_of(&key)?);
        }
        self.of_people(people, before, limit)
    }

    fn of_people(
        &self,
        mut people: Vec<i64>,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        people.truncate(MAX_PEOPLE);
        let wanted: HashSet<i64> = people.iter().copied().collect();
        let db = &self.connection;
        // Whether the timeline of everybody has proven to hold little of theirs.
        let mut merged: Option<Merge<'_>> = None;
        self.page(before, limit, Muting::LeftOut, |before, many| {
            if let Some(merge) = &mut merged {
                return merge.take(many);
            }
            let rows = MIN_SCAN.max(SCAN_PER_PERSON * wanted.len());
            let mut statement = db.prepare_cached(LISTED_AUTHORS)?;
            let mut found = statement.query(params![before, number(rows)])?;
            let (mut theirs, mut seen, mut last) = (Vec::new(), 0, before);
            while let Some(row) = found.next()? {
                seen += 1;
                last = row.get(0)?;
                if wanted.contains(&row.get(1)?) {
                    theirs.push(last);
                    if theirs.len() == many {
                        return Ok(theirs);
                    }
                }
            }
            if seen == rows {
                // What is left is gone through person by person, from here on.
                let merge = merged.insert(Merge::new(db, &wanted, last)?);
                let rest = many - theirs.len();
                theirs.extend(merge.take(rest)?);
            }
            Ok(theirs)
        })
    }

    /// A page of the notes at the places that `next` tells: those before a place, so many of them, newest first.
    fn page(
        &self,
        before: Option<Cursor>,
        limit: usize,
        muting: Muting,
        next: impl FnMut(i64, usize) -> rusqlite::Result<Vec<i64>>,
    ) -> Result<Page, StoreError> {
        let from = before.map_or(Ok(i64::MAX), |before| self.place_of(before))?;
        let walk = Walk {
            from,
            limit,
            at_once: 0,
            most: MAX_LOOKED_AT,
            muting,
        };
        self.walk(walk, next, |_| true)
    }

    /// A page of what is `wanted` at the places that `next` tells: so many of those beyond a place, in either direction.
    pub(super) fn walk(
        &self,
        walk: Walk,
        mut next: impl FnMut(i64, usize) -> rusqlite::Result<Vec<i64>>,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Page, StoreError> {
        let (mut from, mut looked_at, mut notes) = (walk.from, 0, Vec::<Note>::new());
        let mut entries = Entries::of(&self.connection).context(CONTEXT)?;
        loop {
            let many = (walk.limit.saturating_add(1) - notes.len()).max(walk.at_once);
            let places = next(from, many).context(CONTEXT)?;
            let ended = places.len() < many;
            for place in places {
                from = place;
                looked_at += 1;
                let Some(entry) = entries.at(place).context(CONTEXT)? else {
                    continue;
                };
                let cursor = Cursor::of(&entry.event);
                if wanted(&entry.event)
                    && let Some(note) = self.shown(entry, &mut entries, walk.muting)?
                {
                    if notes.len() == walk.limit {
                        let next = notes.last().map(Note::cursor);
                        return Ok(Page { notes, next });
                    }
                    notes.push(note);
                }
                if looked_at >= walk.most {
                    let next = Some(cursor);
                    return Ok(Page { notes, next });
                }
            }
            if ended {
                return Ok(Page { notes, next: None });
            }
        }
    }

    /// What an entry of a timeline shows: a note, or the note that was reposted.
    fn shown(
        &self,
        entry: Stored,
        entries: &mut Entries<'_>,
        muting: Muting,
    ) -> Result<Option<Note>, StoreError> {
        if entry.event.kind == Kind::TextNote {
            return Ok((!self.hides(&entry, muting)?).then(|| entry.into_note()));
        }
        let Some(target) = social::repost_target(&entry.event) else {
            return Ok(None);
        };
        if muting == Muting::LeftOut && self.hides_person(&entry.event.pubkey)? {
            return Ok(None);
        }
        let Some(place) = queries::seq_of(&self.connection, &target.id).context(CONTEXT)? else {
            return Ok(None);
        };
        let original = entries.at(place).context(CONTEXT)?;
        let Some(original) = original.filter(|note| note.event.kind == Kind::TextNote) else {
            return Ok(None);
        };
        if self.hides(&original, muting)? {
            return Ok(None);
        }
        Ok(Some(Note {
            repost: Some(Repost {
                id: entry.event.id,
                by: entry.event.pubkey,
                by_name: entry.name().cloned(),
                at: entry.event.created_at.as_secs(),
            }),
            ..original.into_note()
        }))
    }

    fn hides(&self, entry: &Stored, muting: Muting) -> Result<bool, StoreError> {
        if muting == Muting::Shown || self.people.is_me(&entry.event.pubkey) {
            return Ok(false);
        }
        self.with_mutes(|mutes| !mutes.is_empty() && mutes.hides(&entry.event, &References::of(&entry.event)))
    }

    pub(super) fn hides_person(&self, key: &PublicKey) -> Result<bool, StoreError> {
        self.with_mutes(|mutes| mutes.people.contains(key))
    }

    pub(super) fn with_mutes<T>(&self, look: impl FnOnce(&social::Mutes) -> T) -> Result<T, StoreError> {
        let read = || match self.people.me {
            Some((me, _)) => self
                .addressable(&me, Kind::MuteList, "")
                .map(|list| list.as_ref().map(read_mutes)),
            None => Ok(None),
        };
        self.people.with_mutes(read, look)
    }

    /// The place of a cursor: strictly beyond it, the page goes on.
    pub(super) fn place_of(&self, Cursor { created_at, id }: Cursor) -> Result<i64, StoreError> {
        let known = queries::seq_of(&self.connection, &id).context(CONTEXT)?;
        Ok(known.unwrap_or_else(|| place::place(created_at, &id)))
    }

    pub(super) fn note_by_id(&self, id: &EventId) -> Result<Option<Note>, StoreError> {
        let stored = queries::stored(&self.connection, id).context("reading a note")?;
        Ok(stored
            .filter(|stored| stored.event.kind == Kind::TextNote)
            .map(Stored::into_note))
    }

    pub(super) fn number_of(&self, key: &PublicKey) -> Result<Option<i64>, StoreError> {
        self.people
            .find(&self.connection, key)
            .context("looking up a person")
    }
}

const CONTEXT: &str = "reading a timeline";

pub(super) fn places(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached(sql)?
        .query_map(params, |row| row.get(0))?
        .collect()
}

/// The newest notes of many people together: one note ahead per person is known.
struct Merge<'a> {
    statement: rusqlite::CachedStatement<'a>,
    heads: BinaryHeap<(i64, i64)>,
}

impl<'a> Merge<'a> {
    fn new(db: &'a Connection, people: &HashSet<i64>, before: i64) -> rusqlite::Result<Self> {
        let mut merge = Self {
            statement: db.prepare_cached(OF_CLASS)?,
            heads: BinaryHeap::with_capacity(people.len()),
        };
        for person in people {
            merge.add(*person, before)?;
        }
        Ok(merge)
    }

    fn add(&mut self, person: i64, before: i64) -> rusqlite::Result<()> {
        let mut rows = self.statement.query(params![before, 1, person, 1])?;
        if let Some(row) = rows.next()? {
            self.heads.push((row.get(0)?, person));
        }
        Ok(())
    }

    fn take(&mut self, many: usize) -> rusqlite::Result<Vec<i64>> {
        let mut places = Vec::with_capacity(many.min(256));
        while places.len() < many
            && let Some((place, person)) = self.heads.pop()
        {
            places.push(place);
            self.add(person, place)?;
        }
        Ok(places)
    }
}
