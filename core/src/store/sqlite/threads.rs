//! Threads: what stands above and below a note; and who did what with it.

use nostr::prelude::{EventId, Kind, PublicKey};
use rusqlite::params;

use super::SqliteStore;
use super::error::Context;
use super::pages::{MAX_LOOKED_AT, Muting, Walk, places};
use super::queries::{self, number, short};
use super::tables::counts::Link;
use crate::social::References;
use crate::store::{Act, Ancestor, Cursor, MAX_ANCESTORS, Note, Page, Reactor, Reactors, StoreError, Thread};

const CONTEXT: &str = "reading a thread";

/// A range of the key of `link`.
pub(super) const BELOW: &str = "SELECT seq FROM link WHERE target = ?1 AND type = ?2 AND who = 0 AND seq > ?3
    ORDER BY seq LIMIT ?4";
/// A range of the key of `link`: each person once.
pub(super) const PEOPLE: &str = "SELECT who, max(seq) FROM link WHERE target = ?1 AND type = ?2 AND who > ?3
    GROUP BY who ORDER BY who LIMIT ?4";

impl SqliteStore {
    pub(super) fn read_thread(
        &self,
        id: &EventId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Thread, StoreError> {
        let note = self.note_by_id(id)?;
        let ancestors = match &note {
            Some(note) if after.is_none() => self.ancestors(note)?,
            _ => Vec::new(),
        };
        // A note that is not here may still be known as a root.
        let is_root = note.as_ref().is_none_or(|note| note.references.root.is_none());
        let link = if is_root { Link::Thread } else { Link::Reply };
        let replies = self.below(id, link, after, limit)?;
        Ok(Thread {
            ancestors,
            note,
            replies,
        })
    }

    /// From the top down; the nearest ones where there are too many.
    fn ancestors(&self, note: &Note) -> Result<Vec<Ancestor>, StoreError> {
        let mut found = Vec::new();
        let mut seen = vec![note.id];
        let mut above = note.references.parent;
        while let Some(id) = above {
            // Ids are hashes, so a circle cannot be made; a note that names itself twice over can.
            if found.len() >= MAX_ANCESTORS || seen.contains(&id) {
                break;
            }
            seen.push(id);
            above = match self.note_by_id(&id)? {
                Some(parent) => {
                    let next = parent.references.parent;
                    found.push(Ancestor::Note(Box::new(parent)));
                    next
                }
                None => {
                    found.push(Ancestor::Missing(id));
                    None
                }
            };
        }
        // The root, when what lies between is missing.
        if let (Some(Ancestor::Missing(_)), Some(root)) = (found.last(), note.references.root)
            && !seen.contains(&root)
        {
            found.push(match self.note_by_id(&root)? {
                Some(root) => Ancestor::Note(Box::new(root)),
                None => Ancestor::Missing(root),
            });
        }
        found.reverse();
        Ok(found)
    }

    /// A page of what refers to a note, oldest first.
    fn below(
        &self,
        id: &EventId,
        link: Link,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let walk = Walk {
            from: after.map_or(Ok(-1), |after| self.place_of(after))?,
            limit,
            at_once: 0,
            most: MAX_LOOKED_AT,
            muting: Muting::LeftOut,
        };
        self.walk(
            walk,
            |after, many| {
                let params = params![short(id), link as i64, after, number(many)];
                places(&self.connection, BELOW, params)
            },
            // The index knows the beginning of an id only.
            |event| {
                let References { root, parent, .. } = References::of(event);
                let target = match link {
                    Link::Thread => root,
                    _ => parent,
                };
                target == Some(*id)
            },
        )
    }

    pub(super) fn read_reactors(
        &self,
        id: &EventId,
        act: Act,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Result<Reactors, StoreError> {
        let link = match act {
            Act::Reaction => Link::Reaction,
            Act::Repost => Link::Repost,
        };
        let after = match after {
            Some(key) => self.number_of(&key)?.unwrap_or(0),
            None => 0,
        };
        let rows: Vec<(i64, i64)> = {
            let mut statement = self.connection.prepare_cached(PEOPLE).context(CONTEXT)?;
            let params = params![short(id), link as i64, after, number(limit.saturating_add(1))];
            let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        let more = rows.len() > limit;
        let mut people = Vec::new();
        for (_, seq) in rows.into_iter().take(limit) {
            if let Some(entry) = queries::stored_at(&self.connection, seq).context(CONTEXT)? {
                let content = if entry.event.kind == Kind::Reaction {
                    entry.event.content.clone()
                } else {
                    String::new()
                };
                people.push(Reactor {
                    key: entry.event.pubkey,
                    name: entry.name().cloned(),
                    content,
                });
            }
        }
        let next = people.last().filter(|_| more).map(|person| person.key);
        Ok(Reactors { people, next })
    }
}
