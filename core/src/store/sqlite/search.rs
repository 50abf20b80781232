//! The search: notes by their words, people by their name or key.

use nostr::prelude::{FromBech32, PublicKey};
use rusqlite::params;

use super::SqliteStore;
use super::error::Context;
use super::pages::{Muting, Walk, places};
use super::people::ring;
use super::queries::{self, number};
use crate::social::References;
use crate::store::words::Search;
use crate::store::{Cursor, FoundPerson, Page, StoreError};

const CONTEXT: &str = "searching";
/// Notes asked of the index at once, more than a page: some are not what was looked for.
const AT_ONCE: usize = 100;
/// Of which so many are looked at for one page: whoever looks for what hides behind a frequent beginning gets short
/// pages, not a slow one.
const MAX_LOOKED_AT: usize = 1_000;
/// Longest text that is searched for, in bytes.
const MAX_TEXT: usize = 400;

/// By the index `word`, newest first: it is in the order of time, so it stops when the page is full.
pub(super) const NOTES: &str =
    "SELECT rowid FROM word WHERE word MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC LIMIT ?3";
/// A range of `person_by_name`.
pub(super) const NAMED: &str = "SELECT key, name, ring FROM person
    WHERE name IS NOT NULL AND name >= ?1 COLLATE NOCASE AND name < ?2 COLLATE NOCASE LIMIT ?3";
/// The people of near rings, by `person_by_use`, whose name has the text within.
pub(super) const NAMED_WITHIN: &str = "SELECT key, name, ring FROM person
    WHERE ring < 5 AND name IS NOT NULL AND instr(lower(name), ?1) > 0 LIMIT ?2";

impl SqliteStore {
    pub(super) fn find_notes(
        &self,
        text: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let Some(search) = Search::parse(bounded(text)) else {
            return Ok(Page::default());
        };
        let expression = search.expression();
        let walk = Walk {
            from: before.map_or(Ok(i64::MAX), |before| self.place_of(before))?,
            limit,
            at_once: AT_ONCE,
            most: MAX_LOOKED_AT,
            muting: Muting::LeftOut,
        };
        self.walk(
            walk,
            |before, many| places(&self.connection, NOTES, params![expression, before, number(many)]),
            |event| search.matches(&event.content, || References::of(event).hashtags),
        )
    }

    pub(super) fn find_people(&self, text: &str, limit: usize) -> Result<Vec<FoundPerson>, StoreError> {
        let text = bounded(text).trim().trim_start_matches('@');
        if text.is_empty() {
            return Ok(Vec::new());
        }
        self.people.refresh_rings(&self.connection).context(CONTEXT)?;
        let mut found = Vec::new();
        let key = PublicKey::from_bech32(text).or_else(|_| PublicKey::from_hex(text));
        // Whoever has the whole key has found the person, known here or not.
        if let Ok(key) = key {
            let known = self.number_of(&key)?;
            let known = known.map(|no| queries::person(&self.connection, no)).transpose();
            found.push(FoundPerson {
                key,
                name: known.context(CONTEXT)?.and_then(|(_, name, _)| name),
                ring: self.ring_of(&key)?,
            });
        }
        let read = |row: &rusqlite::Row<'_>| {
            Ok(FoundPerson {
                key: queries::key(row, 0)?,
                name: row.get(1)?,
                ring: ring(row.get(2)?),
            })
        };
        let end = format!("{text}\u{10FFFF}");
        let mut named = self.connection.prepare_cached(NAMED).context(CONTEXT)?;
        let rows = named.query_map(params![text, end, number(limit)], read);
        found.extend(
            rows.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                .context(CONTEXT)?,
        );
        let mut within = self.connection.prepare_cached(NAMED_WITHIN).context(CONTEXT)?;
        let rows = within.query_map(params![text.to_lowercase(), number(limit)], read);
        found.extend(
            rows.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                .context(CONTEXT)?,
        );
        found.sort_by(|a, b| (a.ring, &a.name, a.key).cmp(&(b.ring, &b.name, b.key)));
        found.dedup_by_key(|person| person.key);
        let mut shown = Vec::with_capacity(found.len());
        for person in found {
            if !self.hides_person(&person.key)? {
                shown.push(person);
            }
        }
        shown.truncate(limit);
        Ok(shown)
    }
}

/// The beginning of a text, cut between characters.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
